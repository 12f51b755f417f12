"""Quality within parts of the rows, such as each carrier: where a model is worse than its mean, and worse than nothing.

Names with few rows are put together, since their numbers would say little; what is left carries its interval over days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError
from lakeline.models.evaluation import evaluate
from lakeline.models.evaluation_plan import DERIVED
from lakeline.models.intervals import Draws, Ranked
from lakeline.monitoring.performance import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.models.training_set import TrainingSet

    Floats = npt.NDArray[np.float64]

LEAST_ROWS = 200
MOST_SLICES = 20
MOST_NUMBERS = 12
"""A column of more distinct numbers is cut at its quartiles."""
OTHERS = "others"
NOTHING = "null"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Quality within one part of the rows.

    Attributes:
        column: What the rows were parted by.
        value: Which part.
        rows: How many.
        share: Share of positive rows.
        auc: Ranking within it; NaN where all labels are equal.
        brier: Mean squared distance of score and label.
        calibration_gap: Mean score minus share.
        gain: By how much its Brier score is better than the best baseline's, on the same resamples; below 0 it is worse.
        baseline: Which baseline that is.
    """

    column: str
    value: str
    rows: int
    share: float
    auc: Interval
    brier: Interval
    calibration_gap: Interval
    gain: Interval
    baseline: str

    @property
    def is_worse(self) -> bool:
        """Whether a baseline is surely better here."""
        return self.gain.is_below(0)

    @property
    def is_off(self) -> bool:
        """Whether its scores surely promise too much or too little."""
        return self.calibration_gap.is_above(0) or self.calibration_gap.is_below(0)

    def __str__(self) -> str:
        """As people name it: ``carrier UA``."""
        return f"{self.column} {self.value}"


def slice_rows(
    rows: "TrainingSet",
    scores_N: "Floats",
    baselines: Mapping[str, "Floats"],
    draws: Draws,
    *,
    columns: Sequence[str],
    least_rows: int = LEAST_ROWS,
) -> tuple[Slice, ...]:
    """Quality within the parts that each column makes, column by column, the largest part first.

    A column that makes one part alone is left out: that is every row.

    Args:
        rows: Labelled rows.
        scores_N: Probabilities, shape ``(N,)``.
        baselines: Those of each baseline.
        draws: Of these rows.
        columns: Columns of the rows, or ``month``, ``weekday`` and ``hour`` of the decision.
        least_rows: Parts of fewer rows are put together.

    Raises:
        ColumnsMissingError: There is no such column.
    """
    found: list[Slice] = []
    for column in columns:
        names = parts(rows, column, least_rows)
        if names.n_unique() > 1:
            found += _slices(column, names, rows.labels(), scores_N, baselines, draws)
    return tuple(found)


def parts(rows: "TrainingSet", column: str, least_rows: int = LEAST_ROWS) -> "pl.Series":
    """Name of the part that each row belongs to.

    Raises:
        ColumnsMissingError: There is no such column.
    """
    import polars as pl

    names = _names(rows, column).fill_null(NOTHING)
    counted = names.value_counts(sort=True, name="rows").sort(
        ["rows", names.name], descending=[True, False]
    )
    large = counted.filter(pl.col("rows") >= least_rows).head(MOST_SLICES)[names.name]
    rest = counted.height - len(large)
    if not rest:
        return names
    # One that is alone among the small keeps its name: "others (1)" would only hide it.
    if rest == 1:
        return names
    told = f"{OTHERS} ({rest})"
    is_large = names.is_in(large.implode())
    return pl.select(pl.when(is_large).then(names).otherwise(pl.lit(told))).to_series()


def _names(rows: "TrainingSet", column: str) -> "pl.Series":
    import polars as pl

    if column not in rows.frame.columns:
        if column not in DERIVED:
            raise ColumnsMissingError("The training set", [column], [*rows.frame.columns, *DERIVED])
        return _of_time(rows.frame[rows.at], column)
    values = rows.frame[column]
    if values.dtype.is_numeric() and values.n_unique() > MOST_NUMBERS:
        return _quartiles(values)
    return values.cast(pl.String)


def _of_time(moments: "pl.Series", what: str) -> "pl.Series":
    formats = {"month": "%Y-%m", "weekday": "%u %a", "hour": "%H:00"}
    return moments.dt.strftime(formats[what]).alias(what)


def _quartiles(values: "pl.Series") -> "pl.Series":
    import polars as pl

    floats = values.cast(pl.Float64)
    edges = [floats.quantile(share, "linear") for share in (0.25, 0.5, 0.75)]
    breaks = sorted({edge for edge in edges if edge is not None})
    labels = [
        f"up to {breaks[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(breaks)),
        f"above {breaks[-1]:g}",
    ]
    return floats.fill_nan(None).cut(breaks, labels=labels).cast(pl.String)


def _slices(
    column: str,
    names: "pl.Series",
    labels_N: "Floats",
    scores_N: "Floats",
    baselines: Mapping[str, "Floats"],
    draws: Draws,
) -> list[Slice]:
    import numpy as np

    values, part_N = np.unique(names.to_numpy().astype(str), return_inverse=True)
    part_N, count = part_N.astype(np.int64), len(values)
    squares_N = (scores_N - labels_N) ** 2
    brier = draws.means(squares_N, part_N, count)
    gap = draws.means(scores_N - labels_N, part_N, count)
    gains = {
        name: draws.means((one_N - labels_N) ** 2 - squares_N, part_N, count)
        for name, one_N in baselines.items()
    }
    found = []
    for k in range(count):
        is_in_N = part_N == k
        labels, scores = labels_N[is_in_N], scores_N[is_in_N]
        measured = evaluate(labels, scores)
        among = draws.among(is_in_N)
        # The baseline to beat is the best one here, whichever that is.
        baseline = min(gains, key=lambda name: gains[name][k].value)
        found.append(
            Slice(
                column=column,
                value=str(values[k]),
                rows=measured.rows,
                share=measured.share,
                auc=among.interval(measured.auc, Ranked(labels, scores, among).auc()),
                brier=brier[k],
                calibration_gap=gap[k],
                gain=gains[baseline][k],
                baseline=baseline,
            )
        )
    return sorted(found, key=lambda one: (-one.rows, one.value))
