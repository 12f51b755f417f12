"""Labelled rows that a model learns from, wherever they are: a frame in memory, or a table read batch by batch."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from lakeline.models.training import TrainingSet

if TYPE_CHECKING:
    import polars as pl

HELD_SHARE = 0.2
"""Rows that may be held out at most."""


class Rows(Protocol):
    """Labelled rows in shards, each of which can be read alone.

    Attributes:
        features: Columns that a model reads, in its order.
        categorical: Those whose values are names.
        label: Boolean or 0/1 column without nulls.
    """

    @property
    def features(self) -> tuple[str, ...]: ...  # noqa: D102 - said above
    @property
    def categorical(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def content(self) -> str:
        """What tells these rows, in this order, from any others."""
        ...

    def shards(self) -> Sequence[str]:
        """Names of the shards, the same at each call."""
        ...

    def read(self, shard: str) -> "Iterator[pl.DataFrame]":
        """The rows of a shard, in frames, the same at each call."""
        ...

    def split(self, days: int) -> "tuple[Rows, Rows | None]":
        """The rows before the newest ``days`` days, and those of them; None where none are to be held out."""
        ...


@dataclass(frozen=True, eq=False)
class FrameRows:
    """The rows of a training set in memory: one shard.

    Attributes:
        train: Labelled rows.
    """

    train: TrainingSet

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a model reads, in its order."""
        return self.train.features

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those whose values are names."""
        return self.train.categorical

    @property
    def label(self) -> str:
        """What is predicted."""
        return self.train.label

    @property
    def content(self) -> str:
        """Hash of the rows in their order."""
        columns = [*self.features, self.label]
        hashed = self.train.frame.select(columns).hash_rows()
        told = [
            columns,
            list(self.categorical),
            hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest(),
        ]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def shards(self) -> Sequence[str]:
        """One shard."""
        return ("frame",)

    def read(self, shard: str) -> "Iterator[pl.DataFrame]":
        """All rows at once."""
        assert shard == "frame"
        yield self.train.frame

    def split(self, days: int) -> "tuple[FrameRows, FrameRows | None]":
        """The rows before the newest ``days`` days, and those of them, which are never more than a fifth."""
        moment = self._held_from(days)
        if moment is None:
            return self, None
        held = self.train.after(moment)
        if held.frame.is_empty():
            return self, None
        return replace(self, train=self.train.before(moment)), replace(self, train=held)

    def _held_from(self, days: int) -> dt.datetime | None:
        times = self.train.frame[self.train.at]
        newest = times.max()
        if not days or not isinstance(newest, dt.datetime):
            return None
        latest: dt.datetime = times.sort()[int(len(times) * (1 - HELD_SHARE))]
        return max(newest - dt.timedelta(days=days), latest)
