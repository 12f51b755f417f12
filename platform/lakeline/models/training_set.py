"""Training sets in memory: rows with features and labels, to learn from or to be judged on.

Shapes: N rows.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError, UnlabelledError
from lakeline.models.rows import HELD_SHARE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl


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
