"""The files of tables as the file system has them, in a folder or a bucket: which exist, which are gone, away with them."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import LakeError, names

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyiceberg.table import Table

    from lakeline.lake.stage import StagedFile

REQUESTS = 8
"""Requests under way at once: a bucket answers each in milliseconds, so that waiting is most of the time."""
ASKED_TOGETHER = 32
"""Files that one request after the other asks for."""


class StagedFilesGoneError(LakeError):
    """Files that a run had written were removed before it published them."""

    can_retry = True

    def __init__(self, table: str, gone: Sequence[str]) -> None:
        self.gone = tuple(gone)
        super().__init__(
            f"Files written for table '{table}' are gone before they were published: {names(gone, limit=2)}. Nothing was "
            "published and the table is as it was. Remove orphans with a grace longer than the longest run, and run again."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file below a table's location.

    Attributes:
        path: As `bare` writes paths.
        location: As the table's ``io`` takes it.
        changed_ts: When it was last written, aware UTC.
    """

    path: str
    location: str
    size_bytes: int
    changed_ts: dt.datetime


def discard(table: "Table", staged: Sequence["StagedFile"]) -> None:
    """Remove staged files that will not be published; what cannot be removed is left to orphan removal."""
    remove(table, [one.file.file_path for one in staged])


def refuse_missing(table: "Table", staged: Sequence["StagedFile"]) -> None:
    """Raise `StagedFilesGoneError` where a staged file is no longer there: committed, it would break every read."""
    gone = missing(table, [one.file.file_path for one in staged])
    if gone:
        raise StagedFilesGoneError(".".join(table.name()), gone)


def missing(table: "Table", locations: Collection[str]) -> list[str]:
    """Those of the files that are not there."""
    if not locations:
        return []
    from pyarrow.fs import FileType

    ask, paths = _file_system(table).get_file_info, [bare(one) for one in locations]
    if len(paths) <= ASKED_TOGETHER:
        found = ask(paths)
    else:  # a bucket answers for one file after the other
        parts = range(0, len(paths), ASKED_TOGETHER)
        with ThreadPoolExecutor(REQUESTS) as pool:
            answers = pool.map(lambda at: ask(paths[at : at + ASKED_TOGETHER]), parts)
            found = [info for answer in answers for info in answer]
    pairs = zip(locations, found, strict=True)
    return [location for location, info in pairs if info.type == FileType.NotFound]


def remove(table: "Table", locations: Iterable[str]) -> int:
    """Remove files; returns how many went. Those gone already or not removable are passed over."""

    def gone(location: str) -> bool:
        with suppress(OSError):
            table.io.delete(location)
            return True
        return False

    wanted = list(locations)
    if not wanted:
        return 0
    with ThreadPoolExecutor(min(REQUESTS, len(wanted))) as pool:
        return sum(pool.map(gone, wanted))


def sizes_bytes(table: "Table", locations: Collection[str]) -> int:
    """Size of the files together; those that are gone count nothing."""
    found = _file_system(table).get_file_info([bare(one) for one in locations])
    return sum(info.size or 0 for info in found)


def stored(table: "Table") -> Iterator[StoredFile]:
    """Every file below the table's location, whoever wrote it."""
    from pyarrow.fs import FileSelector

    location = table.location()
    prefix = location.removesuffix(bare(location).rstrip("/")) if "://" in location else ""
    selector = FileSelector(bare(location), recursive=True, allow_not_found=True)
    for info in _file_system(table).get_file_info(selector):
        if info.is_file:
            changed = info.mtime or dt.datetime.now(dt.UTC)
            yield StoredFile(
                path=info.path,
                location=f"{prefix}{info.path}",
                size_bytes=info.size,
                changed_ts=changed,
            )


def bare(location: str) -> str:
    """A file's path without its scheme, so that one file has one name whoever wrote it.

    >>> bare("file:///lake/a.parquet"), bare("file:/lake/a.parquet"), bare("/lake/a.parquet")
    ('/lake/a.parquet', '/lake/a.parquet', '/lake/a.parquet')
    >>> bare("s3a://bucket/a.parquet") == bare("s3://bucket/a.parquet")
    True
    """
    from pyiceberg.io.pyarrow import PyArrowFileIO

    return PyArrowFileIO.parse_location(location)[2]


def _file_system(table: "Table") -> "FileSystem":
    """The file system that holds a table.

    Raises:
        LakeError: The catalog was opened with another way to read files than pyarrow's.
    """
    from pyiceberg.io.pyarrow import PyArrowFileIO

    if not isinstance(table.io, PyArrowFileIO):
        raise LakeError(
            f"Table '{'.'.join(table.name())}' is read through {type(table.io).__name__}; lakeline needs PyArrowFileIO. "
            "Take py-io-impl out of the catalog's properties."
        )
    scheme, netloc, _ = PyArrowFileIO.parse_location(table.location())
    return table.io.fs_by_scheme(scheme, netloc)
