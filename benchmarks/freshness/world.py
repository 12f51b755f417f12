"""The played world: one system, the sources and the lake, ticks, and at the end a count of what the system did."""

import copy
import datetime as dt
from collections.abc import Sequence

from benchmarks.freshness import oracle
from benchmarks.freshness.course import TICK, Course, told
from benchmarks.freshness.executor import Executor
from benchmarks.freshness.faults import Faults
from benchmarks.freshness.graph import DAYS, START, Graph, Pair, day
from benchmarks.freshness.lake import fresh_lake
from benchmarks.freshness.system import Request, System
from benchmarks.freshness.tally import Score, Tally

BUILT_BEFORE = dt.timedelta(hours=1)
"""How long before the start everything was built."""

QUIET_TICKS = 4
"""Ticks without anything wrong or asked for after which nothing more is expected."""

SILENT_TICKS = 7
"""The same of ticks that ask for nothing although something is wrong: longer than any pause before another attempt."""


class World:
    """One system in one scenario.

    Attributes:
        course: What happens when, and the timeline.
        skew: By how much the clock of the machine that ticks is wrong.
        is_down: Whether nothing ticks.

    Args:
        system: What is judged.
        graph: What it is to keep fresh.
        days: Partitions that exist at the start.
    """

    def __init__(
        self, system: System, graph: Graph, days: Sequence[str] = tuple(map(day, range(DAYS)))
    ) -> None:
        self.system = system
        self.course = Course(START)
        self.lake = fresh_lake(graph, days, START - BUILT_BEFORE)
        self.faults = Faults()
        self.tally = Tally(lake=self.lake, faults=self.faults)
        self.executor = Executor(self.course, system, self.lake, self.faults, self.tally)
        self.skew = dt.timedelta()
        self.is_down = False
        self._before = copy.deepcopy(self.lake)
        self._quiet = 0
        self._silent = 0
        self._seen = {source.name: self.lake.observation(source.name) for source in graph.sources}
        self._set_up()

    @property
    def now(self) -> dt.datetime:
        """The true time."""
        return self.course.now

    @property
    def timeline(self) -> Sequence[str]:
        """What happened, in words."""
        return self.course.timeline

    def play(self, *, hours: float, every_min: int, may_end_early: bool = False) -> Score:
        """Tick every so often, play to the end, or until it has been quiet for ``QUIET_TICKS``, and count."""
        end, tick = START + dt.timedelta(hours=hours), START
        while tick <= end:
            self.course.at(tick, self._tick, TICK)
            tick += dt.timedelta(minutes=every_min)
        while (rank := self.course.step(end)) is not None:
            if may_end_early and rank == TICK and self._is_settled():
                break
        return self._finish()

    # --- what people do -----------------------------------------------------------------------

    def redefine(self, graph: Graph) -> None:
        """Deploy new code."""
        self.lake.graph = graph
        self.system.redefined(graph, self.now)

    def drop(self, asset: str, keys: Sequence[str]) -> None:
        """Delete partitions of a built asset."""
        for key in keys:
            self.lake.held.pop((asset, key), None)
        self.system.dropped(asset, keys, self.now)

    def person_starts(self, request: Request) -> None:
        """Start a run that nobody judges."""
        self.executor.start(request, by_person=True, asked={})

    # --- ticks --------------------------------------------------------------------------------

    def _set_up(self) -> None:
        history = [
            self.lake.built(asset, key)
            for asset in self.lake.graph.built
            for key in self.lake.keys(asset.name)
        ]
        seen = list(self._seen.values())
        self.system.setup(self.lake.graph, history, seen, self.now - BUILT_BEFORE)

    def _tick(self) -> None:
        pairs = () if self.is_down else self._pairs()
        if not self.is_down:
            self._observe()
            self._ask()
        for wrong in self.tally.sample(self.system, self.now, pairs):
            self.course.say(wrong)

    def _observe(self) -> None:
        for source in self.lake.graph.sources:
            seen = self.lake.observation(source.name)
            if seen != self._seen.get(source.name):
                self._seen[source.name] = seen
                self.system.observe(seen, self.now)

    def _ask(self) -> None:
        is_off = bool(oracle.off(self.lake, self.tally.final(self.now)))
        self.tally.score.ticks += is_off
        requests = self.system.tick(self.now + self.skew)
        self._quiet = 0 if requests or is_off else self._quiet + 1
        self._silent = 0 if requests else self._silent + 1
        self.course.say(
            f"tick: {len(requests)} runs{', not yet as it should be' if is_off else ''}"
        )
        asked = self.tally.known(self.now) if requests else {}
        for request in requests:
            self.executor.start(request, asked=asked)

    def _is_settled(self) -> bool:
        is_quiet = self._quiet >= QUIET_TICKS or self._silent >= SILENT_TICKS
        return is_quiet and not self.executor.underway and self.course.has_ticks_only

    # --- claims -------------------------------------------------------------------------------

    def _mine(self) -> list[Pair]:
        return [pair for pair in self.lake.held if pair[0] in self.lake.graph.assets]

    def _pairs(self) -> list[Pair]:
        """Partitions whose claims are looked at after each tick: what is inconsistent, and the newest of each asset."""
        newest = dict(sorted(self._mine()))
        return [
            pair
            for pair in self._mine()
            if newest[pair[0]] == pair[1] or not oracle.is_consistent(self.lake, pair)
        ]

    def _finish(self) -> Score:
        wanted = self.tally.final(self.now)
        lost = oracle.off(self.lake, wanted)
        if lost:
            self.course.say(f"lost: {told(_by_asset(lost))}")
        self.tally.score.lost = len(lost)
        self.tally.score.least = oracle.least_builds(self._before, self.lake, wanted)
        for wrong in self.tally.sample(self.system, self.now, self._mine()):
            self.course.say(wrong)
        return self.tally.score


def _by_asset(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for asset, key in pairs:
        found.setdefault(asset, []).append(key)
    return found
