"""How good predictions turned out to be once their labels arrived, with how sure the numbers are.

Rows of one day share their weather and their delays, so that the resamples draw whole blocks: an interval over single
rows would promise far too much. Shapes: N rows, B blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.errors import EvaluationError
from lakeline.models.evaluation import Metrics, Ranking, evaluate, floats

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

RESAMPLES = 200
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A number and the range in which it lies with the given confidence.

    Attributes:
        value: As measured.
        low: Lower end; NaN where no resample could be measured.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def is_below(self, limit: float) -> bool:
        """Whether even the upper end lies below ``limit``."""
        return self.high < limit

    def is_above(self, limit: float) -> bool:
        """Whether even the lower end lies above ``limit``."""
        return self.low > limit


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformanceReport:
    """Quality of predictions.

    Attributes:
        metrics: Every number, as measured.
        auc: Ranking, with its interval.
        brier: Mean squared distance of score and label, with its interval.
        calibration_gap: Mean score minus share of positive rows, with its interval.
        blocks: Blocks that were resampled; with one, the intervals are only points.
    """

    metrics: Metrics
    auc: Interval
    brier: Interval
    calibration_gap: Interval
    blocks: int

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """The intervals by the name of what they measure."""
        return {"auc": self.auc, "brier": self.brier, "calibration_gap": self.calibration_gap}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far scores may fall behind what was promised of them.

    Attributes:
        brier: By how much the Brier score may be above the promised one. Its level follows the share of positive rows,
            so that a season can use up a tolerance below some hundredths.
        calibration_gap: By how much the gap may be wider than the promised one, on either side of 0.
        min_days: With fewer days of labels nothing is said to have failed.
    """

    brier: float = 0.03
    calibration_gap: float = 0.05
    min_days: int = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Whether a promise of a model's evaluation still holds.

    Attributes:
        holds: False only where the whole interval lies beyond the limit.
        reason: In words, for people.
        numbers: What was measured, promised and allowed.
    """

    holds: bool
    reason: str
    numbers: Mapping[str, float]


def brier_kept(
    found: "PerformanceReport", promised: Mapping[str, float], tolerance: Tolerance
) -> Kept:
    """Whether the Brier score is still what the model's evaluation promised.

    Args:
        found: Of scores of days after the model's training window.
        promised: What the model was registered with, by metric; without a Brier score nothing was promised.
        tolerance: How far it may fall behind.
    """
    limit = promised.get("brier", float("inf")) + tolerance.brier
    broken = found.brier.is_above(limit) and found.blocks >= tolerance.min_days
    return _kept("brier", found.brier, found.blocks, limit=limit, broken=broken)


def calibration_kept(
    found: "PerformanceReport", promised: Mapping[str, float], tolerance: Tolerance
) -> Kept:
    """Whether scores are still as near to the share of positive rows as the model's evaluation promised; as `brier_kept`."""
    limit = abs(promised.get("calibration_gap", float("inf"))) + tolerance.calibration_gap
    gap = found.calibration_gap
    beyond = gap.is_above(limit) or gap.is_below(-limit)
    broken = beyond and found.blocks >= tolerance.min_days
    return _kept("calibration_gap", gap, found.blocks, limit=limit, broken=broken)


def _kept(name: str, interval: Interval, days: int, *, limit: float, broken: bool) -> Kept:
    said = f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}) on {days} days"
    if broken:
        reason = f"{name} is {said}, surely beyond the limit {limit:.4f}"
    else:
        reason = f"{name} is {said}, not surely beyond the limit {limit:.4f}"
    numbers = {name: interval.value, "low": interval.low, "high": interval.high, "limit": limit}
    return Kept(holds=not broken, reason=reason, numbers=numbers)


def performance(
    labels: "npt.ArrayLike | pl.Series",
    scores: "npt.ArrayLike | pl.Series",
    *,
    blocks: "Sequence[object] | npt.NDArray[Any] | pl.Series | None" = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> PerformanceReport:
    """Quality of ``scores`` against ``labels``, with bootstrap intervals; equal arguments give equal numbers.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        scores: Probabilities, shape ``(N,)``.
        blocks: What rows are drawn together, for example their day, shape ``(N,)``; each row alone without.
        resamples: How often blocks are drawn.
        level: Confidence of the intervals.
        seed: Seed of the draws.

    Raises:
        EvaluationError: Labels and scores cannot be compared, or there is not one block a row.
    """
    import numpy as np

    metrics = evaluate(labels, scores)
    labels_N, scores_N = floats(labels), floats(scores)
    block_N, count = _numbered(blocks, len(labels_N))
    draw = np.random.default_rng(seed)
    ranking = Ranking.of(labels_N, scores_N)
    off_N = scores_N - labels_N
    drawn = [_measure(ranking, off_N, _weights(draw, block_N, count)) for _ in range(resamples)]
    tail = (1 - level) / 2

    def interval(name: str, value: float) -> Interval:
        found = np.array([measured[name] for measured in drawn])
        usable = found[~np.isnan(found)]
        low, high = np.quantile(usable, [tail, 1 - tail]) if len(usable) else (np.nan, np.nan)
        return Interval(value=value, low=float(low), high=float(high))

    return PerformanceReport(
        metrics=metrics,
        auc=interval("auc", metrics.auc),
        brier=interval("brier", metrics.brier),
        calibration_gap=interval("calibration_gap", metrics.calibration_gap),
        blocks=count,
    )


def _numbered(
    blocks: "Sequence[object] | npt.NDArray[Any] | pl.Series | None", rows: int
) -> "tuple[npt.NDArray[np.int64], int]":
    """The number of each row's block, shape ``(N,)``, and how many blocks there are."""
    import numpy as np

    if blocks is None:
        return np.arange(rows), rows
    if len(blocks) != rows:
        raise EvaluationError(f"{len(blocks):,} blocks for {rows:,} rows")
    names, block_N = np.unique([str(block) for block in blocks], return_inverse=True)
    return block_N, len(names)


def _weights(
    draw: "np.random.Generator", block_N: "npt.NDArray[np.int64]", count: int
) -> "npt.NDArray[np.float64]":
    """How often each row is in a resample of as many blocks as there are, shape ``(N,)``."""
    import numpy as np

    often_B = np.bincount(draw.integers(0, count, count), minlength=count)
    return often_B[block_N].astype(np.float64)


def _measure(
    ranking: Ranking, off_N: "npt.NDArray[np.float64]", weights_N: "npt.NDArray[np.float64]"
) -> dict[str, float]:
    rows = float(weights_N.sum())
    return {
        "auc": ranking.auc(weights_N),
        "brier": float(weights_N @ off_N**2) / rows,
        "calibration_gap": float(weights_N @ off_N) / rows,
    }
