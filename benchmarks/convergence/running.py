"""What runs in a played world: runs and their steps, why they fail, and what they leave in the lake."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.convergence import oracle
from benchmarks.convergence.cases import REGIONS, Asset, Assets, Pair
from benchmarks.convergence.oracle import Held, Inputs, Target
from lakeline.ledger import ABSENT, Build, Input
from lakeline.window import Window, contiguous


@dataclass(kw_only=True)
class Run:
    """A run under way.

    Attributes:
        assets: As they were deployed when it was launched.
        known: What everything was to become, as it was known when the run was asked for.
        before: Versions at that time.
        reading: What the present step has read, by partition; None between two steps.
        undone: Assets whose step failed or was left out.
    """

    steps: dict[str, tuple[str, ...]]
    assets: Assets
    by_person: bool = False
    unless: Mapping[Pair, str] = field(default_factory=dict)
    known: Mapping[Pair, Target] = field(default_factory=dict)
    before: dict[Pair, str] = field(default_factory=dict)
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: int = 0
    reading: dict[str, Inputs] | None = None
    undone: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def pairs(self) -> list[Pair]:
        """Every partition of it."""
        return [(asset, key) for asset, keys in self.steps.items() for key in keys]

    @property
    def is_over(self) -> bool:
        """Whether all its steps are done."""
        return self.at >= len(self.steps)


@dataclass(kw_only=True)
class Fault:
    """Why builds of a partition fail: so many times, or for as long as its code, or its inputs, stay as they are."""

    how: str
    times: int = 0
    inputs: Inputs | None = None
    code: int = 0


@dataclass(kw_only=True)
class Batch:
    """What was written to the lake at once; ``gone`` is a partition that was deleted instead."""

    name: str
    builds: dict[str, Held]
    at: dt.datetime
    gone: str | None = None
    batch: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def is_passed(self) -> bool:
        """Whether the check of a report passes on it."""
        newest = next(reversed(self.builds.values()))
        return int(oracle.digest(newest.version), 16) % 3 > 0


@dataclass(kw_only=True)
class Counts:
    """How often something happened to a partition under one key; another key starts anew."""

    held: dict[Pair, tuple[object, int]] = field(default_factory=dict)

    def add(self, pair: Pair, key: object) -> int:
        """Count once more; returns how often by now."""
        count = self.of(pair, key) + 1
        self.held[pair] = (key, count)
        return count

    def of(self, pair: Pair, key: object) -> int:
        """How often under this key."""
        before, count = self.held.get(pair, (None, 0))
        return count if before == key else 0


def between(first: str, last: str) -> list[str]:
    """Partitions of a range, as Dagster counts them."""
    if first in REGIONS:
        return [one for one in REGIONS if first <= one <= last]
    return list(Window.of_days(first, last).partitions)


def strikes(fault: Fault, asset: Asset, inputs: Inputs) -> bool:
    """Whether a build from these inputs fails."""
    if fault.how == "times":
        fault.times -= 1
        return fault.times >= 0
    if fault.how == "code":
        return fault.code == asset.code
    fault.inputs = fault.inputs or inputs
    return fault.inputs == inputs


def as_builds(name: str, builds: Mapping[str, Held]) -> list[Build]:
    """Partitions as the ledger takes them."""
    return [
        Build(
            asset=name,
            partition=key,
            version=held.version,
            watermark=held.until,
            code_version=f"c{held.code}",
            inputs=tuple(
                Input(asset=a, partition=p, version=version or ABSENT)
                for (a, p), version in held.inputs.items()
            ),
        )
        for key, held in builds.items()
    ]


def stretches(keys: Sequence[str]) -> list[list[str]]:
    """Partitions that are built together: days that follow each other."""
    days = [key for key in keys if key[:2] == "20"]
    found = [[key for key in days if a <= key <= b] for a, b in contiguous(days)]
    return [*found, *([[key for key in keys if key not in days]] if len(days) < len(keys) else [])]
