"""How well one feature alone tells a label, as area under the ROC curve, and how sure that is.

Values fall into bins: numbers into quantiles, texts into the frequent ones and the rest, nulls into one of their own. Each
bin is scored by its share of positive rows, so that a feature counts however it bends, and a null counts where it tells
something. Bins are scored on every second day and judged on the others, and the other way round: chance is 0.5, however
many bins there are. Rows of one day are alike, so that resamples draw whole days.

Shapes: N rows, B days, K bins, R resamples.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import EvaluationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

BINS = 32
CATEGORIES = 100
"""Texts that have a bin of their own; the rarer ones share one."""

FEWEST_DAYS = 6
PRIOR_ROWS = 10.0
"""Rows of the mean that every bin is given, so that a bin of few rows says little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """One feature and the label.

    Attributes:
        auc: Area under the curve; 0.5 where the feature tells nothing, 1 where it is the label.
        resampled: The same over each draw of days, shape ``(R,)``.
    """

    auc: float
    resampled: "Floats"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Labels and days of some rows, and the draws of days that every feature is judged on.

    Attributes:
        positive: Whether each row is, shape ``(N,)``.
        day: Number of each row's day, from 0, shape ``(N,)``.
        draws: How often each day counts in each resample, shape ``(R, B)``.
    """

    positive: "npt.NDArray[np.bool_]"
    day: "Whole"
    draws: "Floats"

    @classmethod
    def of(cls, labels: "pl.Series", days: "pl.Series", *, resamples: int, seed: int) -> "Judge":
        """A judge of rows with these labels and days.

        Args:
            labels: Boolean or 0/1, without nulls.
            days: What rows are drawn together.
            resamples: How often days are drawn.
            seed: Seed of the draws.

        Raises:
            EvaluationError: There are too few days, or all labels are the same.
        """
        import numpy as np
        import polars as pl

        positive = labels.cast(pl.Float64).to_numpy() > 0
        day = (days.rank("dense") - 1).cast(pl.Int64).to_numpy()
        count = int(day.max(initial=-1)) + 1
        if count < FEWEST_DAYS:
            raise EvaluationError(f"there are {count} days, and {FEWEST_DAYS} are needed to tell chance from leakage")  # fmt: skip
        if positive.all() or not positive.any():
            raise EvaluationError(f"all {len(positive):,} rows have the same label")
        rng = np.random.default_rng(seed)
        draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
        return cls(positive=positive, day=day, draws=draws.astype(np.float64))

    def association(self, values: "pl.Series") -> Association:
        """How well the values tell the label."""
        import numpy as np

        positive_BK, negative_BK = self._tallies(bins_of(values))
        every_day = np.ones((1, self.draws.shape[1]))
        weights = np.vstack([every_day, self.draws])
        halves = [_half(positive_BK, negative_BK, weights, judged=half) for half in (0, 1)]
        areas = np.nanmean(np.vstack(halves), axis=0)
        return Association(auc=float(areas[0]), resampled=areas[1:])

    def _tallies(self, bins: "Whole") -> "tuple[Floats, Floats]":
        """Positive and negative rows of each day in each bin, shape ``(B, K)`` each."""
        import numpy as np

        shape = (self.draws.shape[1], int(bins.max(initial=0)) + 1)
        cell = self.day * shape[1] + bins
        size = shape[0] * shape[1]
        every = np.bincount(cell, minlength=size).reshape(shape)
        positive = np.bincount(cell[self.positive], minlength=size).reshape(shape)
        return positive.astype(np.float64), (every - positive).astype(np.float64)


def bins_of(values: "pl.Series") -> "Whole":
    """Number of the bin of each value, 0 for a null or NaN; shape ``(N,)``."""
    import polars as pl

    dtype = values.dtype
    if dtype.is_temporal():
        return bins_of(values.to_physical())
    if dtype.is_numeric() or dtype == pl.Boolean:
        return _numeric_bins(values.cast(pl.Float64).fill_nan(None))
    return _category_bins(values.cast(pl.String))


def _numeric_bins(values: "pl.Series") -> "Whole":
    """Quantiles; the values themselves where there are no more of them than bins."""
    import numpy as np

    present = values.drop_nulls()
    distinct = present.unique().sort().to_numpy()
    if len(distinct) > BINS:
        inner = np.arange(1, BINS) / BINS
        distinct = np.unique(np.quantile(present.to_numpy(), inner, method="lower"))
    places = 1 + np.searchsorted(distinct, values.fill_null(0.0).to_numpy(), side="left")
    return np.where(values.is_null().to_numpy(), 0, places).astype(np.int64)


def _category_bins(values: "pl.Series") -> "Whole":
    import polars as pl

    tally = values.drop_nulls().value_counts(sort=True, name="lakeline:times")
    frequent = tally[values.name].head(CATEGORIES)
    codes = values.replace_strict(
        frequent, pl.Series(range(1, len(frequent) + 1), dtype=pl.Int64), default=CATEGORIES + 1
    )
    return pl.select(pl.when(values.is_not_null()).then(codes).otherwise(0)).to_series().to_numpy()


def _half(
    positive_BK: "Floats", negative_BK: "Floats", weights_RB: "Floats", *, judged: int
) -> "Floats":
    """Area over every second day, its bins scored on the other days; shape ``(R,)``, NaN without both labels."""
    import numpy as np

    is_judged = np.arange(len(positive_BK)) % 2 == judged
    learned = [tally[~is_judged].sum(axis=0) for tally in (positive_BK, negative_BK)]
    rows = learned[0] + learned[1]
    base = learned[0].sum() / max(1.0, rows.sum())
    score_K = (learned[0] + PRIOR_ROWS * base) / (rows + PRIOR_ROWS)
    order = np.argsort(score_K, kind="stable")
    positive, negative = (
        weights_RB[:, is_judged] @ tally[is_judged][:, order]
        for tally in (positive_BK, negative_BK)
    )
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, (positive * below).sum(axis=1) / pairs, np.nan)
