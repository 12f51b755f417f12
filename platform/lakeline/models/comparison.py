"""Two models on the same rows: which is better by a named metric, and how sure that is.

Rows of one day share their weather and their delays, so that resamples draw whole days, and both models are measured on
the same draw (a paired block bootstrap): what makes a day hard for both cancels. Shapes: N rows, B days, R resamples.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.models.evaluation import require_comparable
from lakeline.models.metrics import LEVEL, metric_named

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How much better the first of two models is than the second, by one metric.

    Attributes:
        first, second: The metric of each.
        gain: By how much the first is better, in the metric's unit; below 0 it is worse.
        low, high: Interval of the gain over resampled days.
        days: Days that were resampled.
        rows: Rows compared.
    """

    metric: str
    first: float
    second: float
    gain: float
    low: float
    high: float
    days: int
    rows: int

    @property
    def is_better(self) -> bool:
        """Whether the first is better beyond the interval; an equal model never is."""
        return self.low > 0


def compare(
    labels: "npt.ArrayLike | pl.Series",
    first: "npt.ArrayLike | pl.Series",
    second: "npt.ArrayLike | pl.Series",
    *,
    days: "npt.ArrayLike | pl.Series",
    metric: str,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """How much better the scores ``first`` are than ``second``; equal arguments give equal numbers.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        first: Probabilities, shape ``(N,)``.
        second: Probabilities, shape ``(N,)``.
        days: What rows are drawn together, shape ``(N,)``.
        metric: Name of one of ``METRICS``.
        resamples: How often days are drawn.
        level: Confidence of the interval, which has equal tails.
        seed: Seed of the draws.

    Raises:
        EvaluationError: The scores cannot be compared, or there is no such metric.
    """
    import numpy as np

    judged = metric_named(metric)
    labels_N, first_N = require_comparable(labels, first)
    _, second_N = require_comparable(labels, second)
    names_B, day_N = np.unique(np.asarray(days), return_inverse=True)
    sign = 1 if judged.is_higher_better else -1
    one, other = judged.measure(labels_N, first_N), judged.measure(labels_N, second_N)
    draw, count = np.random.default_rng(seed), len(names_B)
    drawn = []
    for _ in range(resamples):
        often_N = np.bincount(draw.integers(0, count, count), minlength=count)[day_N].astype(float)
        drawn.append(sign * (one(often_N) - other(often_N)))
    once_N = np.ones(len(labels_N))
    low, high = _interval(drawn, level)
    values = one(once_N), other(once_N)
    return Comparison(
        metric=metric,
        first=values[0],
        second=values[1],
        gain=sign * (values[0] - values[1]),
        low=low,
        high=high,
        days=count,
        rows=len(labels_N),
    )


def _interval(drawn: list[float], level: float) -> tuple[float, float]:
    import numpy as np

    found = np.array(drawn)
    usable = found[~np.isnan(found)]
    if not len(usable):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return float(low), float(high)
