"""From a function's rows to published partitions: stage, audit, publish in one commit, record.

Readers see the new rows of every partition of the window at once, or none. The ledger's rows are written before the
commit as ``pending`` and after it as ``published``; a crash in between is repaired from the snapshots, by whoever next
holds the table's lock.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lakeline.contract.audit import AuditReport, Violation, audit, conform
from lakeline.errors import AuditError, LakeError, names
from lakeline.lake.content import EMPTY, content_version
from lakeline.lake.lost import lost_partitions
from lakeline.lake.partitions import by_day, cut_by_days
from lakeline.lake.stage import StagedFile, Stager
from lakeline.ledger import Build, Input
from lakeline.meter import Meter
from lakeline.recording import Change, commit_and_record, forget_lost, mend, record_replaced
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl
    from pyiceberg.table import Table

    from lakeline.contract import Contract
    from lakeline.lake import Lake
    from lakeline.ledger import Current, Ledger

CHUNK_ROWS = 400_000
"""Rows that are audited and staged together: enough to make a pass cheap, few enough to stay under 100 MB."""


class AuditFailedError(AuditError):
    """Rows break a rule whose action is ``fail``; nothing of the run was published."""

    def __init__(self, asset: str, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        broken = "; ".join(
            f"{one.rule} broken by {one.count} row(s), for example {names(one.sample, limit=2)}"
            for one in violations
        )
        super().__init__(
            f"'{asset}' breaks its contract: {broken}. Nothing was published and the table is as it was. "
            "Mend the source, or let the rule reject, blank or warn (on_fail=) in the contract."
        )


class EmptyPartitionError(AuditError):
    """A day without rows came where the asset promises some."""

    def __init__(self, asset: str, partitions: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' got no rows for {names(partitions)}. Nothing was published and the table is as it was. "
            "Check the source; if a day may be empty, say so with empty='warn' or empty='allow' on the asset."
        )


class OutsideWindowError(LakeError):
    """A function returned rows of days that its run does not build."""

    def __init__(self, asset: str, partitions: Sequence[str], window: Window) -> None:
        super().__init__(
            f"'{asset}' returned rows of {names(partitions)}, outside its window "
            f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC. Nothing was published. "
            "Filter the rows by window.start and window.end."
        )


class SplitPartitionError(LakeError):
    """The rows of one partition came in two frames, and the second would replace the first."""

    def __init__(self, asset: str, partitions: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' gave the rows of {names(partitions)} in more than one frame. Nothing was published. "
            "Yield all rows of a day in one frame."
        )


class WindowMissingError(LakeError):
    """A daily table was published without saying which days."""

    def __init__(self, asset: str) -> None:
        super().__init__(
            f"'{asset}' is parted by day. Pass the window whose days the rows are, as Window.of_days(…)."
        )


class NoDaysError(LakeError):
    """A daily table was published for a window that has no days."""

    def __init__(self, asset: str, window: Window) -> None:
        super().__init__(
            f"'{asset}' is parted by day, and its window {window.start:%Y-%m-%d %H:%M} to "
            f"{window.end:%Y-%m-%d %H:%M} UTC names no day. Nothing was published. "
            "Pass Window.of_days(first, last), with the first day not after the last."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The table that an asset publishes to.

    Attributes:
        asset: ``domain/name``; the table is ``domain.name``.
        contract: What the rows must be.
        daily: Whether there is a partition a UTC day, or one for all.
        empty: What a partition without rows means: ``fail``, ``warn``, or ``allow``.
        code_version: Of the code that makes its rows; recorded with each build.
    """

    asset: str
    contract: "type[Contract]"
    daily: bool
    empty: str = "allow"
    code_version: str = ""

    @property
    def table(self) -> str:
        """``namespace.table`` in the lake."""
        return self.asset.replace("/", ".", 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What one partition was made from, and the event time up to which that makes it complete."""

    inputs: tuple[Input, ...] = ()
    watermark: "dt.datetime | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What a publish did.

    Attributes:
        snapshot_id: The commit, or the snapshot before it where nothing changed; None for a table still empty.
        rows: Rows of each partition, after rejecting.
        versions: Content version of each partition.
        changed: Partitions whose content is new.
        violations: Broken rules that did not fail the audit, over all partitions.
    """

    batch: str
    snapshot_id: int | None
    rows: Mapping[str, int]
    versions: Mapping[str, str]
    changed: tuple[str, ...]
    violations: tuple[Violation, ...]


def publish(  # noqa: PLR0913 - what a publish is made of, by keyword
    lake: "Lake",
    ledger: "Ledger",
    target: Target,
    frames: "pl.DataFrame | Iterable[pl.DataFrame]",
    *,
    window: Window | None,
    provenance: Callable[[str], Provenance] = lambda _: Provenance(),
    seen: "Mapping[str, Current] | None" = None,
    run_id: str = "",
    meter: Meter | None = None,
) -> Publication:
    """Publish the rows of a window: all of its partitions, or none.

    Args:
        frames: The rows, or an iterator of frames for windows larger than memory; a day's rows come in one frame.
        window: The daily partitions to build; None for an unpartitioned table.
        provenance: Asked for each partition after the last frame was taken.
        seen: What the ledger held of the partitions when the function began to read; taken now if left out.
        run_id: Who publishes.
        meter: Started when the work for the rows began; its cost is recorded. Started now if left out.

    Raises:
        ContractError: The columns are not those of the contract.
        AuditFailedError: A rule with the action ``fail`` is broken.
        EmptyPartitionError: A day has no rows and may not.
        OutsideWindowError: Rows lie outside the window.
        ConcurrentBuildError: Another run published a partition meanwhile.
        ForeignWriteError: Another engine changed the table.
        TableSetBackError: Another engine took the table back to an older snapshot.
        StorageFullError: There is no room.
        WindowMissingError: The table is daily and ``window`` is None.
        NoDaysError: The table is daily and ``window`` has no days.
    """
    meter = meter or Meter()
    keys = _keys(target, window)
    if seen is None:
        mend(lake, ledger, target.asset, keys)
        seen = ledger.current(target.asset, list(keys))
    work = _Work(lake=lake, ledger=ledger, target=target, window=window, keys=keys, seen=seen)
    try:
        for frame in _chunks(frames, target):
            work.take(frame)
        work.finish()
        builds = [_build(work, key, provenance(key), run_id=run_id) for key in keys]
    except BaseException:
        work.discard()
        raise
    snapshot_id = commit_and_record(lake, ledger, work.change(builds), meter)
    return Publication(
        batch=work.batch,
        snapshot_id=snapshot_id,
        rows=work.rows,
        versions=work.versions,
        changed=work.changed,
        violations=work.violations,
    )


def _keys(target: Target, window: Window | None) -> tuple[str, ...]:
    """The partitions that a window builds."""
    if not target.daily:
        return (WHOLE,)
    if window is None:
        raise WindowMissingError(target.asset)
    if not window.partitions:
        raise NoDaysError(target.asset, window)
    return window.partitions


@dataclass(kw_only=True)
class _Work:
    """One publish under way: what was audited and staged so far."""

    lake: "Lake"
    ledger: "Ledger"
    target: Target
    window: Window | None
    keys: tuple[str, ...]
    seen: "Mapping[str, Current]"
    batch: str = field(default_factory=lambda: uuid.uuid4().hex)
    staged: list[StagedFile] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    rejected: "dict[str, pl.DataFrame]" = field(default_factory=dict)
    reports: list[AuditReport] = field(default_factory=list)

    @cached_property
    def table(self) -> "Table":
        """Made or evolved once rows have passed the audit, so that those which fail leave it as it was."""
        target, held = self.target, self.seen

        def replacing(columns: Sequence[str]) -> None:
            record_replaced(self.ledger, target.asset, columns)
            self.seen = {}

        table = self.lake.open(
            target.table, target.contract, daily=target.daily, replacing=replacing
        )
        if table.current_snapshot() is None:
            forget_lost(self.lake, self.ledger, target.asset)
            self.seen = {}
        if held and not self.seen:
            self.seen = self.ledger.current(target.asset, list(self.keys))
        return table

    @cached_property
    def stager(self) -> Stager:
        """Writes the table's files."""
        return Stager(self.table)

    def take(self, frame: "pl.DataFrame") -> None:
        """Audit one frame of whole partitions and stage those whose content is new."""
        contract = self.target.contract
        report = audit(
            frame, contract, partition_by=contract.event_time if self.target.daily else None
        )
        self.reports.append(report)
        if any(one.failed for one in self.reports):
            return
        kept, rejected = report.split(frame)
        parts = self._parted(kept)
        if twice := [key for key in parts if key in self.versions]:
            raise SplitPartitionError(self.target.asset, twice)
        if rejected.height:
            self._reject(rejected)
        stager = self.stager
        for key, part in parts.items():
            self.rows[key], self.versions[key] = part.height, content_version(part)
            if part.height and self._is_new(key):
                stager.put(key, part)

    def finish(self) -> None:
        """Judge the whole window once every row was seen."""
        if failed := [one for one in merged(self.reports) if one.action == "fail"]:
            raise AuditFailedError(self.target.asset, failed)
        empty = [key for key in self.keys if not self.rows.get(key)]
        if empty and self.target.empty == "fail":
            raise EmptyPartitionError(self.target.asset, empty)
        for key in empty:
            self.versions[key], self.rows[key] = EMPTY, 0
        self.staged = self.stager.finish()

    @property
    def changed(self) -> tuple[str, ...]:
        """Partitions whose content differs from what is published."""
        return tuple(key for key in self.keys if self._is_new(key))

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Broken rules over all frames, empty days among them."""
        empty = [key for key in self.keys if not self.rows.get(key)]
        if not empty or self.target.empty != "warn":
            return merged(self.reports)
        return (*merged(self.reports), empty_days(empty))

    def change(self, builds: Sequence[Build]) -> Change:
        """What is to be committed."""
        return Change(
            table=self.table,
            batch=self.batch,
            builds=builds,
            changed=self.changed,
            staged=self.staged,
            window=self.window,
            seen=self.seen,
            rejected=self.rejected,
        )

    def size_bytes(self, key: str) -> int:
        """Size on disk of a partition's files, new or as they were."""
        if not self._is_new(key):
            return self.seen[key].bytes
        return sum(one.size_bytes for one in self.staged if one.partition == key)

    def discard(self) -> None:
        """Remove what was staged."""
        if "stager" in self.__dict__:
            self.stager.discard()

    def _is_new(self, key: str) -> bool:
        held = self.seen.get(key)
        if held is None or held.version != self.versions[key]:
            return True
        return held.version != EMPTY and key in self._lost

    @cached_property
    def _lost(self) -> set[str]:
        """Partitions that must be written again, though their content is as it was."""
        wanted = [key for key, held in self.seen.items() if held.version != EMPTY]
        return lost_partitions(self.table, self.window, wanted)

    def _parted(self, frame: "pl.DataFrame") -> "Mapping[str, pl.DataFrame]":
        event_time = self.target.contract.event_time
        if not self.target.daily or event_time is None:
            return {WHOLE: frame}
        parts = by_day(frame, event_time)
        outside = [key for key in parts if key not in self.keys]
        if outside and self.window is not None:
            raise OutsideWindowError(self.target.asset, outside, self.window)
        return parts

    def _reject(self, rejected: "pl.DataFrame") -> None:
        """Keep rejected rows by partition; their columns are text, and the day is the first ten characters."""
        for key, part in self._rejected_parts(rejected).items():
            held = self.rejected.get(key)
            self.rejected[key] = part if held is None else held.vstack(part)

    def _rejected_parts(self, rejected: "pl.DataFrame") -> "Mapping[str, pl.DataFrame]":
        import polars as pl

        event_time = self.target.contract.event_time
        if not self.target.daily or event_time is None:
            return {WHOLE: rejected}
        day = pl.col(event_time).str.slice(0, 10)
        # A row whose time is null or wild still belongs to the run that met it.
        known = pl.when(day.is_in(self.keys)).then(day).otherwise(pl.lit(self.keys[0]))
        days = rejected.select(known).to_series()
        return {key: rejected.filter(days == key) for key in days.unique(maintain_order=True)}


def merged(reports: Sequence[AuditReport]) -> tuple[Violation, ...]:
    """The broken rules of several reports: counts added, the first samples kept."""
    found: dict[str, Violation] = {}
    for violation in (one for report in reports for one in report.violations):
        held = found.get(violation.rule)
        if held is None:
            found[violation.rule] = violation
        else:
            sample = (*held.sample, *violation.sample)[:5]
            found[violation.rule] = replace(held, count=held.count + violation.count, sample=sample)
    return tuple(found.values())


def empty_days(partitions: Sequence[str]) -> Violation:
    """The flag of days without rows, as a broken rule."""
    return Violation(
        rule="rows.min",
        column=None,
        action="warn",
        text="a day has rows",
        count=len(partitions),
        sample=tuple(partitions[:5]),
        rows=(),
    )


def _chunks(
    frames: "pl.DataFrame | Iterable[pl.DataFrame]", target: Target
) -> "Iterator[pl.DataFrame]":
    """The frames as the contract has them, large ones in parts; an unpartitioned table's are one."""
    import polars as pl

    given = [frames] if isinstance(frames, pl.DataFrame) else frames
    conformed = (conform(frame, target.contract, target.asset) for frame in given)
    event_time = target.contract.event_time
    if target.daily and event_time is not None:
        for frame in conformed:
            yield from cut_by_days(frame, event_time, CHUNK_ROWS)
    elif parts := list(conformed):
        yield pl.concat(parts)


def _build(work: _Work, key: str, origin: Provenance, *, run_id: str) -> Build:
    return Build(
        asset=work.target.asset,
        partition=key,
        version=work.versions[key],
        watermark=origin.watermark,
        code_version=work.target.code_version,
        run_id=run_id,
        rows=work.rows[key],
        bytes=work.size_bytes(key),
        inputs=origin.inputs,
    )
