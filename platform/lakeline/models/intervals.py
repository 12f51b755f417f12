"""How sure the numbers of an evaluation are: intervals over resampled days, all resamples at once.

Days are drawn as `lakeline.models.comparison` draws them, since rows of one day are alike. A resample only says how often
each day counts, so that whatever is a sum over rows is summed a day once, and a resample is one row of a matrix product:
1,000 of them over 60,000 rows take a few tenths of a second where ranking the rows anew each time takes many.

Shapes: N rows, B days, R resamples, P positive rows, G places of a ranking, K groups of rows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lakeline.errors import EvaluationError
from lakeline.models.comparison import RESAMPLES
from lakeline.models.evaluation import evaluate, log_losses, require_comparable
from lakeline.models.metrics import LEVEL
from lakeline.monitoring.performance import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

EXACT_PLACES = 256
"""The highest ranks, at each of which precision is looked at."""
FURTHER_PLACES = 768


@dataclass(frozen=True, eq=False)
class Draws:
    """Resamples of days, the same for everything that is measured on them.

    Attributes:
        day_N: Number of each row's day, shape ``(N,)``.
        often_RB: How often each day counts in each resample.
        level: Confidence of the intervals, which have equal tails.
    """

    day_N: "Ints"  # noqa: N815 - arrays carry their shape
    often_RB: "Floats"  # noqa: N815 - likewise
    level: float

    @classmethod
    def of(
        cls,
        days: "npt.ArrayLike | pl.Series",
        *,
        resamples: int = RESAMPLES,
        level: float = LEVEL,
        seed: int = 0,
    ) -> "Draws":
        """The draws of rows by their days; equal arguments give equal draws.

        Raises:
            EvaluationError: There are no rows.
        """
        import numpy as np

        names_B, day_N = np.unique(np.asarray(days), return_inverse=True)
        count = len(names_B)
        if not count:
            raise EvaluationError("there are no rows")
        draw = np.random.default_rng(seed)
        often = [
            np.bincount(draw.integers(0, count, count), minlength=count) for _ in range(resamples)
        ]
        return cls(day_N.astype(np.int64), np.array(often, dtype=np.float64), level)

    @property
    def days(self) -> int:
        """Days that are drawn."""
        return int(self.often_RB.shape[1])

    def by_day(self, values_N: "Floats") -> "Floats":
        """Sums of a number of each row over days, shape ``(B,)``."""
        import numpy as np

        return np.bincount(self.day_N, values_N, minlength=self.days).astype(np.float64)

    def by_day_and_group(self, values_N: "Floats", group_N: "Ints", groups: int) -> "Floats":
        """Sums over the days of each group of rows, shape ``(B, K)``."""
        import numpy as np

        place_N = self.day_N * groups + group_N
        summed = np.bincount(place_N, values_N, minlength=self.days * groups)
        return summed.astype(np.float64).reshape(-1, groups)

    def interval(self, value: float, drawn_R: "Floats") -> Interval:
        """Where most resamples lie; those that could not be measured are left out."""
        import numpy as np

        usable = drawn_R[~np.isnan(drawn_R)]
        if not len(usable):
            return Interval(value=value, low=float("nan"), high=float("nan"))
        tail = (1 - self.level) / 2
        low, high = np.quantile(usable, [tail, 1 - tail])
        return Interval(value=value, low=float(low), high=float(high))

    def mean(self, values_N: "Floats") -> Interval:
        """A mean over rows."""
        import numpy as np

        drawn_R = _shares(
            self.often_RB @ self.by_day(values_N),
            self.often_RB @ self.by_day(np.ones(len(values_N))),
        )
        return self.interval(float(values_N.mean()), drawn_R)

    def means(self, values_N: "Floats", group_N: "Ints", groups: int) -> list[Interval]:
        """The mean of each group of rows; NaN for a group without any."""
        import numpy as np

        sums_BK = self.by_day_and_group(values_N, group_N, groups)
        rows_BK = self.by_day_and_group(np.ones(len(values_N)), group_N, groups)
        drawn_RK = _shares(self.often_RB @ sums_BK, self.often_RB @ rows_BK)
        value_K = _shares(sums_BK.sum(axis=0), rows_BK.sum(axis=0))
        return [self.interval(float(value_K[k]), drawn_RK[:, k]) for k in range(groups)]

    def among(self, is_kept_N: "npt.NDArray[np.bool_]") -> "Draws":
        """The same draws for some of the rows."""
        return Draws(self.day_N[is_kept_N], self.often_RB, self.level)


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows by their scores, a day apart, so that a resample is ranked without looking at its rows again.

    Of a positive row that scores ``s`` all that matters is how many rows of each day score above, at and below ``s``. Then
    the area under the ROC curve of a resample that takes day ``b`` ``w[b]`` times is ``w' A w / (w' pos * w' neg)`` with
    ``A[a, b]`` the pairs that positive rows of day ``a`` win against negative rows of day ``b``.
    """

    labels_N: "Floats"  # noqa: N815 - arrays carry their shape
    scores_N: "Floats"  # noqa: N815 - likewise
    draws: Draws

    def auc(self) -> "Floats":
        """Area under the ROC curve of each resample, ties counting half, shape ``(R,)``; NaN where one kind is absent."""
        often_RB = self.draws.often_RB
        positive_R = often_RB @ self.draws.by_day(self.labels_N)
        negative_R = often_RB @ self.draws.by_day(1 - self.labels_N)
        won_R = ((often_RB @ self._won_BB) * often_RB).sum(axis=1)
        return _shares(won_R, positive_R * negative_R)

    def average_precision(self) -> "Floats":
        """Precision averaged over the recall, of each resample, shape ``(R,)``; NaN without positive rows.

        Precision is looked at in at most a thousand places of the ranking, each of the highest ranks among them, and taken to
        change evenly from place to place. That is exact for few positive rows, and else good to 5e-4 of itself.
        """
        import numpy as np

        often_RB = self.draws.often_RB
        distinct = np.unique(self.scores_N[self.labels_N == 1])[::-1]
        if not len(distinct):
            return np.full(len(often_RB), np.nan)
        place_G = places(len(distinct))
        positive_BG = _at_least(self._positive_by_day, distinct[place_G])
        negative_BG = _at_least(self._negative_by_day, distinct[place_G])
        found_RG = often_RB @ positive_BG
        precision_RG = _shares(found_RG, found_RG + often_RB @ negative_BG, nothing=0.0)
        # Of the w scores after one place up to the next, the j-th has come j/w of the way to the next one's precision.
        width_G = np.diff(place_G, prepend=-1)
        next_G, before_G = (width_G + 1) / (2 * width_G), (width_G - 1) / (2 * width_G)
        mean_RG = precision_RG * next_G
        mean_RG[:, 1:] += precision_RG[:, :-1] * before_G[1:]
        gained_RG = np.diff(found_RG, axis=1, prepend=0)
        return _shares((mean_RG * gained_RG).sum(axis=1), found_RG[:, -1])

    @cached_property
    def _won_BB(self) -> "Floats":  # noqa: N802 - arrays carry their shape
        import numpy as np

        scores_P = np.concatenate(self._positive_by_day)
        starts = np.cumsum([0, *map(len, self._positive_by_day)])
        won_BB = np.empty((self.draws.days, self.draws.days))
        for b, scores in enumerate(self._negative_by_day):
            below_P = np.searchsorted(scores, scores_P, "left")
            or_equal_P = np.searchsorted(scores, scores_P, "right")
            summed = np.concatenate([[0], np.cumsum(below_P + or_equal_P)])
            won_BB[:, b] = np.diff(summed[starts]) / 2
        return won_BB

    @cached_property
    def _positive_by_day(self) -> "list[Floats]":
        return self._sorted(1)

    @cached_property
    def _negative_by_day(self) -> "list[Floats]":
        return self._sorted(0)

    def _sorted(self, label: int) -> "list[Floats]":
        """Scores of the rows with a label, ascending, a day each."""
        import numpy as np

        is_kept_N = self.labels_N == label
        day, scores = self.draws.day_N[is_kept_N], self.scores_N[is_kept_N]
        order = np.lexsort((scores, day))
        ends = np.cumsum(np.bincount(day, minlength=self.draws.days))[:-1]
        return np.split(scores[order], ends)


def places(count: int) -> "Ints":
    """Places of a ranking that are looked at, the first and the last among them, ever wider apart.

    >>> len(places(250)), len(places(15_000)), int(places(15_000)[-1])
    (250, 1023, 14999)
    """
    import numpy as np

    if count <= EXACT_PLACES:
        return np.arange(count)
    spread = np.geomspace(EXACT_PLACES, count, FURTHER_PLACES).round().astype(np.int64) - 1
    return np.unique(np.concatenate([np.arange(EXACT_PLACES), spread]))


def _at_least(by_day: "list[Floats]", scores_G: "Floats") -> "Floats":
    """Rows of each day that score as much or more, shape ``(B, G)``."""
    import numpy as np

    counted = [len(one) - np.searchsorted(one, scores_G, "left") for one in by_day]
    return np.array(counted, dtype=np.float64)


def metric_intervals(
    labels: "npt.ArrayLike | pl.Series", scores: "npt.ArrayLike | pl.Series", draws: Draws
) -> dict[str, Interval]:
    """AUC, average precision, Brier score, log loss and calibration gap, each with its interval over days.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        scores: Probabilities, shape ``(N,)``.
        draws: Of these rows.

    Raises:
        EvaluationError: Labels and scores cannot be compared, or the draws are of other rows.
    """
    labels_N, scores_N = require_comparable(labels, scores)
    if len(draws.day_N) != len(labels_N):
        raise EvaluationError(f"{len(draws.day_N):,} days for {len(labels_N):,} rows")
    measured, ranked = evaluate(labels_N, scores_N), Ranked(labels_N, scores_N, draws)
    return {
        "auc": draws.interval(measured.auc, ranked.auc()),
        "average_precision": draws.interval(measured.average_precision, ranked.average_precision()),
        "brier": draws.mean((scores_N - labels_N) ** 2),
        "log_loss": draws.mean(log_losses(labels_N, scores_N)),
        "calibration_gap": draws.mean(scores_N - labels_N),
    }


def _shares(part: "Floats", whole: "Floats", nothing: float = float("nan")) -> "Floats":
    import numpy as np

    return np.divide(part, whole, out=np.full_like(part, nothing), where=whole > 0)
