"""Labelled rows straight from an Iceberg table: a pinned snapshot, of which one shard at a time lies in memory.

Rows come in the order of their days, and within a day of their values: the same rows have the same order, however the table
was written, compacted or sorted, and so train the same model.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakeline.lake.past import scan_past, schema_at
from lakeline.lake.read import storage_options
from lakeline.models.rows import HELD_SHARE
from lakeline.models.shards import days_of, stretches
from lakeline.models.training_set import TrainingSet
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

    from lakeline.models.learning import Learning

BATCH_ROWS = 32_768
MOMENTS = ("start", "end", "read_from", "read_until", "known_before")


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
        read_from: Event time that is read: from here, included.
        read_until: Up to here, excluded.
        categorical: Features whose values are names.
        also: More columns that :attr:`frame` and :attr:`version` take, such as those of a baseline.
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
    read_from: dt.datetime
    read_until: dt.datetime
    categorical: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    known: str | None = None
    known_before: dt.datetime | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        table: "Table",
        learning: "Learning",
        *,
        window: Window,
        until: dt.datetime,
        snapshot_id: int | None = None,
    ) -> "TableRows":
        """The rows of a table that `lakeline.models.trial.learn_until` would keep.

        Args:
            table: Loaded.
            learning: What a model learns from.
            window: Event time that is read, and decisions that are covered.
            until: End of the training window: decided and known before.
            snapshot_id: What to read; left out, the table as it is now.
        """
        head = table.current_snapshot()
        return cls(
            metadata=table.metadata_location,
            snapshot_id=snapshot_id or (head.snapshot_id if head else 0),
            features=learning.features,
            categorical=learning.categorical,
            also=tuple(one for one in learning.columns if one not in learning.features),
            label=learning.label,
            at=learning.at,
            known=learning.known,
            start=window.start,
            end=min(window.end, until),
            read_from=window.start,
            read_until=window.end,
            known_before=until,
            properties=dict(table.io.properties),
        )

    @property
    def content(self) -> str:
        """Hash of what is read: the snapshot, the columns and the bounds."""
        told = {**asdict(self), "properties": None, "metadata": None}
        return hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()

    @property
    def frame(self) -> "pl.DataFrame":
        """All rows in memory, in their order; read anew at each call."""
        import polars as pl

        found = [self._wanted(one, self._every) for one in self.shards()]
        return pl.concat(found) if found else self._none

    @property
    def count(self) -> int:
        """How many there are."""
        return self._tally[0]

    @property
    def share(self) -> float:
        """Share of positive labels; NaN where there are no rows."""
        count, positive = self._tally
        return positive / count if count else float("nan")

    @property
    def version(self) -> str:
        """Version of the content, whatever the order."""
        return self._version

    def in_memory(self) -> TrainingSet:
        """The same rows in the same order, in memory."""
        return TrainingSet(
            frame=self.frame,
            features=self.features,
            label=self.label,
            at=self.at,
            start=self.start,
            end=self.end,
            categorical=self.categorical,
        )

    def after(self, moment: dt.datetime, also: Sequence[str] = ()) -> "TableRows":
        """The labelled decisions from ``moment`` on, whenever their label was known: what a model is judged on.

        Args:
            moment: First decision.
            also: More columns of :attr:`frame`.
        """
        more = tuple(one for one in dict.fromkeys((*self.also, *also)) if one not in self.features)
        start = min(self.end, max(moment, self.start))
        return replace(self, start=start, known_before=None, also=more)

    def before(self, moment: dt.datetime) -> "TableRows":
        """The decisions made before ``moment``."""
        return replace(self, end=max(self.start, min(self.end, moment)))

    def only(self, features: Sequence[str]) -> "TableRows":
        """The same rows for a model that reads no more than ``features``."""
        kept = tuple(one for one in self.categorical if one in features)
        return replace(self, features=tuple(features), categorical=kept, also=())

    def shards(self) -> Sequence[str]:
        """First and last day of each shard, in order; one empty name for a table without days."""
        return [f"{first}/{last}" if first else WHOLE for first, last in self._stretches]

    @property
    def most_rows(self) -> int:
        """Rows of the days that are read, before the window and missing labels leave some out."""
        return sum(self._days.values())

    def read(self, shard: str) -> "Iterator[pl.DataFrame]":
        """Features and label of a shard's rows in batches."""
        yield from self._wanted(shard, (*self.features, self.label)).iter_slices(BATCH_ROWS)

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
        lists = {name: tuple(told[name]) for name in ("features", "categorical", "also")}
        return cls(**{**told, **lists, **moments})

    @cached_property
    def _table(self) -> "Table":
        from pyiceberg.table import StaticTable

        return StaticTable.from_metadata(self.metadata, properties=dict(self.properties))

    @cached_property
    def _days(self) -> dict[str, int]:
        """Rows of each day that may hold decisions of the window; an empty table has none."""
        if not self.snapshot_id:
            return {}
        window = Window(start=self.read_from, end=self.read_until)
        return days_of(self._table, self.snapshot_id, window, at=self.at, start=self.start, end=self.end)  # fmt: skip

    @cached_property
    def _stretches(self) -> list[tuple[str, str]]:
        if WHOLE in self._days:
            return [(WHOLE, WHOLE)]
        return list(stretches(self._days))

    def _window(self, first: str, last: str) -> Window | None:
        """Event time of a stretch of days."""
        if first == WHOLE:
            return None
        days = Window.of_days(first, last)
        return Window(start=max(days.start, self.read_from), end=min(days.end, self.read_until))

    @cached_property
    def _event_time(self) -> str | None:
        """Column whose days are the table's partitions."""
        fields = self._table.spec().fields
        schema = schema_at(self._table, self.snapshot_id)
        return schema.find_column_name(fields[0].source_id) if fields else None

    @property
    def _every(self) -> tuple[str, ...]:
        """Columns that training and evaluating take."""
        return tuple(dict.fromkeys((*self.features, *self.also, self.label)))

    @property
    def _none(self) -> "pl.DataFrame":
        """No rows."""
        import polars as pl

        schema = pl.scan_iceberg(self._table, storage_options=storage_options(self._table)).collect_schema()  # fmt: skip
        return pl.DataFrame(schema={name: schema.get(name, pl.Null) for name in self._every})

    @cached_property
    def _version(self) -> str:
        from lakeline.lake.content import content_version_of

        return content_version_of(self._wanted(one, self._every) for one in self.shards())

    @property
    def _timed(self) -> tuple[str, ...]:
        """Columns that rows are ordered by first."""
        return (self.at,) if self._event_time is None else (self._event_time, self.at)

    @cached_property
    def _tally(self) -> tuple[int, int]:
        """How many rows there are, and how many of them have a positive label."""
        import polars as pl

        count = positive = 0
        for first, last in self._stretches:
            lazy = self._scan(self._window(first, last), (self.label,))
            found = lazy.select(rows=pl.len(), positive=pl.col(self.label).cast(pl.Int64).sum())
            row = found.collect().row(0)
            count, positive = count + row[0], positive + row[1]
        return count, positive

    def _wanted(self, shard: str, columns: Sequence[str]) -> "pl.DataFrame":
        """Columns of a shard's rows, in their order."""
        import polars as pl

        first, _, last = shard.partition("/")
        kept = list(dict.fromkeys(columns))
        found = self._scan(self._window(first, last), (*kept, *self._timed)).collect()
        times: list[pl.Expr] = [pl.col(self.at)]
        if self._event_time is not None:
            times.insert(0, pl.col(self._event_time).dt.date())
        # Moments that are each of one row alone order all that there is: a third of the time.
        is_ordered = found[self.at].n_unique() == found.height
        by = times if is_ordered else [*times, *map(pl.col, kept)]
        return found.sort(by, nulls_last=True).select(kept)

    def _scan(self, window: Window | None, columns: Iterable[str]) -> "pl.LazyFrame":
        """Columns of the rows of a window that are learned from."""
        timed = (self.label, self.at, *((self.known,) if self.known else ()))
        read = list(dict.fromkeys((*columns, *timed)))
        lazy = scan_past(self._table, self.snapshot_id, window, columns=read)
        return lazy.filter(self._is_wanted).select(list(dict.fromkeys(columns)))

    @property
    def _is_wanted(self) -> "pl.Expr":
        import polars as pl

        is_within = (pl.col(self.at) >= self.start) & (pl.col(self.at) < self.end)
        wanted = is_within & pl.col(self.label).is_not_null()
        if self.known is None or self.known_before is None:
            return wanted
        return wanted & (pl.col(self.known) < self.known_before)
