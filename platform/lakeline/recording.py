"""The last step of a publish, under the table's lock: refuse rivals, commit to the lake, record in the ledger, or mend.

    begin (ledger: pending) → quarantine → commit (lake) → publish (ledger)

Whatever ends the process in between, the lake is the truth. Whoever next holds the lock looks for the pending batch in
the table's snapshots: if it is there, the ledger publishes it; if not, its quarantine is taken back and the ledger
abandons it. Staged files are removed only when it is certain that no snapshot holds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import LakeError
from lakeline.lake.commit import (
    BATCH,
    certainly_failed,
    committed_batches,
    refuse_foreign,
    refuse_set_back,
    replace_partitions,
)
from lakeline.lake.files import discard, refuse_missing
from lakeline.lake.quarantine import quarantine, take_back
from lakeline.lake.stage import StagedFile
from lakeline.ledger import ABSENT, Build
from lakeline.ledger.recovery import recover

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

    from lakeline.lake import Lake
    from lakeline.ledger import Current, Ledger
    from lakeline.meter import Meter
    from lakeline.window import Window


class ConcurrentBuildError(LakeError):
    """Another run published the same partition while this one built it, with other rows."""

    can_retry = True

    def __init__(self, asset: str, partition: str, run_id: str | None) -> None:
        self.partition, self.run_id = partition, run_id
        whom = (
            f"published by run {run_id or '(without an id)'}" if run_id is not None else "removed"
        )
        super().__init__(
            f"Partition {partition or '(whole)'} of '{asset}' was {whom} while this run was building "
            "it, with other rows. Theirs stand and nothing of this run was published. Run again to build on top."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a publish is about to commit.

    Attributes:
        table: Where to; opened when the work began.
        batch: Id of the publish.
        builds: Every partition built, also those whose content is as it was.
        changed: Partitions whose files are replaced.
        staged: The new files; the change owns them from here on.
        window: Event time that the changed partitions lie in.
        seen: What the ledger held of the partitions when the work began.
        rejected: Rows for quarantine, by partition.
    """

    table: "Table"
    batch: str
    builds: Sequence[Build]
    changed: Sequence[str]
    staged: Sequence[StagedFile]
    window: "Window | None"
    seen: "Mapping[str, Current]"
    rejected: "Mapping[str, pl.DataFrame]"

    @property
    def asset(self) -> str:
        """``domain/name``."""
        return self.builds[0].asset


def commit_and_record(lake: "Lake", ledger: "Ledger", change: Change, meter: "Meter") -> int | None:
    """Publish a change: one commit to the lake, recorded in the ledger.

    Returns:
        The snapshot that holds the partitions: the new one, or the present one where nothing changed.

    Raises:
        ConcurrentBuildError: Another run published a partition since the work began.
        ForeignWriteError: Another engine changed the table.
        StagedFilesGoneError: Somebody removed the staged files.
        LedgerUnavailableError: The ledger did not answer. After the commit the rows are published all the same, and
            the next publish records them.
    """
    with lake.lock(table_of(change.asset)):
        try:
            change.table.refresh()
            repair(lake, ledger, change.asset, change.table)
            _refuse(ledger, change)
            ledger.begin(change.batch, change.builds, meter.started_ts)
        except BaseException:
            discard(change.table, change.staged)
            raise
        try:
            quarantine(
                lake,
                table_of(change.asset),
                change.rejected,
                [one.partition for one in change.builds],
                change.batch,
            )
            snapshot_id = _commit(change)
        except BaseException as error:
            _settle(lake, ledger, change, error)
            raise
        ledger.publish(change.batch, snapshot_id, meter.cost())
    return snapshot_id


def mend(lake: "Lake", ledger: "Ledger", asset: str) -> None:
    """Finish what a crash left of an asset's last publish; nothing if it left nothing.

    Waits for the table's lock only where a publish is unfinished, which may be one that is running well.
    """
    if not ledger.pending(asset):
        return
    with lake.lock(table_of(asset)):
        repair(lake, ledger, asset, lake.find(table_of(asset)))


def repair(lake: "Lake", ledger: "Ledger", asset: str, table: "Table | None") -> None:
    """As `mend`, for a caller that holds the lock of ``table`` and has refreshed it."""
    pending = ledger.pending(asset)
    if not pending:
        return
    committed = committed_batches(table) if table is not None else {}
    # The quarantine first: once the ledger has abandoned a batch, nobody comes back for it.
    take_back(lake, table_of(asset), [batch for batch in pending if batch not in committed])
    recover(ledger, asset, committed)


def table_of(asset: str) -> str:
    """``namespace.table`` of an asset.

    >>> table_of("flights/departures")
    'flights.departures'
    """
    return asset.replace("/", ".", 1)


def _commit(change: Change) -> int | None:
    table = change.table
    head = table.current_snapshot()
    committed = None
    if change.changed:
        committed = replace_partitions(
            table, change.staged, set(change.changed), change.window, {BATCH: change.batch}
        )
    return committed or (head.snapshot_id if head else None)


def _settle(lake: "Lake", ledger: "Ledger", change: Change, error: BaseException) -> None:
    """After a commit that raised: it may have happened all the same, and the lake knows.

    Where the outcome may still change, or the lake does not answer either, the files stay: a later repair records
    them, or orphan removal takes them.
    """
    table = change.table.refresh()
    if certainly_failed(error) and change.batch not in committed_batches(table):
        discard(table, change.staged)
    repair(lake, ledger, change.asset, table)


def _refuse(ledger: "Ledger", change: Change) -> None:
    refuse_foreign(change.table)
    refuse_set_back(change.table, ledger.last_snapshot(change.asset))
    _refuse_rivals(ledger, change)
    refuse_missing(change.table, change.staged)


def _refuse_rivals(ledger: "Ledger", change: Change) -> None:
    """Refuse partitions that another run published since this one began, unless the rows are the same."""
    present = ledger.current(change.asset, [one.partition for one in change.builds])
    for build in change.builds:
        before, now = change.seen.get(build.partition), present.get(build.partition)
        versions = (before.version if before else ABSENT, build.version)
        if (now.version if now else ABSENT) not in versions:
            raise ConcurrentBuildError(change.asset, build.partition, now.run_id if now else None)
