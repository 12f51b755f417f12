"""Features of a request: the same value whatever the other rows are, in training, by Feast's API and computed alone."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.domain import Daily, Domain, Features
from lakeline.features.on_demand import RequestValueError
from lakeline.lake.read import scan_polars
from lakeline.resource import Lakehouse
from lakeline.window import Window
from tests.shop import lakehouse, run

DAY = "2024-03-01"
LONG = 2**53 + 1
"""An integer that no float holds."""


class Route(Contract, version="1.0"):
    """What follows from a request."""

    route: str | None = column("Number and river")
    twice: int | None = column("Twice the number")
    hour: int = column("Hour of the request", unit="h")


class Ride(Contract, version="1.0"):
    """One row a ride."""

    event_timestamp: dt.datetime = column("When it begins", event_time=True, key=True)
    river: str = column("Name", key=True)
    route: str | None = column("Number and river")
    twice: int | None = column("Twice the number")
    hour: int = column("Hour of the request", unit="h")


REQUEST: Any = {"event_timestamp": dt.datetime, "river": str, "number": int}


def new_domain() -> Domain:
    return Domain("rides", owner="team:water", partitions=Daily(DAY, until="2024-04-01"))


@new_domain().on_demand_view(contract=Route, request=REQUEST)
def route_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Of a request."""
    return rows.select(
        route=pl.concat_str(pl.col("number").cast(pl.String), "river", separator="-"),
        twice=pl.col("number") * 2,
        hour=pl.col("event_timestamp").dt.hour().cast(pl.Int64),
    )


def requests(*numbers: int | None, hour: int = 9) -> pl.DataFrame:
    """A request a number, a minute apart."""
    start = dt.datetime.fromisoformat(f"{DAY}T{hour:02}:00+00:00")
    return pl.DataFrame(
        {
            "event_timestamp": [start + dt.timedelta(minutes=i) for i in range(len(numbers))],
            "river": ["Elbe"] * len(numbers),
            "number": list(numbers),
        },
        schema={
            "event_timestamp": pl.Datetime("us", "UTC"),
            "river": pl.String,
            "number": pl.Int64,
        },
    )


def rides(folder: Path, rows: pl.DataFrame) -> tuple[Lakehouse, pl.DataFrame]:
    """A table that joins the features two hours before each ride."""
    domain = new_domain()
    domain.on_demand.append(route_of)

    @domain.table(contract=Ride, features=[route_of])
    def taken(window: Window, features: Features) -> pl.DataFrame:
        """Rides with their route."""
        decided = rows.with_columns(decision_ts=pl.col("event_timestamp").dt.offset_by("-2h"))
        return features.join(decided, at="decision_ts").select(list(Ride.columns))

    domain.complete()
    house = lakehouse(folder)
    done = run(domain.assets, house, DAY)
    assert done.success, done.error
    return house, scan_polars(house.lake.load("rides.taken")).collect().sort("event_timestamp")


def test_an_integer_stays_one_beside_a_row_without(tmp_path: Path) -> None:
    _, found = rides(tmp_path, requests(5, LONG, None))
    assert found["route"].to_list() == ["5-Elbe", f"{LONG}-Elbe", None]
    assert found["twice"].to_list() == [10, 2 * LONG, None]
    assert found.select(list(Route.columns)).equals(route_of.compute(requests(5, LONG, None)))


def test_a_request_called_event_timestamp_is_not_the_time_of_the_decision(tmp_path: Path) -> None:
    _, found = rides(tmp_path, requests(5, hour=9))
    assert found["hour"].to_list() == [9]


def test_feast_computes_the_same_offline_and_online(tmp_path: Path) -> None:
    from lakeline.domain.feast.project import store_of

    rows = requests(5, None)
    house, _ = rides(tmp_path, rows)
    expected = route_of.compute(rows).to_dict(as_series=False)
    store, names = store_of(house, "rides"), [f"route_of:{name}" for name in Route.columns]
    job = store.get_historical_features(entity_df=rows.to_arrow(), features=names)
    assert job.to_arrow().select(list(Route.columns)).to_pydict() == expected
    found = store.get_online_features(features=names, entity_rows=rows.to_dicts()).to_dict()
    assert {name: found[name] for name in Route.columns} == expected


def test_a_function_is_given_the_types_of_its_request() -> None:
    plain = requests(5, None)
    gaps = pl.DataFrame(pl.from_pandas(plain.to_pandas()))
    assert gaps.schema["number"] == pl.Float64
    small = plain.cast({"number": pl.Int16, "river": pl.Categorical})
    local = plain.with_columns(pl.col("event_timestamp").dt.convert_time_zone("Asia/Tokyo"))
    nothing = requests(None).cast({"number": pl.Null})
    for rows in (gaps, small, local):
        assert route_of.compute(rows).equals(route_of.compute(plain))
    assert route_of.compute(nothing)["twice"].to_list() == [None]


@pytest.mark.parametrize(
    ("column_of", "told"),
    [
        ({"number": [5.5]}, "wants 'number' as int, and some of its Float64 values are none"),
        ({"number": ["five"]}, "wants 'number' as int, and some of its String values are none"),
        ({"number": [float(LONG)]}, "wants 'number' as int"),
        ({"event_timestamp": [1709283600]}, "wants 'event_timestamp' as datetime"),
    ],
)
def test_a_value_of_another_type_is_named(column_of: dict[str, list[Any]], told: str) -> None:
    rows = requests(5).with_columns(**{name: pl.Series(values) for name, values in column_of.items()})  # fmt: skip
    with pytest.raises(RequestValueError, match=f"On-demand view 'route_of' {told}"):
        route_of.compute(rows)


def test_an_integer_that_pandas_rounded_is_refused_and_not_computed_from() -> None:
    from lakeline.domain.feast.computing import compute_on_pandas

    frame: pd.DataFrame = requests(LONG, None).to_pandas()
    with pytest.raises(RequestValueError, match="wants 'number' as int"):
        compute_on_pandas(__name__, "route_of", frame)
