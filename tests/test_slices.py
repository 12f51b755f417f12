"""Quality within parts of the rows: what is a part, what each is measured at, and where a baseline is better."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from lakeline.errors import ColumnsMissingError
from lakeline.models.evaluation import evaluate
from lakeline.models.intervals import Draws
from lakeline.models.slices import Slice, parts, slice_rows
from lakeline.models.training_set import TrainingSet

START = dt.datetime(2024, 2, 20, tzinfo=dt.UTC)
DAYS, A_DAY = 20, 60


def rows(**columns: list[object]) -> TrainingSet:
    """Twenty days around the end of February; the carriers in turn, and labels that the score of a carrier decides."""
    draw = np.random.default_rng(0)
    count = DAYS * A_DAY
    frame = pl.DataFrame(
        {
            "at": [START + dt.timedelta(minutes=24 * i) for i in range(count)],
            "carrier": [("AA", "AA", "AA", "BB", "BB", "CC")[i % 6] for i in range(count)],
            "miles": np.arange(count, dtype=float),
            "late": draw.random(count) < 0.3,
            **columns,
        }
    )
    return TrainingSet(
        frame=frame,
        features=("carrier", "miles"),
        categorical=("carrier",),
        label="late",
        at="at",
        start=START,
        end=START + dt.timedelta(days=DAYS),
    )


def sliced(
    given: TrainingSet, scores: np.ndarray, *columns: str, least_rows: int = 100
) -> dict[str, Slice]:
    draws = Draws.of(given.frame["at"].dt.date(), resamples=200)
    baseline = {"share": np.full(given.frame.height, 0.3)}
    found = slice_rows(given, scores, baseline, draws, columns=columns, least_rows=least_rows)
    return {str(one): one for one in found}


def test_each_part_is_measured_as_its_rows_alone_are() -> None:
    given, scores = rows(), np.random.default_rng(1).random(DAYS * A_DAY)
    found = sliced(given, scores, "carrier")
    assert [one.rows for one in found.values()] == [600, 400, 200]
    for name in ("AA", "BB", "CC"):
        is_in = (given.frame["carrier"] == name).to_numpy()
        alone, one = evaluate(given.labels()[is_in], scores[is_in]), found[f"carrier {name}"]
        assert one.auc.value == pytest.approx(alone.auc)
        assert one.brier.value == pytest.approx(alone.brier)
        assert one.calibration_gap.value == pytest.approx(alone.calibration_gap)
        assert one.share == alone.share
        assert one.brier.low < one.brier.value < one.brier.high
        assert one.gain.value == pytest.approx(
            evaluate(given.labels()[is_in], np.full(is_in.sum(), 0.3)).brier - alone.brier
        )


def test_a_part_in_which_a_baseline_is_surely_better_is_worse_and_others_are_not() -> None:
    given = rows()
    is_bad = (given.frame["carrier"] == "BB").to_numpy()
    labels = given.labels()
    scores = np.where(is_bad, 1 - labels, labels) * 0.8 + 0.1
    found = sliced(given, scores, "carrier")
    assert {name for name, one in found.items() if one.is_worse} == {"carrier BB"}
    assert found["carrier BB"].auc.value == 0
    assert found["carrier AA"].auc.value == 1


def test_parts_of_few_rows_are_put_together_unless_there_is_one_alone() -> None:
    given = rows()
    assert set(parts(given, "carrier", 300)) == {"AA", "BB", "CC"}
    assert set(parts(given, "carrier", 500)) == {"AA", "others (2)"}
    assert (parts(given, "carrier", 500) == "others (2)").sum() == 600


def test_month_weekday_and_hour_come_from_the_time_of_the_decision() -> None:
    given = rows()
    assert set(parts(given, "month", 1)) == {"2024-02", "2024-03"}
    assert parts(given, "weekday", 1)[0] == "2 Tue"
    assert parts(given, "hour", 1)[5] == "02:00"
    with_month = rows(month=[7] * (DAYS * A_DAY))
    assert set(parts(with_month, "month", 1)) == {"7"}


def test_a_column_of_many_numbers_is_cut_at_its_quartiles_and_nulls_are_a_part() -> None:
    values: list[object] = [None, *map(float, range(DAYS * A_DAY - 1))]
    found = parts(rows(miles=values), "miles", 1).value_counts(sort=True)
    assert found["miles"].to_list()[-1] == "null"
    assert found["miles"].n_unique() == 5
    assert set(found["count"].to_list()[:4]) <= {299, 300}


def test_a_column_that_makes_one_part_alone_is_left_out() -> None:
    given = rows(carrier=["AA"] * (DAYS * A_DAY))
    assert sliced(given, np.full(DAYS * A_DAY, 0.3), "carrier", "hour", least_rows=30) != {}
    assert sliced(given, np.full(DAYS * A_DAY, 0.3), "carrier") == {}


def test_a_part_with_one_kind_of_label_has_no_ranking_but_a_brier_score() -> None:
    given = rows(late=[i % 6 == 5 for i in range(DAYS * A_DAY)])
    found = sliced(given, np.full(DAYS * A_DAY, 0.3), "carrier")["carrier CC"]
    assert math.isnan(found.auc.value)
    assert found.brier.value == pytest.approx(0.49)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ColumnsMissingError, match="no column carier"):
        parts(rows(), "carier")
