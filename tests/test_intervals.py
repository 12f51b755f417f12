"""Intervals over days: every resample is what repeating its days' rows would measure."""

import math

import numpy as np
import pytest

from lakeline.errors import EvaluationError
from lakeline.models.comparison import compare
from lakeline.models.evaluation import evaluate, log_losses
from lakeline.models.intervals import Draws, Ranked, metric_intervals, places
from lakeline.monitoring.performance import Interval

DAYS = 9


def world(
    rows: int, *, digits: int = 9, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and days; with few digits many scores are equal."""
    draw = np.random.default_rng(seed)
    scores = draw.random(rows).round(digits)
    labels = (draw.random(rows) < scores**2).astype(float)
    return labels, scores, draw.integers(0, DAYS, rows)


def repeated(draws: Draws, resample: int, values: np.ndarray) -> np.ndarray:
    return np.repeat(values, draws.often_RB[resample][draws.day_N].astype(int))


@pytest.mark.parametrize("digits", [1, 9])
def test_each_resample_ranks_as_its_repeated_rows_do(digits: int) -> None:
    labels, scores, days = world(300, digits=digits)
    draws = Draws.of(days, resamples=25)
    ranked = Ranked(labels, scores, draws)
    for r, (auc, precision) in enumerate(
        zip(ranked.auc(), ranked.average_precision(), strict=True)
    ):
        found = evaluate(repeated(draws, r, labels), repeated(draws, r, scores))
        assert auc == pytest.approx(found.auc, abs=1e-12)
        assert precision == pytest.approx(found.average_precision, abs=1e-12)


def test_precision_over_many_rows_is_good_to_the_promised_digits() -> None:
    labels, scores, days = world(20_000)
    draws = Draws.of(days, resamples=20)
    assert len(places(int(labels.sum()))) < labels.sum() / 4
    for r, precision in enumerate(Ranked(labels, scores, draws).average_precision()):
        found = evaluate(repeated(draws, r, labels), repeated(draws, r, scores))
        assert precision == pytest.approx(found.average_precision, rel=5e-4)


def test_values_are_those_of_the_evaluation_and_ends_those_of_the_resamples() -> None:
    labels, scores, days = world(400)
    draws = Draws.of(days, resamples=60)
    measured = evaluate(labels, scores)
    for name, interval in metric_intervals(labels, scores, draws).items():
        assert interval.value == pytest.approx(getattr(measured, name), abs=1e-12)
        each = [
            getattr(evaluate(repeated(draws, r, labels), repeated(draws, r, scores)), name)
            for r in range(60)
        ]
        assert interval.low == pytest.approx(np.quantile(each, 0.025), abs=1e-12)
        assert interval.high == pytest.approx(np.quantile(each, 0.975), abs=1e-12)


def test_days_are_drawn_as_the_gate_draws_them() -> None:
    labels, scores, days = world(400)
    other = np.clip(scores + 0.05, 0, 1)
    found = compare(labels, scores, other, days=days, metric="log_loss", resamples=200)
    draws = Draws.of(days, resamples=200)
    gain = draws.mean(log_losses(labels, other) - log_losses(labels, scores))
    assert (gain.low, gain.high) == pytest.approx((found.low, found.high), abs=1e-12)
    assert gain.value == pytest.approx(found.gain, abs=1e-12)


def test_equal_arguments_give_equal_intervals_and_another_seed_gives_others() -> None:
    labels, scores, days = world(200)
    first = metric_intervals(labels, scores, Draws.of(days))
    assert metric_intervals(labels, scores, Draws.of(days)) == first
    assert metric_intervals(labels, scores, Draws.of(days, seed=1)) != first


def test_one_day_alone_has_points_for_intervals() -> None:
    labels, scores, _ = world(100)
    draws = Draws.of(np.zeros(100), resamples=5)
    found = metric_intervals(labels, scores, draws)
    assert found["brier"].low == found["brier"].high == pytest.approx(found["brier"].value)


def test_resamples_without_one_kind_of_label_are_left_out() -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    found = metric_intervals(labels, scores, Draws.of([0, 0, 1, 1], resamples=40))
    assert (found["auc"].value, found["auc"].low, found["auc"].high) == (1.0, 1.0, 1.0)
    none = metric_intervals(labels * 0, scores, Draws.of([0, 0, 1, 1], resamples=40))
    assert all(math.isnan(end) for end in (none["auc"].value, none["auc"].low))
    assert math.isnan(none["average_precision"].high)


def test_the_mean_of_each_group_has_its_own_interval() -> None:
    values, groups, days = np.arange(8.0), np.array([0, 0, 0, 0, 2, 2, 2, 2]), np.tile([0, 1], 4)
    first, empty, third = Draws.of(days, resamples=300).means(values, groups, 3)
    assert first == Interval(value=1.5, low=1.0, high=2.0)
    assert third == Interval(value=5.5, low=5.0, high=6.0)
    assert math.isnan(empty.value)


def test_draws_of_other_rows_and_of_no_rows_are_refused() -> None:
    labels, scores, days = world(10)
    with pytest.raises(EvaluationError, match="9 days for 10 rows"):
        metric_intervals(labels, scores, Draws.of(days[:9]))
    with pytest.raises(EvaluationError, match="there are no rows"):
        Draws.of([])
