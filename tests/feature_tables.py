"""Small feature tables in a lake, for tests of the offline store."""

import datetime as dt
from typing import Any

import polars as pl
import pyarrow as pa

from lakeline.features.offline.request import ViewRead
from lakeline.lake import Lake

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
TICK = dt.timedelta(microseconds=1)
INSTANT = pa.timestamp("us", "UTC")
TABLE = "rides.drivers"


def at(hours: float) -> dt.datetime:
    """So many hours after noon."""
    return NOON + dt.timedelta(hours=hours)


def rows(*given: tuple[Any, ...], key: pa.DataType | None = None) -> pa.Table:
    """Rows of driver, event time, knowledge time and trips."""
    columns = list(zip(*given, strict=True)) if given else [()] * 4
    return pa.table(
        {
            "driver": pa.array(columns[0], key or pa.int64()),
            "event_ts": pa.array(columns[1], INSTANT),
            "known_ts": pa.array(columns[2], INSTANT),
            "trips": pa.array(columns[3], pa.int64()),
        }
    )


def put(lake: Lake, table: pa.Table, name: str = TABLE) -> int:
    """Append rows to a table, made where it is missing; returns the id of the snapshot."""
    found = lake.find(name)
    if found is None:
        lake.create_namespace_of(name)
        found = lake.catalog.create_table(name, schema=table.schema)
    found.append(table)
    snapshot = found.current_snapshot()
    assert snapshot is not None
    return snapshot.snapshot_id


def view(**changes: Any) -> ViewRead:
    """Trips of a driver."""
    given: dict[str, Any] = {
        "name": "stats",
        "table": TABLE,
        "keys": {"driver": "driver"},
        "features": {"trips": "trips"},
        "event_time": "event_ts",
    }
    return ViewRead(**(given | changes))


def asks(*given: tuple[Any, dt.datetime | None]) -> pl.DataFrame:
    """Entity rows of driver and moment."""
    schema: dict[str, Any] = {"driver": pl.Int64, "event_timestamp": pl.Datetime("us", "UTC")}
    return pl.DataFrame(list(given), schema=schema, orient="row")
