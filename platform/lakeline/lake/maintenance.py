"""Keeping tables small: expired snapshots, files that nobody needs, many files of one partition.

Each works under the table's lock, so that no lakeline writer commits meanwhile, and leaves the rows as they are.

Readers hold no lock: a run reads the snapshot that it pinned when it began, and fails if the files of that snapshot go
away. So ``older_than`` and ``grace`` must be longer than the longest run; a day is a good choice. A snapshot that is
needed for longer, such as the one that a model was trained on, is held by a tag.
"""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.lake.commit import batches_of, is_maintenance
from lakeline.lake.compaction import Compacted, compact
from lakeline.lake.files import StoredFile, bare, remove, sizes_bytes, stored
from lakeline.lake.reach import bookkeeping, reach

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from lakeline.lake import Lake

__all__ = [
    "Compacted",
    "Expired",
    "Orphans",
    "compact",
    "expire",
    "remove_orphans",
]

ALWAYS_KEPT = 2
"""Newest snapshots that never expire: the present one, and the one that a repair goes back to after a crash."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired:
    """What expiring did, or would do in a dry run.

    Attributes:
        snapshots: Ids that the table forgot, oldest first.
        files: What was removed with them.
        size_bytes: How much room that gave back.
    """

    snapshots: tuple[int, ...]
    files: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphans:
    """Files that orphan removal found, and removed unless it was a dry run."""

    files: tuple[str, ...]
    size_bytes: int


def expire(
    lake: "Lake", name: str, *, older_than: dt.timedelta, keep_last: int = 10, dry_run: bool = False
) -> Expired:
    """Forget old snapshots and remove the files that only they reached.

    Snapshots with a tag or a branch, the newest ``keep_last`` of the present, the newest that a publish made and the one
    before it stay, whatever their age. A crash between forgetting and removing leaves orphans.

    Args:
        lake: Where the table is.
        name: ``namespace.table``.
        older_than: Age from which snapshots go; longer than the longest run that reads the table.
        keep_last: At least `ALWAYS_KEPT` are kept.
        dry_run: Only say what would go.

    Raises:
        TableMissingError: It was never written.
    """
    with lake.lock(name):
        table = lake.load(name)
        before = table.metadata
        old = _expirable(table, dt.datetime.now(dt.UTC) - older_than, keep_last)
        reached = reach(table, before.snapshots).files | bookkeeping(before, "")
        if old and not dry_run:
            table.maintenance.expire_snapshots().by_ids([one.snapshot_id for one in old]).commit()
            table.refresh()
        # Of what is there now, and not of what was planned: another engine may have committed in between.
        gone = {one.snapshot_id for one in old}
        kept = [one for one in table.metadata.snapshots if one.snapshot_id not in gone]
        needed = reach(table, kept).files | bookkeeping(table.metadata, "")
        # The log of metadata is pyiceberg's to shorten; it has removed what it dropped.
        files = sorted(reached - needed - {one.metadata_file for one in before.metadata_log})
        size_bytes = sizes_bytes(table, files)
        if not dry_run:
            remove(table, files)
    ids = tuple(one.snapshot_id for one in old)
    return Expired(snapshots=ids, files=tuple(files), size_bytes=size_bytes)


def remove_orphans(
    lake: "Lake", name: str, *, grace: dt.timedelta, dry_run: bool = False
) -> Orphans:
    """Remove files below a table's location that no snapshot, metadata or statistics refer to.

    Crashed writers leave them. Files younger than ``grace`` stay, for a run may be about to publish them; a run that
    finds its files gone all the same publishes nothing and says so.

    Args:
        lake: Where the table is.
        name: ``namespace.table``.
        grace: Age from which an unknown file is an orphan; longer than the longest run that writes the table.
        dry_run: Only say what would go.

    Raises:
        TableMissingError: It was never written.
    """
    with lake.lock(name):
        table = lake.load(name)
        until = dt.datetime.now(dt.UTC) - grace
        needed = reach(table, table.metadata.snapshots).files
        kept = {bare(one) for one in needed | bookkeeping(table.metadata, table.metadata_location)}
        found = [one for one in stored(table) if one.changed_ts <= until and one.path not in kept]
        found = [one for one in found if not _is_hint(one)]
        if not dry_run:
            remove(table, [one.location for one in found])
    files = tuple(sorted(one.location for one in found))
    return Orphans(files=files, size_bytes=sum(one.size_bytes for one in found))


def _expirable(table: "Table", until: dt.datetime, keep_last: int) -> list["Snapshot"]:
    """Snapshots that may go, oldest first."""
    from pyiceberg.table.snapshots import ancestors_of

    line = list(ancestors_of(table.current_snapshot(), table.metadata))
    kept = {one.snapshot_id for one in line[: max(keep_last, ALWAYS_KEPT)]}
    kept |= {ref.snapshot_id for ref in table.metadata.refs.values()}
    # A crash may have kept the newest publish out of the ledger, and only the snapshot can tell; or its quarantine is
    # to be taken back, to the snapshot before.
    published = (at for at, one in enumerate(line) if batches_of(one) and not is_maintenance(one))
    newest = next(published, 0)
    kept |= {one.snapshot_id for one in line[newest : newest + 2]}
    until_ms = int(until.timestamp() * 1000)
    return [
        one
        for one in table.metadata.snapshots
        if one.timestamp_ms <= until_ms and one.snapshot_id not in kept
    ]


def _is_hint(file: StoredFile) -> bool:
    """Whether it is what catalogs without a database find their table by."""
    return file.path.endswith("/version-hint.text")
