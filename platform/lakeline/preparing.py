"""What a publish does before its commit: rows are audited, the window is judged, and files are staged for what is new."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lakeline.contract.audit import AuditReport, Violation, audit, conform
from lakeline.lake.content import EMPTY, content_version
from lakeline.lake.lost import lost_partitions
from lakeline.lake.partitions import by_day, cut_by_days
from lakeline.lake.stage import StagedFile, Stager
from lakeline.publish_errors import (
    AuditFailedError,
    EmptyPartitionError,
    OutsideWindowError,
    SplitPartitionError,
)
from lakeline.recording import Change, forget_lost, record_replaced
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

    from lakeline.lake import Lake
    from lakeline.ledger import Build, Current, Ledger
    from lakeline.publishing import Target

CHUNK_ROWS = 400_000
"""Rows that are audited and staged together: enough to make a pass cheap, few enough to stay under 100 MB."""


@dataclass(kw_only=True)
class Preparation:
    """What of a publish was audited and staged so far."""

    lake: "Lake"
    ledger: "Ledger"
    target: "Target"
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
        stager = (
            self.stager
        )  # which opens the table, and so knows whether what was seen still holds
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

    def change(self, builds: "Sequence[Build]") -> Change:
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


def chunks(
    frames: "pl.DataFrame | Iterable[pl.DataFrame]", target: "Target"
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
