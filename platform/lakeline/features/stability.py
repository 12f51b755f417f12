"""How far a feature has moved from a reference, from the statistics of both: population stability index without the rows."""

from typing import TYPE_CHECKING

from lakeline.features.sketches import FREQUENT_LG_K, quantiles_from
from lakeline.features.statistics import FeatureStatistics, NoValuesError, require_mergeable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SMALLEST_SHARE = 1e-4
"""Share that an empty bin is given, because the index would be infinite."""


def psi(reference: FeatureStatistics, current: FeatureStatistics, bins: int = 10) -> float:
    """Population stability index from ``reference`` to ``current``, in nats; 0 if they are alike.

    Numbers fall into the quantiles of the reference, texts into its most frequent ones and the rest. Nulls have a bin of
    their own. As in `lakeline.monitoring.drift.psi`, which reads the rows.

    Raises:
        MixedStatisticsError: They are of two features, or of two types.
        NoValuesError: One has no rows.
    """
    import numpy as np

    require_mergeable(reference, current)
    for one in (reference, current):
        if not one.rows:
            raise NoValuesError(one.feature, "stability index", "there are no rows")
    by = _shares_of_texts if reference.kind == "text" else _shares_of_numbers
    pair = (by(reference, current, bins) * _present_shares(reference, current)).T
    nulls = np.array([reference.null_share, current.null_share])
    p, q = np.maximum(np.vstack([pair, nulls]).T, SMALLEST_SHARE)
    return float(np.sum((q - p) * np.log(q / p)))


def _shares_of_numbers(
    reference: FeatureStatistics, current: FeatureStatistics, bins: int
) -> "npt.NDArray[np.float64]":
    """Share of the present rows in each bin, shape ``(2, bins)``; nothing where one has no values."""
    import numpy as np

    if reference.mean is None or current.mean is None:
        has_values = [[one.mean is not None] for one in (reference, current)]
        return np.array(has_values, dtype=np.float64)
    edges = sorted(set(reference.quantile(*(np.arange(1, bins) / bins))))
    pair = (reference.quantiles, current.quantiles)
    return np.array([quantiles_from(one).get_pmf(edges, True) for one in pair])


def _shares_of_texts(
    reference: FeatureStatistics, current: FeatureStatistics, bins: int
) -> "npt.NDArray[np.float64]":
    """Share of the present rows with each of the reference's most frequent texts, and of the rest."""
    import numpy as np

    tallies = [dict(one.top(1 << FREQUENT_LG_K)) for one in (reference, current)]
    texts = [text for text, _ in reference.top(max(bins, 50))]
    shares = np.array(
        [
            [tally.get(text, 0) / max(1, one.present) for text in texts]
            for tally, one in zip(tallies, (reference, current), strict=True)
        ]
    ).reshape(2, len(texts))
    return np.column_stack([shares, np.maximum(0.0, 1.0 - shares.sum(axis=1))])


def _present_shares(
    reference: FeatureStatistics, current: FeatureStatistics
) -> "npt.NDArray[np.float64]":
    """Share of the rows with a value, shape ``(2, 1)``."""
    import numpy as np

    return np.array([[1 - reference.null_share], [1 - current.null_share]])
