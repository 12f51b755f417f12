"""Rewriting partitions of many files as one file each, and many manifests as few; the rows stay as they are."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import LakeError
from lakeline.lake.commit import (
    BATCH,
    MAINTENANCE,
    certainly_failed,
    merge_manifests,
    refuse_foreign,
    refuse_set_back,
    replace_partitions,
)
from lakeline.lake.content import content_version
from lakeline.lake.files import discard, refuse_missing
from lakeline.lake.partitions import event_time_column, partition_key
from lakeline.lake.read import scan_polars
from lakeline.lake.stage import StagedFile, stage
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from lakeline.lake import Lake
    from lakeline.ledger import Ledger

MAX_BYTES = 2**29
"""Size on disk from which a partition stays in several files: one is rewritten in memory at a time."""

MAX_MANIFESTS = 8
"""Manifests from which they are merged: each is a request to the bucket at every read."""


class ContentDiffersError(LakeError):
    """A partition holds other rows than the ledger has published."""

    def __init__(self, table: str, partition: str) -> None:
        asset = table.replace(".", "/", 1)
        super().__init__(
            f"Partition {partition or '(whole)'} of table '{table}' holds other rows than the ledger says. Nothing was "
            f"changed. Run 'lakeline lake adopt {asset}' to record what is there."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Compacted:
    """What compaction did, or would do in a dry run.

    Attributes:
        partitions: Keys of those rewritten.
        files_before, files_after: Data files of those partitions.
        manifests_before, manifests_after: Manifests of the present snapshot.
        snapshot_id: The present snapshot afterwards; None for a table without rows.
    """

    partitions: tuple[str, ...]
    files_before: int
    files_after: int
    manifests_before: int
    manifests_after: int
    snapshot_id: int | None


def compact(
    lake: "Lake",
    name: str,
    *,
    ledger: "Ledger | None" = None,
    max_files: int = 1,
    max_bytes: int = MAX_BYTES,
    dry_run: bool = False,
) -> Compacted:
    """Rewrite each partition of more than ``max_files`` files as one, all in one commit.

    The rows are read and written without the lock; under it, a partition that was published meanwhile is left alone.

    Args:
        lake: Where the table is.
        name: ``namespace.table``.
        ledger: If given, each partition must be what it says.
        max_files: Files of a partition that are not too many.
        max_bytes: Size on disk above which a partition is left alone.
        dry_run: Only say what would be rewritten.

    Raises:
        TableMissingError: It was never written.
        ForeignWriteError, TableSetBackError: Another engine changed the table.
        ContentDiffersError: A partition is not what the ledger says.
        StorageFullError: There is no room for the new files.
    """
    table = lake.load(name)
    planned = _files(table)
    crowded = [key for key, files in planned.items() if _is_crowded(files, max_files, max_bytes)]
    before = _manifests(table)
    done = crowded if dry_run else _rewrite(lake, table, planned, crowded, ledger)
    if not dry_run and _manifests(table) > MAX_MANIFESTS:
        with lake.lock(name):
            refuse_foreign(table.refresh())
            merge_manifests(table, _mark())
    head = table.current_snapshot()
    return Compacted(
        partitions=tuple(done),
        files_before=sum(len(planned[key]) for key in done),
        files_after=len(done),
        manifests_before=before,
        manifests_after=_manifests(table),
        snapshot_id=head.snapshot_id if head else None,
    )


def _is_crowded(files: "Sequence[DataFile]", max_files: int, max_bytes: int) -> bool:
    return len(files) > max_files and sum(one.file_size_in_bytes for one in files) <= max_bytes


def _rewrite(
    lake: "Lake",
    table: "Table",
    planned: "Mapping[str, Sequence[DataFile]]",
    crowded: Sequence[str],
    ledger: "Ledger | None",
) -> list[str]:
    """Partitions that were rewritten."""
    if not crowded:
        return []
    staged: list[StagedFile] = []
    try:
        versions = ledger.versions(_asset(table)) if ledger is not None else {}
        for key in crowded:
            staged += stage(table, {key: _checked_rows(table, key, versions)})
        with lake.lock(".".join(table.name())):
            return _swap(table.refresh(), planned, crowded, staged, ledger)
    except BaseException as error:
        if certainly_failed(error):
            discard(table, staged)
        raise


def _swap(
    table: "Table",
    planned: "Mapping[str, Sequence[DataFile]]",
    crowded: Sequence[str],
    staged: Sequence[StagedFile],
    ledger: "Ledger | None",
) -> list[str]:
    """Put the new files in the place of those that were read, where these are still the present ones."""
    refuse_foreign(table)
    if ledger is not None:
        refuse_set_back(table, ledger.last_snapshot(_asset(table)))
    present = _files(table)
    same = [key for key in crowded if set(present.get(key, ())) == set(planned[key])]
    late = [one for one in staged if one.partition not in same]
    used = [one for one in staged if one.partition in same]
    if same:
        refuse_missing(table, used)
        replace_partitions(table, used, set(same), (), _mark())
    discard(table, late)
    return same


def _checked_rows(table: "Table", key: str, versions: Mapping[str, str]) -> "pl.DataFrame":
    rows = partition_rows(table, key)
    if key in versions and content_version(rows) != versions[key]:
        raise ContentDiffersError(".".join(table.name()), key)
    return rows


def partition_rows(table: "Table", key: str) -> "pl.DataFrame":
    """Every row of one partition, in whatever order its files have them."""
    import polars as pl
    from pyiceberg.transforms import IdentityTransform

    column = event_time_column(table)
    if column is None or key == WHOLE:
        return scan_polars(table).collect()
    if isinstance(table.spec().fields[0].transform, IdentityTransform):
        return scan_polars(table).filter(pl.col(column) == key).collect()
    return scan_polars(table, Window.of_days(key)).collect()


def _files(table: "Table") -> "dict[str, list[DataFile]]":
    """The present data files by partition."""
    found: dict[str, list[DataFile]] = defaultdict(list)
    for task in table.scan().plan_files() if table.current_snapshot() else ():
        found[partition_key(task.file)].append(task.file)
    return dict(sorted(found.items()))


def _manifests(table: "Table") -> int:
    head = table.current_snapshot()
    return len(head.manifests(table.io)) if head else 0


def _mark() -> dict[str, str]:
    return {BATCH: f"{MAINTENANCE}{uuid.uuid4().hex}"}


def _asset(table: "Table") -> str:
    return "/".join(table.name())
