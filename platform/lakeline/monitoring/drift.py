"""How far the values of columns have moved from a reference, as population stability index.

The index of two histograms p and q over the same bins is the sum of ``(p - q) * ln(p / q)``, in nats (Siddiqi, *Credit
Risk Scorecards*, 2006). Below 0.1 little has changed; above 0.25 much has. Season moves weather far beyond that every
month, so seasonal columns are measured and shown but do not count as drift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError, EvaluationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

THRESHOLD = 0.2
BINS = 10
SMALLEST_SHARE = 1e-4
"""Share that an empty bin is given, because the index would be infinite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftReport:
    """Movement of each column between two frames.

    Attributes:
        psi: Population stability index of each column, in nats.
        threshold: Index from which on a column has drifted.
        seasonal: Columns that are measured but do not count.
        rows_reference: Rows of the reference.
        rows_current: Rows compared with it.
    """

    psi: Mapping[str, float]
    threshold: float
    seasonal: tuple[str, ...]
    rows_reference: int
    rows_current: int

    @property
    def counted(self) -> tuple[str, ...]:
        """The columns that count."""
        return tuple(column for column in self.psi if column not in self.seasonal)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The counted columns that have drifted, the farthest first."""
        moved = [column for column in self.counted if self.psi[column] >= self.threshold]
        return tuple(sorted(moved, key=lambda column: -self.psi[column]))

    @property
    def share_drifted(self) -> float:
        """Share of the counted columns that have drifted; 0 if none counts."""
        return len(self.drifted) / len(self.counted) if self.counted else 0.0

    @property
    def psi_max(self) -> float:
        """Index of the counted column that moved farthest; 0 if none counts."""
        return max((self.psi[column] for column in self.counted), default=0.0)


def drift(
    reference: "pl.DataFrame",
    current: "pl.DataFrame",
    *,
    columns: Sequence[str],
    seasonal: Sequence[str] = (),
    threshold: float = THRESHOLD,
) -> DriftReport:
    """Movement of ``columns`` from ``reference`` to ``current``.

    Raises:
        ColumnsMissingError: A frame lacks a column.
        EvaluationError: A frame has no rows.
    """
    for where, frame in (("The reference", reference), ("The current frame", current)):
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise ColumnsMissingError(where, missing, frame.columns)
        if not frame.height:
            raise EvaluationError(f"{where.lower()} of a drift report has no rows")
    return DriftReport(
        psi={column: psi(reference[column], current[column]) for column in columns},
        threshold=threshold,
        seasonal=tuple(column for column in columns if column in seasonal),
        rows_reference=reference.height,
        rows_current=current.height,
    )


def psi(reference: "pl.Series", current: "pl.Series", bins: int = BINS) -> float:
    """Population stability index from ``reference`` to ``current``, in nats; 0 if they are alike.

    Numbers fall into the quantiles of the reference, or into their values where it has no more of them than bins; text
    into its values. Nulls and NaN have a bin of their own.
    """
    import numpy as np

    expected, found = _histograms(reference, current, bins)
    p = np.maximum(expected / expected.sum(), SMALLEST_SHARE)
    q = np.maximum(found / found.sum(), SMALLEST_SHARE)
    return float(np.sum((q - p) * np.log(q / p)))


def _histograms(
    reference: "pl.Series", current: "pl.Series", bins: int
) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    """Rows in each bin, the last being that of missing values; shape ``(bins + 1,)`` or what the values need."""
    is_number = reference.dtype.is_numeric() and current.dtype.is_numeric()
    if is_number and reference.drop_nulls().n_unique() > bins:
        return _by_quantile(reference, current, bins)
    return _by_value(reference, current)


def _by_quantile(
    reference: "pl.Series", current: "pl.Series", bins: int
) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    import numpy as np
    import polars as pl

    values, others = (
        column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for column in (reference, current)
    )
    inner = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(values[~np.isnan(values)], inner, method="lower"))

    def count(numbers: "npt.NDArray[np.float64]") -> "npt.NDArray[np.int64]":
        missing = np.isnan(numbers)
        places = np.where(missing, len(edges) + 1, np.searchsorted(edges, numbers, side="left"))
        return np.bincount(places, minlength=len(edges) + 2).astype(np.int64)

    return count(values), count(others)


def _by_value(
    reference: "pl.Series", current: "pl.Series"
) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    import numpy as np
    import polars as pl

    counts = [
        dict(column.cast(pl.String).value_counts().iter_rows()) for column in (reference, current)
    ]
    values = sorted({value for found in counts for value in found if value is not None})
    expected, found = ([count.get(value, 0) for value in [*values, None]] for count in counts)
    return np.array(expected, dtype=np.int64), np.array(found, dtype=np.int64)
