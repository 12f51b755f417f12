"""What each table of the flights domain promises."""

import datetime as dt

from lakeline.contract import Contract, column

ORIGINS = ("EWR", "JFK", "LGA")


class Departure(Contract, version="1.0"):
    """One row a scheduled departure, as the airlines reported it."""

    event_ts: dt.datetime = column("Scheduled departure", event_time=True, key=True)
    carrier: str = column("Airline, IATA code", key=True)
    flight: int = column("Flight number", key=True, gt=0)
    origin: str = column("Airport of departure, IATA code", key=True, isin=ORIGINS)
    dest: str = column("Airport of arrival, IATA code", key=True)
    known_ts: dt.datetime | None = column(
        "When the outcome was known; null while it is not", knowledge_time=True
    )
    tailnum: str | None = column("Plane's registration")
    dep_delay_min: float | None = column(
        "Actual minus scheduled departure", unit="min", ge=-120, le=2880
    )
    arr_delay_min: float | None = column(
        "Actual minus scheduled arrival", unit="min", ge=-180, le=2880
    )
    air_time_min: float | None = column("Time in the air", unit="min", gt=0, le=1200)
    distance_mi: float = column("Distance between the airports", unit="mi", gt=0, le=6000)
    is_departed: bool | None = column("Whether it left; null while that is not known")


class Weather(Contract, version="1.0", duplicates="warn"):
    """One row a report of an airport's weather station, keyed by New York's wall clock as the source keys it.

    The hour that comes twice when summer time ends has two rows of one key: flagged here, told apart in the clean table.
    """

    event_ts: dt.datetime = column(
        "Hour of the report by the local clock", event_time=True, key=True
    )
    origin: str = column("Airport, IATA code", key=True, isin=ORIGINS)
    observed_ts: dt.datetime = column(
        "Hour of the report in UTC, as the source states it beside the local one"
    )
    line: int = column("Line of the source file", ge=2)
    temp_f: float | None = column("Temperature", unit="degF", ge=-40, le=130)
    dewpoint_f: float | None = column("Dew point", unit="degF", ge=-60, le=100)
    humidity_pct: float | None = column("Relative humidity", unit="%", ge=0, le=100)
    wind_dir_deg: float | None = column(
        "Direction that the wind comes from", unit="deg", ge=0, le=360
    )
    wind_speed_mph: float | None = column("Wind speed", unit="mph", ge=0, le=200, on_fail="warn")
    wind_gust_mph: float | None = column("Gust speed; null without gusts", unit="mph", ge=0, le=250)
    precip_in: float | None = column("Precipitation in the hour", unit="in", ge=0, le=10)
    pressure_hpa: float | None = column("Pressure at sea level", unit="hPa", ge=900, le=1100)
    visibility_mi: float | None = column("Visibility", unit="mi", ge=0, le=100)


class Plane(Contract, version="1.0"):
    """One row a plane that was registered in the United States."""

    tailnum: str = column("Registration", key=True)
    built_year: int | None = column("Year of manufacture", ge=1920, le=2100, on_fail="blank")
    kind: str | None = column("Type of aircraft")
    manufacturer: str | None = column("Manufacturer")
    model: str | None = column("Model")
    engines: int | None = column("Number of engines", ge=1, le=8)
    seats: int | None = column("Number of seats", ge=1, le=900)


class Airport(Contract, version="1.0"):
    """One row an airport of the United States."""

    faa: str = column("FAA code", key=True)
    name: str = column("Name")
    latitude_deg: float = column("Latitude", unit="deg", ge=-90, le=90)
    longitude_deg: float = column("Longitude", unit="deg", ge=-180, le=180)
    altitude_ft: int | None = column("Altitude", unit="ft", ge=-300, le=15000)
    zone: str | None = column("IANA time zone")


class Airline(Contract, version="1.0"):
    """One row an airline."""

    carrier: str = column("IATA code", key=True)
    name: str = column("Name")


class DepartureClean(Contract, version="1.0"):
    """One row a scheduled departure, with its label, the parts of its delay, and when each was known."""

    event_ts: dt.datetime = column("Scheduled departure", event_time=True, key=True)
    carrier: str = column("Airline, IATA code", key=True)
    flight: int = column("Flight number", key=True)
    origin: str = column("Airport of departure, IATA code", key=True, isin=ORIGINS)
    dest: str = column("Airport of arrival, IATA code", key=True)
    known_ts: dt.datetime | None = column(
        "When the outcome was known: the landing", knowledge_time=True
    )
    carrier_name: str | None = column("Airline's name")
    local_hour: int = column("Scheduled hour by New York's clock", unit="h", ge=0, le=23)
    local_minute: int = column(
        "Scheduled minute of the day by New York's clock", unit="min", ge=0, le=1439
    )
    weekday: int = column("Day of the week by New York's calendar, Monday is 1", ge=1, le=7)
    distance_mi: float = column("Distance between the airports", unit="mi", gt=0)
    seats: int | None = column("Seats of the plane, where it is known")
    plane_age_y: int | None = column("Age of the plane, where it is known", unit="y", ge=0, le=93)
    departed_ts: dt.datetime | None = column("When it really left")
    dep_delay_min: float | None = column("Actual minus scheduled departure", unit="min")
    enroute_delay_min: float | None = column(
        "Part of the arrival's delay that came after leaving", unit="min"
    )
    arr_delay_min: float | None = column("Actual minus scheduled arrival", unit="min")
    is_cancelled: bool = column("Whether it never left, as far as is known")
    is_late: bool | None = column(
        "Label: arrived more than 15 minutes late; null where it did not arrive"
    )


class WeatherClean(Contract, version="1.0"):
    """One row an hour and origin, keyed by UTC, without values that cannot be.

    Rule for the hour that comes twice when summer time ends: the source's own UTC hour tells the two reports apart.
    """

    event_ts: dt.datetime = column("Hour of the report", event_time=True, key=True)
    origin: str = column("Airport, IATA code", key=True, isin=ORIGINS)
    known_ts: dt.datetime = column(
        "When the report can be read: an hour after", knowledge_time=True
    )
    temp_f: float | None = column("Temperature", unit="degF")
    dewpoint_f: float | None = column("Dew point", unit="degF")
    humidity_pct: float | None = column("Relative humidity", unit="%", ge=0, le=100)
    wind_speed_mph: float | None = column(
        "Wind speed; above 200 mph it is removed and the row kept in quarantine",
        unit="mph",
        ge=0,
        le=200,
        on_fail="blank",
    )
    precip_in: float | None = column("Precipitation in the hour", unit="in", ge=0)
    pressure_hpa: float | None = column("Pressure at sea level", unit="hPa")
    visibility_mi: float | None = column("Visibility", unit="mi", ge=0)


class OriginBacklog(Contract, version="1.0"):
    """How late an airport runs: one row a quarter of an hour and origin."""

    event_ts: dt.datetime = column("End of the three hours looked at", event_time=True, key=True)
    origin: str = column("Airport, IATA code", key=True)
    known_ts: dt.datetime = column(
        "A departure's delay is known when it leaves", knowledge_time=True
    )
    mean_dep_delay_min: float | None = column(
        "Mean delay of the flights that left in the 3 h before", unit="min"
    )
    departures: int = column("Flights that left in the 3 h before", ge=0)


class CarrierPunctuality(Contract, version="1.0"):
    """How late an airline runs: one row a day and carrier, at 09:00 UTC, before the first departures."""

    event_ts: dt.datetime = column("09:00 UTC of the day", event_time=True, key=True)
    carrier: str = column("Airline, IATA code", key=True)
    known_ts: dt.datetime = column("Counts only landings before", knowledge_time=True)
    late_share_1d: float | None = column(
        "Share of landings more than 15 min late, 24 h before", ge=0, le=1
    )
    late_share_7d: float | None = column(
        "Share of landings more than 15 min late, 7 days before", ge=0, le=1
    )
    landings_7d: int = column("Landings of the 7 days before", ge=0)


class WeatherAtOrigin(Contract, version="1.0"):
    """The latest weather of an airport: one row an hour and origin."""

    event_ts: dt.datetime = column("Hour of the report", event_time=True, key=True)
    origin: str = column("Airport, IATA code", key=True)
    known_ts: dt.datetime = column("When the report can be read", knowledge_time=True)
    temp_f: float | None = column("Temperature", unit="degF")
    humidity_pct: float | None = column("Relative humidity", unit="%")
    wind_speed_mph: float | None = column("Wind speed", unit="mph")
    precip_in: float | None = column("Precipitation in the hour", unit="in")
    pressure_hpa: float | None = column("Pressure at sea level", unit="hPa")
    visibility_mi: float | None = column("Visibility", unit="mi")


class ScheduleParts(Contract, version="1.0"):
    """What follows from the schedule alone: New York's clock and calendar, and the route."""

    local_hour: int = column("Scheduled hour by New York's clock", unit="h", ge=0, le=23)
    local_minute: int = column(
        "Scheduled minute of the day by New York's clock", unit="min", ge=0, le=1439
    )
    weekday: int = column("Day of the week by New York's calendar, Monday is 1", ge=1, le=7)
    route: str = column("Origin and destination, such as JFK-LAX")


class TrainingRow(Contract, version="1.1"):
    """One row a scheduled departure with its features as they were known two hours before, and the label."""

    event_ts: dt.datetime = column("Scheduled departure", event_time=True, key=True)
    carrier: str = column("Airline, IATA code", key=True)
    flight: int = column("Flight number", key=True)
    origin: str = column("Airport of departure, IATA code", key=True)
    dest: str = column("Airport of arrival, IATA code", key=True)
    decision_ts: dt.datetime = column("Two hours before departure, when the prediction is due")
    known_ts: dt.datetime | None = column("When the label was known", knowledge_time=True)
    local_hour: int = column("Scheduled hour by New York's clock", unit="h")
    local_minute: int = column("Scheduled minute of the day by New York's clock", unit="min")
    weekday: int = column("Day of the week, Monday is 1")
    route: str = column("Origin and destination")
    distance_mi: float = column("Distance between the airports", unit="mi")
    seats: int | None = column("Seats of the plane")
    plane_age_y: int | None = column("Age of the plane", unit="y")
    mean_dep_delay_min: float | None = column(
        "Mean delay of the flights that left the origin in 3 h", unit="min"
    )
    departures: int | None = column("Flights that left the origin in 3 h")
    late_share_1d: float | None = column("Carrier's share of late landings, 24 h")
    late_share_7d: float | None = column("Carrier's share of late landings, 7 days")
    landings_7d: int | None = column("Carrier's landings, 7 days")
    temp_f: float | None = column("Temperature at the origin", unit="degF")
    humidity_pct: float | None = column("Relative humidity at the origin", unit="%")
    wind_speed_mph: float | None = column("Wind speed at the origin", unit="mph")
    precip_in: float | None = column("Precipitation at the origin", unit="in")
    pressure_hpa: float | None = column("Pressure at the origin", unit="hPa")
    visibility_mi: float | None = column("Visibility at the origin", unit="mi")
    is_late: bool | None = column("Label: arrived more than 15 minutes late")


class Prediction(Contract, version="1.0"):
    """One row a scheduled departure with the champion's score."""

    event_ts: dt.datetime = column("Scheduled departure", event_time=True, key=True)
    carrier: str = column("Airline, IATA code", key=True)
    flight: int = column("Flight number", key=True)
    origin: str = column("Airport of departure, IATA code", key=True)
    dest: str = column("Airport of arrival, IATA code", key=True)
    decision_ts: dt.datetime = column("Two hours before departure, when the prediction was due")
    score: float = column("Probability of arriving more than 15 minutes late", ge=0, le=1)
    model_digest: str = column("Which model gave the score")
