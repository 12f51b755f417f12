"""The table that the lake's benchmarks write and read: one row an event of a web shop, 50,000 a day, 15 columns."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.contract import Contract, Int32, column
from lakeline.publishing import Target
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

ROWS_A_DAY = 50_000
VIEWS_A_VISIT = 5
USERS = 200_000
FIRST_DAY = dt.date(2023, 1, 1)
COUNTRIES = ("DE", "ES", "FR", "GB", "IT", "JP", "NL", "PL", "SE", "US")
DEVICES = ("desktop", "phone", "tablet", "television")


class Event(Contract, version="1.0"):
    """One row a page view."""

    event_ts: dt.datetime = column("When it happened", event_time=True, key=True)
    user_id: str = column("Who did it", key=True)
    received_ts: dt.datetime = column("When the collector got it")
    session_id: int = column("Visit", ge=0)
    position: Int32 = column("Place of the view in its visit", ge=0, le=1000)
    status: Int32 = column("HTTP status", isin=(200, 301, 404, 500))
    size_bytes: int = column("Size of the answer", unit="B", ge=0, le=10**9)
    amount: float | None = column("Value of the basket", unit="EUR", ge=0, le=100_000)
    latency_ms: float = column("Time to answer", unit="ms", ge=0, le=60_000)
    latitude_deg: float = column("Where the user was", unit="deg", ge=-90, le=90)
    score: float = column("Chance of a purchase", ge=0, le=1)
    country: str = column("Country", isin=COUNTRIES)
    device: str = column("Kind of device", isin=DEVICES)
    page: str = column("Path of the page")
    is_new: bool = column("Whether it is the user's first visit")


TARGET = Target(asset="bench/events", contract=Event, daily=True)


def window_of(days: int) -> Window:
    """The first ``days`` days."""
    return Window.of_days(
        FIRST_DAY.isoformat(), (FIRST_DAY + dt.timedelta(days=days - 1)).isoformat()
    )


def plain_table(place: Path) -> "Table":
    """The table as pyiceberg makes it by itself: its own catalog, its own properties."""
    from pyiceberg.catalog.sql import SqlCatalog

    from lakeline.contract.iceberg import iceberg_schema, partition_spec

    catalog = SqlCatalog(
        "plain", uri=f"sqlite:///{place / 'catalog.db'}", warehouse=f"file://{place}"
    )
    catalog.create_namespace_if_not_exists("bench")
    schema = iceberg_schema(Event)
    spec = partition_spec(Event, schema, daily=True)
    return catalog.create_table_if_not_exists("bench.events", schema, partition_spec=spec)


def day_of_events(day: int, *, rows: int = ROWS_A_DAY, seed: int = 0) -> "pl.DataFrame":
    """The events of one day in order of time; the same for the same arguments.

    A visit has five views on average; its user, place and device are those of the visit.
    """
    import numpy as np
    import polars as pl

    random = np.random.default_rng([seed, day])
    visits = rows // VIEWS_A_VISIT
    visit = np.sort(random.integers(0, visits, rows))
    position = np.arange(rows) - np.searchsorted(visit, visit)
    midnight_us = int(window_of(day + 1).end.timestamp() - 86_400) * 10**6
    began_us = random.integers(0, 80_000 * 10**6, visits)
    # A view half a minute, and a visit of 60 views ends before midnight; the microsecond tells views apart.
    event_us = (
        midnight_us + began_us[visit] + position * 40_000_000 + random.integers(0, 30 * 10**6, rows)
    )
    user = random.integers(0, USERS, visits)
    home_deg = np.round(np.random.default_rng(seed).uniform(-60, 70, USERS), 4)
    columns = {
        "event_ts": event_us,
        "user_id": user[visit],
        "received_ts": (event_us + random.integers(10_000, 5_000_000, rows)) // 1000 * 1000,
        "session_id": random.integers(0, 10**9, visits)[visit],
        "position": position.astype(np.int32),
        "status": random.choice(
            np.array([200, 301, 404, 500], np.int32), rows, p=[0.94, 0.03, 0.02, 0.01]
        ),
        "size_bytes": random.lognormal(9, 1.5, rows).astype(np.int64).clip(0, 10**9),
        "amount": np.round(random.lognormal(3, 1, rows), 2).clip(0, 100_000),
        "latency_ms": np.round(random.gamma(2, 40, rows), 1),
        "latitude_deg": home_deg[user[visit]],
        "score": np.round(random.beta(1, 8, rows), 5),
        "country": (user % 97 % len(COUNTRIES))[visit],
        "device": random.integers(0, len(DEVICES), visits)[visit],
        "page": random.zipf(1.5, rows) % 400,
        "is_new": (random.random(visits) < 0.2)[visit],
    }
    utc = pl.Datetime("us", "UTC")
    return (
        pl.DataFrame(columns)
        .with_columns(
            pl.col("event_ts", "received_ts").cast(utc),
            user_id=pl.format("user-{}", pl.col("user_id").cast(pl.String).str.zfill(8)),
            amount=pl.when(pl.col("score") > 0.05).then("amount"),
            country=_named("country", COUNTRIES),
            device=_named("device", DEVICES),
            page=pl.format("/shop/item-{}", "page"),
        )
        .sort("event_ts")
    )


def _named(column: str, names: tuple[str, ...]) -> "pl.Expr":
    import polars as pl

    return pl.col(column).replace_strict(dict(enumerate(names)), return_dtype=pl.String)
