"""Models that came from a training: features in, scores out.

Shapes: N rows, D features. Matrices are float32, because that is what a served model reads: a booster trained on doubles
answers differently for values that lie between a float and its threshold.
"""

import datetime as dt
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lakeline.errors import ColumnsMissingError, FeatureTypeError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

UNSEEN = -1.0
"""Ordinal code of a category that training never saw, and of a null."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel(ABC):
    """What a training gives, whatever learned: enough to turn a frame into probabilities, on any machine.

    Attributes:
        flavor: How it is stored and loaded, one of `lakeline.models.flavors.FLAVORS`.
        name: What the model is called; no part of its digest.
        features: Columns that it reads, in order.
        payload: What was learned, as it is stored; equal models have equal bytes.
        categories: For each categorical feature its values, whose places are their codes.
        params: Parameters it was trained with.
        seed: Seed of everything random in the training.
        promised: What it was measured at before it was registered, by metric; empty until then. No part of its digest.
        learned_until: End of its training window, where it was registered with one. No part of its digest.
    """

    flavor: ClassVar[str]

    name: str
    features: tuple[str, ...]
    payload: bytes = field(repr=False)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    params: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    promised: Mapping[str, float] = field(default_factory=dict, repr=False)
    learned_until: dt.datetime | None = None

    def predict(self, frame: "pl.DataFrame") -> "npt.NDArray[np.float64]":
        """Probability of the label for each row, shape ``(N,)``.

        Raises:
            ColumnsMissingError: The frame lacks a feature.
            FeatureTypeError: A feature is no number.
            MissingExtraError: What the model's flavor needs is not installed.
        """
        import numpy as np

        missing = [column for column in self.features if column not in frame.columns]
        if missing:
            raise ColumnsMissingError(f"A frame for model '{self.name}'", missing, frame.columns)
        matrix_ND = feature_matrix(frame, self.features, self.categories)
        if not len(matrix_ND):
            return np.empty(0)
        return self._scores(matrix_ND)

    @property
    def settings(self) -> dict[str, object]:
        """Everything that a person chose or may compare, by name."""
        return {**self.params, **self._particulars()}

    @property
    def description(self) -> dict[str, object]:
        """All but name and payload, ready for JSON."""
        return {
            "features": list(self.features),
            "categories": {name: list(values) for name, values in self.categories.items()},
            "params": dict(self.params),
            "seed": self.seed,
            **self._particulars(),
        }

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of what was trained: equal for models that are equal in all but their name."""
        described = json.dumps(self.description, sort_keys=True, ensure_ascii=False).encode()
        return hashlib.sha256(described + b"\0" + self.payload).hexdigest()

    @abstractmethod
    def _scores(self, matrix_ND: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        """Probability for each row of :func:`feature_matrix`, shape ``(N,)``; there is at least one."""

    @abstractmethod
    def _particulars(self) -> dict[str, object]:
        """What this flavor has to say beside the parameters, ready for JSON."""


def feature_matrix(
    frame: "pl.DataFrame", features: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> "npt.NDArray[np.float32]":
    """What a model reads, shape ``(N, D)``: nulls are NaN, categories their codes, -1 for one never seen.

    Raises:
        FeatureTypeError: A feature that is not categorical is no number.
    """
    import polars as pl

    def encoded(name: str) -> pl.Expr:
        if name in categories:
            # An Enum's physical values are the places of its names: half the time of replacing text by numbers.
            known = pl.Enum(list(categories[name]))
            coded = pl.col(name).cast(pl.String).cast(known, strict=False).to_physical()
            return coded.cast(pl.Float32).fill_null(UNSEEN)
        dtype = frame.schema[name]
        if not (dtype.is_numeric() or isinstance(dtype, pl.Boolean | pl.Null)):
            raise FeatureTypeError(name, str(dtype))
        return pl.col(name).cast(pl.Float32)

    return frame.select(encoded(name) for name in features).to_numpy(order="c")
