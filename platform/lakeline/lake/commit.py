"""One Iceberg commit that swaps the files of whole partitions, and what its snapshot says about itself."""

import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakeline.errors import LakeError, LakelineError
from lakeline.lake.partitions import windows_filter
from lakeline.lake.stage import StagedFile, full_disk_named

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from lakeline.window import Window

BATCH = "lakeline.batch"
"""Key in a snapshot's summary: the publish that made it, as the ledger knows it, or several with `SEPARATOR` between."""

SEPARATOR = ","

MAINTENANCE = "maintenance-"
"""How that value begins where rows stay as they are: compaction, and adopting what changed nothing."""

ATTEMPTS = 20


class ForeignWriteError(LakeError):
    """Somebody else changed a table that lakeline publishes."""

    def __init__(self, table: str, snapshot_id: int, operation: str) -> None:
        asset = table.replace(".", "/", 1)
        super().__init__(
            f"Table '{table}' was changed by another writer: snapshot {snapshot_id} ({operation}) is not lakeline's. "
            f"Nothing was published. Keep that change with 'lakeline lake adopt {asset}', "
            f"or undo it with 'lakeline lake rollback {asset}', then run again."
        )


class TableSetBackError(LakeError):
    """Somebody made an older snapshot of a table the present one."""

    def __init__(self, table: str, present: int, published: int) -> None:
        asset = table.replace(".", "/", 1)
        super().__init__(
            f"Table '{table}' was set back to snapshot {present} by another writer; snapshot {published}, which was "
            f"published last, is not part of it. Nothing was published. Keep it so with 'lakeline lake adopt {asset}', "
            f"or bring that snapshot back with 'lakeline lake rollback {asset}', then run again."
        )


def replace_partitions(
    table: "Table",
    staged: Sequence[StagedFile],
    partitions: Collection[str],
    windows: "Sequence[Window]",
    properties: Mapping[str, str],
) -> int | None:
    """Swap every file of ``partitions`` for the staged ones, in one snapshot; the caller holds the table's lock.

    Args:
        table: Refreshed as needed; points at the new snapshot afterwards.
        staged: The new files; may be none, then the partitions become empty.
        partitions: Keys whose present files go.
        windows: Event time that the partitions lie in, all of it if there are none; a foreign commit into it in the
            meantime is refused.
        properties: Put into the snapshot's summary.

    Returns:
        The id of the new snapshot, or None where there was nothing to remove and nothing to add.

    Raises:
        ForeignWriteError: The table's newest snapshot is not lakeline's.
    """
    for attempt in range(1, ATTEMPTS + 1):
        refuse_foreign(table)
        try:
            with full_disk_named(table):
                return _commit(table, staged, partitions, windows, properties)
        except _retriable() as error:
            if attempt == ATTEMPTS or not _is_race(error):
                raise
            time.sleep(random.uniform(0.01, 0.05 * attempt))  # noqa: S311 - spreads writers, guards no secret
            table.refresh()
            # A commit may have arrived though its answer was lost.
            arrived, mine = committed_batches(table), properties[BATCH].split(SEPARATOR)
            if all(batch in arrived for batch in mine):
                return arrived[mine[0]]
            if any(
                batch in arrived for batch in mine
            ):  # with others, by a writer that died meanwhile
                raise
    raise AssertionError("the last attempt returns or raises")


def refuse_foreign(table: "Table") -> None:
    """Raise `ForeignWriteError` where the newest snapshot was not made by lakeline."""
    head = table.current_snapshot()
    if head is not None and not is_ours(head):
        operation = head.summary.operation.value if head.summary else "unknown operation"
        raise ForeignWriteError(".".join(table.name()), head.snapshot_id, operation)


def refuse_set_back(table: "Table", published: int | None) -> None:
    """Raise `TableSetBackError` where the newest snapshot does not build on ``published``, the last in the ledger."""
    head = table.current_snapshot()
    if head is None or published is None or head.snapshot_id == published:
        return
    if not is_ancestor(table, published, head):
        raise TableSetBackError(".".join(table.name()), head.snapshot_id, published)


def is_ancestor(table: "Table", snapshot_id: int, head: "Snapshot") -> bool:
    """Whether ``head`` builds on the snapshot that was published last.

    One that the table does not know has expired, or it was never there, as after the catalog was restored. Expiry takes
    the oldest first: where a publish is still known, an expired one would be older than that and not the last.
    """
    if table.metadata.snapshot_by_id(snapshot_id) is None:
        return newest_publish(table, head) is None
    return any(one.snapshot_id == snapshot_id for one in _line(table, head))


def newest_publish(table: "Table", head: "Snapshot | None") -> "Snapshot | None":
    """The last publish that ``head`` builds on, below what maintenance did; None where none is known any more."""
    line = _line(table, head)
    return next((one for one in line if is_ours(one) and not is_maintenance(one)), None)


def _line(table: "Table", head: "Snapshot | None") -> "Iterator[Snapshot]":
    from pyiceberg.table.snapshots import ancestors_of

    return iter(ancestors_of(head, table.metadata))


def is_ours(snapshot: "Snapshot") -> bool:
    """Whether lakeline made a snapshot (publishing, maintenance, or adopting what another writer did)."""
    return bool(batches_of(snapshot))


def batches_of(snapshot: "Snapshot") -> tuple[str, ...]:
    """The publishes that a snapshot is the commit of; none where another writer made it."""
    said = snapshot.summary.additional_properties.get(BATCH) if snapshot.summary else None
    return tuple(said.split(SEPARATOR)) if said is not None else ()


def is_maintenance(snapshot: "Snapshot") -> bool:
    """Whether lakeline made a snapshot that leaves the rows as they are."""
    return any(batch.startswith(MAINTENANCE) for batch in batches_of(snapshot))


def committed_batches(table: "Table") -> dict[str, int]:
    """The snapshot of each publish that the table still remembers, oldest first; maintenance publishes nothing."""
    return {
        batch: snapshot.snapshot_id
        for snapshot in table.metadata.snapshots
        if not is_maintenance(snapshot)
        for batch in batches_of(snapshot)
    }


def _commit(
    table: "Table",
    staged: Sequence[StagedFile],
    partitions: Collection[str],
    windows: "Sequence[Window]",
    properties: Mapping[str, str],
) -> int | None:
    from lakeline.lake.replacing import Replacing

    with _quick_transaction(table) as transaction:
        within = windows_filter(table, windows)
        replacing = Replacing(transaction, partitions, within, staged, properties)
        if replacing.is_void:
            return None
        with swept(replacing):
            replacing.commit()
            transaction.commit_transaction()
    return int(replacing.snapshot_id)


def merge_manifests(table: "Table", properties: Mapping[str, str]) -> None:
    """Write the manifests of the present snapshot as few large ones; the caller holds the table's lock.

    Those that list only removed files, which replacing leaves behind, go.
    """
    with _quick_transaction(table) as transaction:
        merge = transaction.update_snapshot(snapshot_properties=dict(properties)).merge_append()
        # Else only tables do that merge at every append.
        merge._merge_enabled, merge._min_count_to_merge = True, 2
        with swept(merge):
            merge.commit()
            transaction.commit_transaction()


def stamp(table: "Table", properties: Mapping[str, str]) -> int:
    """A snapshot of the same files that says what ``properties`` say; the caller holds the table's lock."""
    with _quick_transaction(table) as transaction:
        stamped = transaction.update_snapshot(snapshot_properties=dict(properties)).fast_append()
        with swept(stamped):
            stamped.commit()
            transaction.commit_transaction()
    return int(stamped.snapshot_id)


@contextmanager
def swept(update: "_SnapshotProducer[Any]") -> Iterator[None]:
    """Remove the manifests of a commit that certainly failed; pyiceberg does so only where it lost a race."""
    try:
        yield
    except Exception as error:
        if certainly_failed(error):
            update._clean_all_uncommitted()  # as Transaction.commit_transaction does
        raise


def certainly_failed(error: BaseException) -> bool:
    """Whether a commit that raised this can never arrive: it was refused, or did not get as far as the catalog.

    What a database or a catalog's server raises may come after it has committed, or while it does.
    """
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    refused = (LakelineError, CommitFailedException, ValidationException)
    return isinstance(error, refused) or (isinstance(error, OSError) and error.errno is not None)


def _quick_transaction(table: "Table"):  # type: ignore[no-untyped-def]
    """A transaction that computes its metadata once an update instead of about 15 times a commit.

    pyiceberg copies the whole metadata deeply at each look: 84 % of a commit's time with 200 snapshots.
    """
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import update_table_metadata

    class QuickTransaction(Transaction):
        _seen: tuple[object, object, TableMetadata] | None = None

        @property
        def table_metadata(self) -> TableMetadata:
            base = self._table.metadata
            if not self._updates:
                return base
            if (
                self._seen is None
                or self._seen[0] is not base
                or self._seen[1] is not self._updates
            ):
                self._seen = (base, self._updates, update_table_metadata(base, self._updates))
            return self._seen[2]

    return QuickTransaction(table, autocommit=False)


def _retriable() -> tuple[type[Exception], ...]:
    from pyiceberg.exceptions import CommitFailedException, ValidationException
    from sqlalchemy.exc import OperationalError

    return (CommitFailedException, ValidationException, OperationalError, ValueError)


def _is_race(error: Exception) -> bool:
    """Whether an error says that another commit came first; pyiceberg says so with a plain ValueError too."""
    if "disk is full" in str(error):  # SQLite's word on its own file
        return False
    return not isinstance(error, ValueError) or "sequence number" in str(error)
