"""Statistics of features, against the rows that they were made from."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from lakeline.errors import ColumnsMissingError
from lakeline.features.stability import psi
from lakeline.features.statistics import (
    FeatureStatistics,
    MixedStatisticsError,
    NoValuesError,
    merge,
    merge_partitions,
    summarise,
    summarise_column,
)
from lakeline.features.statistics_format import (
    START,
    VERSION,
    CorruptStatisticsError,
    NewerStatisticsError,
    from_bytes,
    to_bytes,
)
from lakeline.monitoring.drift import psi as psi_of_rows

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
ROWS = 40_000


def normal(seed: int, mean: float = 0.0, rows: int = ROWS) -> pl.Series:
    return pl.Series("delay", np.random.default_rng(seed).normal(mean, 1.0, rows))


def partition() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "delay": [1.5, None, float("nan"), -2.0],
            "seats": [100, 100, None, 300],
            "is_late": [True, False, None, True],
            "origin": ["JFK", "EWR", "JFK", None],
            "seen_ts": [NOON, NOON + dt.timedelta(hours=1), None, None],
            "vector": [[1.0], [2.0], None, [3.0]],
        }
    )


def test_counts_nulls_extremes_and_means_are_exact():
    found = summarise(partition())

    delay, seats, late = found["delay"], found["seats"], found["is_late"]
    assert (delay.rows, delay.nulls, delay.minimum, delay.maximum) == (4, 2, -2.0, 1.5)
    assert (delay.mean, delay.null_share) == (-0.25, 0.5)
    assert (seats.mean, seats.minimum, seats.maximum) == (500 / 3, 100.0, 300.0)
    assert round(seats.distinct) == 2
    assert late.mean == pytest.approx(2 / 3)


def test_a_time_is_measured_in_seconds_since_1970():
    seen = summarise(partition())["seen_ts"]

    assert seen.kind == "time"
    assert seen.minimum == NOON.timestamp()
    assert seen.maximum == NOON.timestamp() + 3600


def test_a_text_has_its_most_frequent_values_and_no_quantiles():
    origin = summarise(partition())["origin"]

    assert origin.top() == (("JFK", 2), ("EWR", 1))
    assert origin.mean is None
    with pytest.raises(NoValuesError) as raised:
        origin.quantile(0.5)
    assert str(raised.value) == "Feature origin has no quantiles: its values are text."


def test_a_list_has_rows_and_nulls_alone():
    vector = summarise(partition())["vector"]

    assert (vector.kind, vector.rows, vector.nulls) == ("other", 4, 1)
    assert (vector.distinct, vector.mean, vector.top()) == (0.0, None, ())


def test_a_partition_without_values_says_so():
    empty = summarise_column(pl.Series("delay", [None, None], dtype=pl.Float64))

    assert (empty.null_share, empty.mean, empty.minimum) == (1.0, None, None)
    with pytest.raises(NoValuesError, match="all of its rows are null"):
        empty.quantile(0.5)


def test_a_partition_without_rows_has_no_share_of_nulls():
    empty = summarise_column(pl.Series("delay", [], dtype=pl.Float64))

    assert (empty.rows, empty.null_share, empty.mean) == (0, 0.0, None)


def test_quantiles_lie_within_the_stated_error_of_the_rows():
    values = normal(1)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)

    found = summarise_column(values).quantile(*shares)

    ranks = [(values <= one).sum() / ROWS for one in found]
    assert np.abs(np.array(ranks) - shares).max() < 0.01


def test_distinct_values_lie_within_the_stated_error():
    ids = pl.Series("id", np.arange(200_000))

    assert summarise_column(ids).distinct == pytest.approx(200_000, rel=0.06)


def test_merged_days_are_as_good_as_all_rows_at_once():
    days = [normal(seed, mean=seed / 10, rows=2_000) for seed in range(20)]
    whole = pl.concat(days)

    found, expected = merge(summarise_column(day) for day in days), summarise_column(whole)

    assert (found.rows, found.nulls) == (expected.rows, expected.nulls)
    assert found.mean == pytest.approx(expected.mean)
    assert (found.minimum, found.maximum) == (expected.minimum, expected.maximum)
    assert found.distinct == pytest.approx(ROWS, rel=0.06)
    ranks = [(whole <= one).sum() / ROWS for one in found.quantile(0.1, 0.5, 0.9)]
    assert np.abs(np.array(ranks) - [0.1, 0.5, 0.9]).max() < 0.01


def test_merged_texts_add_up():
    parts: list[list[str | None]] = [["a", "b", "a"], ["b", "b", None]]

    found = merge(summarise_column(pl.Series("code", part)) for part in parts)

    assert found.top() == (("b", 3), ("a", 2))
    assert (found.rows, found.nulls, round(found.distinct)) == (6, 1, 2)


def test_a_feature_may_be_absent_from_some_partitions():
    first, second = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2], "b": [3]})

    found = merge_partitions(summarise(part) for part in (first, second))

    assert {name: one.rows for name, one in found.items()} == {"a": 2, "b": 1}


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.25])
def test_the_stability_index_is_that_of_the_rows(shift: float):
    reference, current = normal(1), normal(2, mean=shift)

    found = psi(summarise_column(reference), summarise_column(current))

    assert found == pytest.approx(psi_of_rows(reference, current), abs=0.01)


def test_the_stability_index_of_texts_and_nulls_is_that_of_the_rows():
    codes = np.random.default_rng(0)
    reference = pl.Series("code", codes.choice(["a", "b", "c"], 5_000, p=[0.6, 0.3, 0.1]).tolist())
    current = pl.Series("code", codes.choice(["a", "b", ""], 5_000, p=[0.2, 0.4, 0.4]).tolist())
    current = current.replace("", None)

    found = psi(summarise_column(reference), summarise_column(current))

    assert found == pytest.approx(psi_of_rows(reference, current), rel=1e-6)
    assert found > 0.5


def test_values_that_vanish_move_the_index_as_far_as_in_the_rows():
    reference, current = normal(1, rows=100), pl.Series("delay", [None] * 100, dtype=pl.Float64)

    found = psi(summarise_column(reference), summarise_column(current))

    assert found > 5


def test_an_index_of_no_rows_is_refused():
    empty = summarise_column(pl.Series("delay", [], dtype=pl.Float64))

    with pytest.raises(NoValuesError) as raised:
        psi(summarise_column(normal(1)), empty)
    assert str(raised.value) == "Feature delay has no stability index: there are no rows."


def test_statistics_survive_their_bytes():
    statistics = summarise(partition())

    found = from_bytes(to_bytes(statistics))

    assert found == statistics
    assert found["delay"].quantile(0.5) == statistics["delay"].quantile(0.5)


def test_a_day_of_a_feature_takes_a_few_kilobytes():
    assert len(to_bytes({"delay": summarise_column(normal(1))})) < 14_000


def test_two_features_do_not_add_up():
    other = summarise_column(normal(1).alias("seats"))

    with pytest.raises(MixedStatisticsError) as raised:
        merge([summarise_column(normal(1)), other])
    assert str(raised.value) == (
        "Statistics of delay (float) and of seats (float) cannot be taken together. Merge those of one "
        "feature with one type; where its type has changed, build its older partitions again."
    )


def test_a_feature_whose_type_changed_does_not_add_up():
    whole = summarise_column(pl.Series("delay", [1, 2]))

    with pytest.raises(MixedStatisticsError, match=r"delay \(float\) and of delay \(integer\)"):
        psi(summarise_column(normal(1)), whole)


def test_nothing_cannot_be_merged():
    none: list[FeatureStatistics] = []
    with pytest.raises(ValueError, match="there are no statistics to merge"):
        merge(none)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(
        ColumnsMissingError, match=r"The partition has no column gate\. It has delay"
    ):
        summarise(partition(), ["gate"])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"LK", "there are only 2"),
        (b"PAR1" + bytes(20), "they do not begin as such"),
        (to_bytes(summarise(partition()))[:-1], "bytes of sketches where"),
        (to_bytes(summarise(partition()))[:40], "their header is cut off"),
        (START.pack(b"LKST", VERSION, 2) + b"[{", "their header cannot be read"),
    ],
)
def test_bytes_that_are_no_statistics_are_refused(data: bytes, why: str):
    with pytest.raises(CorruptStatisticsError) as raised:
        from_bytes(data)
    assert why in str(raised.value)
    assert str(raised.value).endswith("Build the partition again to measure it anew.")


def test_statistics_of_a_newer_lakeline_are_refused():
    with pytest.raises(NewerStatisticsError) as raised:
        from_bytes(START.pack(b"LKST", 9, 2) + b"[]")
    assert str(raised.value) == (
        "Feature statistics have version 9, and this lakeline reads up to 1. "
        "Update lakeline, or build the partition again with this one."
    )
