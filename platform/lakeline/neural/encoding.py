"""From the matrix that every model reads to what a network reads: codes for embeddings, and numbers on one scale.

Shapes: N rows, D features, C categorical among them, K numbers: the other features, then a flag for each that had nulls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

FARTHEST = 10.0
"""Standard deviations beyond which numbers are cut: a sensor gone mad moves one input, not the whole score."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoding:
    """How the columns of a matrix become a network's input, by the statistics of the rows that it learned from.

    Attributes:
        features: Columns of the matrix.
        categories: Values of the categorical ones; a value's code is its place plus 1, and 0 is unseen or null.
        means: Of each feature that is a number, nulls left out.
        scales: Their standard deviations; 1 for a constant.
        flagged: Features that were null somewhere: each has a number more, 1 where it is null.
    """

    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    flagged: tuple[str, ...] = ()

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each categorical feature, the one for unseen among them."""
        return tuple(len(self.categories[name]) + 1 for name in self._named)

    @property
    def numbers(self) -> int:
        """How many numbers a row has, K."""
        return len(self.means) + len(self.flagged)

    def encode(self, matrix_ND: "Floats") -> "tuple[npt.NDArray[np.int32], Floats]":
        """Codes, shape ``(N, C)``, and numbers, shape ``(N, K)``, of rows as `lakeline.models.training.feature_matrix` has them.

        Nulls become the mean, which is 0 on the scale of all numbers.
        """
        import numpy as np

        codes_NC = (matrix_ND[:, self._at(self._named)] + 1).astype(np.int32)
        numbers_NK = np.empty((len(matrix_ND), self.numbers), dtype=np.float32)
        scaled = numbers_NK[:, : len(self.means)]
        np.subtract(
            matrix_ND[:, self._at(self._amounts)], np.asarray(self.means, np.float32), out=scaled
        )
        scaled /= np.asarray(self.scales, np.float32)
        np.clip(scaled, -FARTHEST, FARTHEST, out=scaled)
        np.nan_to_num(scaled, copy=False, nan=0.0)
        numbers_NK[:, len(self.means) :] = np.isnan(matrix_ND[:, self._at(self.flagged)])
        return codes_NC, numbers_NK

    def to_dict(self) -> dict[str, Any]:
        """What it adds to a model's features and categories, in plain values that read back exactly."""
        return {
            "means": list(self.means),
            "scales": list(self.scales),
            "flagged": list(self.flagged),
        }

    @cached_property
    def _named(self) -> tuple[str, ...]:
        return tuple(name for name in self.features if name in self.categories)

    @cached_property
    def _amounts(self) -> tuple[str, ...]:
        return tuple(name for name in self.features if name not in self.categories)

    def _at(self, wanted: tuple[str, ...]) -> list[int]:
        return [self.features.index(name) for name in wanted]
