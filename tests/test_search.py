"""A search for settings: its space, its inner splits, its trials, and that a kill changes none of them."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakeline.errors import MissingExtraError
from lakeline.models.booster import train_booster
from lakeline.models.evaluation import evaluate
from lakeline.models.rows import Rows
from lakeline.models.search import (
    FAILED,
    FINISHED,
    PRUNED,
    Fold,
    Found,
    NoTrialError,
    inner_folds,
    run_search,
)
from lakeline.models.search_plots import history_svg, importance_svg, trials_grid
from lakeline.models.space import Search, SpaceError, dimensions
from lakeline.models.training import TrainedModel
from lakeline.models.trial import NothingToLearnError
from tests.test_gate import LEARNING, day, rows

pytest.importorskip("optuna", reason="the extra search is not installed")

NAME = "mill/better"
SPACE = {
    "learning_rate": ("log", 0.01, 0.5),
    "num_leaves": ("int", 3, 40),
    "feature_fraction": ("choice", 0.5, 1.0),
}
UNTIL = 46
TRIALS = 11


def train_with(train: Rows, seed: int, params: Mapping[str, object]) -> TrainedModel:
    return train_booster(train, rounds=8, seed=seed, params=params)


def search(**changes: Any) -> Search:
    given: dict[str, Any] = {
        "name": NAME,
        "dimensions": dimensions(NAME, SPACE),
        "trials": TRIALS,
        "seconds": 600.0,
        "metric": "brier",
        "seed": 3,
    }
    return Search(**(given | changes))


@pytest.fixture(scope="module")
def folds() -> tuple[Fold, ...]:
    return inner_folds("mill/breaks", rows(), LEARNING, day(UNTIL), folds=3, days=5)


@pytest.fixture(scope="module")
def whole(folds: tuple[Fold, ...], tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A search that nothing interrupted."""
    file = tmp_path_factory.mktemp("whole") / "a.db"
    return run_search(search(), train_with, folds, file=file, key="k")


def results(found: Found) -> list[tuple[Mapping[str, Any], float | None, tuple[float, ...]]]:
    return [(one.params, one.value, one.folds) for one in found.trials]


def test_inner_splits_roll_and_end_before_the_days_that_judge_the_winner(folds) -> None:
    assert [one.test.start for one in folds] == [day(31), day(36), day(41)]
    assert folds[-1].test.end == day(UNTIL)
    for one in folds:
        assert one.train.frame["at"].max() < one.test.start <= one.test.frame["at"].min()
        assert one.train.frame["known"].max() < one.test.start
        assert one.test.frame["at"].max() < one.test.end
        assert one.test.frame["known"].max() < day(UNTIL)


def test_too_few_days_for_the_inner_splits_are_refused() -> None:
    with pytest.raises(NothingToLearnError, match=r"no labelled rows to train on"):
        inner_folds("mill/breaks", rows(), LEARNING, day(UNTIL), folds=10, days=5)


def test_a_trial_is_worth_the_mean_of_its_folds_measured_as_any_model_is(whole, folds) -> None:
    one = whole.best
    for value, fold in zip(one.folds, folds, strict=True):
        model = train_with(fold.train, 3, one.params)
        measured = evaluate(fold.test.labels(), model.predict(fold.test.frame))
        assert value == pytest.approx(measured.brier)
    assert one.value == pytest.approx(sum(one.folds) / 3)
    assert one.value == min(trial.value or 1 for trial in whole.trials)


def test_settings_stay_within_their_space(whole: Found) -> None:
    assert len(whole.trials) == TRIALS
    assert whole.ended == f"all {TRIALS} trials"
    for one in whole.trials:
        assert 0.01 <= one.params["learning_rate"] <= 0.5
        assert one.params["num_leaves"] in range(3, 41)
        assert one.params["feature_fraction"] in (0.5, 1.0)
    assert len({str(one.params) for one in whole.trials}) == TRIALS


def test_equal_seeds_give_equal_trials_and_another_seed_gives_others(
    whole, folds, tmp_path
) -> None:
    again = run_search(search(), train_with, folds, file=tmp_path / "a.db", key="k")
    assert results(again) == results(whole)
    other = run_search(search(seed=4, trials=2), train_with, folds, file=tmp_path / "b.db", key="k")
    assert results(other)[0] != results(whole)[0]


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(whole, folds, tmp_path) -> None:
    calls = 0

    def dies(train: Rows, seed: int, params: Mapping[str, object]) -> TrainedModel:
        nonlocal calls
        calls += 1
        if (
            calls == 9 * 3 + 2
        ):  # in the second fold of the tenth trial, which the sampler learned for
            raise KeyboardInterrupt
        return train_with(train, seed, params)

    file = tmp_path / "a.db"
    with pytest.raises(KeyboardInterrupt):
        run_search(search(), dies, folds, file=file, key="k")
    ran: list[int] = []
    found = run_search(
        search(), train_with, folds, file=file, key="k", report=lambda one: ran.append(one.number)
    )
    assert found.resumed == 9
    assert len(ran) == TRIALS - 9
    assert results(found) == results(whole)


def test_a_finished_search_tries_nothing_again_and_a_larger_one_goes_on(folds, tmp_path) -> None:
    file, few = tmp_path / "a.db", search(trials=2)
    first = run_search(few, train_with, folds, file=file, key="k")

    def never(*_: Any) -> TrainedModel:
        raise AssertionError("a finished trial was repeated")

    assert results(run_search(few, never, folds, file=file, key="k")) == results(first)
    more = run_search(search(trials=3), train_with, folds, file=file, key="k")
    assert results(more)[:2] == results(first)
    assert (len(more.trials), more.resumed) == (3, 2)


def test_another_key_shares_no_trial() -> None:
    assert search().key("a") == search().key("a")
    keys = {
        search().key("a"),
        search().key("b"),
        search(seed=4).key("a"),
        search(metric="auc").key("a"),
        search(dimensions=dimensions(NAME, {"num_leaves": ("int", 3, 9)})).key("a"),
    }
    assert len(keys) == 5
    assert search(trials=99, seconds=1.0).key("a") == search().key("a")


def test_a_budget_of_time_ends_a_search_after_the_trial_under_way(folds, tmp_path) -> None:
    found = run_search(search(seconds=1e-6), train_with, folds, file=tmp_path / "a.db", key="k")
    assert len(found.trials) == 1
    assert found.ended == "1e-06 s are spent"


def test_a_trial_that_fails_is_one_trial_and_says_why(folds, tmp_path) -> None:
    def sometimes(train: Rows, seed: int, params: Mapping[str, object]) -> TrainedModel:
        if params["feature_fraction"] == 0.5:
            raise ValueError("half a feature cannot be had")
        return train_with(train, seed, params)

    found = run_search(search(trials=6), sometimes, folds, file=tmp_path / "a.db", key="k")
    failed = [one for one in found.trials if one.state == FAILED]
    assert 0 < len(failed) < 6
    assert {one.why for one in failed} == {"ValueError: half a feature cannot be had"}
    assert found.best.params["feature_fraction"] == 1.0
    again = run_search(search(trials=6), sometimes, folds, file=tmp_path / "a.db", key="k")
    assert results(again) == results(found)


def test_a_search_whose_every_trial_fails_says_what_the_first_said(folds, tmp_path) -> None:
    def never(*_: Any) -> TrainedModel:
        raise ValueError("no")

    with pytest.raises(
        NoTrialError, match=r"of 2\. The first said: ValueError: no Narrow its space"
    ):
        run_search(search(trials=2), never, folds, file=tmp_path / "a.db", key="k")


def test_pruning_ends_hopeless_trials_early_and_is_repeatable(folds, tmp_path) -> None:
    pruning = search(trials=14, is_pruning=True)
    one, other = (
        run_search(pruning, train_with, folds, file=tmp_path / name, key="k") for name in ("a", "b")
    )
    assert results(one) == results(other)
    pruned = [trial for trial in one.trials if trial.state == PRUNED]
    assert pruned
    assert all(len(trial.folds) < 3 for trial in pruned)
    assert one.best.state == FINISHED


def test_a_metric_that_is_better_when_higher_is_maximised(folds, tmp_path) -> None:
    found = run_search(
        search(metric="auc", trials=4), train_with, folds, file=tmp_path / "a", key="k"
    )
    assert found.best.value == max(one.value or 0 for one in found.trials)


def test_pictures_and_table_show_every_trial(whole: Found) -> None:
    assert history_svg(whole).count("<circle") == TRIALS
    grid = trials_grid(whole)
    assert grid.heads == ("trial", "brier", "", *sorted(SPACE), "seconds")
    assert len(grid.rows) == TRIALS
    assert grid.rows[0][0] == str(whole.best.number)
    values = [float(row[1]) for row in grid.rows]
    assert values == sorted(values)
    assert set(whole.importance) == set(SPACE)
    assert sum(whole.importance.values()) == pytest.approx(1)
    assert all(name in importance_svg(whole) for name in SPACE)


def test_without_optuna_the_extra_is_named(folds, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'lakeline[search]'")):
        run_search(search(), train_with, folds, file=Path(tmp_path / "a"), key="k")


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (("linear", 1, 2), "its first word is none of float, log, int, logint, choice"),
        ("log", "its first word is none of"),
        (("log", 0, 1), "begins at 0, and a logarithm begins above 0"),
        (("int", 1, 2.5), "they are a lower and an upper whole number"),
        (("float", 1), "they are a lower and an upper number"),
        (("float", 2, 1), "goes from 2 to 1, which is no range"),
        (("choice", 1), "has 1 to choose from"),
        (("choice", 1, [2]), r"has \[2\], and a choice is of numbers"),
    ],
)
def test_a_space_that_cannot_be_searched_says_what_is_wrong(told: Any, problem: str) -> None:
    with pytest.raises(SpaceError, match=f"The space of 'mill/better', 'x' .*{problem}"):
        dimensions(NAME, {"x": told})
    with pytest.raises(SpaceError, match="is empty"):
        dimensions(NAME, {})
