"""Runs a point-in-time join in DuckDB, within a stated amount of memory and with a folder to spill to.

Tables are streamed from their files; what the engine holds is one narrow row a candidate while it sorts, and the features
that were found. The result is handed out in batches, in the order of the entity rows.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.features.offline.dialect import DUCKDB, quoted
from lakeline.features.offline.entities import (
    FRAME,
    Entities,
    Loaded,
    bounds,
    check_keys,
    key_kinds,
)
from lakeline.features.offline.moments import micros
from lakeline.features.offline.pins import PinnedTable
from lakeline.features.offline.planner import ENTITIES, PLACE, ROW, ViewPlan, spread_of
from lakeline.features.offline.ranking import ANY_EVENT, Ranking
from lakeline.features.offline.request import ViewRead, check_clashes
from lakeline.features.offline.scan import between, source_of
from lakeline.features.offline.source import Bounds, Source

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 65_536
FETCHED_COLUMNS = 24
"""Columns that are fetched at once: a reader holds a row group of each, which of 500 columns is more than the memory."""
SAMPLE_ROWS = 50_000
"""Rows of a table that tell whether the entity rows have most of its keys."""
SELECTIVE_SHARE = 0.5
"""Below this share of rows with a wanted key, looking for the key first takes less time than sorting all rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """What DuckDB may use.

    Attributes:
        memory_limit: Memory of its own, as DuckDB writes sizes; beyond it, it spills. The result comes on top.
        threads: 0 for one a core.
        spill: Folder to spill to; empty for a fresh one in the system's, removed afterwards.
    """

    memory_limit: str = "1GB"
    threads: int = 0
    spill: str = ""


@contextmanager
def connected(settings: EngineSettings) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection of its own, closed with everything that it spilled."""
    import duckdb

    if settings.spill:
        Path(settings.spill).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lakeline-", dir=settings.spill or None) as spill:
        config: dict[str, Any] = {"memory_limit": settings.memory_limit, "temp_directory": spill}
        if settings.threads:
            config["threads"] = str(settings.threads)
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone='UTC'")
            yield connection


@contextmanager
def joined(
    entities: Entities,
    views: Sequence[ViewRead],
    pins: Mapping[str, PinnedTable],
    settings: EngineSettings,
) -> "Iterator[pa.RecordBatchReader]":
    """A reader of one row an entity row, in order: the columns that the entities hand out, and the features.

    Args:
        entities: Rows that need features.
        views: Where features come from; at least one.
        pins: The table of each view, by its name.
        settings: What may be used.

    Raises:
        KeyTypeError: A key of the entity rows could never equal a view's.
        FeatureClashError: A feature is called like a column that the entities hand out.
    """
    with connected(settings) as connection:
        columns = entities.load(connection, views, key_kinds(views, pins)).handed_out
        check_clashes(views, columns)
        check_keys(connection, views, pins)
        when = bounds(connection)
        plans = [_plan(connection, view, pins[view.name], when) for view in views]
        tables = [
            _winners(connection, plan, f"lakeline_winners_{number}")
            for number, plan in enumerate(plans)
        ]
        sql = _result_sql(connection, tables, columns)
        yield connection.sql(sql).to_arrow_reader(BATCH_ROWS)


def loaded(
    entities: Entities,
    views: Sequence[ViewRead],
    pins: Mapping[str, PinnedTable],
    settings: EngineSettings,
) -> tuple[Loaded, Bounds | None]:
    """The columns of entity rows and their earliest and latest moment, None where no row has one."""
    with connected(settings) as connection:
        found = entities.load(connection, views, key_kinds(views, pins))
        when = bounds(connection)
    return found, when if when.earliest <= when.latest else None


def _plan(
    connection: "duckdb.DuckDBPyConnection", view: ViewRead, pinned: PinnedTable, when: Bounds
) -> ViewPlan:
    oldest = None if view.ttl is None else when.earliest - micros(view.ttl)
    within = between(pinned, view.event_time, oldest, when.latest)
    source = source_of(connection, pinned, columns=view.columns, times=view.times, within=within)
    plan = ViewPlan(view=view, source=source, bounds=when, dialect=DUCKDB)
    return replace(plan, is_selective=_is_selective(connection, plan))


def _is_selective(connection: "duckdb.DuckDBPyConnection", plan: ViewPlan) -> bool:
    """Whether few rows of the table have a key that is wanted, judged by the first of them."""
    if not plan.view.keys:
        return False
    keys = ", ".join(quoted(key) for key in plan.view.keys)
    wanted = ", ".join(quoted(column) for column in plan.view.keys.values())
    ((share,),) = connection.sql(
        f"SELECT avg(CASE WHEN ({keys}) IN (SELECT ({wanted}) FROM {ENTITIES}) THEN 1.0 ELSE 0.0 END) "
        f"FROM (SELECT {keys} FROM {plan.ranked_rows} WHERE {plan.visible} LIMIT {SAMPLE_ROWS})"
    ).fetchall()
    return share is not None and share < SELECTIVE_SHARE


@dataclass(frozen=True, kw_only=True, slots=True)
class _Winners:
    """A table with the place of the row that each entity row takes, and the plan that fetches its features."""

    plan: ViewPlan
    table: str


def _winners(connection: "duckdb.DuckDBPyConnection", plan: ViewPlan, table: str) -> _Winners:
    plan, ranking = ranked(connection, plan, f"{table}_sequence")
    connection.execute(f"CREATE TEMP TABLE {table} AS {plan.winners_sql(ranking)}")
    return _Winners(plan=plan, table=table)


def ranked(
    connection: "duckdb.DuckDBPyConnection", plan: ViewPlan, sequence: str
) -> tuple[ViewPlan, Ranking]:
    """A ranking that holds the table's times; where none does, of the rows in a sequence that orders ties by itself."""
    spread = ANY_EVENT
    if plan.needs_spread:
        (row,) = connection.sql(plan.spread_sql()).fetchall()
        spread = spread_of(row)
    ranking = plan.ranking(spread)
    if ranking is not None:
        return plan, ranking
    connection.execute(f"CREATE TEMP TABLE {sequence} AS {plan.sequence_sql()}")
    ((rows,),) = connection.sql(f"SELECT count(*) FROM {sequence}").fetchall()
    source = Source(
        relation=sequence, position=PLACE, places=rows + 1, kinds=plan.source.kinds, is_ordered=True
    )
    ordered = replace(plan, source=source)
    ranking = ordered.ranking(replace(spread, lag_min=0, lag_max=0))
    assert ranking is not None, "event time and place fit by themselves"
    return ordered, ranking


def _result_sql(
    connection: "duckdb.DuckDBPyConnection", tables: Sequence[_Winners], columns: Sequence[str]
) -> str:
    """SQL of the result; rows lie side by side in order, so nothing is joined that could change their number."""
    fetches = [(winners, part) for winners in tables for part in _fetches(winners.plan.view)]
    if len(fetches) == 1 and not columns:
        winners, part = fetches[0]
        return winners.plan.values_sql(winners.table, part)
    parts = []
    if columns:
        kept = ", ".join(quoted(column) for column in columns)
        connection.execute(
            f"CREATE TEMP TABLE lakeline_kept AS SELECT {kept} FROM {FRAME} ORDER BY {ROW}"
        )
        parts.append("lakeline_kept")
    for number, (winners, part) in enumerate(fetches):
        values = f"lakeline_values_{number}"
        connection.execute(
            f"CREATE TEMP TABLE {values} AS {winners.plan.values_sql(winners.table, part)}"
        )
        parts.append(values)
    return f"SELECT * FROM {' POSITIONAL JOIN '.join(parts)}"


def _fetches(view: ViewRead) -> list[list[tuple[str, str]]]:
    """The features of a view, so many at a time: column of the table, and its name in the result."""
    columns = [(column, name) for name, column in view.features.items()]
    return [
        columns[start : start + FETCHED_COLUMNS]
        for start in range(0, len(columns), FETCHED_COLUMNS)
    ]
