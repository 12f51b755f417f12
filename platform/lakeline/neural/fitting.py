"""The statistics of training rows that an encoding is made of, in one pass over any number of frames.

Counts, means and squares of parts are merged as Chan, Golub and LeVeque do it (1979, "Updating formulae and a pairwise
algorithm for computing sample variances"): no sum grows so large that it loses the digits of its parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import UnlabelledError, UntrainableError
from lakeline.models.matrix import values_of
from lakeline.models.training import feature_matrix
from lakeline.neural.encoding import Encoding

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.models.rows import Rows

    Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """An encoding with what was counted on the way.

    Attributes:
        rows: Rows that it was made of.
        share: Share of positive labels among them.
    """

    encoding: Encoding
    rows: int
    share: float


def fit_encoding(rows: "Rows") -> Fitted:
    """The encoding of some rows; equal rows in equal shards give an equal one.

    Raises:
        UntrainableError: There are no rows, or all have the same label.
        UnlabelledError: Some rows have no label.
        FeatureTypeError: A feature is neither a number nor declared categorical.
    """
    seen = _Seen(rows)
    for frame in _frames(rows):
        seen.take(frame)
    if not seen.rows:
        raise UntrainableError(rows.label, 0, "there are none")
    if seen.positive in (0, seen.rows):
        raise UntrainableError(rows.label, seen.rows, f"all have the same {rows.label}")
    return Fitted(encoding=seen.encoding(), rows=seen.rows, share=seen.positive / seen.rows)


class _Seen:
    """What was seen of rows so far."""

    def __init__(self, rows: "Rows") -> None:
        import numpy as np

        self.about = rows
        self.amounts = [name for name in rows.features if name not in rows.categorical]
        self.values: dict[str, set[str]] = {name: set() for name in rows.categorical}
        self.rows = self.positive = 0
        self.count, self.mean, self.square = np.zeros((3, len(self.amounts)))

    def take(self, frame: "pl.DataFrame") -> None:
        """Count a frame's rows in."""
        label = frame[self.about.label]
        if nulls := label.null_count():
            raise UnlabelledError(self.about.label, nulls, frame.height)
        self.rows += frame.height
        self.positive += int(label.sum() or 0)
        for name, values in self.values.items():
            values.update(values_of(frame[name]))
        if frame.height and self.amounts:
            self._take_amounts(frame)

    def _take_amounts(self, frame: "pl.DataFrame") -> None:
        import numpy as np

        matrix = feature_matrix(frame, self.amounts, {}).astype(np.float64)
        is_there = ~np.isnan(matrix)
        count = is_there.sum(axis=0)
        mean = np.where(is_there, matrix, 0).sum(axis=0) / np.maximum(count, 1)
        square = (np.where(is_there, matrix - mean, 0) ** 2).sum(axis=0)
        total = np.maximum(self.count + count, 1)
        apart = mean - self.mean
        self.mean = self.mean + apart * count / total
        self.square = self.square + square + apart**2 * self.count * count / total
        self.count = self.count + count

    def encoding(self) -> Encoding:
        """What was seen as an encoding."""
        import numpy as np

        deviation = np.sqrt(self.square / np.maximum(self.count, 1))
        is_constant = deviation <= np.abs(self.mean) * np.finfo(np.float32).eps
        scales = np.where(is_constant, 1.0, deviation)
        flagged = [
            name for name, count in zip(self.amounts, self.count, strict=True) if count < self.rows
        ]
        return Encoding(
            features=self.about.features,
            categories={name: tuple(sorted(self.values[name])) for name in self.about.categorical},
            means=tuple(self.mean.tolist()),
            scales=tuple(scales.tolist()),
            flagged=tuple(flagged),
        )


def _frames(rows: "Rows") -> "Iterator[pl.DataFrame]":
    for shard in rows.shards():
        yield from rows.read(shard)
