"""Feature views: what was known of an airport, an airline and the weather at each moment."""

import datetime as dt
from typing import TYPE_CHECKING

from assets.flights.clean import departures_clean, weather_clean
from assets.flights.contracts import (
    ORIGINS,
    CarrierPunctuality,
    OriginBacklog,
    ScheduleParts,
    WeatherAtOrigin,
)
from assets.flights.domain import flights
from lakeline.domain import Table, past
from lakeline.window import Window, day_start

if TYPE_CHECKING:
    import polars as pl

BACKLOG_EVERY = dt.timedelta(minutes=15)
BACKLOG_OVER = dt.timedelta(hours=3)
PUNCTUALITY_AT = dt.timedelta(hours=9)


@flights.feature_view(
    contract=OriginBacklog,
    reads=[past(departures_clean, days=2)],
    entities=["origin"],
    ttl="6h",
    online=True,
    fresh="48h",
)
def origin_backlog(window: Window, departures: Table) -> "pl.DataFrame":
    """Mean delay of the flights that really left an origin in the three hours before, each quarter of an hour.

    A delay is known when the flight has left. Flights of the next UTC day that left before midnight are not counted.
    """
    import polars as pl

    left = (
        departures.read(columns=["origin", "departed_ts", "dep_delay_min"])
        .drop_nulls("departed_ts")
        .collect()
    )
    seen = (
        left.sort("departed_ts")
        .group_by_dynamic(
            "departed_ts",
            every=BACKLOG_EVERY,
            period=BACKLOG_OVER,
            closed="right",
            label="right",
            group_by="origin",
        )
        .agg(mean_dep_delay_min=pl.col("dep_delay_min").mean(), departures=pl.len().cast(pl.Int64))
    )
    grid = pl.DataFrame({"origin": ORIGINS}).join(
        pl.DataFrame(
            {
                "event_ts": pl.datetime_range(
                    window.start, window.end, BACKLOG_EVERY, closed="left", eager=True
                )
            }
        ),
        how="cross",
    )
    filled = grid.with_columns(pl.col("event_ts").cast(pl.Datetime("us", "UTC"))).join(
        seen, left_on=["origin", "event_ts"], right_on=["origin", "departed_ts"], how="left"
    )
    return filled.with_columns(known_ts="event_ts", departures=pl.col("departures").fill_null(0))


@flights.feature_view(
    contract=CarrierPunctuality,
    reads=[past(departures_clean, days=9)],
    entities=["carrier"],
    ttl="2d",
    online=True,
    fresh="48h",
)
def carrier_punctuality(window: Window, departures: Table) -> "pl.DataFrame":
    """Share of an airline's landings that were late, the day and the seven days before 09:00 UTC."""
    import polars as pl

    # Diverted flights have no arrival delay and cancelled ones never land: neither is late or on time.
    landed = (
        departures.read(columns=["carrier", "known_ts", "is_late"])
        .drop_nulls(["is_late", "known_ts"])
        .collect()
    )
    days = []
    for key in window.partitions:
        at = day_start(key) + PUNCTUALITY_AT
        week = landed.filter(
            pl.col("known_ts") < at, pl.col("known_ts") >= at - dt.timedelta(days=7)
        )
        is_last_day = pl.col("known_ts") >= at - dt.timedelta(days=1)
        days.append(
            week.group_by("carrier").agg(
                late_share_1d=pl.col("is_late").filter(is_last_day).mean(),
                late_share_7d=pl.col("is_late").mean(),
                landings_7d=pl.len().cast(pl.Int64),
                event_ts=pl.lit(at).cast(pl.Datetime("us", "UTC")),
                known_ts=pl.lit(at).cast(pl.Datetime("us", "UTC")),
            )
        )
    return pl.concat(days)


@flights.feature_view(
    contract=WeatherAtOrigin,
    reads=[weather_clean],
    entities=["origin"],
    ttl="6h",
    online=True,
    fresh="48h",
)
def weather_at_origin(window: Window, weather: Table) -> "pl.LazyFrame":
    """The hourly weather of an origin, known an hour after the report."""
    return weather.read(columns=list(WeatherAtOrigin.columns))


@flights.on_demand_view(
    contract=ScheduleParts, request={"event_ts": dt.datetime, "origin": str, "dest": str}
)
def schedule_parts(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Hour, minute of the day and weekday in New York, where all of these flights leave, and the route."""
    import polars as pl

    local = pl.col("event_ts").dt.convert_time_zone("America/New_York")
    hour = local.dt.hour().cast(pl.Int64)
    return rows.select(
        local_hour=hour,
        local_minute=hour * 60 + local.dt.minute(),
        weekday=local.dt.weekday().cast(pl.Int64),
        route=pl.concat_str("origin", "dest", separator="-"),
    )
