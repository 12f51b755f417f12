"""Whether scores are the probabilities that they say: the calibration curve over bins of equally many rows.

Expected calibration error as in Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
binning" (AAAI 2015), over quantile bins: those of equal width leave most rows of a rare label in one.

Shapes: N rows, K bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.models.evaluation import require_comparable
from lakeline.models.intervals import Draws
from lakeline.monitoring.performance import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationBin:
    """Rows of like scores.

    Attributes:
        lowest, highest: Scores that are in it.
        rows: How many.
        score: Their mean score: what was promised.
        share: Share of positive rows among them: what came true, with its interval over days.
    """

    lowest: float
    highest: float
    rows: int
    score: float
    share: Interval

    @property
    def is_off(self) -> bool:
        """Whether what was promised lies outside the interval of what came true."""
        return self.share.is_above(self.score) or self.share.is_below(self.score)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The calibration curve.

    Attributes:
        bins: From the lowest scores to the highest.
        error: Expected calibration error: mean distance of score and share over bins, weighed by their rows.
    """

    bins: tuple[CalibrationBin, ...]
    error: float

    @property
    def off(self) -> tuple[CalibrationBin, ...]:
        """The bins whose scores promise surely too much or too little."""
        return tuple(one for one in self.bins if one.is_off)


def calibrate(
    labels: "npt.ArrayLike | pl.Series",
    scores: "npt.ArrayLike | pl.Series",
    draws: Draws,
    *,
    bins: int = BINS,
) -> Calibration:
    """The calibration curve of scores.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        scores: Probabilities, shape ``(N,)``.
        draws: Of these rows.
        bins: Bins at most; equal scores are never parted, so that there may be fewer.

    Raises:
        EvaluationError: Labels and scores cannot be compared.
    """
    import numpy as np

    labels_N, scores_N = require_comparable(labels, scores)
    bin_N = _binned(scores_N, bins)
    count = int(bin_N.max()) + 1
    shares = draws.means(labels_N, bin_N, count)
    rows_K = np.bincount(bin_N, minlength=count)
    score_K = np.bincount(bin_N, scores_N, minlength=count) / rows_K
    found = tuple(
        CalibrationBin(
            lowest=float(scores_N[bin_N == k].min()),
            highest=float(scores_N[bin_N == k].max()),
            rows=int(rows_K[k]),
            score=float(score_K[k]),
            share=shares[k],
        )
        for k in range(count)
    )
    return Calibration(bins=found, error=_error(found))


def _binned(scores_N: "npt.NDArray[np.float64]", bins: int) -> "npt.NDArray[np.int64]":
    """Number of each row's bin by its place in the order of scores, without gaps, shape ``(N,)``."""
    import numpy as np

    _, score_N, rows = np.unique(scores_N, return_inverse=True, return_counts=True)
    middle = (
        np.cumsum(rows) - rows / 2
    )  # equal scores stand in the middle of the places that they take
    _, bin_N = np.unique(
        (middle * bins / len(scores_N)).astype(np.int64)[score_N], return_inverse=True
    )
    return bin_N.astype(np.int64)


def _error(bins: Sequence[CalibrationBin]) -> float:
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.score - one.share.value) for one in bins) / rows
