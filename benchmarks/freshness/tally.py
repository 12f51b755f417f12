"""What a system did in one scenario, counted against the oracle."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.freshness import oracle
from benchmarks.freshness.faults import Faults
from benchmarks.freshness.graph import ABSENT, Asset, Pair
from benchmarks.freshness.lake import Held, Lake
from benchmarks.freshness.oracle import Target
from benchmarks.freshness.system import System

PATIENCE = 3
"""Attempts after which a failure of equal inputs and code is taken for permanent."""

AttemptKey = tuple[Pair, str, tuple[tuple[Pair, str], ...]]


@dataclass(kw_only=True)
class Score:
    """The result of one scenario under one system.

    Attributes:
        lost: Partitions that end with another version than they should have, or missing.
        builds, least: Builds that the system asked for, and how many nobody can do without.
        surplus: Builds from the inputs and code that the partition was built from already; trainings without a reason.
        early: Builds from something that was known to be about to change, or was not there yet.
        falsely_fresh, falsely_stale: Claims about the promise of an asset that were wrong, of ``samples``.
        falsely_consistent, falsely_inconsistent: The same of partitions, of ``pair_samples``.
        attempts: Most failures of one partition with equal inputs and code that would fail as often as it is tried.
        ticks: Ticks that found something that was not yet as it should be.
        runs: Runs that the system asked for.
    """

    lost: int = 0
    builds: int = 0
    least: int = 0
    surplus: int = 0
    early: int = 0
    samples: int = 0
    falsely_fresh: int = 0
    falsely_stale: int = 0
    pair_samples: int = 0
    falsely_consistent: int = 0
    falsely_inconsistent: int = 0
    attempts: int = 0
    ticks: int = 0
    runs: int = 0

    @property
    def is_converged(self) -> bool:
        """Whether everything ended as it should."""
        return not self.lost

    @property
    def is_right(self) -> bool:
        """Whether everything ended as it should and nothing was built in vain or too early."""
        return not (self.lost or self.surplus or self.early)

    @property
    def is_perfect(self) -> bool:
        """Whether nothing was lost, built in vain or too early, claimed wrongly, or tried too often."""
        wrong = (self.lost, self.surplus, self.early, self.falsely_fresh, self.falsely_stale)
        claims = (self.falsely_consistent, self.falsely_inconsistent)
        return not any((*wrong, *claims)) and self.attempts <= PATIENCE

    def as_dict(self) -> dict[str, int]:
        """Its counts by name."""
        return asdict(self)


@dataclass(kw_only=True)
class Tally:
    """Counts while a scenario goes on."""

    lake: Lake
    faults: Faults
    score: Score = field(default_factory=Score)
    tries: Counter[AttemptKey] = field(default_factory=Counter)

    def known(self, now: dt.datetime) -> dict[Pair, Target]:
        """The fixpoint as far as anyone can know it: what failed often enough with the same inputs and code stays."""
        return oracle.targets(self.lake, now, self._has_failed_often)

    def final(self, now: dt.datetime) -> dict[Pair, Target]:
        """The fixpoint for someone who knows what will fail for good."""
        return oracle.targets(self.lake, now, self.faults.is_permanent)

    def failed(self, pair: Pair, reading: Held) -> None:
        """A build failed."""
        key = _key(pair, reading.code_version, reading.inputs)
        self.tries[key] += 1
        if self.faults.is_permanent(pair, reading.code_version, reading.inputs):
            self.score.attempts = max(self.score.attempts, self.tries[key])

    def judge(
        self,
        asset: Asset,
        readings: Mapping[str, Held | None],
        *,
        asked: Mapping[Pair, Target],
        now: dt.datetime,
    ) -> list[str]:
        """Count the builds of a step that starts; ``asked`` is the fixpoint as it was known when they were asked for.

        Returns:
            What was wrong with them, in words.
        """
        present = self.known(now)
        found: list[str] = []
        for key, reading in readings.items():
            self.score.builds += 1
            wrong = self._wrong(asset, (asset.name, key), reading, (asked, present))
            self.score.surplus += wrong == "surplus"
            self.score.early += wrong == "early"
            found += [f"{wrong}: {asset.name}[{key}]"] if wrong else []
        return found

    def sample(self, system: System, now: dt.datetime, pairs: Sequence[Pair]) -> list[str]:
        """Compare the system's claims with the truth; returns those that are wrong, in words."""
        wrong: list[str] = []
        for asset in self.lake.graph.built:
            if asset.promise is None:
                continue
            truth, claim = oracle.is_fresh(self.lake, asset, now), system.is_fresh(asset.name, now)
            self.score.samples += 1
            self.score.falsely_fresh += claim and not truth
            self.score.falsely_stale += truth and not claim
            if truth != claim:
                wrong.append(f"falsely {'fresh' if claim else 'stale'}: {asset.name}")
        return wrong + [word for pair in pairs if (word := self._sample_pair(system, pair))]

    def _sample_pair(self, system: System, pair: Pair) -> str:
        claim = system.is_consistent(*pair)
        if claim is None:
            return ""
        truth = oracle.is_consistent(self.lake, pair)
        self.score.pair_samples += 1
        self.score.falsely_consistent += claim and not truth
        self.score.falsely_inconsistent += truth and not claim
        return (
            ""
            if truth == claim
            else f"falsely {'consistent' if claim else 'inconsistent'}: {pair[0]}[{pair[1]}]"
        )

    def _wrong(
        self,
        asset: Asset,
        pair: Pair,
        reading: Held | None,
        fixpoints: tuple[Mapping[Pair, Target], ...],
    ) -> str:
        if reading is None:
            return "early"
        if oracle.is_same(self.lake.held.get(pair), reading):
            return "surplus"
        wanted = [fixpoint.get(pair) for fixpoint in fixpoints]
        if asset.kind == "model" and all(one is not None and one.inputs is None for one in wanted):
            return "surplus"  # it has no reason to be trained
        read = {
            *reading.inputs,
            *(one for want in wanted if want and want.inputs for one in want.inputs),
        }
        return "early" if any(self._is_moving(one, fixpoints) for one in read) else ""

    def _is_moving(self, pair: Pair, fixpoints: tuple[Mapping[Pair, Target], ...]) -> bool:
        known = {one[pair].version if pair in one else ABSENT for one in fixpoints}
        return pair[0] not in self.lake.sources and self.lake.version(pair) not in known

    def _has_failed_often(self, pair: Pair, code: str, inputs: Mapping[Pair, str]) -> bool:
        return self.tries[_key(pair, code, inputs)] >= PATIENCE


def _key(pair: Pair, code: str, inputs: Mapping[Pair, str]) -> AttemptKey:
    return pair, code, tuple(sorted(inputs.items()))
