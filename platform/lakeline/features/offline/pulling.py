"""Rows of one view's table between two moments: all of them, or the latest of each key."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lakeline.features.offline.dialect import DUCKDB, quoted
from lakeline.features.offline.engine import BATCH_ROWS, EngineSettings, connected, ranked
from lakeline.features.offline.moments import micros_since_1970
from lakeline.features.offline.pins import PinnedTable
from lakeline.features.offline.planner import PLACE, RANK, ViewPlan
from lakeline.features.offline.request import ViewRead
from lakeline.features.offline.scan import between, source_of
from lakeline.features.offline.source import Bounds

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FOREVER_MICROS = 2**61


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pull:
    """What is read of a table; a row belongs to the range by the moment from which it counts.

    Attributes:
        view: Columns and times; its features map the result's columns to those of the table.
        pinned: The table.
        settings: What the engine may use.
        which: ``latest`` keeps of each key the row that an entity row at the end of the range would take.
        start: First moment, None for all before the end.
        end: Last moment, included; None for all after the start.
        constants: Texts added as columns.
    """

    view: ViewRead
    pinned: PinnedTable
    settings: EngineSettings
    which: Literal["all", "latest"]
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    constants: dict[str, str] = field(default_factory=dict)

    @property
    def snapshots(self) -> dict[str, int]:
        """Snapshot that is read, by name of the view."""
        return {self.view.name: self.pinned.snapshot_id or 0}

    @contextmanager
    def reader(self) -> "Iterator[pa.RecordBatchReader]":
        """The rows in batches; closed with the context."""
        with connected(self.settings) as connection:
            plan = self._plan(connection)
            sql = self._latest(connection, plan) if self.which == "latest" else self._all(plan)
            yield connection.sql(sql).to_arrow_reader(BATCH_ROWS)

    def table(self) -> "pa.Table":
        """The rows, held in memory."""
        with self.reader() as reader:
            return reader.read_all()

    def _plan(self, connection: "duckdb.DuckDBPyConnection") -> ViewPlan:
        earliest = -FOREVER_MICROS if self.start is None else micros_since_1970(self.start)
        latest = FOREVER_MICROS if self.end is None else micros_since_1970(self.end)
        first = None if self.start is None or self.view.hidden_until else earliest
        within = between(
            self.pinned, self.view.event_time, first, None if self.end is None else latest
        )
        source = source_of(
            connection,
            self.pinned,
            columns=self.view.columns,
            times=self.view.times,
            within=within,
        )
        when = Bounds(earliest=earliest, latest=latest)
        return ViewPlan(view=self.view, source=source, bounds=when, dialect=DUCKDB)

    def _all(self, plan: ViewPlan) -> str:
        return (
            f"SELECT {self._columns()} FROM {plan.source.reading(self.view.columns)} "
            f"WHERE {plan.visible} AND {plan.moment} >= {plan.bounds.earliest}"
        )

    def _latest(self, connection: "duckdb.DuckDBPyConnection", plan: ViewPlan) -> str:
        plan, ranking = ranked(connection, plan, "lakeline_sequence")
        keys = [quoted(key) for key in self.view.keys]
        known = "".join(f" AND {key} IS NOT NULL" for key in keys)
        group = f"GROUP BY {', '.join(keys)}" if keys else "HAVING count(*) > 0"
        place = DUCKDB.remainder.format(RANK, ranking.place_unit)
        connection.execute(
            f"CREATE TEMP TABLE lakeline_latest AS SELECT {place} AS {PLACE} FROM ("
            f"SELECT max({plan.rank(ranking)}) AS {RANK} FROM {plan.ranked_rows} "
            f"WHERE {plan.visible} AND {plan.moment} >= {plan.bounds.earliest}{known} {group})"
        )
        return (
            f"SELECT {self._columns()} FROM {plan.source.reading(self.view.columns)} WHERE {plan.visible} "
            f"AND {plan.source.position} IN (SELECT {PLACE} FROM lakeline_latest)"
        )

    def _columns(self) -> str:
        found: Sequence[str] = [
            *(f"{quoted(column)} AS {quoted(name)}" for name, column in self.view.features.items()),
            *(f"'{value}' AS {quoted(name)}" for name, value in self.constants.items()),
        ]
        return ", ".join(found)
