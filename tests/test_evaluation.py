"""Metrics against scikit-learn's, and the baselines."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from lakeline.errors import EvaluationError
from lakeline.models.booster import train_booster
from lakeline.models.evaluation import auc, evaluate, evaluate_by, schedule_baseline, share_baseline
from tests.test_booster import flights, training_set

LABELS = [0, 1, 1, 0, 1, 0]
SCORES = [0.1, 0.9, 0.4, 0.4, 0.8, 0.2]


@pytest.mark.parametrize("digits", [1, 2, 9])  # one digit makes many ties
@pytest.mark.parametrize("rows", [10, 1000])
def test_metrics_equal_those_of_scikit_learn(digits: int, rows: int) -> None:
    draw = np.random.default_rng(rows + digits)
    scores = draw.random(rows).round(digits)
    labels = (draw.random(rows) < scores).astype(int)
    found = evaluate(labels, scores)
    assert found.auc == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found.average_precision == pytest.approx(sk.average_precision_score(labels, scores))
    assert found.brier == pytest.approx(sk.brier_score_loss(labels, scores))
    assert found.log_loss == pytest.approx(sk.log_loss(labels, np.clip(scores, 1e-15, 1 - 1e-15)))


def test_weights_count_rows_more_than_once():
    draw = np.random.default_rng(0)
    labels, scores = draw.integers(0, 2, 50).astype(float), draw.random(50).round(1)
    weights = draw.integers(0, 4, 50)
    repeated = auc(np.repeat(labels, weights), np.repeat(scores, weights))
    assert auc(labels, scores, weights.astype(float)) == pytest.approx(repeated)


def test_the_calibration_gap_is_positive_when_scores_promise_too_much():
    assert evaluate([0, 0, 1, 0], [0.5] * 4).calibration_gap == pytest.approx(0.25)
    assert evaluate([1, 1, 1, 0], [0.5] * 4).calibration_gap == pytest.approx(-0.25)


def test_polars_columns_are_read_as_they_are():
    frame = pl.DataFrame({"is_late": LABELS, "score": SCORES}).cast({"is_late": pl.Boolean})
    assert evaluate(frame["is_late"], frame["score"]) == evaluate(LABELS, SCORES)


def test_one_kind_of_label_has_no_ranking_but_still_a_brier_score():
    found = evaluate([0, 0], [0.1, 0.3])
    assert math.isnan(found.auc)
    assert math.isnan(found.average_precision)
    assert found.brier == pytest.approx(0.05)
    assert evaluate([1, 1], [0.9, 1.0]).average_precision == 1.0


def test_each_group_is_measured_by_itself():
    found = evaluate_by(["EWR", "JFK", "EWR", "JFK", "JFK", "EWR"], LABELS, SCORES)
    assert list(found) == ["EWR", "JFK"]
    assert found["EWR"] == evaluate([0, 1, 0], [0.1, 0.4, 0.2])
    assert sum(metrics.rows for metrics in found.values()) == 6


@pytest.mark.parametrize(
    ("labels", "scores", "told"),
    [
        ([], [], "there are no rows"),
        ([0, 1], [0.5], "2 labels for 1 scores"),
        ([0, 2], [0.5, 0.5], "1 of 2 labels are neither 0 nor 1"),
        (pl.Series([True, None]), [0.5, 0.5], "1 of 2 labels are neither 0 nor 1"),
        ([0, 1], pl.Series([0.5, None]), "1 of 2 scores are no probability"),
        ([0, 1], [0.5, 1.5], "1 of 2 scores are no probability"),
    ],
)
def test_what_cannot_be_compared_is_refused(labels: Any, scores: Any, told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        evaluate(labels, scores)


def test_groups_must_be_as_many_as_rows():
    with pytest.raises(EvaluationError, match="1 groups for 6 rows"):
        evaluate_by(["EWR"], LABELS, SCORES)


def test_the_share_baseline_ranks_nothing_and_promises_the_share_of_training():
    train, test = training_set(), training_set(flights(seed=5))
    found = share_baseline(train, test)
    assert found.auc == 0.5
    assert found.calibration_gap == pytest.approx(train.labels().mean() - test.labels().mean())


def test_the_schedule_baseline_reads_the_schedule_alone_and_loses_to_the_model():
    train, test = training_set(), training_set(flights(seed=5))
    schedule = schedule_baseline(train, test, ["carrier"], rounds=20)
    model = train_booster(train, rounds=20)
    assert 0.55 < schedule.auc < evaluate(test.labels(), model.predict(test.frame)).auc
    blind = test.frame.with_columns(wind=pl.lit(0.0))
    assert schedule == schedule_baseline(train, training_set(blind), ["carrier"], rounds=20)
