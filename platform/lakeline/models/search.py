"""A search for settings: trials on days before the holdout, each written down, and gone on with after a kill.

Every trial is judged on rolling windows that end before the days that will judge the winner, so that being the best of many
says nothing about those. Optuna draws the settings; its study lies in one SQLite file. Each trial has a sampler of its own,
seeded by the search's seed and the number of trials finished before, so that a search that was killed goes on as if it had
not been.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.errors import DomainError, MissingExtraError
from lakeline.models.learning import Learning
from lakeline.models.metrics import metric_named
from lakeline.models.space import Search
from lakeline.models.trial import NothingToLearnError, learn_until

if TYPE_CHECKING:
    import optuna

    from lakeline.models.training import TrainedModel
    from lakeline.models.training_set import TrainingSet

TrainWith = Callable[["TrainingSet", int, Mapping[str, object]], "TrainedModel"]
FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"
FOLDS, WHY = "folds", "why"
RANDOM_TRIALS = 8
"""Trials before the sampler begins to learn from the others."""


class NoTrialError(DomainError):
    """A search in which no trial could be judged."""

    def __init__(self, search: str, trials: "Sequence[Trialled]") -> None:
        why = next((f" The first said: {one.why}" for one in trials if one.why), "")
        super().__init__(
            f"'{search}' has no trial that could be judged, of {len(trials)}.{why} "
            "Narrow its space to what the model can be trained with, or give it more days."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One inner split: train on what was known before ``until``, judge on the days from there."""

    train: "TrainingSet"
    test: "TrainingSet"

    @property
    def days(self) -> str:
        """The days that judge."""
        return f"{self.test.start:%Y-%m-%d} to {self.test.end:%Y-%m-%d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trialled:
    """One trial.

    Attributes:
        number: In the order of their beginning.
        params: Its settings.
        state: finished, pruned or failed.
        value: Mean of the metric over its folds; None where it failed.
        folds: The metric on each.
        wall_s: How long it took.
        why: What its failure said.
    """

    number: int
    params: Mapping[str, Any]
    state: str
    value: float | None
    folds: tuple[float, ...]
    wall_s: float
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        metric: What was compared.
        trials: Every trial that ended, in order.
        importance: Share of the metric's variance that each setting explains; empty with too few trials.
        ended: Why it ended: trials or time.
        resumed: Trials that an earlier run of it had ended.
    """

    metric: str
    trials: tuple[Trialled, ...]
    best: Trialled
    importance: Mapping[str, float]
    ended: str
    resumed: int


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Trains with settings and measures on each fold."""

    train_with: TrainWith
    folds: Sequence[Fold]
    search: Search

    def value(self, params: Mapping[str, object], fold: Fold) -> float:
        """The metric on one fold."""
        import numpy as np

        model = self.train_with(fold.train, self.search.seed, params)
        labels_N, scores_N = fold.test.labels(), model.predict(fold.test.frame)
        measure = metric_named(self.search.metric).measure(labels_N, scores_N)
        return measure(np.ones(len(labels_N)))


def inner_folds(
    model: str,
    whole: "TrainingSet",
    learning: Learning,
    until: dt.datetime,
    *,
    folds: int,
    days: int,
) -> tuple[Fold, ...]:
    """Rolling splits of the days before ``until``, the oldest first: each judges ``days``, and trains on all before them.

    Raises:
        NothingToLearnError: One of them has no labelled rows to train on or to judge.
    """
    found = []
    for back in range(folds, 0, -1):
        start = until - dt.timedelta(days=back * days)
        end = start + dt.timedelta(days=days)
        # A label counts in a fold where it was known before the holdout begins, or the trials would look into it.
        test = learn_until(whole, learning, until).after(start).before(end)
        fold = Fold(train=learn_until(whole, learning, start), test=test)
        for part, what in ((fold.train, "train on"), (fold.test, "judge trials on")):
            if part.frame.is_empty():
                raise NothingToLearnError(model, what, part.start, part.end)
        found.append(fold)
    return tuple(found)


def run_search(
    search: Search,
    train_with: TrainWith,
    folds: Sequence[Fold],
    *,
    file: Path,
    key: str,
    report: Callable[[Trialled], None] = lambda _: None,
) -> Found:
    """Search, or go on with a search of the same key; equal arguments give equal trials.

    Args:
        search: What is searched, and for how long.
        train_with: Trains a model on rows, with a seed and settings.
        folds: What each trial is judged on.
        file: SQLite file of the studies.
        key: Name of the study; trials of another one are not gone on with.
        report: Told of each trial that ended.

    Raises:
        MissingExtraError: The extra ``search`` is not installed.
        NoTrialError: No trial could be judged.
    """
    study = _study(search, file, key)
    _bury(study)
    resumed = len(_ended(study))
    judge = _Judge(train_with=train_with, folds=folds, search=search)
    while (ended := _why_ended(search, study)) is None:
        report(_trialled(_one(search, study, judge)))
    trials = tuple(_trialled(one) for one in _ended(study))
    judged = [one for one in trials if one.state == FINISHED]
    if not judged:
        raise NoTrialError(search.name, trials)
    sign = 1 if metric_named(search.metric).is_higher_better else -1
    best = max(judged, key=lambda one: (sign * (one.value or 0.0), -one.number))
    return Found(
        metric=search.metric,
        trials=trials,
        best=best,
        importance=_importance(study, len(judged)),
        ended=ended,
        resumed=resumed,
    )


def _one(search: Search, study: "optuna.Study", judge: _Judge) -> "optuna.trial.FrozenTrial":
    """Draw settings, judge them, and write down what became of them."""
    from optuna.trial import TrialState

    study.sampler = _sampler(search, len(_ended(study)))
    trial = study.ask({one.name: one.distribution() for one in search.dimensions})
    params, values = dict(trial.params), list[float]()
    try:
        for place, fold in enumerate(judge.folds):
            values.append(judge.value(params, fold))
            mean = sum(values) / len(values)
            trial.set_user_attr(FOLDS, values)
            trial.report(mean, place)
            is_last = place == len(judge.folds) - 1
            if search.is_pruning and not is_last and trial.should_prune():
                return study.tell(trial, state=TrialState.PRUNED)
        return study.tell(trial, sum(values) / len(values))
    except Exception as error:  # noqa: BLE001 - whatever settings make a library say is the end of one trial
        trial.set_user_attr(WHY, f"{type(error).__name__}: {error}")
        return study.tell(trial, state=TrialState.FAIL)


def _study(search: Search, file: Path, key: str) -> "optuna.Study":
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError("Searching for settings", "search") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    is_up = metric_named(search.metric).is_higher_better
    return optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name=key,
        direction="maximize" if is_up else "minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4)
        if search.is_pruning
        else optuna.pruners.NopPruner(),
    )


def _sampler(search: Search, finished: int) -> "optuna.samplers.BaseSampler":
    """A sampler of one trial, which forgets nothing by a kill because it remembers nothing."""
    import optuna

    seed = int.from_bytes(hashlib.sha256(f"{search.seed}/{finished}".encode()).digest()[:4], "big")
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)


def _bury(study: "optuna.Study") -> None:
    """End the trials that a killed run left under way."""
    from optuna.trial import TrialState

    for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(one.number, state=TrialState.FAIL)


def _ended(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """The trials that count: those of a killed run failed without saying why, and are tried again."""
    from optuna.trial import TrialState

    return [
        one
        for one in study.get_trials(deepcopy=False)
        if one.state.is_finished() and (one.state != TrialState.FAIL or WHY in one.user_attrs)
    ]


def _why_ended(search: Search, study: "optuna.Study") -> str | None:
    ended = _ended(study)
    if len(ended) >= search.trials:
        return f"all {search.trials} trials"
    spent_s = sum(_wall_s(one) for one in ended)
    return f"{search.seconds:g} s are spent" if spent_s >= search.seconds and ended else None


def _wall_s(one: "optuna.trial.FrozenTrial") -> float:
    return one.duration.total_seconds() if one.duration else 0.0


def _trialled(one: "optuna.trial.FrozenTrial") -> Trialled:
    folds = tuple(one.user_attrs.get(FOLDS, ()))
    named = {"COMPLETE": FINISHED, "PRUNED": PRUNED}
    return Trialled(
        number=one.number,
        params=dict(one.params),
        state=named.get(one.state.name, FAILED),
        value=sum(folds) / len(folds) if folds and one.state.name in named else None,
        folds=folds,
        wall_s=_wall_s(one),
        why=str(one.user_attrs.get(WHY, "")),
    )


def _importance(study: "optuna.Study", judged: int) -> dict[str, float]:
    """As `PED-ANOVA` sees it, which needs no scikit-learn; nothing where there is too little to tell."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if judged < RANDOM_TRIALS:
        return {}
    try:
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
    except (RuntimeError, ValueError):  # all trials alike
        return {}
