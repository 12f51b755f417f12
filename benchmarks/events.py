"""The table that the lake's benchmarks write and read: one row an event of a web shop, 50,000 a day, 15 columns."""

import datetime as dt
from typing import TYPE_CHECKING

from lakeline.contract import Contract, Int32, column
from lakeline.publishing import Target
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

ROWS_A_DAY = 50_000
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
    return Window.of_days(FIRST_DAY.isoformat(), (FIRST_DAY + dt.timedelta(days=days - 1)).isoformat())


def day_of_events(day: int, *, rows: int = ROWS_A_DAY, seed: int = 0) -> "pl.DataFrame":
    """The events of one day in order of time; the same for the same arguments."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng([seed, day])
    start_us = int(dt.datetime.combine(FIRST_DAY + dt.timedelta(days=day), dt.time(), dt.UTC).timestamp()) * 10**6
    event_us = start_us + np.sort(random.integers(0, 86_400 * 10**6, rows))
    amount = np.round(random.lognormal(3, 1, rows), 2).clip(0, 100_000)
    columns = {
        "event_ts": event_us,
        "user_id": random.integers(0, USERS, rows),
        "received_ts": event_us + random.integers(10_000, 5_000_000, rows),
        "session_id": random.integers(0, 10**9, rows),
        "position": random.geometric(0.2, rows).astype(np.int32),
        "status": random.choice(np.array([200, 301, 404, 500], np.int32), rows, p=[0.94, 0.03, 0.02, 0.01]),
        "size_bytes": random.lognormal(9, 1.5, rows).astype(np.int64).clip(0, 10**9),
        "amount": amount,
        "latency_ms": np.round(random.gamma(2, 40, rows), 1),
        "latitude_deg": np.round(random.uniform(-60, 70, rows), 4),
        "score": random.beta(1, 8, rows),
        "country": random.integers(0, len(COUNTRIES), rows),
        "device": random.integers(0, len(DEVICES), rows),
        "page": random.zipf(1.5, rows) % 400,
        "is_new": random.random(rows) < 0.2,
    }
    utc = pl.Datetime("us", "UTC")
    return pl.DataFrame(columns).with_columns(
        pl.col("event_ts", "received_ts").cast(utc),
        user_id=pl.format("user-{}", pl.col("user_id").cast(pl.String).str.zfill(8)),
        amount=pl.when(pl.col("score") > 0.05).then("amount"),
        country=_named("country", COUNTRIES),
        device=_named("device", DEVICES),
        page=pl.format("/shop/item-{}", "page"),
    )


def _named(column: str, names: tuple[str, ...]) -> "pl.Expr":
    import polars as pl

    return pl.col(column).replace_strict(dict(enumerate(names)), return_dtype=pl.String)
