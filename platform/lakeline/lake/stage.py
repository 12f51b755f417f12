"""Writing data files that no reader sees yet, and proving that what lies on disk is what was audited."""

import errno
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import IO, TYPE_CHECKING, cast

from lakeline.errors import LakeError
from lakeline.lake.catalog import CODEC
from lakeline.lake.parquet import Layout, layout_of, write_parquet
from lakeline.lake.shape import Shape

if TYPE_CHECKING:
    import polars as pl
    from pyarrow.parquet import FileMetaData
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

FEWEST_WRITERS, MOST_WRITERS = 2, 4
"""Threads that write, one a core: Parquet's encoder leaves the interpreter.

Each holds some 10 MB for a day of 50,000 x 15, and four have enough to do with what one thread can audit and hash.
"""


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


class Stager:
    """Writes the files of partitions in the background while its user prepares the next rows.

    One Parquet file a partition, compressed as the table says, with field ids; each is read back and compared with its rows. On two cores
    100 days of 50,000 rows take less time than one thread needs to write them as pyarrow does by itself.

    Args:
        table: Where the files will belong; it is not changed.
    """

    def __init__(self, table: "Table") -> None:
        self.table = table
        self._layout = layout_of(Shape.of(table))
        writers = writers_on(_cores())
        self._pool = ThreadPoolExecutor(writers, thread_name_prefix="stage")
        self._room = BoundedSemaphore(writers + 1)
        self._files: list[Future[StagedFile]] = []
        self._seen = 0  # files that are known to be written

    def put(self, partition: str, frame: "pl.DataFrame") -> None:
        """Write the rows of a partition; waits for room, so that few frames are held.

        Args:
            partition: Its key.
            frame: At least one row, with columns of the table; those left out become null.

        Raises:
            StorageFullError: The disk or the quota is full; for this file, or for one before it.
            CorruptFileError: A file before this one reads back differently.
        """
        while self._seen < len(self._files) and self._files[self._seen].done():
            self._files[self._seen].result()
            self._seen += 1
        self._room.acquire()
        self._files.append(self._pool.submit(self._write, partition, frame))

    def finish(self) -> list[StagedFile]:
        """Every file, in the order given, once all are written; raises what `put` raises."""
        staged = [file.result() for file in self._files]
        self._pool.shutdown()
        return staged

    def discard(self) -> None:
        """Write no more and remove what was written; what cannot be removed is left to maintenance."""
        self._pool.shutdown(cancel_futures=True)
        for file in self._files:
            if not file.cancelled() and file.exception() is None:
                with suppress(OSError):
                    self.table.io.delete(file.result().file.file_path)

    def _write(self, partition: str, frame: "pl.DataFrame") -> StagedFile:
        try:
            with full_disk_named(self.table):
                return _write_verified(self.table, self._layout, partition, frame)
        finally:
            self._room.release()


def stage(table: "Table", frames: "Mapping[str, pl.DataFrame]") -> list[StagedFile]:
    """One file a partition, as `Stager` writes them; partitions without rows get none.

    Raises:
        StorageFullError: The disk or the quota is full; the files of this call are gone again.
        CorruptFileError: A file reads back differently.
    """
    stager = Stager(table)
    try:
        for key, frame in frames.items():
            if frame.height:
                stager.put(key, frame)
        return stager.finish()
    except BaseException:
        stager.discard()
        raise


def writers_on(cores: int) -> int:
    """How many threads write on so many cores; two even on one, since a bucket lets them wait."""
    return min(max(cores, FEWEST_WRITERS), MOST_WRITERS)


def _cores() -> int:
    """The cores of this process as Polars counts them, which heeds its quota and ``POLARS_MAX_THREADS``."""
    import polars as pl

    return pl.thread_pool_size()


@contextmanager
def full_disk_named(table: "Table") -> Iterator[None]:
    """Turn the system's "no space" into `StorageFullError`."""
    try:
        yield
    except Exception as error:
        if _is_full(error):
            raise StorageFullError(".".join(table.name()), table.location()) from error
        raise


def _is_full(error: Exception) -> bool:
    # Arrow keeps the system's words and not always its number; the last is SQLite's of its own file.
    words = ("No space left", "Disk quota exceeded", "database or disk is full")
    is_system = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return is_system or any(said in str(error) for said in words)


def _write_verified(table: "Table", layout: Layout, key: str, frame: "pl.DataFrame") -> StagedFile:
    path = f"{table.location()}/data/{key or 'all'}-{uuid.uuid4().hex}.parquet"
    try:
        footer, size = _write(table, layout, frame, path)
        _verify(table, path, frame)
    except BaseException:
        with suppress(OSError):
            table.io.delete(path)
        raise
    return StagedFile(partition=key, file=_data_file(table, layout, path, footer, size))


def _verify(table: "Table", path: str, frame: "pl.DataFrame") -> None:
    found = _read(table, path, frame.columns)
    if found.schema != frame.schema:  # buckets are read by way of Arrow, which knows fewer types
        found = found.cast(frame.schema)
    if not found.equals(frame):
        raise CorruptFileError(".".join(table.name()), path)


def _write(
    table: "Table", layout: Layout, frame: "pl.DataFrame", path: str
) -> "tuple[FileMetaData, int]":
    with table.io.new_output(path).create() as sink:
        codec = table.properties.get(CODEC, "zstd")
        footer = write_parquet(frame, layout, cast("IO[bytes]", sink), codec)
        return footer, sink.tell()


def _read(table: "Table", path: str, columns: list[str]) -> "pl.DataFrame":
    import polars as pl

    if path.startswith("file://"):
        return pl.read_parquet(path.removeprefix("file://"), columns=columns, glob=False)
    import pyarrow.parquet as pq

    with table.io.new_input(path).open() as source:
        frame = pl.from_arrow(pq.read_table(source, columns=columns))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _data_file(
    table: "Table", layout: Layout, path: str, footer: "FileMetaData", size: int
) -> "DataFile":
    """What Iceberg keeps of a file; as `pyiceberg.io.pyarrow.parquet_file_to_data_file`, without opening it again."""
    from pyiceberg.io.pyarrow import data_file_statistics_from_parquet_metadata
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=layout.statistics,
        parquet_column_mapping=layout.fields,
    )
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=statistics.partition(table.spec(), table.schema()),
        file_size_in_bytes=size,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = table.spec().spec_id
    return file
