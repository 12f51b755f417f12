"""Labelled rows that a model learns from, wherever they are: in memory, or in a table that is read batch by batch."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from lakeline.models.training_set import TrainingSet

HELD_SHARE = 0.2
"""Rows that may be held out at most."""


class Rows(Protocol):
    """Labelled rows in shards, each of which can be read alone.

    `lakeline.models.training_set.TrainingSet` holds them in memory, `lakeline.models.table_rows.TableRows` reads them from a
    snapshot of a table.

    Attributes:
        features: Columns that a model reads, in its order.
        categorical: Those whose values are names.
        label: Boolean or 0/1 column without nulls.
        at: Aware timestamp column: when the decision was made.
        start: Decisions covered: from here, included.
        end: Up to here, excluded.
    """

    @property
    def features(self) -> tuple[str, ...]: ...  # noqa: D102 - said above
    @property
    def categorical(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def at(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> dt.datetime: ...  # noqa: D102
    @property
    def end(self) -> dt.datetime: ...  # noqa: D102

    @property
    def frame(self) -> "pl.DataFrame":
        """All rows in memory, in their order, with everything that training and evaluating take."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def most_rows(self) -> int:
        """At least as many as there are, told without reading them."""
        ...

    @property
    def share(self) -> float:
        """Share of positive labels; NaN where there are no rows."""
        ...

    @property
    def version(self) -> str:
        """Version of the content, whatever the order: see `lakeline.lake.content`."""
        ...

    @property
    def content(self) -> str:
        """What tells these rows, in this order, from any others."""
        ...

    def in_memory(self) -> "TrainingSet":
        """The same rows in the same order, in memory."""
        ...

    def only(self, features: Sequence[str]) -> "Rows":
        """The same rows for a model that reads no more than ``features``."""
        ...

    def shards(self) -> Sequence[str]:
        """Names of the shards, the same at each call."""
        ...

    def read(self, shard: str) -> "Iterator[pl.DataFrame]":
        """Features and label of a shard's rows, in frames, the same at each call."""
        ...

    def split(self, days: int) -> "tuple[Rows, Rows | None]":
        """The rows before the newest ``days`` days, and those of them; None where none are to be held out."""
        ...
