"""What reconciling says: a decision for every partition that needs looking at, and the runs that carry them out."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lakeline.freshness.graph import Pair
from lakeline.ledger import place

Action = Literal["build", "wait", "blocked", "backed_off", "gave_up", "over_budget", "manual", "up_to_date"]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class InFlight:
    """A run or backfill under way, whoever started it.

    Attributes:
        partitions: What it builds, by asset.
    """

    run_id: str
    partitions: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is to become of one partition, and why.

    Attributes:
        reason: In words, for people.
        by: What it waits for or is blocked by; None otherwise.
        run_id: The run that it waits for, if there is one.
        until: When it is tried again, if it is backed off.
        since: When it first needed looking at.
    """

    action: Action
    asset: str
    partition: str
    reason: str
    by: Pair | None = None
    run_id: str = ""
    until: dt.datetime | None = None
    since: dt.datetime | None = None

    @property
    def place(self) -> str:
        """The partition by its readable name."""
        return place(self.asset, self.partition)

    def __str__(self) -> str:
        return f"{self.place}: {self.action.replace('_', ' ')}, {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """One run: a chain of assets with the partitions of each, in an order in which it can be built.

    What is downstream of something that is to be built stands in it too, and skips itself when its turn comes and its
    inputs are as they were.

    Attributes:
        steps: Partitions by asset, upstream first.
        reason: Why, in words.
        share_used: How much of the most urgent promise among its assets is used up; 1 is broken.
        since: Since when the oldest of it needs building.
        unless: Keys with which some of its partitions failed before. A step whose key is still the same skips itself.
    """

    steps: Mapping[str, tuple[str, ...]]
    reason: str
    share_used: float = 0.0
    since: dt.datetime
    unless: Mapping[Pair, str] = field(default_factory=dict)

    @property
    def pairs(self) -> list[Pair]:
        """Every partition of it."""
        return [(asset, key) for asset, keys in self.steps.items() for key in keys]

    @property
    def span(self) -> tuple[str, str] | None:
        """First and last partition of the run's partitioned assets; None if it has none."""
        keys = [key for keys in self.steps.values() for key in keys if key]
        return (min(keys), max(keys)) if keys else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that reconciling decided at one moment."""

    now: dt.datetime
    decisions: tuple[Decision, ...] = ()
    runs: tuple[RunPlan, ...] = ()
    settled: frozenset[Pair] = field(default_factory=frozenset)
    """Pairs of the agenda that need nothing."""
    spent: str = ""
    """What is spent of the day's budget, in words, where that keeps runs from starting."""

    def of(self, asset: str, partition: str = "") -> Decision | None:
        """The decision for one partition; None where there is nothing to decide."""
        return next((one for one in self.decisions if (one.asset, one.partition) == (asset, partition)), None)  # fmt: skip
