"""The played world: one clock, the events of a script, ticks of a system, and an executor that builds what it asks for.

Nothing waits and nothing is random: events are kept by time, and a build takes the minutes that the script gives it.
Steps of a run go one after the other, upstream first; a step reads when it starts and publishes when it ends. What is
downstream of a failed step in the same run is left out, as Dagster does.
"""

import copy
import datetime as dt
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from benchmarks.freshness import oracle
from benchmarks.freshness.faults import Faults
from benchmarks.freshness.graph import START, Asset, Graph, Pair, day, end_of
from benchmarks.freshness.lake import TRAINED_BEFORE, Held, fresh_lake
from benchmarks.freshness.oracle import Target
from benchmarks.freshness.system import Outcome, Request, Run, System
from benchmarks.freshness.tally import Score, Tally

STEP_MINUTES = 3
QUEUE_MINUTES = 1
FOUND_DEAD_MINUTES = 10
"""After what time somebody notices that a process died."""

BUILT_BEFORE = dt.timedelta(hours=1)
"""How long before the start everything was built."""

QUIET_TICKS = 4
"""Ticks without anything wrong or asked for after which nothing more is expected."""

SCRIPT, WORK, TICK = 0, 1, 2
"""What comes first where times are equal."""


@dataclass(kw_only=True)
class Underway:
    """A run with what became of it so far.

    Attributes:
        asked: The fixpoint as it was known when the run was asked for.
        failed: Partitions that failed or were left out.
    """

    run: Run
    asked: Mapping[Pair, Target]
    fails_apart: bool = False
    failed: set[Pair] = field(default_factory=set)
    is_over: bool = False


class World:
    """One system in one scenario.

    Args:
        system: What is judged.
        graph: What it is to keep fresh.
        days: Partitions that exist at the start.
    """

    def __init__(self, system: System, graph: Graph, days: Sequence[str] = tuple(map(day, range(60)))) -> None:
        self.system = system
        self.now = START
        self.lake = fresh_lake(graph, days, START - BUILT_BEFORE)
        self.before = copy.deepcopy(self.lake)
        self.faults = Faults()
        self.tally = Tally(lake=self.lake, faults=self.faults)
        self.underway: list[Underway] = []
        self.skew = dt.timedelta()
        self.is_down = False
        self.timeline: list[str] = []
        self._quiet = 0
        self._queue: list[tuple[dt.datetime, int, int, Callable[[], None]]] = []
        self._order = count()
        self._runs = count(1)
        self._seen = {source.name: self.lake.observation(source.name) for source in graph.sources}
        self._set_up()

    # --- time ---------------------------------------------------------------------------------

    def at(self, moment: dt.datetime, act: Callable[[], None], rank: int = SCRIPT) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._queue, (moment, rank, next(self._order), act))

    def play(self, *, hours: float, every_min: int, may_end_early: bool = False) -> Score:
        """Tick every so often, play to the end, or until it has been quiet for ``QUIET_TICKS``, and count."""
        end, tick = START + dt.timedelta(hours=hours), START
        while tick <= end:
            self.at(tick, self._tick, TICK)
            tick += dt.timedelta(minutes=every_min)
        while self._queue and self._queue[0][0] <= end:
            self.now, rank, _, act = heapq.heappop(self._queue)
            act()
            if may_end_early and rank == TICK and self._quiet >= QUIET_TICKS and self._is_idle():
                break
        return self._finish()

    def _is_idle(self) -> bool:
        """Whether nothing but ticks will happen."""
        return not self.underway and all(rank == TICK for _, rank, _, _ in self._queue)

    def say(self, text: str) -> None:
        """Add a line to the timeline."""
        self.timeline.append(f"{self.now:%m-%d %H:%M}  {text}")

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

    def start(self, request: Request, *, by_person: bool = False, asked: Mapping[Pair, Target] | None = None) -> None:
        """Start a run; assets that are not in the graph are left out."""
        steps = {name: tuple(request.steps[name]) for name in self.lake.graph.order if name in request.steps}
        run = Run(
            run_id=f"00000000-0000-4000-8000-{next(self._runs):012d}",
            steps=steps,
            requested_ts=self.now,
            by_person=by_person,
            note=request.note,
        )
        known = asked if asked is not None else self.tally.known(self.now)
        one = Underway(run=run, asked=known, fails_apart=request.fails_apart)
        self.underway.append(one)
        self.tally.score.runs += not by_person
        self.say(f"run {_short(run)} {'by a person ' if by_person else ''}starts: {_told(steps)}")
        self.system.run_started(run, self.now)
        self._later(QUEUE_MINUTES, lambda: self._step(one, 0))

    def cancel(self) -> None:
        """Cancel the newest run under way."""
        self._end(self.underway[-1], "canceled")

    # --- ticks --------------------------------------------------------------------------------

    def _set_up(self) -> None:
        built = self.now - BUILT_BEFORE
        trained = built - TRAINED_BEFORE
        history = [
            replace(self.lake.built(asset, key), built_ts=_built_ts(asset, key, built, trained))
            for asset in self.lake.graph.built
            for key in self.lake.keys(asset.name)
        ]
        self.system.setup(self.lake.graph, history, list(self._seen.values()), built)

    def _tick(self) -> None:
        pairs = self._pairs()
        if self.is_down:
            self._sample(())
            return
        for source in self.lake.graph.sources:
            seen = self.lake.observation(source.name)
            if seen != self._seen.get(source.name):
                self._seen[source.name] = seen
                self.system.observe(seen, self.now)
        is_off = bool(oracle.off(self.lake, self.tally.final(self.now)))
        self.tally.score.ticks += is_off
        requests = self.system.tick(self.now + self.skew)
        asked = self.tally.known(self.now) if requests else {}
        self.say(f"tick: {len(requests)} runs{', not yet as it should be' if is_off else ''}")
        self._quiet = 0 if requests or is_off else self._quiet + 1
        for request in requests:
            self.start(request, asked=asked)
        self._sample(pairs)

    def _pairs(self) -> list[Pair]:
        """Partitions whose claims are looked at after each tick: what is inconsistent, and the newest of each asset."""
        mine = [pair for pair in self.lake.held if pair[0] in self.lake.graph.assets]
        newest = {asset: key for asset, key in sorted(mine)}
        return [pair for pair in mine if newest[pair[0]] == pair[1] or not oracle.is_consistent(self.lake, pair)]

    def _sample(self, pairs: Sequence[Pair]) -> None:
        for wrong in self.tally.sample(self.system, self.now, pairs):
            self.say(wrong)

    def _finish(self) -> Score:
        wanted = self.tally.final(self.now)
        lost = oracle.off(self.lake, wanted)
        if lost:
            self.say(f"lost: {_told(_by_asset(lost))}")
        self.tally.score.lost = len(lost)
        self.tally.score.least = oracle.least_builds(self.before, self.lake, wanted)
        self._sample([pair for pair in self.lake.held if pair[0] in self.lake.graph.assets])
        return self.tally.score

    # --- runs ---------------------------------------------------------------------------------

    def _later(self, minutes: float, act: Callable[[], None]) -> None:
        self.at(self.now + dt.timedelta(minutes=minutes), act, WORK)

    def _step(self, one: Underway, number: int) -> None:
        """Start a step, and go on to the next where it has nothing to do."""
        names = list(one.run.steps)
        while not one.is_over and number < len(names):
            asset = self.lake.graph.assets.get(names[number])
            keys = self._possible(one, names[number], asset)
            if asset and keys and (todo := self._todo(one.run, asset, keys)):
                self._work(one, number, asset, todo)
                return
            number += 1
        if not one.is_over:
            self._end(one, "failed" if one.failed else "succeeded")

    def _todo(self, run: Run, asset: Asset, keys: Sequence[str]) -> Sequence[str]:
        reads = [read.upstream for read in asset.reads if read.upstream in self.lake.sources]
        seen = [self.lake.observation(name) for name in reads]
        return self.system.step_started(run, asset.name, keys, seen, self.now)

    def _possible(self, one: Underway, name: str, asset: Asset | None) -> list[str]:
        """Partitions of a step that are not left out because of what failed before."""
        keys = one.run.steps[name]
        failed = {upstream for upstream, _ in one.failed}
        reads = [read for read in asset.reads if read.upstream in failed] if asset else []
        if asset is None or (reads and not one.fails_apart):
            one.failed |= {(name, key) for key in keys}
            return []
        out = {
            key
            for key in keys
            for read in reads
            for other in read.partitions(key, self.lake.keys(read.upstream))
            if (read.upstream, other) in one.failed
        }
        one.failed |= {(name, key) for key in out}
        return [key for key in keys if key not in out]

    def _work(self, one: Underway, number: int, asset: Asset, todo: Sequence[str]) -> None:
        readings = {key: self.lake.read(asset, key) for key in todo}
        if not one.run.by_person:
            for wrong in self.tally.judge(asset, readings, asked=one.asked, now=self.now):
                self.say(f"{wrong} in run {_short(one.run)}")
        minutes = self.faults.minutes.get(asset.name, STEP_MINUTES)
        self._later(minutes, lambda: self._worked(one, number, asset, readings))

    def _worked(self, one: Underway, number: int, asset: Asset, readings: Mapping[str, Held | None]) -> None:
        if one.is_over:
            return
        death = self.faults.deaths.pop(asset.name, None)
        if death == "working":
            self._die(one, asset)
            return
        good = dict(readings)
        if struck := self._struck(asset, readings):
            good = {k: v for k, v in readings.items() if one.fails_apart and k not in struck}
            self._fail(one, asset, struck, [key for key in readings if key not in good], readings)
        if good:
            self._publish(one, asset, good, is_told=death is None)
        if death is None:
            self._step(one, number + 1)
        else:
            self._die(one, asset)

    def _struck(self, asset: Asset, readings: Mapping[str, Held | None]) -> list[str]:
        there = {key: reading.inputs for key, reading in readings.items() if reading is not None}
        lacking = [key for key in readings if key not in there]
        return lacking + self.faults.struck(asset.name, asset.code.version, there)

    def _fail(
        self,
        one: Underway,
        asset: Asset,
        struck: Sequence[str],
        failed: Sequence[str],
        readings: Mapping[str, Held | None],
    ) -> None:
        one.failed |= {(asset.name, key) for key in failed}
        for key in struck:
            if (reading := readings[key]) is not None:
                self.tally.failed((asset.name, key), reading)
        self.say(f"failed: {_told({asset.name: struck})} in run {_short(one.run)}")
        self.system.step_failed(one.run, asset.name, failed, self.now)

    def _publish(self, one: Underway, asset: Asset, readings: Mapping[str, Held | None], *, is_told: bool) -> None:
        moved = []
        for key, reading in readings.items():
            assert reading is not None
            if self.lake.version((asset.name, key)) != reading.version:
                moved.append(key)
            self.lake.put(asset, key, reading, self.now)
        builds = [self.lake.built(asset, key) for key in readings]
        self.say(f"built {_told({asset.name: list(readings)})}, {len(moved)} moved, run {_short(one.run)}")
        self.system.published(one.run, builds, self.now, is_told=is_told)

    def _die(self, one: Underway, asset: Asset) -> None:
        one.is_over = True
        self.say(f"killed in {asset.name}: run {_short(one.run)}")
        self._later(FOUND_DEAD_MINUTES, lambda: self._end(one, "killed"))

    def _end(self, one: Underway, outcome: Outcome) -> None:
        one.is_over = True
        self.underway.remove(one)
        self.say(f"run {_short(one.run)} {outcome}")
        self.system.run_ended(one.run, outcome, self.now)


def _built_ts(asset: Asset, key: str, built: dt.datetime, trained: dt.datetime) -> dt.datetime:
    """When a partition of the history was built: old days an hour before the model was trained, the rest later."""
    if asset.kind == "model":
        return trained
    return trained - BUILT_BEFORE if key and end_of(key) < trained else built


def _short(run: Run) -> str:
    return run.run_id[-4:].lstrip("0")


def _by_asset(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for asset, key in pairs:
        found.setdefault(asset, []).append(key)
    return found


def _told(steps: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{asset}{_keys(keys)}" for asset, keys in steps.items())


def _keys(keys: Sequence[str]) -> str:
    named = sorted(key[5:] for key in keys if key)
    if len(named) <= 4:
        return f"[{' '.join(named)}]" if named else ""
    return f"[{named[0]} .. {named[-1]}, {len(named)}]"
