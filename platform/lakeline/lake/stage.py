"""Writing data files that no reader sees yet, and proving that what lies on disk is what was audited."""

import errno
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lakeline.errors import LakeError
from lakeline.lake.content import content_version

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

WRITERS = 2
"""Threads that write: Parquet encoding leaves the interpreter, so two cores are used."""


class StorageFullError(LakeError):
    """There is no room for a table's files."""

    def __init__(self, table: str, place: str) -> None:
        super().__init__(
            f"No space left for table '{table}' at {place}. Nothing was published and the table is as it was. "
            "Free some space (lakeline lake maintain removes files nobody needs) and run again."
        )


class CorruptFileError(LakeError):
    """What was read back from a staged file is not what was written."""

    def __init__(self, table: str, path: str) -> None:
        super().__init__(
            f"A file of table '{table}' reads back differently from what was written: {path}. "
            "Nothing was published. Check the disk or bucket and run again."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedFile:
    """A data file of one partition, written and read back, not yet part of the table."""

    partition: str
    file: "DataFile"

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return self.file.record_count

    @property
    def size_bytes(self) -> int:
        """Size on disk."""
        return self.file.file_size_in_bytes


def stage(table: "Table", frames: "Mapping[str, pl.DataFrame]", versions: Mapping[str, str]) -> list[StagedFile]:
    """One Parquet file a partition, zstd, with field ids; partitions without rows get none.

    Args:
        table: Where the files will belong; it is not changed.
        frames: Rows of each partition, with the table's columns.
        versions: What `content_version` says of each frame; each file is read back and must say the same.

    Raises:
        StorageFullError: The disk or the quota is full; the files of this call are gone again.
        CorruptFileError: A file reads back differently.
    """
    filled = {key: frame for key, frame in frames.items() if frame.height}
    staged: list[StagedFile] = []
    try:
        with full_disk_named(table), ThreadPoolExecutor(WRITERS) as pool:
            write = partial(_write_verified, table, versions=versions)
            staged.extend(pool.map(write, filled.items()))
    except BaseException:
        discard(table, staged)
        raise
    return staged


def discard(table: "Table", staged: Sequence[StagedFile]) -> None:
    """Remove staged files that will not be published; what cannot be removed is left to maintenance."""
    for one in staged:
        with suppress(OSError):
            table.io.delete(one.file.file_path)


@contextmanager
def full_disk_named(table: "Table") -> Iterator[None]:
    """Turn the system's "no space" into `StorageFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error):
            raise StorageFullError(".".join(table.name()), table.location()) from error
        raise


def _write_verified(table: "Table", part: "tuple[str, pl.DataFrame]", *, versions: Mapping[str, str]) -> StagedFile:
    key, frame = part
    path = f"{table.location()}/data/{key or 'all'}-{uuid.uuid4().hex}.parquet"
    try:
        footer, size = _write(table, frame, path)
        if _version_on_disk(table, path, frame.columns) != versions[key]:
            raise CorruptFileError(".".join(table.name()), path)
    except BaseException:
        with suppress(OSError):
            table.io.delete(path)
        raise
    return StagedFile(partition=key, file=_data_file(table, path, footer, size))


def _write(table: "Table", frame: "pl.DataFrame", path: str) -> "tuple[FileMetaData, int]":
    import pyarrow.parquet as pq

    rows = _arrow(table, frame)
    footer: list[FileMetaData] = []
    with table.io.new_output(path).create() as sink:
        # Dictionaries pay for text alone: on numbers they cost a sixth of the time and save nothing.
        text = [field.name for field in rows.schema if str(field.type) in {"large_string", "string"}]
        pq.write_table(
            rows, sink, compression="zstd", use_dictionary=text or False, write_statistics=True, metadata_collector=footer
        )
        size = sink.tell()
    return footer[0], size


def _arrow(table: "Table", frame: "pl.DataFrame") -> "pa.Table":
    """The frame as Arrow with the table's field ids, in its column order; columns it lacks are null."""
    import polars as pl
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    schema = schema_to_pyarrow(table.schema())
    absent = [pl.lit(None).alias(name) for name in schema.names if name not in frame.columns]
    return frame.with_columns(absent).select(schema.names).to_arrow().cast(schema)


def _version_on_disk(table: "Table", path: str, columns: list[str]) -> str:
    import polars as pl

    if path.startswith("file://"):
        return content_version(pl.read_parquet(path.removeprefix("file://"), columns=columns, glob=False))
    import pyarrow.parquet as pq

    with table.io.new_input(path).open() as source:
        frame = pl.from_arrow(pq.read_table(source, columns=columns))
    assert isinstance(frame, pl.DataFrame)
    return content_version(frame)


def _data_file(table: "Table", path: str, footer: "FileMetaData", size: int) -> "DataFile":
    """What Iceberg keeps of a file; as `pyiceberg.io.pyarrow.parquet_file_to_data_file`, without opening it again."""
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    schema = table.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=statistics.partition(table.spec(), schema),
        file_size_in_bytes=size,
        sort_order_id=None,
        spec_id=table.spec().spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
