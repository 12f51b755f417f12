"""What acting on scores from a threshold on would mean: how many rows are flagged, how many of them rightly, at what cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import ModelError
from lakeline.models.evaluation import require_comparable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


class CostsError(ModelError):
    """Costs that no decision can be made by."""

    def __init__(self, false_alarm: float, miss: float) -> None:
        super().__init__(
            f"Costs of {false_alarm:g} a false alarm and {miss:g} a miss decide nothing. "
            "Give both as numbers of 0 or more, one of them above 0, such as Costs(false_alarm=1, miss=5)."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What wrong decisions cost, in a unit of the owner's choice.

    Attributes:
        false_alarm: A row is flagged that is negative.
        miss: A positive row is not flagged.
    """

    false_alarm: float
    miss: float

    def __post_init__(self) -> None:
        least, most = sorted((self.false_alarm, self.miss))
        if not (least >= 0 and 0 < most < float("inf")):
            raise CostsError(self.false_alarm, self.miss)


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """Decisions by one threshold: rows that score as much or more are flagged.

    Attributes:
        threshold: Least score that is flagged.
        flagged: Share of rows that are.
        precision: Share of positive rows among those; NaN where none is flagged.
        recall: Share of positive rows that are flagged; NaN where there are none.
        false_positive_rate: Share of negative rows that are flagged; NaN where there are none.
        f1: Harmonic mean of precision and recall; NaN where either is.
        cost: Expected cost of a row; None where no costs are declared.
    """

    threshold: float
    flagged: float
    precision: float
    recall: float
    false_positive_rate: float
    f1: float
    cost: float | None = None


def threshold_table(
    labels: "npt.ArrayLike | pl.Series",
    scores: "npt.ArrayLike | pl.Series",
    *,
    costs: Costs | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[Threshold, ...]:
    """What each threshold would mean, the lowest first.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        scores: Probabilities, shape ``(N,)``.
        costs: Of wrong decisions.
        thresholds: Which ones.

    Raises:
        EvaluationError: Labels and scores cannot be compared.
    """
    import numpy as np

    labels_N, scores_N = require_comparable(labels, scores)
    positive, negative = np.sort(scores_N[labels_N == 1]), np.sort(scores_N[labels_N == 0])
    return tuple(_row(one, positive, negative, costs) for one in sorted(thresholds))


def cheapest(table: Sequence[Threshold]) -> Threshold | None:
    """The threshold of the least expected cost; None where no costs are declared."""
    known = [(one.cost, one.threshold, one) for one in table if one.cost is not None]
    return min(known, key=lambda one: one[:2])[2] if known else None


def _row(
    threshold: float,
    positive: "npt.NDArray[np.float64]",
    negative: "npt.NDArray[np.float64]",
    costs: Costs | None,
) -> Threshold:
    import numpy as np

    found = len(positive) - int(np.searchsorted(positive, threshold, "left"))
    false = len(negative) - int(np.searchsorted(negative, threshold, "left"))
    rows = len(positive) + len(negative)
    missed = len(positive) - found
    return Threshold(
        threshold=threshold,
        flagged=(found + false) / rows,
        precision=_share(found, found + false),
        recall=_share(found, len(positive)),
        false_positive_rate=_share(false, len(negative)),
        f1=_share(2 * found, 2 * found + false + missed)
        if found + false and len(positive)
        else float("nan"),
        cost=(costs.false_alarm * false + costs.miss * missed) / rows if costs else None,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
