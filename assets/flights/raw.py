"""Raw tables: what the archive publishes, typed and keyed, nothing left out."""

from typing import TYPE_CHECKING

from assets.flights.archive import FlightArchive
from assets.flights.contracts import Airline, Airport, Departure, Plane, Weather
from assets.flights.domain import flights
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl


@flights.table(contract=Departure, source=FlightArchive, fresh="48h")
def departures(window: Window, archive: FlightArchive) -> "pl.DataFrame":
    """Scheduled departures from New York's three airports, one row each, partitioned by ``days(event_ts)``."""
    import polars as pl

    return archive.flights(window).select(
        "event_ts",
        "carrier",
        "flight",
        "origin",
        "dest",
        "known_ts",
        "tailnum",
        dep_delay_min="dep_delay",
        arr_delay_min="arr_delay",
        air_time_min="air_time",
        distance_mi="distance",
        is_departed=pl.when(pl.col("known_ts").is_not_null()).then(
            pl.col("dep_time").is_not_null()
        ),
    )


@flights.table(contract=Weather, source=FlightArchive, fresh="48h", empty="warn")
def weather(window: Window, archive: FlightArchive) -> "pl.DataFrame":
    """Hourly weather reports at the three origins, one row a report, partitioned by ``days(event_ts)``."""
    return archive.weather(window).select(
        "event_ts",
        "origin",
        "observed_ts",
        "line",
        temp_f="temp",
        dewpoint_f="dewp",
        humidity_pct="humid",
        wind_dir_deg="wind_dir",
        wind_speed_mph="wind_speed",
        wind_gust_mph="wind_gust",
        precip_in="precip",
        pressure_hpa="pressure",
        visibility_mi="visib",
    )


@flights.table(contract=Plane, source=FlightArchive, daily=False)
def planes(archive: FlightArchive) -> "pl.DataFrame":
    """Planes with a registration in the United States, one row a plane."""
    return archive.reference("planes").select(
        "tailnum", "manufacturer", "model", "engines", "seats", built_year="year", kind="type"
    )


@flights.table(contract=Airport, source=FlightArchive, daily=False)
def airports(archive: FlightArchive) -> "pl.DataFrame":
    """Airports of the United States, one row an airport."""
    return archive.reference("airports").select(
        "faa", "name", latitude_deg="lat", longitude_deg="lon", altitude_ft="alt", zone="tzone"
    )


@flights.table(contract=Airline, source=FlightArchive, daily=False)
def airlines(archive: FlightArchive) -> "pl.DataFrame":
    """Airlines that fly from New York, one row an airline."""
    return archive.reference("airlines").select("carrier", "name")
