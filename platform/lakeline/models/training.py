"""Training sets and the models that came from them: rows with features and labels in, scores out.

Shapes: N rows, D features. Matrices are float32, because that is what a served model reads: a booster trained on doubles
answers differently for values that lie between a float and its threshold.
"""

import datetime as dt
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from lakeline.errors import ColumnsMissingError, FeatureTypeError, UnlabelledError
from lakeline.models.rows import HELD_SHARE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

UNSEEN = -1.0
"""Ordinal code of a category that training never saw, and of a null."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingSet:
    """Rows with features as they were known at the time of each decision, and the label that became known later.

    Attributes:
        frame: One row a decision.
        features: Columns that a model reads, in its order.
        categorical: Those of ``features`` whose values are names, not amounts.
        label: Boolean or 0/1 column; null where the label is not known.
        at: Aware timestamp column: when the decision was made.
        start: Decisions covered: from here, included.
        end: Up to here, excluded.
    """

    frame: "pl.DataFrame"
    features: tuple[str, ...]
    label: str
    at: str
    start: dt.datetime
    end: dt.datetime
    categorical: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        needed = dict.fromkeys((*self.features, *self.categorical, self.label, self.at))
        missing = [column for column in needed if column not in self.frame.columns]
        if missing:
            raise ColumnsMissingError("The training set", missing, self.frame.columns)
        strangers = [column for column in self.categorical if column not in self.features]
        if strangers:
            raise ColumnsMissingError("The list of features", strangers, self.features)

    def before(self, moment: dt.datetime) -> "TrainingSet":
        """The decisions made before ``moment``."""
        import polars as pl

        frame = self.frame.filter(pl.col(self.at) < moment)
        return replace(self, frame=frame, end=max(self.start, min(self.end, moment)))

    def after(self, moment: dt.datetime) -> "TrainingSet":
        """The decisions made at ``moment`` or later."""
        import polars as pl

        frame = self.frame.filter(pl.col(self.at) >= moment)
        return replace(self, frame=frame, start=min(self.end, max(self.start, moment)))

    def labelled(self) -> "TrainingSet":
        """The decisions whose label is known."""
        return replace(self, frame=self.frame.drop_nulls(self.label))

    def only(self, features: Sequence[str]) -> "TrainingSet":
        """The same rows for a model that reads no more than ``features``."""
        kept = tuple(column for column in self.categorical if column in features)
        return replace(self, features=tuple(features), categorical=kept)

    def in_memory(self) -> "TrainingSet":
        """Itself."""
        return self

    def labels(self) -> "npt.NDArray[np.float64]":
        """Labels as 0 and 1, shape ``(N,)``.

        Raises:
            UnlabelledError: Some rows have none.
        """
        import polars as pl

        nulls = self.frame[self.label].null_count()
        if nulls:
            raise UnlabelledError(self.label, nulls, self.frame.height)
        return self.frame[self.label].cast(pl.Float64).to_numpy()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.frame.height

    @property
    def most_rows(self) -> int:
        """As many as there are."""
        return self.frame.height

    @property
    def share(self) -> float:
        """Share of positive labels; NaN where there are no rows.

        Raises:
            UnlabelledError: Some rows have none.
        """
        return float(self.labels().mean()) if self.count else float("nan")

    @property
    def version(self) -> str:
        """Version of the content, whatever the order of the rows."""
        from lakeline.lake.content import content_version

        return content_version(self.frame)

    @property
    def content(self) -> str:
        """Hash of features and label in their order."""
        columns = [*self.features, self.label]
        hashed = self.frame.select(columns).hash_rows().to_numpy()
        told = [columns, [*self.categorical], hashlib.sha256(hashed.tobytes()).hexdigest()]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def shards(self) -> Sequence[str]:
        """One shard."""
        return ("frame",)

    def read(self, shard: str) -> "Iterator[pl.DataFrame]":
        """All rows at once."""
        assert shard == "frame"
        yield self.frame

    def split(self, days: int) -> "tuple[TrainingSet, TrainingSet | None]":
        """The rows before the newest ``days`` days, and those of them, which are never more than a fifth."""
        moment = self._held_from(days)
        if moment is None:
            return self, None
        held = self.after(moment)
        return (self, None) if held.frame.is_empty() else (self.before(moment), held)

    def _held_from(self, days: int) -> dt.datetime | None:
        times = self.frame[self.at]
        newest = times.max()
        if not days or not isinstance(newest, dt.datetime):
            return None
        latest: dt.datetime = times.sort()[int(len(times) * (1 - HELD_SHARE))]
        return max(newest - dt.timedelta(days=days), latest)


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
