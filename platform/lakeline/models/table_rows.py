"""Labelled rows straight from an Iceberg table: a pinned snapshot, read a stretch of days at a time in Arrow batches.

A stretch is a shard: whole days that hold some `SHARD_ROWS` rows together, so that a table with a file a day costs no
plan a file (a day at a time took five times as long), and a day larger than that streams by itself. What lies in memory is a
batch, never the table.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakeline.lake.partitions import WHOLE, partition_key
from lakeline.lake.past import scan_past
from lakeline.models.rows import HELD_SHARE
from lakeline.window import Window, day_start

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

    from lakeline.models.trial import Learning

SHARD_ROWS = 65_536
BATCH_ROWS = 16_384
MOMENTS = ("start", "end", "known_before")


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """The labelled rows of a snapshot, by plain values that other processes can be handed.

    Attributes:
        metadata: Address of the table's metadata file.
        snapshot_id: What is read, whatever happens to the table since.
        features: Columns that a model reads, in its order.
        label: Boolean or 0/1 column; rows without one are left out.
        at: Column with the time of each decision.
        start: Decisions from here, included.
        end: Up to here, excluded.
        categorical: Features whose values are names.
        known: Column with the time when the label was known; None does not ask.
        known_before: Rows count whose label was known before this moment.
        properties: How the table's files are opened: endpoint and keys of a bucket among them.
    """

    metadata: str
    snapshot_id: int
    features: tuple[str, ...]
    label: str
    at: str
    start: dt.datetime
    end: dt.datetime
    categorical: tuple[str, ...] = ()
    known: str | None = None
    known_before: dt.datetime | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, table: "Table", learning: "Learning", *, start: dt.datetime, until: dt.datetime
    ) -> "TableRows":
        """The rows of a table as it is now that `lakeline.models.trial.learn_until` would keep.

        Args:
            table: Loaded; its present snapshot is pinned.
            learning: What a model learns from.
            start: Decisions from here, included.
            until: End of the training window: decided and known before.
        """
        head = table.current_snapshot()
        return cls(
            metadata=table.metadata_location,
            snapshot_id=head.snapshot_id if head else 0,
            features=learning.features,
            categorical=learning.categorical,
            label=learning.label,
            at=learning.at,
            known=learning.known,
            start=start,
            end=until,
            known_before=until,
            properties=dict(table.io.properties),
        )

    @property
    def content(self) -> str:
        """Hash of what is read: the snapshot, the columns and the bounds."""
        told = {**asdict(self), "properties": None}
        return hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()

    def shards(self) -> Sequence[str]:
        """First and last day of each shard, in order; one empty name for a table without days."""
        return [f"{first}/{last}" if first else WHOLE for first, last in self._stretches]

    @property
    def most_rows(self) -> int:
        """Rows of the days that are read, before the window and missing labels leave some out."""
        return sum(self._days.values())

    def read(self, shard: str) -> "Iterator[pl.DataFrame]":
        """The rows of a shard in batches, in the order of its files."""
        first, _, last = shard.partition("/")
        window = Window.of_days(first, last) if first else None
        lazy = scan_past(self._table, self.snapshot_id, window, columns=self._columns)
        wanted = lazy.filter(self._is_wanted).select(*self.features, self.label)
        yield from wanted.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)

    def split(self, days: int) -> "tuple[TableRows, TableRows | None]":
        """The rows before the newest ``days`` days of the window, and those of them: at most a fifth of its length."""
        span = min(dt.timedelta(days=days), (self.end - self.start) * HELD_SHARE)
        moment = self.end - span
        if not days or moment <= self.start:
            return self, None
        return replace(self, end=moment), replace(self, start=moment)

    def to_dict(self) -> dict[str, Any]:
        """In values that JSON has."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return told | {name: told[name].isoformat() if told[name] else None for name in MOMENTS}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "TableRows":
        """From the values of :meth:`to_dict`."""
        moments = {
            name: dt.datetime.fromisoformat(told[name]) if told[name] else None for name in MOMENTS
        }
        lists = {name: tuple(told[name]) for name in ("features", "categorical")}
        return cls(**{**told, **lists, **moments})

    @cached_property
    def _table(self) -> "Table":
        from pyiceberg.table import StaticTable

        return StaticTable.from_metadata(self.metadata, properties=dict(self.properties))

    @cached_property
    def _days(self) -> dict[str, int]:
        """Rows of each day that may hold decisions of the window; an empty table has none."""
        rows: dict[str, int] = {}
        if not self._table.metadata.snapshot_by_id(self.snapshot_id):
            return rows
        for task in self._table.scan(snapshot_id=self.snapshot_id).plan_files():
            key = partition_key(task.file)
            rows[key] = rows.get(key, 0) + task.file.record_count
        return {key: rows[key] for key in sorted(rows) if key == WHOLE or self._may_hold(key)}

    @cached_property
    def _stretches(self) -> list[tuple[str, str]]:
        if WHOLE in self._days:
            return [(WHOLE, WHOLE)]
        return list(_stretches(self._days))

    def _may_hold(self, key: str) -> bool:
        """Whether a day of event time may hold decisions of the window, which are up to a day apart from their events."""
        day = dt.timedelta(days=1)
        return self.start - 2 * day < day_start(key) < self.end + 2 * day

    @property
    def _columns(self) -> list[str]:
        named = (*self.features, self.label, self.at, *((self.known,) if self.known else ()))
        return list(dict.fromkeys(named))

    @property
    def _is_wanted(self) -> "pl.Expr":
        import polars as pl

        is_within = (pl.col(self.at) >= self.start) & (pl.col(self.at) < self.end)
        wanted = is_within & pl.col(self.label).is_not_null()
        if self.known is None or self.known_before is None:
            return wanted
        return wanted & (pl.col(self.known) < self.known_before)


def _stretches(rows: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """First and last key of runs of days that hold `SHARD_ROWS` together."""
    first, held, last = "", 0, ""
    for key, count in rows.items():
        first, held, last = first or key, held + count, key
        if held >= SHARD_ROWS:
            yield first, last
            first, held = "", 0
    if first:
        yield first, last
