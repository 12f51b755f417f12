"""The evaluation of a trial in full, as one value that is written beside the model: numbers, intervals, slices, thresholds.

What was measured is the model that never saw the days of the evaluation. Its numbers are those of
`lakeline.models.evaluation.evaluate` on the same rows.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lakeline.errors import ModelError
from lakeline.models.calibration import Calibration, CalibrationBin, calibrate
from lakeline.models.comparison import RESAMPLES
from lakeline.models.evaluation import Metrics
from lakeline.models.intervals import Draws, metric_intervals
from lakeline.models.metrics import LEVEL
from lakeline.models.slices import Slice, slice_rows
from lakeline.models.thresholds import Costs, Threshold, cheapest, threshold_table
from lakeline.monitoring.performance import Interval

if TYPE_CHECKING:
    from lakeline.models.trial import Trial

EVALUATION_FILE = "evaluation.json"
EVALUATION = "lakeline.evaluation"
"""Tag of a version: SHA-256 of its evaluation, in hexadecimal."""

FORMAT = 1


class NoEvaluationError(ModelError):
    """A version was registered without an evaluation."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"Version {version} of model '{name}' has no evaluation beside it: a release of lakeline before this one "
            "registered it, or another tool. Train the model again; its new version has one."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationReport:
    """How a model did on the days after its training window.

    Attributes:
        digest: SHA-256 of the model that was measured.
        learned_from, learned_until: Its training window, the end excluded.
        judged_from, judged_until: The days of the evaluation, the end excluded.
        days: Days that have rows, which the intervals resample.
        metrics: Quality on all rows.
        intervals: Of AUC, average precision, Brier score, log loss and calibration gap.
        baselines: Quality of each baseline on the same rows.
        gains: By how much the Brier score is better than each baseline's; below 0 it is worse.
        calibration: Whether scores are the probabilities that they say.
        slices: Quality within parts of the rows.
        thresholds: What acting on scores from a threshold on would mean.
        costs: Of wrong decisions; None where none are declared.
        level: Confidence of every interval.
        resamples: Draws that the intervals rest on.
    """

    digest: str
    learned_from: dt.datetime
    learned_until: dt.datetime
    judged_from: dt.datetime
    judged_until: dt.datetime
    days: int
    metrics: Metrics
    intervals: Mapping[str, Interval]
    baselines: Mapping[str, Metrics]
    gains: Mapping[str, Interval]
    calibration: Calibration
    slices: tuple[Slice, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    costs: Costs | None = None
    level: float = LEVEL
    resamples: int = RESAMPLES

    @property
    def worse(self) -> tuple[Slice, ...]:
        """The slices in which a baseline is surely better, the worst first."""
        return tuple(sorted((one for one in self.slices if one.is_worse), key=_gain))

    @property
    def worst(self) -> tuple[Slice, ...]:
        """All slices, those first in which least is gained over the baselines."""
        return tuple(sorted(self.slices, key=_gain))

    @property
    def numbers(self) -> dict[str, float]:
        """What the UI plots over trainings; numbers that are not known are left out."""
        found: dict[str, float] = {"calibration_error": self.calibration.error}
        for name, one in self.intervals.items():
            found |= {f"{name}_low": one.low, f"{name}_high": one.high}
        for name, one in self.gains.items():
            found[f"gain_over_{name}"] = one.value
        if self.slices:
            found |= {"slices": len(self.slices), "slices_worse": len(self.worse)}
            found["worst_slice_gain"] = self.worst[0].gain.value
        best = cheapest(self.thresholds)
        if best is not None and best.cost is not None:
            found |= {"best_threshold": best.threshold, "best_cost": best.cost}
        return {name: float(value) for name, value in found.items() if not math.isnan(value)}

    def to_json(self) -> str:
        """As text that :func:`parse_evaluation` reads; equal reports give equal text."""
        told = {"format": FORMAT, **asdict(self)}
        return json.dumps(_plain(told), indent=2, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "EvaluationReport":
        """A report from its text.

        Raises:
            ValueError: It is none, or one of another format.
        """
        told = json.loads(text)
        if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
            raise ValueError(f"it is not an evaluation of format {FORMAT}")
        try:
            return cls(**told | _parts(told))
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks or has too much: {error}") from error


def evaluate_trial(
    trial: "Trial",
    *,
    slices: Sequence[str] = (),
    costs: Costs | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> EvaluationReport:
    """The evaluation of a trial on its days; equal arguments give equal reports.

    Args:
        trial: A trained model with its scores of later days.
        slices: Columns that the rows are parted by.
        costs: Of wrong decisions.
        resamples: How often days are drawn.
        seed: Seed of the draws.

    Raises:
        ColumnsMissingError: The rows have no such column to part them by.
    """
    test, labels_N, scores_N = trial.test, trial.test.labels(), trial.scores_N
    draws = Draws.of(test.frame[test.at].dt.date(), resamples=resamples, seed=seed)
    squares_N = (scores_N - labels_N) ** 2
    return EvaluationReport(
        digest=trial.model.digest,
        learned_from=trial.train.start,
        learned_until=trial.train.end,
        judged_from=test.start,
        judged_until=test.end,
        days=draws.days,
        metrics=trial.metrics,
        intervals=metric_intervals(labels_N, scores_N, draws),
        baselines=trial.baselines,
        gains={
            name: draws.mean((one_N - labels_N) ** 2 - squares_N)
            for name, one_N in trial.baseline_scores.items()
        },
        calibration=calibrate(labels_N, scores_N, draws),
        slices=slice_rows(test, scores_N, trial.baseline_scores, draws, columns=slices),
        thresholds=threshold_table(labels_N, scores_N, costs=costs),
        costs=costs,
        resamples=resamples,
    )


def _gain(one: Slice) -> tuple[float, str]:
    return (one.gain.value if not math.isnan(one.gain.value) else math.inf), str(one)


def _plain(value: Any) -> Any:
    """Ready for JSON, which has no NaN: unknown numbers become null."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _parts(told: Mapping[str, Any]) -> dict[str, Any]:
    moments = ("learned_from", "learned_until", "judged_from", "judged_until")
    return {
        **{name: dt.datetime.fromisoformat(told[name]) for name in moments},
        "metrics": Metrics(**_numbers(told["metrics"])),
        "intervals": {name: _interval(one) for name, one in told["intervals"].items()},
        "baselines": {name: Metrics(**_numbers(one)) for name, one in told["baselines"].items()},
        "gains": {name: _interval(one) for name, one in told["gains"].items()},
        "calibration": Calibration(
            bins=tuple(
                CalibrationBin(**one | {"share": _interval(one["share"])})
                for one in told["calibration"]["bins"]
            ),
            error=told["calibration"]["error"],
        ),
        "slices": tuple(_slice(one) for one in told["slices"]),
        "thresholds": tuple(
            Threshold(**_numbers(one) | {"cost": one["cost"]}) for one in told["thresholds"]
        ),
        "costs": Costs(**told["costs"]) if told["costs"] else None,
    }


def _slice(told: Mapping[str, Any]) -> Slice:
    intervals = {
        name: _interval(told[name]) for name in ("auc", "brier", "calibration_gap", "gain")
    }
    return Slice(**{**told, **intervals})


def _interval(told: Mapping[str, Any]) -> Interval:
    return Interval(**_numbers(told))


def _numbers(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in told.items()}
