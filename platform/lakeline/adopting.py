"""What another engine wrote to a table: take it as published, or go back to what lakeline published last."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.contract.audit import Violation, audit, conform
from lakeline.errors import LakeError
from lakeline.lake.catalog import TABLE_PROPERTIES
from lakeline.lake.commit import BATCH, MAINTENANCE, is_ancestor, is_ours, stamp
from lakeline.lake.compaction import partition_rows
from lakeline.lake.content import EMPTY, content_version
from lakeline.lake.partitions import partition_key
from lakeline.ledger import Build
from lakeline.meter import Meter
from lakeline.preparing import merged
from lakeline.publish_errors import AuditFailedError
from lakeline.publishing import Target
from lakeline.recording import recorded, repair

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from lakeline.contract.audit import AuditReport
    from lakeline.lake import Lake
    from lakeline.ledger import Current, Ledger

CODE_VERSION = "adopted"
"""Code version of partitions that another engine wrote: no asset's own, so that the next run builds them again."""


class NothingToRollBackToError(LakeError):
    """A table remembers no snapshot that lakeline made."""

    def __init__(self, table: str) -> None:
        asset = table.replace(".", "/", 1)
        super().__init__(
            f"Table '{table}' has no snapshot of lakeline's to go back to. Nothing was changed. "
            f"Keep what is there with 'lakeline lake adopt {asset}', or materialize its asset anew after dropping the table."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """What adopting found and recorded.

    Attributes:
        snapshot_id: The present snapshot; None for a table without one.
        changed: Partitions whose content is not what was published before; what was built from them is marked.
        forgotten: Partitions that are gone; what was built from them is marked.
        unchanged: How many are as they were.
        violations: Broken rules that do not fail an audit; their rows are left where they are.
    """

    snapshot_id: int | None
    changed: tuple[str, ...]
    forgotten: tuple[str, ...]
    unchanged: int
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """What rolling back did.

    Attributes:
        snapshot_id: The present snapshot afterwards.
        undone: Snapshots that were the present before and are not part of it any more, newest first.
    """

    snapshot_id: int
    undone: tuple[int, ...]


def adopt(lake: "Lake", ledger: "Ledger", target: Target, run_id: str = "") -> Adopted:
    """Take what another engine wrote as published: audited, with its content versions in the ledger.

    Nothing is rewritten: a commit without files goes on top, so that the newest snapshot is lakeline's. Rows that a
    rule would reject or blank stay, and are named in the result. Twice is as once.

    Args:
        lake: Where the table is.
        ledger: What was published before.
        target: The table and its contract.
        run_id: Who adopts.

    Raises:
        TableMissingError: The table was never written.
        EvolutionError: Its columns cannot become those of the contract.
        ContractError: A column's values are of another type.
        AuditFailedError: Rows break a rule whose action is ``fail``; nothing is recorded.
    """
    lake.load(target.table)
    # Every version is taken anew below, whatever the columns were before.
    lake.open(target.table, target.contract, daily=target.daily, replacing=lambda _: None)
    meter = Meter()
    with lake.lock(target.table):
        table = lake.load(target.table)
        repair(lake, ledger, target.asset, table)
        head, before = table.current_snapshot(), ledger.current(target.asset)
        if head is None:
            ledger.forget(target.asset, before)
            return Adopted(snapshot_id=None, changed=(), forgotten=tuple(before), unchanged=0)
        found = _audited(table, target)
        gone = tuple(
            key for key in before if key not in found.versions and before[key].version != EMPTY
        )
        changed = tuple(key for key in found.versions if found.differs(key, before))
        snapshot_id = head.snapshot_id
        if changed or gone or not _is_published(table, head, ledger.last_snapshot(target.asset)):
            builds = [
                _build(target, found, key, run_id, before.get(key)) for key in (*changed, *gone)
            ]
            if not builds and not _builds_on(table, head, ledger.last_snapshot(target.asset)):
                # One as it was, so that the ledger follows to this line.
                first = list(before.items())[:1]
                builds = [recorded(ledger, target.asset, key, held) for key, held in first]
            snapshot_id = _stamp_and_record(table, ledger, builds, meter)
            ledger.forget(target.asset, gone)
    return Adopted(
        snapshot_id=snapshot_id,
        changed=changed,
        forgotten=gone,
        unchanged=len(found.versions) - len(changed),
        violations=merged(found.reports),
    )


def rollback(lake: "Lake", ledger: "Ledger", target: Target) -> RolledBack:
    """Make the newest snapshot that lakeline made the present one again; nothing if it is.

    Columns that another engine added or dropped are not touched; the next publish evolves the table to its contract.

    Raises:
        TableMissingError: The table was never written.
        NothingToRollBackToError: It remembers no snapshot of lakeline's.
    """
    from pyiceberg.table.snapshots import ancestors_of

    with lake.lock(target.table):
        table = lake.load(target.table)
        repair(lake, ledger, target.asset, table)
        ours = [one for one in table.metadata.snapshots if is_ours(one)]
        if not ours:
            raise NothingToRollBackToError(target.table)
        newest = max(ours, key=lambda one: one.sequence_number or 0)
        line = [one.snapshot_id for one in ancestors_of(table.current_snapshot(), table.metadata)]
        if line[:1] != [newest.snapshot_id]:
            table.manage_snapshots().set_current_snapshot(newest.snapshot_id).commit()
            table.refresh()
    kept = {one.snapshot_id for one in ancestors_of(newest, table.metadata)}
    undone = tuple(one for one in line if one not in kept)
    return RolledBack(snapshot_id=newest.snapshot_id, undone=undone)


def differences(lake: "Lake", ledger: "Ledger", target: Target) -> tuple[str, ...]:
    """Partitions whose rows are not what the ledger says, found by reading every row of the table; for checks."""
    with lake.lock(target.table):
        table = lake.find(target.table)
        repair(lake, ledger, target.asset, table)
        known = {key: v for key, v in ledger.versions(target.asset).items() if v != EMPTY}
        held = {} if table is None else _versions(table, target)
    keys = sorted({*known, *held})
    return tuple(key for key in keys if known.get(key) != held.get(key))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What a table holds: content version, rows and size on disk of each partition, and its audit."""

    versions: Mapping[str, str]
    rows: Mapping[str, int]
    sizes_bytes: Mapping[str, int]
    reports: "Sequence[AuditReport]"

    def differs(self, key: str, before: "Mapping[str, Current]") -> bool:
        return key not in before or before[key].version != self.versions[key]


def _audited(table: "Table", target: Target) -> _Found:
    """Read and audit every partition, one at a time."""
    sizes = _sizes_bytes(table)
    versions, rows, reports = {}, {}, []
    for key in sizes:
        frame = conform(partition_rows(table, key), target.contract, target.asset)
        daily_by = target.contract.event_time if target.daily else None
        reports.append(audit(frame, target.contract, partition_by=daily_by))
        versions[key], rows[key] = content_version(frame), frame.height
    if failed := [one for one in merged(reports) if one.action == "fail"]:
        raise AuditFailedError(target.asset, failed)
    return _Found(versions=versions, rows=rows, sizes_bytes=sizes, reports=reports)


def _versions(table: "Table", target: Target) -> dict[str, str]:
    names = list(target.contract.columns)
    held = {key: partition_rows(table, key).select(names) for key in _sizes_bytes(table)}
    return {key: content_version(rows) for key, rows in held.items() if rows.height}


def _sizes_bytes(table: "Table") -> dict[str, int]:
    """Size on disk of each partition that has files."""
    sizes: dict[str, int] = {}
    for task in table.scan().plan_files() if table.current_snapshot() else ():
        key = partition_key(task.file)
        sizes[key] = sizes.get(key, 0) + task.file.file_size_in_bytes
    return dict(sorted(sizes.items()))


def _is_published(table: "Table", head: "Snapshot", published: int | None) -> bool:
    """Whether the present is lakeline's and builds on what was published last."""
    return is_ours(head) and _builds_on(table, head, published)


def _builds_on(table: "Table", head: "Snapshot", published: int | None) -> bool:
    return published is None or is_ancestor(table, published, head)


def _build(target: Target, found: _Found, key: str, run_id: str, before: "Current | None") -> Build:
    """A partition as another engine left it; what that one read, nobody knows."""
    return Build(
        asset=target.asset,
        partition=key,
        version=found.versions.get(key, EMPTY),
        code_version=CODE_VERSION,
        run_id=run_id,
        rows=found.rows.get(key, 0),
        bytes=found.sizes_bytes.get(key, 0),
        watermark=before.watermark if before is not None else None,
    )


def _stamp_and_record(
    table: "Table", ledger: "Ledger", builds: Sequence[Build], meter: Meter
) -> int:
    """Commit without files on top, and record the builds; a crash in between is mended as that of a publish."""
    batch = uuid.uuid4().hex
    # Publishing relies on them, and another engine may have made the table.
    absent = {key: v for key, v in TABLE_PROPERTIES.items() if table.properties.get(key) != v}
    if absent:
        table.transaction().set_properties(absent).commit_transaction()
    if not builds:
        return stamp(table, {BATCH: f"{MAINTENANCE}{batch}"})
    ledger.begin(batch, builds, meter.started_ts)
    snapshot_id = stamp(table, {BATCH: batch})
    ledger.publish(batch, snapshot_id, meter.cost())
    return snapshot_id
