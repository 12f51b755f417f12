"""Leakage checks: planted leaks are found, and honest features are left in peace."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from lakeline.errors import ColumnsMissingError, EvaluationError, NotAMomentError, UnlabelledError
from lakeline.features.association import CATEGORIES, Judge, bins_of
from lakeline.features.leakage import early_values, future_leaks
from lakeline.features.point_in_time import FeatureSource, point_in_time_join
from lakeline.features.strength import (
    FeatureStrength,
    NoDelayError,
    earlier_features,
    knowledge_delay,
    strengths,
)

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DELAY_H = 6
HOURS, PLACES = 90 * 24, 12
TIMESTAMP = pl.Datetime("us", "UTC")


def wander(rng: np.random.Generator, memory: float) -> np.ndarray:
    """A state of each place that changes by the hour and forgets slowly; shape ``(HOURS, PLACES)``."""
    steps = rng.normal(size=(HOURS, PLACES)) * np.sqrt(1 - memory**2)
    found = np.zeros((HOURS, PLACES))
    found[0] = rng.normal(size=PLACES)
    for hour in range(1, HOURS):
        found[hour] = memory * found[hour - 1] + steps[hour]
    return found


def hourly_world(seed: int) -> dict[str, np.ndarray]:
    """Honest features, a label that they move, and leaks; each of shape ``(HOURS, PLACES)``."""
    rng = np.random.default_rng(seed)
    slow, fast = wander(rng, 0.99), wander(rng, 0.85)
    clock = np.repeat(np.arange(HOURS)[:, None] % 24, PLACES, axis=1)
    pull = 0.8 * slow + 0.6 * fast + np.sin(clock / 24 * 2 * np.pi) - 1
    label = rng.random((HOURS, PLACES)) < 1 / (1 + np.exp(-pull))
    honest = {
        "slow": slow,
        "fast": fast,
        "hour": clock,
        "season": np.repeat((np.arange(HOURS) / 24)[:, None], PLACES, axis=1),
        "place": np.repeat(np.array([f"place {n}" for n in range(PLACES)])[None, :], HOURS, axis=0),
        "noise": rng.normal(size=(HOURS, PLACES)),
        "gappy": np.where(rng.random((HOURS, PLACES)) < 0.3, np.nan, slow),
        "late_share": np.roll(rolling_mean(label, 24), DELAY_H, axis=0),
        "grade": np.array(["bad", "fair", "good"])[np.digitize(slow, [-0.5, 0.5])],
    }
    leaks = {
        "the_label": label,
        "label_noise": label + rng.normal(size=(HOURS, PLACES)) * 0.7,
        "corrected": fast + 1.5 * label,
        "future_mean": np.roll(rolling_mean(label, 3), -2, axis=0),
        "label_word": np.where(
            rng.random((HOURS, PLACES)) < 0.8, np.where(label, "late", "fine"), "open"
        ),
        "null_if_fine": np.where(label | (rng.random((HOURS, PLACES)) < 0.3), slow, np.nan),
    }
    return {"is_late": label} | honest | leaks


HONEST = ("slow", "fast", "hour", "season", "place", "noise", "gappy", "late_share", "grade")
LEAKS = ("the_label", "label_noise", "corrected", "future_mean", "label_word", "null_if_fine")


def rolling_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of the hour and those before it."""
    return np.asarray(np.mean([np.roll(values, back, axis=0) for back in range(width)], axis=0))


def as_of(world: dict[str, np.ndarray], hours_before: int) -> pl.DataFrame:
    """A decision an hour and place, with features of some hours before and the label of now."""
    first = 2 * DELAY_H + 24
    hours = np.arange(first, HOURS - 24)
    moments = [START + int(hour) * HOUR for hour in hours]
    columns = {
        name: (values[hours] if name == "is_late" else values[hours - hours_before]).ravel()
        for name, values in world.items()
    }
    at = pl.Series("at", moments, dtype=TIMESTAMP)
    return pl.DataFrame(columns).with_columns(
        at=pl.Series(np.repeat(at.to_numpy(), PLACES))
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone("UTC")
    )


def judged(
    seed: int, features: tuple[str, ...], *, is_long: bool = True
) -> dict[str, FeatureStrength]:
    world = hourly_world(seed)
    now, before, long_before = (as_of(world, times * DELAY_H) for times in range(3))
    found = strengths(
        now,
        before,
        features=features,
        label="is_late",
        at="at",
        still_earlier=long_before if is_long else None,
    )
    return {one.feature: one for one in found}


@pytest.mark.parametrize("seed", range(4))
def test_honest_features_are_not_suspected(seed: int):
    found = judged(seed, HONEST)

    assert [one.reason for one in found.values() if one.is_suspect] == []
    assert found["slow"].joined > 0.6


@pytest.mark.parametrize("seed", range(4))
def test_planted_leaks_are_suspected(seed: int):
    found = judged(seed, LEAKS)

    assert [one.reason for one in found.values() if not one.is_suspect] == []


def test_without_the_step_before_honest_features_are_left_in_peace_and_strong_leaks_found():
    found = judged(0, HONEST + LEAKS, is_long=False)

    suspects = {one.feature for one in found.values() if one.is_suspect}
    assert {"the_label", "label_noise", "label_word"} <= suspects <= set(LEAKS)
    assert found["slow"].still_earlier is None


def test_suspects_come_first_with_a_sentence_and_both_numbers():
    found = list(judged(0, ("slow", "the_label", "label_noise")).values())

    assert [one.feature for one in found] == ["the_label", "label_noise", "slow"]
    the_label, noise, slow = found
    assert the_label.reason == (
        f"the_label nearly is the label: its AUC alone is 1.000, one knowledge delay earlier {the_label.earlier:.3f}, "
        f"two {the_label.still_earlier:.3f}; no feature known before the outcome tells that much."
    )
    assert noise.reason.startswith("label_noise seems to know the outcome: its AUC alone is 0.8")
    assert noise.reason.endswith("; look at when its values become known.")
    assert slow.reason.startswith("slow tells no more than its own past lets expect")


def test_equal_arguments_give_equal_numbers():
    assert judged(1, ("fast", "future_mean")) == judged(1, ("fast", "future_mean"))


def test_chance_is_a_half_however_many_values_a_feature_has():
    rng = np.random.default_rng(0)
    rows = 20_000
    labels = pl.Series(rng.random(rows) < 0.2)
    judge = Judge.of(labels, pl.Series(np.arange(rows) // 400), resamples=50, seed=0)

    for values in (rng.normal(size=rows), rng.integers(0, 5000, rows).astype(str)):
        found = judge.association(pl.Series(values))
        assert found.auc == pytest.approx(0.5, abs=0.015)


def test_a_feature_that_bends_counts_as_much_as_one_that_rises():
    rng = np.random.default_rng(0)
    values = rng.normal(size=20_000)
    labels = pl.Series(np.abs(values) > 1)
    judge = Judge.of(labels, pl.Series(np.arange(20_000) // 400), resamples=50, seed=0)

    assert judge.association(pl.Series(values)).auc > 0.97


def test_values_fall_into_bins_that_keep_nulls_and_rare_texts_apart():
    numbers = bins_of(pl.Series([None, 2.0, 1.0, float("nan"), 2.0]))
    texts = bins_of(pl.Series([None, *(str(n) for n in range(CATEGORIES + 5)), "0"]))

    assert numbers.tolist() == [0, 2, 1, 0, 2]
    assert texts[0] == 0
    assert len(set(texts.tolist())) == CATEGORIES + 2
    assert bins_of(pl.Series([START, None])).tolist() == [1, 0]
    assert bins_of(pl.Series([None, None], dtype=pl.String)).tolist() == [0, 0]


# --- joins ------------------------------------------------------------------------------------


def outcomes(**changes: object) -> FeatureSource:
    """A row an hour that is known three hours after its event."""
    events = [START + n * HOUR for n in range(48)]
    frame = pl.DataFrame(
        {
            "origin": ["JFK"] * 48,
            "event_ts": pl.Series(events, dtype=TIMESTAMP),
            "known_ts": pl.Series([one + 3 * HOUR for one in events], dtype=TIMESTAMP),
            "delay_min": [float(n * n) for n in range(48)],
        }
    )
    given = FeatureSource(
        name="outcomes",
        frame=frame,
        entities=("origin",),
        event_time="event_ts",
        knowledge_time="known_ts",
        features=("delay_min",),
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def decided(hours: int = 40) -> pl.DataFrame:
    moments = [START + (n + 4) * HOUR for n in range(hours)]
    return pl.DataFrame({"origin": ["JFK"] * hours, "at": pl.Series(moments, dtype=TIMESTAMP)})


def test_a_set_joined_by_both_times_has_no_early_values():
    frame = point_in_time_join(decided(), [outcomes()], at="at")

    assert early_values(frame, [outcomes()], at="at") == ()


def test_a_set_joined_by_event_time_alone_has_early_values():
    frame = point_in_time_join(decided(), [outcomes(knowledge_time=None)], at="at")

    (found,) = early_values(frame, [outcomes()], at="at")

    assert (found.column, found.rows, found.of, found.longest) == ("delay_min", 40, 40, 3 * HOUR)
    assert found.reason == (
        "delay_min was used in 40 of 40 decisions before it was known: it became known up to 3:00:00 later."
    )


def test_a_correction_that_came_later_is_an_early_value():
    first = outcomes().frame.lazy().collect().with_columns(known_ts="event_ts")
    corrected = first.with_columns(pl.col("delay_min") + 7, known_ts=pl.col("event_ts") + 30 * HOUR)
    source = outcomes(frame=pl.concat([first, corrected]))
    newest = outcomes(frame=corrected, knowledge_time=None)

    (found,) = early_values(point_in_time_join(decided(), [newest], at="at"), [source], at="at")

    assert (found.rows, found.longest) == (40, 30 * HOUR)


def test_features_can_be_joined_again_one_delay_earlier_and_two():
    frame = point_in_time_join(decided(), [outcomes()], at="at").with_columns(seats=7)

    first, second = earlier_features(frame, [outcomes()], at="at", delay=HOUR)

    assert frame["delay_min"].head(3).to_list() == [1.0, 4.0, 9.0]
    assert first["delay_min"].head(3).to_list() == [0.0, 1.0, 4.0]
    assert second["delay_min"].head(3).to_list() == [None, 0.0, 1.0]
    assert first["seats"].to_list() == [7] * 40


def test_each_source_may_have_its_own_delay():
    frame = point_in_time_join(decided(), [outcomes()], at="at")

    first, _ = earlier_features(frame, [outcomes()], at="at", delay={"outcomes": 2 * HOUR})

    assert first["delay_min"].head(3).to_list() == [None, 0.0, 1.0]


def test_a_source_without_a_delay_is_named():
    with pytest.raises(NoDelayError) as raised:
        earlier_features(decided(), [outcomes()], at="at", delay={"weather": HOUR})
    assert str(raised.value) == (
        "There is no knowledge delay for feature source 'outcomes', only for weather. "
        "Give one, such as knowledge_delay(source), or one for all."
    )


def test_the_knowledge_delay_is_that_of_nearly_all_rows():
    assert knowledge_delay(outcomes()) == 3 * HOUR
    assert knowledge_delay(outcomes(knowledge_time=None)) == dt.timedelta(0)
    assert knowledge_delay(outcomes(frame=outcomes().frame.lazy().head(0))) == dt.timedelta(0)


# --- times ------------------------------------------------------------------------------------


def timed() -> pl.DataFrame:
    """Four decisions at midnight, with features and labels that were known at some hour."""

    def at(*hours: int | None) -> pl.Series:
        moments = [None if hour is None else START + hour * HOUR for hour in hours]
        return pl.Series(moments, dtype=TIMESTAMP)

    return pl.DataFrame(
        {
            "at": at(0, 0, 0, 0),
            "backlog": [1.0, 2.0, 3.0, None],
            "backlog_known": at(-1, 0, 5, 7),
            "is_late": [True, False, True, None],
            "is_late_known": at(4, 30, -2, 40),
        }
    )


def test_a_feature_that_was_known_after_the_decision_is_found():
    (found,) = future_leaks(timed(), at="at", known={"backlog": "backlog_known"})

    assert (found.column, found.rows, found.of, found.longest) == ("backlog", 1, 4, 5 * HOUR)
    assert found.reason == (
        "backlog was used in 1 of 4 decisions before it was known: it became known up to 5:00:00 later."
    )


def test_a_feature_that_was_never_known_is_found():
    frame = timed().with_columns(backlog_known=pl.lit(None, dtype=TIMESTAMP))

    (found,) = future_leaks(frame, at="at", known={"backlog": "backlog_known"})

    assert (found.rows, found.longest) == (3, None)
    assert found.reason.endswith("it became known never.")


def test_a_label_that_was_used_before_it_was_known_or_known_before_the_decision_is_found():
    already, early = future_leaks(
        timed(),
        at="at",
        known={},
        label="is_late",
        label_known="is_late_known",
        learned_at=START + 24 * HOUR,
    )

    assert (already.rows, already.reason) == (
        1,
        "is_late was known already when 1 of 4 decisions were made: there was nothing to predict.",
    )
    assert (early.rows, early.longest) == (1, 6 * HOUR)


def test_a_set_whose_times_are_right_has_no_leaks():
    frame = timed().head(1)

    assert future_leaks(frame, at="at", known={"backlog": "backlog_known"}, label="is_late", label_known="is_late_known", learned_at=START + 24 * HOUR) == ()  # fmt: skip


# --- bad input --------------------------------------------------------------------------------


def labelled(days: int) -> pl.DataFrame:
    moments = [START + n * 12 * HOUR for n in range(2 * days)]
    return pl.DataFrame(
        {
            "at": pl.Series(moments, dtype=TIMESTAMP),
            "wind": [float(n) for n in range(2 * days)],
            "is_late": [n % 3 == 0 for n in range(2 * days)],
        }
    )


def test_too_few_days_are_refused():
    frame = labelled(3)

    with pytest.raises(EvaluationError) as raised:
        strengths(frame, frame, features=["wind"], label="is_late", at="at")
    assert str(raised.value) == (
        "Labels and scores cannot be compared: there are 3 days, and 6 are needed to tell chance from leakage."
    )


def test_one_label_for_all_is_refused():
    frame = labelled(10).with_columns(is_late=True)

    with pytest.raises(EvaluationError, match="all 20 rows have the same label"):
        strengths(frame, frame, features=["wind"], label="is_late", at="at")


def test_no_label_at_all_is_refused():
    frame = labelled(10).with_columns(is_late=pl.lit(None, dtype=pl.Boolean))

    with pytest.raises(UnlabelledError):
        strengths(frame, frame, features=["wind"], label="is_late", at="at")


def test_a_column_that_is_missing_is_named():
    frame = labelled(10)

    with pytest.raises(ColumnsMissingError, match=r"The training set has no column gust\."):
        strengths(frame, frame, features=["gust"], label="is_late", at="at")
    with pytest.raises(ColumnsMissingError, match=r"The earlier features has no column wind\."):
        strengths(frame, frame.drop("wind"), features=["wind"], label="is_late", at="at")
    with pytest.raises(ColumnsMissingError, match=r"The training set has no column known\."):
        future_leaks(frame, at="at", known={"wind": "known"})
    with pytest.raises(ColumnsMissingError, match=r"The training set has no column delay_min\."):
        early_values(decided(), [outcomes()], at="at")


def test_other_rows_are_refused():
    frame = labelled(10)

    with pytest.raises(ValueError, match="19 earlier rows for 20 decisions"):
        strengths(frame, frame.head(19), features=["wind"], label="is_late", at="at")


def test_a_decision_without_time_zone_is_refused():
    frame = decided().with_columns(pl.col("at").dt.replace_time_zone(None), delay_min=1.0)

    with pytest.raises(NotAMomentError):
        early_values(frame, [outcomes()], at="at")
