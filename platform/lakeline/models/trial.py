"""A trial of a model: where its training window ends, and how it does on the days after."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from lakeline.errors import DomainError
from lakeline.models.learning import GateRules, Learning
from lakeline.models.training_set import TrainingSet
from lakeline.window import day_start

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.models.evaluation import Metrics
    from lakeline.models.rows import Rows
    from lakeline.models.training import TrainedModel

    Train = Callable[[Rows, int], TrainedModel]


class NothingToLearnError(DomainError):
    """A training window or the days after it hold no labelled rows."""

    def __init__(self, model: str, what: str, start: dt.datetime, end: dt.datetime) -> None:
        super().__init__(
            f"'{model}' has no labelled rows to {what} between {start:%Y-%m-%d} and {end:%Y-%m-%d}. "
            "Materialize more days of its training set, or set train_until and holdout_days."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A trained model with its results on days that it never saw.

    Attributes:
        train: What it learned from.
        test: What it was judged on.
        scores_N: Its scores of the rows of ``test``, shape ``(N,)``.
        baseline_scores: Those of each baseline.
    """

    model: "TrainedModel"
    metrics: "Metrics"
    baselines: "Mapping[str, Metrics]"
    train: "Rows"
    test: TrainingSet
    scores_N: "npt.NDArray[np.float64]" = field(repr=False)  # noqa: N815 - arrays carry their shape
    baseline_scores: "Mapping[str, npt.NDArray[np.float64]]" = field(repr=False)

    @property
    def beats_baselines(self) -> bool:
        """Whether it ranks better than the schedule and is a better probability than the share."""
        by_rank = all(self.metrics.auc > one.auc for one in self.baselines.values())
        return by_rank and all(self.metrics.brier < one.brier for one in self.baselines.values())

    @property
    def numbers(self) -> dict[str, float]:
        """Every figure of the evaluation by its name; those of a baseline begin with its name."""
        found = {name: float(value) for name, value in asdict(self.metrics).items()}
        for baseline, metrics in self.baselines.items():
            found |= {
                f"{baseline}_{name}": float(getattr(metrics, name)) for name in ("auc", "brier")
            }
        return found


def labelled_rows(
    frame: "pl.DataFrame", learning: Learning, start: dt.datetime, end: dt.datetime
) -> TrainingSet:
    """Every labelled row, sorted, so that equal rows train an equal model whatever order the files came in.

    Args:
        frame: The columns of the learning, and more that an older champion may read.
        learning: What the model learns from.
        start: Decisions covered: from here.
        end: Up to here, excluded.
    """
    rows = frame.sort(
        [*learning.columns, *sorted(set(frame.columns) - set(learning.columns))], nulls_last=True
    )
    return TrainingSet(
        frame=rows,
        features=learning.features,
        categorical=learning.categorical,
        label=learning.label,
        at=learning.at,
        start=start,
        end=end,
    ).labelled()


def split_at(end: dt.datetime, rules: GateRules, champion_until: dt.datetime | None) -> dt.datetime:
    """Where the training window of a challenger ends, of rows that end at ``end``: the days after it judge it.

    Those are the newest ``rules.days``. Where the champion learned from some of them, the challenger learns up to the
    same moment, so that neither has seen more, as long as ``rules.min_days`` are left to judge them.
    """
    usual = end - dt.timedelta(days=rules.days)
    if champion_until is None:
        return usual
    return max(usual, min(champion_until, end - dt.timedelta(days=rules.min_days)))


def learn_until(whole: TrainingSet, learning: Learning, until: dt.datetime) -> TrainingSet:
    """The rows decided before ``until`` whose label was known by then."""
    import polars as pl

    known = whole.frame.filter(pl.col(learning.known) < until)
    return replace(whole, frame=known).before(until)


def parted(
    whole: TrainingSet, learning: Learning, *, until: dt.datetime, test_until: dt.datetime
) -> tuple[TrainingSet, TrainingSet]:
    """What a trial learns from, and the rows from ``until`` to ``test_until`` that it is judged on."""
    return learn_until(whole, learning, until), whole.after(until).before(test_until)


def attempt(
    model: str,
    train_model: "Train",
    train: "Rows",
    test: "Rows",
    *,
    schedule: Sequence[str],
    seed: int,
) -> Trial:
    """Train, and evaluate on later days.

    Args:
        model: The asset, for what is said.
        train_model: Its function.
        train: Labelled rows, each of which was known before those of ``test`` were decided.
        test: Labelled rows, which are read when the training is over.
        schedule: Features of the baseline to beat; none, and the share is the only one.
        seed: Of everything random.

    Raises:
        NothingToLearnError: One of the two holds no labelled rows.
    """
    from lakeline.models.evaluation import evaluate, schedule_scores, share_scores

    for part, what in ((train, "train on"), (test, "be evaluated on")):
        if not part.count:
            raise NothingToLearnError(model, what, part.start, part.end)
    trained = train_model(train, seed)
    judging = test.in_memory()
    labels_N, scores_N = judging.labels(), trained.predict(judging.frame)
    baselines = {"share": share_scores(train, judging)}
    if schedule:
        baselines["schedule"] = schedule_scores(train, judging, schedule)
    return Trial(
        model=trained,
        metrics=evaluate(labels_N, scores_N),
        baselines={name: evaluate(labels_N, one_N) for name, one_N in baselines.items()},
        train=train,
        test=judging,
        scores_N=scores_N,
        baseline_scores=baselines,
    )


def moment_of(day: str) -> dt.datetime:
    """Midnight UTC that begins a day.

    Raises:
        DomainError: The text is no day.
    """
    try:
        return day_start(day)
    except ValueError as error:
        raise DomainError(f"train_until='{day}' is not a day. Write it as YYYY-MM-DD.") from error


def columns_to_read(learning: Learning, also: Sequence[str], has: Sequence[str]) -> list[str]:
    """Columns of the training set for a trial; of those that an older champion reads, the ones that are still there."""
    return list(dict.fromkeys((*learning.columns, *(name for name in also if name in has))))
