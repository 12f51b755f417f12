"""Training sets and boosters: splits, encoding, repeatable bytes."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.errors import (
    ColumnsMissingError,
    FeatureTypeError,
    UnlabelledError,
    UntrainableError,
)
from lakeline.models.booster import BoosterModel, train_booster
from lakeline.models.matrix import values_of
from lakeline.models.training import feature_matrix
from lakeline.models.training_set import TrainingSet

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ROWS = 600


def flights(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    wind = draw.random(rows) * 30
    carrier = draw.choice(["AA", "UA", "9E"], rows)
    late = wind + 10 * (carrier == "UA") + draw.normal(0, 4, rows) > 20
    return pl.DataFrame(
        {
            "at": [START + i * HOUR for i in range(rows)],
            "carrier": carrier,
            "wind": wind,
            "is_late": late,
        }
    )


def training_set(frame: pl.DataFrame | None = None, **changes: Any) -> TrainingSet:
    given: dict[str, Any] = {
        "frame": flights() if frame is None else frame,
        "features": ("carrier", "wind"),
        "categorical": ("carrier",),
        "label": "is_late",
        "at": "at",
        "start": START,
        "end": START + ROWS * HOUR,
    }
    return TrainingSet(**(given | changes))


def trained(**changes: Any) -> BoosterModel:
    given: dict[str, Any] = {"rounds": 20, "seed": 3, "name": "delay"}
    return train_booster(training_set(), **(given | changes))


def test_a_split_gives_every_decision_to_one_side():
    moment = START + 100 * HOUR
    before, after = training_set().before(moment), training_set().after(moment)
    assert (before.frame.height, after.frame.height) == (100, ROWS - 100)
    assert (before.start, before.end) == (START, moment)
    assert (after.start, after.end) == (moment, START + ROWS * HOUR)


def test_a_split_outside_the_covered_time_leaves_one_side_empty():
    early = START - HOUR
    assert training_set().before(early).frame.is_empty()
    assert training_set().before(early).end == START
    assert training_set().after(early).start == START


def test_a_training_set_must_have_its_columns():
    with pytest.raises(ColumnsMissingError, match=r"no column gust. It has at, carrier"):
        training_set(features=("gust",), categorical=())
    with pytest.raises(ColumnsMissingError, match="The list of features has no column carrier"):
        training_set(features=("wind",))


def test_equal_rows_parameters_and_seed_give_equal_bytes():
    assert trained().payload == trained().payload
    assert trained().digest == trained().digest


def test_one_thread_and_two_give_equal_bytes():
    one, two = (trained(params={"num_threads": threads}) for threads in (1, 2))
    assert one.payload == two.payload
    assert one.digest == two.digest == trained().digest


def test_another_process_gives_equal_bytes():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_booster as t; print(t.trained().digest)"
    told = subprocess.run(
        [sys.executable, "-c", code, Path(__file__).parent],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"},
    )
    assert told.stdout.strip() == trained().digest


def test_another_seed_or_row_gives_another_digest_and_another_name_does_not():
    assert trained(seed=4).digest != trained().digest
    changed = training_set(flights(seed=1))
    assert train_booster(changed, rounds=20, seed=3).digest != trained().digest
    assert trained(name="other").digest == trained().digest


def test_scores_are_probabilities_that_rank_the_label():
    test = flights(seed=9)
    scores = trained(rounds=50).predict(test)
    late = test["is_late"].to_numpy()
    assert scores.shape == (ROWS,)
    assert (scores > 0).all()
    assert (scores < 1).all()
    assert scores[late].mean() > scores[~late].mean() + 0.3


def test_columns_beyond_the_features_and_their_order_change_nothing():
    frame = flights(20)
    turned = frame.select("wind", pl.lit(1).alias("other"), "carrier")
    assert (trained().predict(frame) == trained().predict(turned)).all()


def test_no_rows_give_no_scores():
    assert trained().predict(flights().head(0)).shape == (0,)


def test_a_frame_without_a_feature_is_refused():
    with pytest.raises(ColumnsMissingError, match="model 'delay' has no column wind"):
        trained().predict(flights().drop("wind"))


def test_unseen_categories_and_nulls_become_minus_one_and_missing_numbers_nan():
    frame = pl.DataFrame({"carrier": ["UA", "ZZ", None], "wind": [1.1, None, float("nan")]})
    matrix = feature_matrix(frame, ["carrier", "wind"], {"carrier": ("9E", "UA")})
    assert matrix.dtype == np.float32
    assert matrix[:, 0].tolist() == [1.0, -1.0, -1.0]
    assert matrix[0, 1] == np.float32(1.1)
    assert np.isnan(matrix[1:, 1]).all()


def test_numbers_that_name_things_can_be_categorical():
    assert values_of(pl.Series([3, 1, None, 3])) == ("1", "3")
    matrix = feature_matrix(pl.DataFrame({"gate": [3, 9]}), ["gate"], {"gate": ("1", "3")})
    assert matrix.tolist() == [[1.0], [-1.0]]


def test_text_that_is_not_categorical_is_refused():
    with pytest.raises(FeatureTypeError, match="carrier is String"):
        train_booster(training_set(categorical=()))


def test_rows_without_a_label_are_refused_unless_left_out():
    frame = flights().with_columns(pl.when(pl.col("wind") > 5).then("is_late"))
    with pytest.raises(UnlabelledError, match=r"of 600 rows have no is_late.*labelled"):
        train_booster(training_set(frame))
    kept = training_set(frame).labelled()
    assert kept.frame["is_late"].null_count() == 0
    assert train_booster(kept, rounds=5).rounds == 5


def test_nothing_can_be_learnt_from_no_rows_or_one_label():
    with pytest.raises(UntrainableError, match="0 rows: there are none"):
        train_booster(training_set(flights().head(0)))
    with pytest.raises(UntrainableError, match="600 rows: all have the same is_late"):
        train_booster(training_set(flights().with_columns(is_late=True)))
