"""Metrics that models are judged by, under the names that declarations use; light, since declarations load them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from lakeline.errors import EvaluationError, names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Measure = Callable[[Floats, Floats], Callable[[Floats], float]]
    """Labels and scores in, a function of how often each row counts out."""

LEVEL = 0.95
"""Confidence of intervals, unless another is asked for."""


class UnknownMetricError(EvaluationError):
    """A model is to be judged by a metric that nobody can compute."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        super().__init__(f"there is no metric '{metric}'. Use one of {names(sorted(METRICS))}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One way to judge scores.

    Attributes:
        is_higher_better: Whether a larger value is a better model.
        measure: Prepares labels and scores, so that many resamples of them are cheap.
    """

    name: str
    is_higher_better: bool
    measure: "Measure"


def metric_named(name: str) -> Metric:
    """One of ``METRICS``.

    Raises:
        UnknownMetricError: There is none of the name.
    """
    if name not in METRICS:
        raise UnknownMetricError(name)
    return METRICS[name]


def _auc(labels_N: "Floats", scores_N: "Floats") -> "Callable[[Floats], float]":
    from lakeline.models.evaluation import Ranking

    return Ranking.of(labels_N, scores_N).auc


def _average_precision(labels_N: "Floats", scores_N: "Floats") -> "Callable[[Floats], float]":
    from lakeline.models.evaluation import Ranking

    return Ranking.of(labels_N, scores_N).average_precision


def _brier(labels_N: "Floats", scores_N: "Floats") -> "Callable[[Floats], float]":
    return _mean((scores_N - labels_N) ** 2)


def _log_loss(labels_N: "Floats", scores_N: "Floats") -> "Callable[[Floats], float]":
    from lakeline.models.evaluation import log_losses

    return _mean(log_losses(labels_N, scores_N))


def _calibration_gap(labels_N: "Floats", scores_N: "Floats") -> "Callable[[Floats], float]":
    mean = _mean(scores_N - labels_N)
    return lambda often_N: abs(mean(often_N))


def _mean(values_N: "Floats") -> "Callable[[Floats], float]":
    return lambda often_N: float(often_N @ values_N) / float(often_N.sum())


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        name: Metric(name=name, is_higher_better=higher, measure=measure)
        for name, higher, measure in (
            ("auc", True, _auc),
            ("average_precision", True, _average_precision),
            ("brier", False, _brier),
            ("calibration_gap", False, _calibration_gap),
            ("log_loss", False, _log_loss),
        )
    }
)
"""Metrics that a gate may compare by, under the names of `lakeline.models.evaluation.Metrics`; the gap counts without its sign."""
