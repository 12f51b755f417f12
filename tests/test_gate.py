"""Who may serve: challenger against champion, the first against its baselines, and the aliases of the registry."""

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.errors import UnknownModelError
from lakeline.models.booster import train_booster
from lakeline.models.gate import (
    Contender,
    NothingToRollBackError,
    Promotion,
    champion_of,
    crown,
    decide,
    judge,
    previous_champion,
    refuse,
)
from lakeline.models.learning import GateRules, Learning
from lakeline.models.registry import Registry
from lakeline.models.training_set import TrainingSet
from lakeline.models.trial import (
    NothingToLearnError,
    Trial,
    attempt,
    labelled_rows,
    learn_until,
    parted,
    split_at,
)
from lakeline.models.version_files import LEARNED_UNTIL

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAYS, A_DAY = 60, 40
LEARNING = Learning(
    features=("heat", "noise"), label="broke", at="at", known="known", schedule=("noise",)
)
RULES = GateRules()
NAME = "mill.breaks"
BY_ANNA = Promotion(by="anna", because="the other one was worse on Sundays")


def day(number: int) -> dt.datetime:
    return START + dt.timedelta(days=number)


def rows(*, days: int = DAYS, turns_on: int = 10_000, seed: int = 0) -> TrainingSet:
    """Heat breaks machines; from day ``turns_on`` on it protects them."""
    draw = np.random.default_rng(seed)
    count = days * A_DAY
    at = [day(0) + dt.timedelta(minutes=36 * i) for i in range(count)]
    heat, noise = draw.normal(size=(2, count))
    sign = np.where(np.arange(count) // A_DAY >= turns_on, -1, 1)
    broke = draw.random(count) < 1 / (1 + np.exp(-(2 * sign * heat + 0.5 * noise)))
    frame = pl.DataFrame(
        {"at": at, "known": at, "heat": heat, "noise": noise, "broke": broke}
    ).with_columns(known=pl.col("at") + pl.duration(minutes=30))
    return labelled_rows(frame, LEARNING, day(0), day(days))


def contender(whole: TrainingSet, until: int, **changes: Any) -> Contender:
    train = learn_until(whole, LEARNING, day(until))
    return Contender(model=train_booster(train, rounds=15, **changes), learned_until=day(until))


def trial(whole: TrainingSet, until: int, **changes: Any) -> Trial:
    return attempt(
        NAME,
        lambda train, seed: train_booster(train, rounds=15, seed=seed),
        *parted(whole, LEARNING, until=day(until), test_until=whole.end),
        schedule=replace(LEARNING, **changes).schedule,
        seed=0,
    )


def test_a_challenger_that_learned_of_a_change_takes_over():
    whole = rows(turns_on=30)
    found = decide(contender(whole, 46), contender(whole, 30), whole, rules=RULES)
    assert found.promoted
    assert found.low > 0
    assert found.champion > found.challenger  # Brier: less is better
    assert found.difference == pytest.approx(found.champion - found.challenger)
    assert (found.days, found.rows) == (14, 14 * A_DAY)
    assert re.match(r"better than the champion by \+0\.\d+ brier \(\+", found.reason)


def test_a_worse_challenger_is_refused():
    whole = rows(turns_on=30)
    found = decide(contender(whole, 30), contender(whole, 46), whole, rules=RULES)
    assert not found.promoted
    assert found.high < 0
    assert found.reason.startswith("worse than the champion")


def test_a_tie_keeps_the_champion():
    whole = rows()
    found = decide(contender(whole, 46), contender(whole, 40), whole, rules=RULES)
    assert not found.promoted
    assert found.low < 0 < found.high
    assert "a tie keeps the champion" in found.reason


def test_the_same_model_is_the_champion_again():
    whole = rows()
    found = decide(contender(whole, 40), contender(whole, 40), whole, rules=RULES)
    assert (found.promoted, found.reason) == (False, "it is the champion again")


def test_the_named_metric_decides():
    """Scores of half the size rank as before, and are no probabilities any more."""
    whole = rows()
    champion = contender(whole, 40)
    cold = contender(whole, 40, params={"learning_rate": 0.001})
    by_brier = decide(champion, cold, whole, rules=GateRules(metric="brier"))
    by_gap = decide(champion, cold, whole, rules=GateRules(metric="calibration_gap"))
    assert by_brier.promoted
    assert not by_gap.promoted
    assert (by_brier.metric, by_gap.metric) == ("brier", "calibration_gap")


def test_only_days_outside_both_training_windows_count():
    whole = rows(turns_on=50)
    found = decide(contender(whole, 46), contender(whole, 52), whole, rules=RULES)
    assert found.days == DAYS - 52


@pytest.mark.parametrize(("champion_until", "days"), [(54, 6), (60, 0)])
def test_too_few_days_outside_both_windows_keep_the_champion_and_say_so(champion_until, days):
    whole = rows(turns_on=30)
    found = decide(contender(whole, 46), contender(whole, champion_until), whole, rules=RULES)
    assert not found.promoted
    assert found.days == days
    assert f"only {days} labelled days lie outside both training windows" in found.reason
    assert f"up to {day(champion_until):%Y-%m-%d}" in found.reason


def test_without_news_the_interval_of_many_draws_rarely_promotes():
    """Ties promote nothing: of 20 challengers that know no more than the champion, few may pass by chance."""
    promoted = 0
    for seed in range(20):
        whole = rows(seed=seed)
        found = decide(contender(whole, 46), contender(whole, 46, seed=1 + seed, params={"bagging_fraction": 0.8, "bagging_freq": 1}), whole, rules=RULES)  # fmt: skip
        promoted += found.promoted
    assert promoted <= 3


def test_the_first_model_must_beat_the_baselines():
    good = judge(trial(rows(), 46), None, rows(), rules=RULES)
    assert (good.promoted, good.reason) == (
        True,
        "the first model: it beats the baselines (share and schedule)",
    )
    blind = rows(turns_on=46)  # what it learned is the opposite of the truth
    bad = judge(trial(blind, 46), None, blind, rules=RULES)
    assert not bad.promoted
    assert "does not beat the baselines" in bad.reason


def quiet(whole: TrainingSet, since: int) -> TrainingSet:
    """The same rows, of which none breaks from a day on."""
    broke = pl.col("broke") & (pl.col("at") < day(since))
    return replace(whole, frame=whole.frame.with_columns(broke=broke))


def test_days_of_one_outcome_keep_the_champion_and_say_that_nothing_can_be_told():
    whole = quiet(rows(), 46)
    champion, challenger = contender(whole, 30), contender(whole, 46)
    found = decide(challenger, champion, whole, rules=GateRules(metric="auc"))
    assert not found.promoted
    assert "nothing can be told by auc" in found.reason
    assert (
        "'broke' is false in all 560 rows that judge it, 2024-04-16 to 2024-04-29" in found.reason
    )
    assert "the champion stays. Wait for days with both outcomes" in found.reason
    assert "nan" not in found.reason
    assert (found.days, found.rows) == (14, 560)
    assert "nothing can be told" not in decide(challenger, champion, whole, rules=RULES).reason


def test_a_first_model_is_not_said_to_be_worse_where_its_days_have_one_outcome():
    whole = quiet(rows(), 46)
    found = judge(trial(whole, 46), None, whole, rules=RULES)
    assert not found.promoted
    assert found.reason.startswith("the first model: nothing can be told, since 'broke' is false")
    assert "longer holdout=" in found.reason


def test_a_champion_that_reads_columns_which_are_gone_is_judged_by_the_baselines():
    whole = rows()
    champion = contender(whole, 40)
    frame = whole.frame.drop("heat").with_columns(warmth=whole.frame["heat"])
    learning = replace(LEARNING, features=("warmth", "noise"))
    renamed = labelled_rows(frame, learning, whole.start, whole.end)
    tried = attempt(
        NAME,
        lambda train, seed: train_booster(train, rounds=15, seed=seed),
        *parted(renamed, learning, until=day(46), test_until=renamed.end),
        schedule=learning.schedule,
        seed=0,
    )
    found = judge(tried, champion, renamed, rules=RULES)
    assert found.promoted
    assert "the champion cannot be asked any more" in found.reason
    assert "has no column heat" in found.reason


def test_a_challenger_learns_up_to_where_the_champion_did_and_leaves_days_to_judge():
    whole = rows()
    assert split_at(whole.end, RULES, None) == day(46)
    assert split_at(whole.end, RULES, day(30)) == day(46)
    assert split_at(whole.end, RULES, day(50)) == day(50)
    assert split_at(whole.end, RULES, day(60)) == day(53)


def test_rows_whose_label_came_after_the_split_are_not_learned_from():
    whole = rows()
    late = replace(whole, frame=whole.frame.with_columns(known=pl.lit(day(59))))
    assert learn_until(late, LEARNING, day(46)).frame.is_empty()
    with pytest.raises(
        NothingToLearnError,
        match=r"no labelled rows to train on between 2024-03-01 and 2024-04-16",
    ):
        attempt(
            NAME,
            lambda train, seed: train_booster(train, seed=seed),
            *parted(late, LEARNING, until=day(46), test_until=late.end),
            schedule=LEARNING.schedule,
            seed=0,
        )


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Three versions; the aliases are what a test makes of them."""
    registry = Registry(folder=tmp_path_factory.mktemp("registry"))
    whole = rows()
    for until in (20, 30, 40):
        registry.register(
            NAME,
            contender(whole, until).model,
            metrics={"brier": 0.1},
            snapshots={},
            input_example=whole.frame.head(2).select("heat", "noise"),
            tags={LEARNED_UNTIL: day(until).isoformat()} if until != 20 else {},
        )
    return registry


def test_aliases_move_with_who_and_why_and_back_again(registered: Registry) -> None:
    assert champion_of(registered, NAME) == (None, "")
    with pytest.raises(NothingToRollBackError, match=r"It has no champion.*\(1, 2, 3\)"):
        previous_champion(registered, NAME)

    crown(registered, NAME, 1, Promotion(by="gate", because="the first model"))
    held, why = champion_of(registered, NAME)
    assert held is None
    assert "does not say what it learned from" in why
    with pytest.raises(NothingToRollBackError, match="Version 1 is its first champion"):
        previous_champion(registered, NAME)

    refuse(registered, NAME, 2, because="worse than the champion")
    assert registered.aliased(NAME, "challenger") == 2
    crown(registered, NAME, 2, BY_ANNA)
    assert registered.aliased(NAME, "challenger") is None
    champion = registered.champion(NAME)
    assert champion is not None
    assert champion.version == 2
    assert champion.tags["lakeline.promoted_by"] == "anna"
    assert champion.tags["lakeline.promoted_because"] == BY_ANNA.because
    assert champion.tags["lakeline.refused_because"] == "worse than the champion"
    held, _ = champion_of(registered, NAME)
    assert held is not None
    assert held.learned_until == day(30) == held.model.learned_until
    assert held.model.promised == {"brier": 0.1}

    crown(registered, NAME, 3, BY_ANNA)
    for number in (2, 1):
        assert previous_champion(registered, NAME).version == number
        crown(registered, NAME, number, replace(BY_ANNA, is_rollback=True))


def test_the_champion_cannot_become_its_own_challenger(registered: Registry) -> None:
    crown(registered, NAME, 3, BY_ANNA)
    refuse(registered, NAME, 3, because="it is the champion again")
    assert registered.aliased(NAME, "challenger") is None
    assert "lakeline.refused_because" not in registered.version(NAME, 3).tags


def test_a_version_that_is_not_there_is_not_crowned(registered: Registry) -> None:
    crown(registered, NAME, 3, BY_ANNA)
    with pytest.raises(UnknownModelError, match=r"at '9'. It has version 1"):
        crown(registered, NAME, 9, BY_ANNA)
    assert registered.aliased(NAME, "champion") == 3


def test_nothing_but_the_gate_moves_an_alias():
    root = Path(__file__).parents[1]
    moving = re.compile(r"registry\.promote\(|registry\.drop_alias\(|set_registered_model_alias|delete_registered_model_alias")  # fmt: skip
    found = {
        file.relative_to(root).as_posix()
        for folder in ("platform/lakeline", "assets", "sensors", "resources")
        for file in (root / folder).rglob("*.py")
        if moving.search(file.read_text())
    }
    assert found == {"platform/lakeline/models/gate.py", "platform/lakeline/models/registry.py"}
