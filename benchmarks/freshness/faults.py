"""What goes wrong by script: steps that fail for a while or for good, and processes that die."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.freshness.graph import Pair

Death = Literal["working", "written"]
"""Where a process dies: while it works, or after its data are in the lake and before it could say so."""


@dataclass(kw_only=True)
class Fault:
    """Steps of an asset that fail.

    Attributes:
        days: Partitions that fail; None stands for all.
        times: How many steps still fail; None for as long as the code, or what it cannot read, stays as it is.
        code: Code version that fails, where it fails for good.
        unreadable: Version of an input on which alone it fails; empty for any.
    """

    asset: str
    days: Collection[str] | None = None
    times: int | None = None
    code: str = ""
    unreadable: str = ""

    def strikes(self, pair: Pair, code: str, inputs: Mapping[Pair, str]) -> bool:
        """Whether a build fails."""
        if pair[0] != self.asset or (self.days is not None and pair[1] not in self.days):
            return False
        if self.times is not None:
            return self.times > 0
        return code == self.code and (not self.unreadable or self.unreadable in inputs.values())


@dataclass(kw_only=True)
class Faults:
    """All that goes wrong.

    Attributes:
        deaths: Where the next process dies that builds an asset, by asset.
        minutes: How long a step takes, by asset, where it is not the usual time.
    """

    failing: list[Fault] = field(default_factory=list)
    deaths: dict[str, Death] = field(default_factory=dict)
    minutes: dict[str, int] = field(default_factory=dict)

    def is_permanent(self, pair: Pair, code: str, inputs: Mapping[Pair, str]) -> bool:
        """Whether a build fails and would as often as it is tried."""
        return any(one.times is None and one.strikes(pair, code, inputs) for one in self.failing)

    def struck(
        self, asset: str, code: str, readings: Mapping[str, Mapping[Pair, str]]
    ) -> list[str]:
        """Partitions of a step that fail; each call is one try."""
        found: set[str] = set()
        for fault in self.failing:
            hit = [
                key for key, inputs in readings.items() if fault.strikes((asset, key), code, inputs)
            ]
            found |= set(hit)
            if hit and fault.times is not None:
                fault.times -= 1
        return sorted(found)
