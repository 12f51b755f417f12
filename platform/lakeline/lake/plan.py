"""Which data files hold the days of a window, from manifests that a process reads once: they never change.

pyiceberg's own plan weighs the statistics of every file against the filter, in Python and anew for each read: 10 ms for
100 files, as long as reading three of their days. Days are what tables are parted by, and known from the partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lakeline.lake.partitions import day_key, event_time_column, partition_key
from lakeline.window import DAY, WHOLE, Window, day_start

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table

MOST_MANIFESTS = 1_024
"""Manifests whose files are kept in memory, some 200 bytes a file."""


class HeldFile(NamedTuple):
    """A file that a snapshot holds.

    Attributes:
        path: With its scheme, as Iceberg has it.
        partition: Key of its partition.
        is_data: False for a file of deletes.
    """

    path: str
    partition: str
    is_data: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to read for a window.

    Attributes:
        files: In order of their partitions.
        has_deletes: Whether another engine deleted some of their rows one by one.
        is_whole: Whether all of their rows lie in the window.
    """

    files: tuple[HeldFile, ...]
    has_deletes: bool
    is_whole: bool


def plan(table: "Table", window: Window | None = None) -> Plan | None:
    """The files of a window of a daily table; all files of an unpartitioned one, or without a window.

    Args:
        table: Pinned as it is.
        window: Event time to read.

    Returns:
        None where another engine parted the table otherwise, so that days do not tell which files to read.
    """
    if not _is_parted_by_days(table):
        return None
    if event_time_column(table) is None:
        window = None
    held = sorted(_held(table, window), key=lambda file: file.partition)
    is_whole = True
    if window is not None:
        held = [file for file in held if _may_hold(file.partition, file.partition, window)]
        is_whole = window.has_whole_days and all(file.partition != WHOLE for file in held)
    files = tuple(file for file in held if file.is_data)
    return Plan(files=files, has_deletes=len(files) < len(held), is_whole=is_whole)


def _may_hold(first: str, last: str, window: Window) -> bool:
    """Whether one of the days from ``first`` to ``last`` may have rows of a window; rows of no day always may."""
    if WHOLE in {first, last}:
        return True
    return window.start < day_start(last) + DAY and day_start(first) < window.end


def _is_parted_by_days(table: "Table") -> bool:
    """Whether the table is and always was unpartitioned or parted by the day of one column."""
    from pyiceberg.transforms import DayTransform

    (spec, *others) = table.specs().values()
    transforms = [each.transform for each in spec.fields]
    return (
        not others
        and len(transforms) < 2
        and all(isinstance(each, DayTransform) for each in transforms)
    )


def _held(table: "Table", window: Window | None) -> Iterator[HeldFile]:
    """The files of the manifests that may know some of a window."""
    from pyiceberg.utils.concurrent import ExecutorFactory

    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot is not None else []
    if window is not None:
        manifests = [one for one in manifests if _may_hold(*_days_of(one), window)]
    sources = [_Manifest(one.manifest_path, one, table.io) for one in manifests]
    # A bucket takes its time for each that is not known yet.
    gather = ExecutorFactory.get_or_create().map if len(sources) > 1 else map
    for files in gather(_files_of, sources):
        yield from files


def _days_of(manifest: "ManifestFile") -> tuple[str, str]:
    """The first and the last day of a manifest's files; `WHOLE` where some have none, or it does not say."""
    summary = manifest.partitions[0] if manifest.partitions else None
    if (
        summary is None
        or summary.contains_null
        or not summary.lower_bound
        or not summary.upper_bound
    ):
        return WHOLE, WHOLE
    return _day_of(summary.lower_bound), _day_of(summary.upper_bound)


def _day_of(bound: bytes) -> str:
    """The day that Iceberg writes as so many since 1970, in four bytes."""
    return day_key(int.from_bytes(bound, "little", signed=True))


@dataclass(frozen=True, slots=True)
class _Manifest:
    """A manifest by its path, which is used once."""

    path: str
    manifest: "ManifestFile" = field(compare=False, repr=False)
    io: "FileIO" = field(compare=False, repr=False)


@lru_cache(maxsize=MOST_MANIFESTS)
def _files_of(source: _Manifest) -> tuple[HeldFile, ...]:
    from pyiceberg.manifest import DataFileContent

    entries = source.manifest.fetch_manifest_entry(source.io, discard_deleted=True)
    return tuple(
        HeldFile(
            path=entry.data_file.file_path,
            partition=partition_key(entry.data_file),
            is_data=entry.data_file.content == DataFileContent.DATA,
        )
        for entry in entries
    )
