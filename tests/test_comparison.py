"""Two models on the same rows, with an interval over days."""

import numpy as np
import pytest
from sklearn import metrics as sk

from lakeline.errors import EvaluationError
from lakeline.models.comparison import compare
from lakeline.models.evaluation import Ranking
from lakeline.models.metrics import METRICS, UnknownMetricError

DAYS, A_DAY = 20, 50
ROWS = DAYS * A_DAY
DAY = np.repeat(np.arange(DAYS), A_DAY)


def drawn(seed: int, *, sharper: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, good scores, and scores that say less the larger ``sharper`` is."""
    draw = np.random.default_rng(seed)
    logit = draw.normal(size=ROWS)
    labels = (draw.random(ROWS) < 1 / (1 + np.exp(-2 * logit))).astype(float)
    noisy = logit + sharper * draw.normal(size=ROWS)
    return labels, 1 / (1 + np.exp(-2 * logit)), 1 / (1 + np.exp(-2 * noisy))


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_a_clearly_better_model_is_better_by_every_metric(metric):
    labels, good, noisy = drawn(1, sharper=3.0)
    found = compare(labels, good, noisy, days=DAY, metric=metric)
    assert found.gain > 0
    assert found.low <= found.gain <= found.high
    assert (found.days, found.rows) == (DAYS, ROWS)
    assert metric == "calibration_gap" or found.is_better


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_an_equal_model_is_never_better(metric):
    labels, good, _ = drawn(2)
    found = compare(labels, good, good.copy(), days=DAY, metric=metric)
    assert (found.gain, found.low, found.high) == (0, 0, 0)
    assert not found.is_better


def test_swapping_the_models_turns_the_interval_round():
    labels, good, noisy = drawn(3)
    one = compare(labels, good, noisy, days=DAY, metric="brier")
    other = compare(labels, noisy, good, days=DAY, metric="brier")
    assert other.gain == pytest.approx(-one.gain)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_the_values_are_those_of_scikit_learn():
    labels, good, noisy = drawn(4)
    found = compare(labels, good, noisy, days=DAY, metric="auc")
    assert found.first == pytest.approx(sk.roc_auc_score(labels, good))
    assert found.second == pytest.approx(sk.roc_auc_score(labels, noisy))


def test_equal_arguments_give_equal_intervals():
    labels, good, noisy = drawn(5)
    assert compare(labels, good, noisy, days=DAY, metric="auc") == compare(
        labels, good, noisy, days=DAY, metric="auc"
    )


def test_what_makes_a_day_hard_for_both_cancels():
    """Unpaired, a difference as small as this would drown in the days."""
    draw = np.random.default_rng(6)
    hard = np.repeat(draw.random(DAYS) < 0.5, A_DAY)
    labels = draw.integers(0, 2, ROWS).astype(float)
    off = np.where(hard, 0.6, 0.1)
    first = np.abs(labels - off)
    second = np.abs(labels - np.minimum(off + 0.01, 1))
    found = compare(labels, first, second, days=DAY, metric="brier")
    assert found.is_better
    assert found.high - found.low < 0.01


def test_a_single_lucky_day_does_not_decide():
    labels = np.tile([0.0, 1.0], ROWS // 2)
    second = np.full(ROWS, 0.5)
    first = np.where(DAY == 0, np.abs(labels - 0.1), 0.5)
    found = compare(labels, first, second, days=DAY, metric="brier")
    assert found.gain > 0
    assert not found.is_better


def test_the_calibration_gap_counts_without_its_sign():
    labels = np.tile([0.0, 1.0], ROWS // 2)
    found = compare(
        labels, np.full(ROWS, 0.45), np.full(ROWS, 0.6), days=DAY, metric="calibration_gap"
    )
    assert (found.first, found.second) == pytest.approx((0.05, 0.1))
    assert found.gain == pytest.approx(0.05)


def test_an_unknown_metric_says_which_there_are():
    labels, good, noisy = drawn(7)
    with pytest.raises(
        UnknownMetricError, match=r"no metric 'f1'. Use one of auc, average_precision, brier"
    ):
        compare(labels, good, noisy, days=DAY, metric="f1")


def test_scores_that_are_none_are_refused():
    labels, good, _ = drawn(8)
    with pytest.raises(EvaluationError, match="are no probability"):
        compare(labels, good, good * 2, days=DAY, metric="brier")


def test_average_precision_counts_repeated_rows_and_passes_over_those_left_out():
    labels, good, _ = drawn(9)
    weights = np.random.default_rng(9).integers(0, 3, ROWS)
    repeated = Ranking.of(np.repeat(labels, weights), np.repeat(good, weights)).average_precision()
    weighted = Ranking.of(labels, good).average_precision(weights.astype(float))
    assert weighted == pytest.approx(repeated)
    assert weighted == pytest.approx(
        sk.average_precision_score(labels, good, sample_weight=weights)
    )
