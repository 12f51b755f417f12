"""The matrix that a booster learns from, made of rows wherever they are.

Rows of a table come in batches and go straight into their place in the matrix: beside it there is one batch in memory, where
a frame of the same rows takes twice the matrix, and as much again while it is sorted and filtered.

Shapes: N rows, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import UnlabelledError
from lakeline.models.training import UNSEEN, feature_matrix
from lakeline.models.training_set import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.models.rows import Rows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Learned:
    """Rows as a booster learns from them.

    Attributes:
        matrix_ND: float32, C order, see `lakeline.models.training.feature_matrix`.
        labels_N: 0 and 1, float64.
        categories: For each categorical feature its values, whose places are their codes.
    """

    matrix_ND: "npt.NDArray[np.float32]"  # noqa: N815 - arrays carry their shape
    labels_N: "npt.NDArray[np.float64]"  # noqa: N815 - likewise
    categories: Mapping[str, tuple[str, ...]]


def learned(train: "Rows") -> Learned:
    """The matrix of some rows.

    Raises:
        UnlabelledError: Some rows have no label.
        FeatureTypeError: A feature is neither a number nor declared categorical.
    """
    if not isinstance(train, TrainingSet):
        return _of_batches(train)
    categories = {column: values_of(train.frame[column]) for column in train.categorical}
    return Learned(
        labels_N=train.labels(),
        matrix_ND=feature_matrix(train.frame, train.features, categories),
        categories=categories,
    )


def values_of(column: "pl.Series") -> tuple[str, ...]:
    """The distinct values as text, in order; the place of each is its code. Nulls have none."""
    import polars as pl

    return tuple(column.cast(pl.String).drop_nulls().unique().sort().to_list())


def _of_batches(rows: "Rows") -> Learned:
    """In one pass: a value gets its code when it is first met, and its place in the order when all are known."""
    import numpy as np

    shape = rows.most_rows, len(rows.features)
    # What is never written takes no memory: rows that the window or the label leaves out cost nothing.
    matrix_ND, labels_N = np.empty(shape, np.float32), np.empty(rows.most_rows)
    met: dict[str, dict[str, int]] = {name: {} for name in rows.categorical}
    count = 0
    for shard in rows.shards():
        for frame in rows.read(shard):
            end = count + frame.height
            coded = [_coded(frame[name], codes) for name, codes in met.items()]
            matrix_ND[count:end] = feature_matrix(frame.with_columns(coded), rows.features, {})
            labels_N[count:end] = _labels(frame[rows.label])
            count = end
    for name, codes in met.items():
        column_N = matrix_ND[:count, rows.features.index(name)]
        places = np.argsort(np.argsort(np.array(list(codes), dtype=object)))
        known = column_N != UNSEEN
        column_N[known] = places[column_N[known].astype(np.int64)]
    return Learned(
        matrix_ND=matrix_ND[:count],
        labels_N=labels_N[:count],
        categories={name: tuple(sorted(codes)) for name, codes in met.items()},
    )


def _coded(column: "pl.Series", codes: dict[str, int]) -> "pl.Series":
    """The code of each value; one that is met for the first time gets the next."""
    import polars as pl

    text = column.cast(pl.String)

    def places() -> pl.Series:
        return text.cast(pl.Enum(list(codes)), strict=False).to_physical()

    found = places()
    if found.null_count() > text.null_count():
        for value in text.filter(found.is_null()).drop_nulls().unique():
            codes[value] = len(codes)
        found = places()
    return found.cast(pl.Float32).fill_null(UNSEEN)


def _labels(label: "pl.Series") -> "npt.NDArray[np.float64]":
    import polars as pl

    if nulls := label.null_count():
        raise UnlabelledError(label.name, nulls, len(label))
    return label.cast(pl.Float64).to_numpy()
