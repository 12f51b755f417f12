"""What a cause must say to be tried: if it were so, this is what would have been served.

A hypothesis guesses what would have been served for every read of a sample, the right ones included. Guesses are made from
the view's own rows, so that a cause is named only where it gives the very values that were served.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakeline.features.evidence import Evidence
from lakeline.features.replaying import EVENT

if TYPE_CHECKING:
    import polars as pl

FITTED = 0.5
"""Consistency asked of a guess that was fitted to what was served."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Guess:
    """What would have been served.

    Attributes:
        detail: The cause in particular, as the end of a sentence.
        values: By feature, one value a read.
        least_consistent: Share of the reads that it would have spoilt which must have been served so. Above 0 where the
            guess was fitted to what was served, and so explains wrong reads by its making.
    """

    detail: str
    values: "Mapping[str, pl.Series]"
    least_consistent: float = 0.0


class Hypothesis(Protocol):
    """One cause."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """What would have been served if it were so, in each form that it can take."""
        ...


def values_of(found: "pl.DataFrame", evidence: Evidence) -> "dict[str, pl.Series]":
    """The columns of the features that are wrong somewhere."""
    return {feature: found[feature] for feature in evidence.features}


def alive(
    found: "pl.DataFrame", asked: "pl.Series", ttl: dt.timedelta | None, event: str = EVENT
) -> "pl.DataFrame":
    """Values that are young enough at the moments asked for."""
    import polars as pl

    if ttl is None:
        return found
    return found.select(pl.when(asked - found[event] <= ttl).then(pl.all()).name.keep())
