"""The last step of a publish, under the table's lock: refuse rivals, commit to the lake, record in the ledger, or mend.

    begin (ledger: pending) → quarantine → commit (lake) → publish (ledger)

A writer that finds the lock taken leaves a handover in the ledger and waits. Whoever gets the lock commits with its own
publish those that wait, in one snapshot that names them all, and the others find themselves published. A handover that
does not go with the rest stays in the queue: its writer comes to the lock itself, and meets its error there.

Whatever ends the process in between, the lake is the truth. Whoever next holds the lock looks for the pending batch in
the table's snapshots: if it is there, the ledger publishes it; if not, its quarantine is taken back and the ledger
abandons it. Staged files are removed only when it is certain that no snapshot holds them.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.errors import LakeError, LedgerUnavailableError, UnknownBatchError
from lakeline.handover import Handover, dumps
from lakeline.joining import joining
from lakeline.lake.commit import (
    BATCH,
    SEPARATOR,
    certainly_failed,
    committed_batches,
    refuse_foreign,
    refuse_set_back,
    replace_partitions,
)
from lakeline.lake.content import EMPTY
from lakeline.lake.files import discard, refuse_missing
from lakeline.lake.quarantine import quarantine, take_back
from lakeline.lake.stage import StagedFile
from lakeline.ledger import Build
from lakeline.ledger.recovery import recover

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

    from lakeline.lake import Lake
    from lakeline.ledger import Current, Ledger
    from lakeline.meter import Meter
    from lakeline.window import Window

MOST_FILES = 32
"""Files in a handover; a larger publish commits by itself, where its files and not the commit are most of the work."""


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

    @property
    def may_wait_in_queue(self) -> bool:
        """Whether another writer can commit it meanwhile: it is small, and all of it goes into the table itself."""
        return bool(self.changed) and len(self.staged) <= MOST_FILES and not self.rejected

    def handover(self, meter: "Meter") -> Handover:
        """What committing it takes."""
        return Handover(
            batch=self.batch,
            versions={one.partition: one.version for one in self.builds},
            seen={key: one.version for key, one in self.seen.items()},
            changed=self.changed,
            staged=self.staged,
            window=self.window,
            cost=meter.cost(),
        )


def commit_and_record(lake: "Lake", ledger: "Ledger", change: Change, meter: "Meter") -> int | None:
    """Publish a change: one commit to the lake, recorded in the ledger, together with those that wait for the table.

    Returns:
        The snapshot that holds the partitions: the new one, or the present one where nothing changed.

    Raises:
        ConcurrentBuildError: Another run published a partition since the work began.
        ForeignWriteError: Another engine changed the table.
        StagedFilesGoneError: Somebody removed the staged files.
        LedgerUnavailableError: The ledger did not answer. After the commit the rows are published all the same, and
            the next publish records them.
    """
    own = change.handover(meter)
    with lake.turn(table_of(change.asset), change.batch) as turn:
        is_queued = not turn.try_take() and change.may_wait_in_queue
        try:
            if is_queued:
                turn.announce()
                ledger.enqueue(change.batch, change.builds, meter.started_ts, dumps(own))
            turn.take()
            if is_queued and (done := _by_others(lake, ledger, change)) is not None:
                return done
            change.table.refresh()
            repair(lake, ledger, change.asset, change.table)
            _refuse(ledger, change, own)
            # Where the own rows are as they were, there is no commit to join.
            others = joining(ledger, change.asset, change.table, own, turn) if own.changed else ()
            group = [own, *_taken(ledger, change, meter, others, is_queued=is_queued)]
        except BaseException:
            if not is_queued or _is_withdrawn(ledger, change):
                discard(change.table, change.staged)
            raise
        return _commit_and_record(lake, ledger, change, meter, group)


def mend(
    lake: "Lake", ledger: "Ledger", asset: str, partitions: Collection[str] | None = None
) -> None:
    """Finish what a crash left of an asset's last publish; nothing if it left nothing.

    Waits for the table's lock only where a publish is unfinished, which may be one that is running well. Given
    ``partitions``, only for one that builds any of them; under the lock everything is mended.
    """
    if not ledger.pending(asset, partitions):
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


def forget_lost(lake: "Lake", ledger: "Ledger", asset: str) -> int:
    """Forget what was published to a table that is gone, or was made anew since; returns how many partitions that is."""
    with lake.lock(table_of(asset)):
        table = lake.find(table_of(asset))
        if table is not None and table.current_snapshot() is not None:
            return 0
        lost = [key for key, version in ledger.versions(asset).items() if version != EMPTY]
        ledger.forget(asset, lost)
    return len(lost)


def record_replaced(ledger: "Ledger", asset: str, columns: Sequence[str]) -> None:
    """Give every partition another version, whoever read it is marked by: these columns read as null from now on.

    The caller holds the table's lock and is about to replace the columns.
    """
    builds = [
        replace(recorded(ledger, asset, key, held), version=_without(held.version, columns))
        for key, held in ledger.current(asset).items()
        if held.version != EMPTY
    ]
    if builds:
        batch = uuid.uuid4().hex
        ledger.begin(batch, builds, dt.datetime.now(dt.UTC))
        ledger.publish(batch, ledger.last_snapshot(asset), None)


def recorded(ledger: "Ledger", asset: str, partition: str, held: "Current") -> Build:
    """A partition as the ledger has it, to be recorded once more."""
    return Build(
        asset=asset,
        partition=partition,
        version=held.version,
        watermark=held.watermark,
        code_version=held.code_version,
        run_id=held.run_id,
        rows=held.rows,
        bytes=held.bytes,
        inputs=ledger.inputs(asset, partition),
    )


def table_of(asset: str) -> str:
    """``namespace.table`` of an asset.

    >>> table_of("flights/departures")
    'flights.departures'
    """
    return asset.replace("/", ".", 1)


def _without(version: str, columns: Sequence[str]) -> str:
    text = ":".join([version, *sorted(columns)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _by_others(lake: "Lake", ledger: "Ledger", change: Change) -> int | None:
    """The commit by which another writer published the change while it waited; None if nobody did."""
    done = ledger.committed(change.batch)
    if done is None and change.batch in ledger.pending(change.asset):
        # Who had taken it died, and the lake knows when.
        repair(lake, ledger, change.asset, change.table.refresh())
        done = ledger.committed(change.batch)
    return done


def _taken(
    ledger: "Ledger",
    change: Change,
    meter: "Meter",
    others: Sequence[Handover],
    *,
    is_queued: bool,
) -> list[Handover]:
    """Make the change pending, and of the others those that still wait."""
    if not is_queued:
        ledger.begin(change.batch, change.builds, meter.started_ts)
    names = [change.batch] * is_queued + [one.batch for one in others]
    taken = ledger.take(names) if names else ()
    return [one for one in others if one.batch in taken]


def _is_withdrawn(ledger: "Ledger", change: Change) -> bool:
    """Whether nobody will publish the change any more; where the ledger does not answer, somebody may."""
    try:
        return ledger.withdraw(change.batch)
    except UnknownBatchError:
        return True
    except LedgerUnavailableError:
        return False


def _commit_and_record(
    lake: "Lake", ledger: "Ledger", change: Change, meter: "Meter", group: Sequence[Handover]
) -> int | None:
    """The commit of batches that began, the first of them the change, and its record."""
    try:
        built = [partition for one in group for partition in one.versions]
        quarantine(lake, table_of(change.asset), change.rejected, built, change.batch)
        snapshot_id = _commit(change.table, group)
    except BaseException as error:
        _settle(lake, ledger, change, error)
        raise
    cost = meter.cost()
    others = {one.batch: replace(one.cost, ended_ts=cost.ended_ts) for one in group[1:]}
    ledger.publish_together({change.batch: cost, **others}, snapshot_id)
    return snapshot_id


def _commit(table: "Table", group: Sequence[Handover]) -> int | None:
    head = table.current_snapshot()
    committed = None
    changed = {partition for one in group for partition in one.changed}
    if changed:
        windows = [one.window for one in group if one.window is not None]
        committed = replace_partitions(
            table,
            [file for one in group for file in one.staged],
            changed,
            windows,
            {BATCH: SEPARATOR.join(one.batch for one in group)},
        )
    return committed or (head.snapshot_id if head else None)


def _settle(lake: "Lake", ledger: "Ledger", change: Change, error: BaseException) -> None:
    """After a commit that raised: it may have happened all the same, and the lake knows.

    Where the outcome may still change, or the lake does not answer either, the files stay: a later repair records
    them, or orphan removal takes them. Those that were to be committed along keep theirs, and try again.
    """
    table = change.table.refresh()
    if certainly_failed(error) and change.batch not in committed_batches(table):
        discard(table, change.staged)
    repair(lake, ledger, change.asset, table)


def _refuse(ledger: "Ledger", change: Change, own: Handover) -> None:
    refuse_foreign(change.table)
    refuse_set_back(change.table, ledger.last_snapshot(change.asset))
    _refuse_rivals(ledger, change, own)
    refuse_missing(change.table, change.staged)


def _refuse_rivals(ledger: "Ledger", change: Change, own: Handover) -> None:
    """Refuse a partition that another run published since this one began, unless the rows are the same."""
    present = ledger.current(change.asset, list(own.versions))
    partition = own.conflict({key: held.version for key, held in present.items()})
    if partition is not None:
        rival = present.get(partition)
        raise ConcurrentBuildError(change.asset, partition, rival.run_id if rival else None)
