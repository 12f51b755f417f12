"""Parity of logged online reads with the offline path: what is counted, and what is named as the cause."""

import datetime as dt
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from benchmarks.parity.store import BUGS, FEATURES, TTL_MIN, Store, World, make_world
from lakeline.errors import ColumnsMissingError, KeyTypeError, NotAMomentError
from lakeline.features.equality import Tolerance, is_same, outcome
from lakeline.features.parity import FeatureParity, NothingReadError, Parity, StatusError, parity
from lakeline.features.point_in_time import FeatureSource
from lakeline.features.replaying import replay

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
TIMESTAMP = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(stations=60, days=8, reads=6_000, seed=5)


def stations(world: World) -> FeatureSource:
    return FeatureSource(
        name="stations",
        frame=world.rows,
        entities=("station",),
        event_time="event_ts",
        knowledge_time="known_ts",
        features=FEATURES,
        ttl=dt.timedelta(minutes=TTL_MIN),
    )


def compared(world: World, store: Store) -> Parity:
    log = world.served_by(store)
    return parity(log, [stations(world)], at="at", status={"stations": "status"})


def hourly(values: list[Any], dtype: Any = None, **changes: Any) -> FeatureSource:
    """One value an hour from noon on, of the only origin."""
    frame = pl.DataFrame(
        {
            "origin": ["JFK"] * len(values),
            "event_ts": pl.Series([NOON + n * HOUR for n in range(len(values))], dtype=TIMESTAMP),
            "value": pl.Series(values, dtype=dtype),
        }
    )
    given = FeatureSource(
        name="hourly",
        frame=frame,
        entities=("origin",),
        event_time="event_ts",
        features=("value",),
    )
    return replace(given, **changes)


def log(values: list[Any], dtype: Any = None, minute: int = 30, **columns: Any) -> pl.DataFrame:
    """One read an hour, at a minute of it, with what was served."""
    moments = [NOON + n * HOUR + dt.timedelta(minutes=minute) for n in range(len(values))]
    return pl.DataFrame(
        {
            "origin": ["JFK"] * len(values),
            "at": pl.Series(moments, dtype=TIMESTAMP),
            "value": pl.Series(values, dtype=dtype),
        }
        | columns
    )


def only(found: Parity) -> FeatureParity:
    (feature,) = found.features
    return feature


def cause_of(found: Parity) -> str:
    cause = only(found).cause
    return cause.name if cause else "none"


@pytest.mark.parametrize("bug", BUGS)
def test_a_store_with_a_bug_is_found_and_the_bug_is_named(bug: str, world: World):
    found = compared(world, BUGS[bug]())

    assert found.broken
    named = {one.feature: one.cause.name if one.cause else "none" for one in found.broken}
    assert set(named.values()) == {bug}


def test_a_store_without_a_bug_is_right_in_every_value(world: World):
    served = world.served_by(Store())

    found = compared(world, Store())

    assert found.holds
    assert str(found) == "all 24,000 values of 4 features are equal"
    assert set(served["status"]) == {"present", "missing", "expired"}
    assert served["temp_f"].null_count() > served["status"].is_in(["missing", "expired"]).sum() > 0


def test_replay_gives_what_a_right_store_served(world: World):
    served = world.served_by(Store())

    offline = replay(served, stations(world), at="at")

    assert offline.equals(served.select(FEATURES))


def test_each_kind_of_difference_is_counted():
    found = only(
        parity(log([1.0, 2.5, None, 4.0, 9.0]), [hourly([1.0, 2.0, 3.0, None, 5.0])], at="at")
    )

    assert (found.rows, found.equal, found.differing, found.missing, found.extra) == (5, 1, 2, 1, 1)
    assert (found.max_difference, found.median_difference) == (4.0, 2.25)
    assert found.share_equal == 0.2
    assert found.cause is None
    assert str(found) == (
        "hourly.value: 2 differ, 1 missing, 1 extra of 5 reads; no known cause gives the values served"
    )


def test_an_example_shows_one_wrong_read():
    found = only(parity(log([1.0, 0.0, 3.0]), [hourly([1.0, None, 3.0])], at="at"))

    assert found.cause is not None
    assert found.cause.example == {
        "row": 1,
        "entity": {"origin": "JFK"},
        "at": NOON + 1.5 * HOUR,
        "served": 0.0,
        "offline": None,
    }
    assert str(found) == (
        "hourly.value: 1 extra of 3 reads; default for null: 0.0 is served where there is no value "
        "(explains 100% of the wrong reads)"
    )


@pytest.mark.parametrize(
    ("default", "offline"),
    [(-1, [5, None, 7, None]), ("", ["a", None, "b", None]), (False, [True, None, True, None])],
)
def test_a_default_of_any_type_is_named(default: Any, offline: list[Any]):
    served = [default if one is None else one for one in offline]

    assert cause_of(parity(log(served), [hourly(offline)], at="at")) == "default for null"


def test_a_value_beside_the_defaults_is_no_default():
    assert cause_of(parity(log([5, 17, 7]), [hourly([5, None, 7])], at="at")) == "none"


@pytest.mark.parametrize("hours", [-5, -2, 3])
def test_a_shift_by_hours_is_named_with_its_hours(hours: int):
    values = [float(n * n) for n in range(40)]
    served = [values[n + hours] if 0 <= n + hours < 40 else values[-1] if hours > 0 else None for n in range(40)]  # fmt: skip

    found = only(parity(log(served), [hourly(values)], at="at"))

    assert found.cause is not None
    assert found.cause.name == "time zone"
    assert f"{abs(hours)} h {'later' if hours > 0 else 'earlier'}" in found.cause.detail


def test_a_shift_that_is_also_the_event_before_names_both():
    values = [float(n * n) for n in range(40)]

    found = only(parity(log([None, *values[:-1]]), [hourly(values)], at="at"))

    assert found.cause is not None
    assert {found.cause.name, *found.cause.others} >= {"time zone", "window edge"}


def test_a_clock_with_summer_time_is_named_by_its_zone():
    begin = dt.datetime(2013, 3, 3, tzinfo=dt.UTC)
    moments = pl.Series([begin + n * HOUR for n in range(14 * 24)], dtype=TIMESTAMP)
    values = pl.Series(range(len(moments)), dtype=pl.Int64) ** 2
    frame = pl.DataFrame({"origin": "JFK", "event_ts": moments, "value": values})
    behind = moments.dt.convert_time_zone("America/New_York").dt.replace_time_zone(
        "UTC", non_existent="null"
    )
    served = frame.select("event_ts", "value").rename({"event_ts": "clock"})
    reads = pl.DataFrame({"origin": "JFK", "at": moments, "clock": behind}).join(
        served, on="clock", how="left"
    )

    found = only(parity(reads, [hourly([], frame=frame)], at="at"))

    assert found.cause is not None
    assert found.cause.name == "time zone"
    assert "the clock of America/New_York" in found.cause.detail


def test_a_zone_with_half_an_hour_is_named():
    values = [float(n * n) for n in range(60)]
    minutes = [NOON + n * HOUR / 2 for n in range(60)]
    frame = pl.DataFrame(
        {"origin": "JFK", "event_ts": pl.Series(minutes, dtype=TIMESTAMP), "value": values}
    )
    reads = frame.rename({"event_ts": "at"}).with_columns(pl.col("value").shift(11))

    found = only(parity(reads, [hourly([], frame=frame)], at="at"))

    assert found.cause is not None
    assert found.cause.detail == "values are those of 5.5 h earlier"


def test_a_wide_view_is_explained_too():
    names = [f"f{n}" for n in range(40)]
    values = pl.DataFrame({name: [float(n * n) for n in range(50)] for name in names})
    moments = pl.Series([NOON + n * HOUR for n in range(50)], dtype=TIMESTAMP)
    frame = values.with_columns(origin=pl.lit("JFK"), event_ts=moments)
    source = hourly([], frame=frame, features=tuple(names))
    reads = frame.rename({"event_ts": "at"}).with_columns(pl.col(names).shift(3))

    found = parity(reads, [source], at="at")

    assert {one.cause.name if one.cause else "none" for one in found.features} == {"time zone"}


def test_a_time_that_is_moved_by_hours_is_a_time_zone():
    values = [NOON + n * n * HOUR for n in range(20)]
    served = [one - 5 * HOUR for one in values]

    found = parity(log(served, TIMESTAMP), [hourly(values, TIMESTAMP)], at="at")

    assert cause_of(found) == "time zone"


def test_a_feature_that_was_never_written_is_named():
    found = parity(log([None] * 5, pl.Float64), [hourly([1.0, 2.0, 3.0, 4.0, 5.0])], at="at")

    assert cause_of(found) == "not written"


def test_some_values_that_are_missing_by_chance_have_no_cause():
    values = [float(n * n) for n in range(400)]
    served = [None if n % 37 == 0 else one for n, one in enumerate(values)]

    found = only(parity(log(served), [hourly(values)], at="at"))

    assert (found.missing, found.cause) == (11, None)


def test_a_store_that_drops_values_too_early_is_told_by_their_age():
    source = hourly([float(n * n) for n in range(1, 41)], ttl=HOUR)
    early = log([float(n * n) for n in range(1, 41)], minute=10)
    late = log([None] * 40, pl.Float64, minute=50)

    found = only(parity(pl.concat([early, late]), [source], at="at"))

    assert found.cause is not None
    assert found.cause.name == "TTL"
    assert found.cause.detail == "values from an age of 0:50:00 on are dropped"


def test_a_value_exactly_as_old_as_its_time_to_live_is_an_edge_that_is_told():
    values = [float(n * n) for n in range(1, 41)]
    source = hourly(values, ttl=dt.timedelta(minutes=30))
    served = pl.concat([log([None] * 40, pl.Float64, minute=30), log(values, minute=29)])

    found = only(parity(served, [source], at="at"))

    assert found.cause is not None
    assert found.cause.name == "TTL"


def test_integers_that_were_floats_on_their_way_are_named():
    values = [2**53 + 1 + 2 * n for n in range(5)]
    served = [int(float(one)) for one in values]

    assert cause_of(parity(log(served), [hourly(values)], at="at")) == "float width"


def test_codes_for_texts_are_named_though_the_types_differ():
    texts = ["calm", "rain", "snow", "rain", "calm", "snow"] * 3
    served = [{"calm": 0, "rain": 1, "snow": 2}[one] for one in texts]

    found = only(parity(log(served), [hourly(texts)], at="at"))

    assert found.cause is not None
    assert found.cause.name == "category code"
    assert found.cause.detail == "each value is served under another code, such as 0 for 'calm'"


def test_two_texts_that_are_served_as_one_are_no_code():
    texts = ["calm", "rain", "snow", "rain", "calm", "snow"] * 3

    found = parity(log(["x"] * 18), [hourly(texts)], at="at")

    assert cause_of(found) == "none"


def test_only_present_values_count_as_served():
    reads = log([1.0, 2.0, 3.0], status=["present", "expired", "missing"])

    found = only(parity(reads, [hourly([1.0, 2.0, 3.0])], at="at", status={"hourly": "status"}))

    assert (found.equal, found.missing) == (1, 2)


def test_a_store_is_judged_by_how_far_it_had_been_filled():
    source = hourly([1.0, 2.0, 3.0])
    reads = log([1.0, 1.0, 1.0], filled=pl.Series([NOON] * 3, dtype=TIMESTAMP))

    assert not parity(reads, [source], at="at").holds
    assert parity(reads, [source], at="at", filled={"hourly": "filled"}).holds


def test_ages_are_measured_from_the_read_however_far_the_store_had_been_filled():
    source = hourly([1.0, 2.0, 3.0], ttl=HOUR)
    reads = log([1.0, None, None], filled=pl.Series([NOON] * 3, dtype=TIMESTAMP))

    assert parity(reads, [source], at="at", filled={"hourly": "filled"}).holds


def test_a_view_without_entities_is_compared_too():
    source = hourly([1.0, 2.0, 3.0], entities=())

    assert parity(log([1.0, 2.0, 3.0]), [source], at="at").holds
    assert cause_of(parity(log([0.0, 2.0, 3.0]), [hourly([None, 2.0, 3.0], entities=())], at="at")) == "default for null"  # fmt: skip


def test_a_key_may_have_another_name_in_the_log():
    reads = log([1.0, 2.0]).rename({"origin": "airport"})

    assert parity(reads, [hourly([1.0, 2.0])], at="at", keys={"origin": "airport"}).holds


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ([0.1 + 0.2], [0.3], False),
        ([float("nan")], [None], True),
        ([1], [1.0], True),
        ([2**53 + 1], [float(2**53)], False),
        ([1], [1.5], False),
        ([True], [1], False),
        (["a"], ["b"], False),
        ([[1.0, 2.0]], [[1.0, 2.0]], True),
        ([[1.0, 2.0]], [[1.0, 3.0]], False),
        ([None], [None], True),
    ],
)
def test_values_are_the_same_only_if_they_are_equal(first: Any, second: Any, same: Any):
    assert is_same(pl.Series(first), pl.Series(second)).tolist() == [same]


def test_a_category_is_its_text():
    assert is_same(pl.Series(["a"], dtype=pl.Categorical), pl.Series(["a"])).all()


def test_a_tolerance_in_steps_of_a_double_is_kept_to():
    sums, apart = pl.Series([0.1 + 0.2, 0.3 + 1e-9]), pl.Series([0.3, 0.3])

    assert is_same(sums, apart, Tolerance(ulps=1)).tolist() == [True, False]


def test_a_nan_can_be_a_value_of_its_own():
    nan, null = pl.Series([float("nan")]), pl.Series([None], dtype=pl.Float64)

    assert outcome(nan, null, Tolerance(is_nan_null=False)).extra.all()


def test_an_empty_log_is_no_parity():
    with pytest.raises(NothingReadError) as raised:
        parity(log([]).cast({"value": pl.Float64}), [hourly([1.0])], at="at")
    assert str(raised.value) == (
        "The log of reads of view 'hourly' is empty, and parity was not measured. "
        "Log a share of the reads that are served, or choose a longer window."
    )


def test_an_unknown_status_is_named():
    reads = log([1.0, 2.0], status=["present", "stale"])

    with pytest.raises(StatusError) as raised:
        parity(reads, [hourly([1.0, 2.0])], at="at", status={"hourly": "status"})
    assert str(raised.value) == (
        "The log of reads has 'stale' in status. A status is one of present, missing, expired; "
        "map the store's own words to these."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"at": "when"}, "The log of reads has no column when. It has origin, at, value."),
        ({"filled": {"hourly": "until"}}, "The log of reads has no column until."),
        ({"status": {"hourly": "state"}}, "The log of reads has no column state."),
        ({"keys": {"origin": "airport"}}, "The log of reads has no column airport."),
    ],
)
def test_a_column_that_the_log_lacks_is_named(changes: dict[str, Any], message: str):
    with pytest.raises(ColumnsMissingError) as raised:
        parity(log([1.0]), [hourly([1.0])], **({"at": "at"} | changes))
    assert str(raised.value).startswith(message)


def test_a_feature_that_the_log_lacks_is_named():
    with pytest.raises(ColumnsMissingError, match="The log of reads has no column value"):
        parity(log([1.0]).drop("value"), [hourly([1.0])], at="at")


def test_a_feature_that_the_source_lacks_is_named():
    source = hourly([1.0], features=("value", "gate"))

    with pytest.raises(ColumnsMissingError, match="Feature source 'hourly' has no column gate"):
        parity(log([1.0]).with_columns(gate=1), [source], at="at")


def test_a_moment_without_time_zone_is_refused():
    reads = log([1.0]).with_columns(pl.col("at").dt.replace_time_zone(None))

    with pytest.raises(NotAMomentError):
        parity(reads, [hourly([1.0])], at="at")


def test_a_key_of_another_type_is_refused():
    reads = log([1.0]).with_columns(origin=pl.lit(7))

    with pytest.raises(KeyTypeError, match="hourly"):
        parity(reads, [hourly([1.0])], at="at")
