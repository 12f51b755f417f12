"""What the leak checks of a training set found, kept with its days, and the trainings that they stop.

A check of a run speaks for the days of that run; building those days again replaces what it said.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.domain.outcome import Check
from lakeline.errors import DomainError

if TYPE_CHECKING:
    from lakeline.domain.handles import Table
    from lakeline.ledger import Ledger, State
    from lakeline.models.gate import GateDecision

LEAK = "leak:"
"""How the name of the state begins that keeps what a leak check said of a day."""
PASSED, FAILED = "passed", "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A leak check that failed for some days of a training set.

    Attributes:
        asset: The training set, ``domain/name``.
        check: Name of the check.
        partitions: The days, in order.
        description: What it saw on the newest of them.
    """

    asset: str
    check: str
    partitions: tuple[str, ...]
    description: str

    def __str__(self) -> str:
        """As a sentence names it."""
        first, last = self.partitions[0], self.partitions[-1]
        days = first if first == last else f"{first} to {last}"
        return f"'{self.asset}' failed the check {self.check} on {days}: {self.description}"


class LeakedError(DomainError):
    """A model would learn from a training set that a leak check warns of."""

    def __init__(self, model: str, leaks: Sequence[Leak]) -> None:
        told = " ".join(str(one) for one in leaks)
        first, last = leaks[0].partitions[0], leaks[0].partitions[-1]
        super().__init__(
            f"'{model}' was not trained: {told} Mend the feature and build those days again, at least a week at once, "
            f"with: lakeline backfill --from {first} --to {last} --select {leaks[0].asset} "
            "If the check is wrong, launch the training with allow_leaks: true; the gate will not promote its model."
        )


def note_leak_checks(
    ledger: "Ledger", asset: str, partitions: Iterable[str], checks: Iterable[Check]
) -> None:
    """Keep what leak checks say of days of a training set."""
    from lakeline.ledger import State

    days = sorted(set(partitions))
    states = [
        State(
            asset=asset,
            partition=day,
            name=f"{LEAK}{one.name}",
            state=PASSED if one.passed else FAILED,
            detail={"description": one.description},
        )
        for one in checks
        for day in days
    ]
    if states:
        ledger.set_states(states, now=dt.datetime.now(dt.UTC))


def leaks_of(ledger: "Ledger", handle: "Table") -> tuple[Leak, ...]:
    """The leak checks that failed for days which a handle on a training set reads."""
    read = set(handle.window.partitions) if handle.window is not None else set()
    failed: dict[str, list[State]] = {}
    for one in ledger.states(asset=handle.node.asset):
        if one.name.startswith(LEAK) and one.state == FAILED and one.partition in read:
            failed.setdefault(one.name.removeprefix(LEAK), []).append(one)
    return tuple(
        Leak(
            asset=handle.node.asset,
            check=check,
            partitions=tuple(one.partition for one in states),
            description=str(states[-1].detail.get("description", "")),
        )
        for check, states in failed.items()
    )


def require_no_leaks(ledger: "Ledger", model: str, handle: "Table") -> None:
    """Refuse to train on days that a leak check warns of.

    Raises:
        LeakedError: It says which check, of which days, and what it saw.
    """
    if leaks := leaks_of(ledger, handle):
        raise LeakedError(model, leaks)


def unless_leaked(ledger: "Ledger", handle: "Table", decision: "GateDecision") -> "GateDecision":
    """The decision, or a refusal where a person let the model learn from days that a leak check warns of."""
    leaks = leaks_of(ledger, handle)
    if not decision.promoted or not leaks:
        return decision
    return replace(decision, promoted=False, reason=f"{leaks[0]} Else: {decision.reason}")
