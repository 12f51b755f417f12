"""The calibration curve and the table of thresholds, against numbers made by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from lakeline.models.calibration import calibrate
from lakeline.models.intervals import Draws
from lakeline.models.thresholds import Costs, CostsError, cheapest, threshold_table

LABELS = [0, 1, 1, 0, 1, 0]
SCORES = [0.1, 0.9, 0.4, 0.4, 0.8, 0.2]


def draws(rows: int, resamples: int = 50) -> Draws:
    return Draws.of(np.arange(rows) % 10, resamples=resamples)


def test_the_error_is_the_distance_of_promise_and_outcome_weighed_by_rows() -> None:
    scores, labels = [0.1, 0.1, 0.3, 0.3, 0.3, 0.3], [0, 0, 1, 1, 0, 0]
    found = calibrate(labels, scores, draws(6), bins=2)
    assert [(one.rows, one.share.value) for one in found.bins] == [(2, 0.0), (4, 0.5)]
    assert [one.score for one in found.bins] == pytest.approx([0.1, 0.3])
    assert found.error == pytest.approx((2 * 0.1 + 4 * 0.2) / 6)


def test_bins_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    scores = draw.random(1000)
    labels = draw.random(1000) < scores
    found = calibrate(labels, scores, draws(1000))
    share, mean = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    assert [one.share.value for one in found.bins] == pytest.approx(list(share))
    assert [one.score for one in found.bins] == pytest.approx(list(mean))
    assert {one.rows for one in found.bins} == {100}
    assert found.error < 0.05


def test_equal_scores_are_never_parted() -> None:
    scores = np.repeat([0.2, 0.7], [90, 10])
    found = calibrate(np.zeros(100), scores, draws(100))
    assert [one.rows for one in found.bins] == [90, 10]
    assert [(one.lowest, one.highest) for one in found.bins] == [(0.2, 0.2), (0.7, 0.7)]


def test_bins_that_surely_promise_too_much_are_named_and_honest_ones_are_not() -> None:
    draw = np.random.default_rng(1)
    scores = draw.random(5000)
    honest = calibrate(draw.random(5000) < scores, scores, draws(5000, 300), bins=4)
    boastful = calibrate(draw.random(5000) < scores / 2, scores, draws(5000, 300), bins=4)
    assert len(boastful.off) == 4
    assert boastful.error == pytest.approx(0.25, abs=0.03)
    assert len(honest.off) <= 1


def test_a_threshold_flags_what_scores_as_much_or_more() -> None:
    [row] = threshold_table(LABELS, SCORES, thresholds=[0.4])
    assert row.flagged == 4 / 6
    assert row.precision == 3 / 4
    assert row.recall == 1
    assert row.false_positive_rate == 1 / 3
    assert row.f1 == pytest.approx(2 * 0.75 / 1.75)
    assert row.cost is None


def test_thresholds_agree_with_scikit_learn() -> None:
    draw = np.random.default_rng(2)
    scores = draw.random(500).round(2)
    labels = (draw.random(500) < scores).astype(int)
    for row in threshold_table(labels, scores):
        flagged = scores >= row.threshold
        assert row.precision == pytest.approx(sk.precision_score(labels, flagged))
        assert row.recall == pytest.approx(sk.recall_score(labels, flagged))
        assert row.f1 == pytest.approx(sk.f1_score(labels, flagged))
        false_alarms = sk.confusion_matrix(labels, flagged)[0, 1]
        assert row.false_positive_rate == pytest.approx(false_alarms / (labels == 0).sum())


def test_where_nothing_is_flagged_precision_is_unknown() -> None:
    [row] = threshold_table(LABELS, SCORES, thresholds=[0.95])
    assert math.isnan(row.precision)
    assert math.isnan(row.f1)
    assert (row.flagged, row.recall) == (0, 0)


def test_costs_make_one_threshold_the_cheapest() -> None:
    table = threshold_table(
        LABELS, SCORES, costs=Costs(false_alarm=1, miss=5), thresholds=[0.05, 0.3, 0.5]
    )
    assert [row.cost for row in table] == [3 / 6, 1 / 6, 5 / 6]
    best = cheapest(table)
    assert best is not None
    assert best.threshold == 0.3
    assert cheapest(threshold_table(LABELS, SCORES)) is None


@pytest.mark.parametrize(("false_alarm", "miss"), [(-1, 2), (0, 0), (1, float("nan"))])
def test_costs_that_decide_nothing_are_refused(false_alarm: float, miss: float) -> None:
    with pytest.raises(CostsError, match=r"decide nothing\. Give both as numbers of 0 or more"):
        Costs(false_alarm=false_alarm, miss=miss)
