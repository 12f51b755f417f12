"""The played executor: builds what a run names, step by step, and lets happen what the script wants to go wrong.

Steps of a run go one after the other, upstream first; a step reads when it starts and publishes when it ends. What is
downstream of a failed step in the same run is left out, as Dagster does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from benchmarks.freshness.course import Course, told
from benchmarks.freshness.faults import Faults
from benchmarks.freshness.graph import Asset, Pair
from benchmarks.freshness.lake import Held, Lake
from benchmarks.freshness.oracle import Target
from benchmarks.freshness.system import Outcome, Request, Run, System
from benchmarks.freshness.tally import Tally

STEP_MINUTES = 3
QUEUE_MINUTES = 1
FOUND_DEAD_MINUTES = 10
"""After what time somebody notices that a process died."""


@dataclass(kw_only=True)
class Underway:
    """A run with what became of it so far.

    Attributes:
        asked: The fixpoint as it was known when the run was asked for.
        failed: Partitions that failed or were left out.
    """

    run: Run
    asked: Mapping[Pair, Target]
    failed: set[Pair] = field(default_factory=set)
    is_over: bool = False


class Executor:
    """Runs under way in one world."""

    def __init__(
        self, course: Course, system: System, lake: Lake, faults: Faults, tally: Tally
    ) -> None:
        self.underway: list[Underway] = []
        self._course = course
        self._system = system
        self._lake = lake
        self._faults = faults
        self._tally = tally
        self._runs = count(1)

    def start(
        self, request: Request, *, by_person: bool = False, asked: Mapping[Pair, Target]
    ) -> None:
        """Start a run; assets that are not in the graph are left out."""
        names = [name for name in self._lake.graph.order if name in request.steps]
        run = Run(
            run_id=f"00000000-0000-4000-8000-{next(self._runs):012d}",
            steps={name: tuple(request.steps[name]) for name in names},
            requested_ts=self._course.now,
            fails_apart=request.fails_apart,
            by_person=by_person,
            note=request.note,
        )
        one = Underway(run=run, asked=asked)
        self.underway.append(one)
        self._tally.score.runs += not by_person
        whose = "by a person " if by_person else ""
        self._course.say(f"run {_short(run)} {whose}starts: {told(run.steps)}")
        self._system.run_started(run, self._course.now)
        self._course.later(QUEUE_MINUTES, lambda: self._step(one, 0))

    def cancel(self) -> None:
        """Cancel the newest run under way, if there is one."""
        if self.underway:
            self._end(self.underway[-1], "canceled")

    def _step(self, one: Underway, number: int) -> None:
        """Start a step, and go on to the next where it has nothing to do."""
        names = list(one.run.steps)
        while not one.is_over and number < len(names):
            asset = self._lake.graph.assets.get(names[number])
            keys = self._possible(one, names[number], asset)
            if asset and keys and (todo := self._todo(one.run, asset, keys)):
                self._work(one, number, asset, todo)
                return
            number += 1
        if not one.is_over:
            self._end(one, "failed" if one.failed else "succeeded")

    def _todo(self, run: Run, asset: Asset, keys: Sequence[str]) -> Sequence[str]:
        reads = [read.upstream for read in asset.reads if read.upstream in self._lake.sources]
        seen = [self._lake.observation(name) for name in reads]
        return self._system.step_started(run, asset.name, keys, seen, self._course.now)

    def _possible(self, one: Underway, name: str, asset: Asset | None) -> list[str]:
        """Partitions of a step that are not left out because of what failed before."""
        keys = one.run.steps[name]
        failed = {upstream for upstream, _ in one.failed}
        reads = [read for read in asset.reads if read.upstream in failed] if asset else []
        if asset is None or (reads and not one.run.fails_apart):
            one.failed |= {(name, key) for key in keys}
            return []
        out = {
            key
            for key in keys
            for read in reads
            for other in read.partitions(key, self._lake.keys(read.upstream))
            if (read.upstream, other) in one.failed
        }
        one.failed |= {(name, key) for key in out}
        return [key for key in keys if key not in out]

    def _work(self, one: Underway, number: int, asset: Asset, todo: Sequence[str]) -> None:
        readings = {key: self._lake.read(asset, key) for key in todo}
        if not one.run.by_person:
            for wrong in self._tally.judge(asset, readings, asked=one.asked, now=self._course.now):
                self._course.say(f"{wrong} in run {_short(one.run)}")
        minutes = self._faults.minutes.get(asset.name, STEP_MINUTES)
        self._course.later(minutes, lambda: self._worked(one, number, asset, readings))

    def _worked(
        self, one: Underway, number: int, asset: Asset, readings: Mapping[str, Held | None]
    ) -> None:
        if one.is_over:
            return
        death = self._faults.deaths.pop(asset.name, None)
        if death == "working":
            self._die(one, asset)
            return
        good = dict(readings)
        if struck := self._struck(asset, readings):
            good = {k: v for k, v in readings.items() if one.run.fails_apart and k not in struck}
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
        return lacking + self._faults.struck(asset.name, asset.code.version, there)

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
                self._tally.failed((asset.name, key), reading)
        self._course.say(f"failed: {told({asset.name: struck})} in run {_short(one.run)}")
        self._system.step_failed(one.run, asset.name, failed, self._course.now)

    def _publish(
        self, one: Underway, asset: Asset, readings: Mapping[str, Held | None], *, is_told: bool
    ) -> None:
        moved = []
        for key, reading in readings.items():
            assert reading is not None
            if self._lake.version((asset.name, key)) != reading.version:
                moved.append(key)
            self._lake.put(asset, key, reading, self._course.now)
        builds = [self._lake.built(asset, key) for key in readings]
        self._course.say(
            f"built {told({asset.name: list(readings)})}, {len(moved)} moved, run {_short(one.run)}"
        )
        self._system.published(one.run, builds, self._course.now, is_told=is_told)

    def _die(self, one: Underway, asset: Asset) -> None:
        one.is_over = True
        self._course.say(f"killed in {asset.name}: run {_short(one.run)}")
        self._course.later(FOUND_DEAD_MINUTES, lambda: self._end(one, "killed"))

    def _end(self, one: Underway, outcome: Outcome) -> None:
        one.is_over = True
        self.underway.remove(one)
        self._course.say(f"run {_short(one.run)} {outcome}")
        self._system.run_ended(one.run, outcome, self._course.now)


def _short(run: Run) -> str:
    return run.run_id[-4:].lstrip("0")
