"""Names why an online store and the offline path disagree: the hypothesis that gives the values that were served.

Each hypothesis is held against a sample of the reads of one view. It *explains* a wrong read where it gives the very value
served. It is *consistent* where what it changes was served so: one that explains every wrong read but would also have spoilt
a thousand right ones is behind one that would not. Named is what explains most, and only if it explains enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakeline.features.equality import is_same
from lakeline.features.evidence import Evidence
from lakeline.features.guess import Guess, Hypothesis
from lakeline.features.hypotheses_of_time import LateEvent, Order, TimeToLive, WindowEdge
from lakeline.features.hypotheses_of_values import (
    CategoryCode,
    DefaultForNull,
    FloatWidth,
    NotWritten,
)
from lakeline.features.hypotheses_of_zone import TimeZone
from lakeline.features.replaying import MOMENT

HYPOTHESES: tuple[Hypothesis, ...] = (
    FloatWidth(),
    DefaultForNull(),
    NotWritten(),
    TimeToLive(),
    LateEvent(),
    TimeZone(),
    WindowEdge(),
    Order(),
    CategoryCode(),
)
"""Every cause that can be named, the more particular first: among equals the first is named."""

THRESHOLD = 0.8
"""Share of the wrong reads that a cause must explain to be named."""

AS_GOOD = 0.02
"""Shares this close together count as the same, and the more consistent cause is named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why values of a feature differ.

    Attributes:
        name: What people call it, such as ``time zone``.
        detail: The cause in particular, as a sentence without its end.
        explained: Share of the wrong reads in the sample whose served value it gives.
        consistent: Of the reads that it would have spoilt, the share that were served so, right ones weighed as often as
            they are read.
        others: Names of causes that explain as much, equally consistently; the data cannot tell them apart.
        example: One wrong read that it explains: its entity, moment, and the values on both sides.
    """

    name: str
    detail: str
    explained: float
    consistent: float
    others: tuple[str, ...]
    example: Mapping[str, object]

    def __str__(self) -> str:
        told = f"{self.name}: {self.detail} (explains {self.explained:.0%} of the wrong reads)"
        return f"{told}; could also be {', '.join(self.others)}" if self.others else told


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scored:
    cause: str
    detail: str
    explained: float
    consistent: float
    least_consistent: float
    first_row: int

    @property
    def rank(self) -> tuple[float, float]:
        return (round(self.explained / AS_GOOD) * AS_GOOD, round(self.consistent, 1))

    def is_good(self, threshold: float) -> bool:
        return self.explained >= threshold and self.consistent >= self.least_consistent


def explain(
    evidence: Evidence,
    *,
    hypotheses: Sequence[Hypothesis] = HYPOTHESES,
    threshold: float = THRESHOLD,
) -> dict[str, Cause]:
    """The cause of each feature of the evidence; a feature that none explains well enough is left out.

    Args:
        evidence: A sample of reads with their right answers.
        hypotheses: Causes to try; among equals the earlier is named.
        threshold: Share of the wrong reads that a cause must explain.
    """
    scored: dict[str, list[_Scored]] = {feature: [] for feature in evidence.features}
    for hypothesis in hypotheses:
        for guess in hypothesis.guesses(evidence):
            for feature in guess.values:
                scored[feature].append(_score(hypothesis.name, guess, feature, evidence))
    named = {feature: _named(found, threshold) for feature, found in scored.items()}
    return {
        feature: _cause(best, others, evidence, feature)
        for feature, (best, others) in named.items()
        if best is not None
    }


def _score(cause: str, guess: Guess, feature: str, evidence: Evidence) -> _Scored:
    """How well a guess gives what was served of one feature."""
    import numpy as np

    wrong, weights = evidence.wrong[feature], evidence.weights[feature]
    values, tolerance = guess.values[feature], evidence.tolerance
    is_hit = is_same(values, evidence.served[feature], tolerance)
    is_changed = ~is_same(values, evidence.offline[feature], tolerance)
    explained = is_hit & wrong
    changed = float(weights[is_changed].sum())
    return _Scored(
        cause=cause,
        detail=guess.detail,
        explained=float(explained.sum() / wrong.sum()),
        consistent=float(weights[is_changed & is_hit].sum() / changed) if changed else 0.0,
        least_consistent=guess.least_consistent,
        first_row=int(np.argmax(explained)),
    )


def _named(scored: Sequence[_Scored], threshold: float) -> tuple[_Scored | None, tuple[str, ...]]:
    """The best, if it is good enough, and the other causes that are as good."""
    good = [one for one in scored if one.is_good(threshold)]
    best = max(good, key=lambda one: one.rank, default=None)
    if best is None:
        return None, ()
    others = [one.cause for one in good if one.rank == best.rank and one.cause != best.cause]
    return best, tuple(dict.fromkeys(others))


def _cause(best: _Scored, others: tuple[str, ...], evidence: Evidence, feature: str) -> Cause:
    row = best.first_row
    return Cause(
        name=best.cause,
        detail=best.detail,
        explained=best.explained,
        consistent=best.consistent,
        others=others,
        example={
            "row": int(evidence.places[row]),
            "entity": {key: evidence.wanted[key][row] for key in evidence.source.entities},
            "at": evidence.wanted[MOMENT][row],
            "served": evidence.served[feature][row],
            "offline": evidence.offline[feature][row],
        },
    )
