"""The language of the scenarios: what happens at what time, in words."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.freshness.faults import Death, Fault
from benchmarks.freshness.graph import FLIGHTS, START, WEATHER, Code, Graph, day, end_of, shifted
from benchmarks.freshness.system import Request
from benchmarks.freshness.world import World

SHORT_H = 8
MORNING = "05:10"
"""When the sources publish the day before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One scenario.

    Attributes:
        group: What it is about, in a word or two.
        play: Writes its script.
        hours: How long it is played.
        every_min: Time from tick to tick, in minutes.
        may_end_early: Whether it is over when everything is as it should be and has been quiet for a while; not where the
            passing of time is what it is about.
    """

    name: str
    group: str
    play: "Callable[[Script], None]"
    hours: float = 6
    every_min: int = 30
    may_end_early: bool = False


Play = Callable[["Script"], None]


def scenario(
    into: dict[str, Scenario], group: str, *, hours: float = 6, every_min: int = 30
) -> Callable[[Play], Play]:
    """Make a function a scenario under its name; one that takes longer than ``SHORT_H`` is played to its end."""

    def declare(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        into[name] = Scenario(
            name=name,
            group=group,
            play=play,
            hours=hours,
            every_min=every_min,
            may_end_early=hours <= SHORT_H,
        )
        return play

    return declare


class Script:
    """What is to happen in one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def at(self, clock: str, *, days: int = 0) -> "Moment":
        """A moment: ``HH:MM`` of the scenario's first day, or so many days later."""
        start = dt.datetime.combine(START.date(), dt.time.fromisoformat(clock), tzinfo=dt.UTC)
        return Moment(self.world, start + dt.timedelta(days=days))

    def every_morning(self, days: int) -> None:
        """Both sources publish the day before on each of the next mornings."""
        for number in range(1, days + 1):
            self.at(MORNING, days=number).day_arrives()


class Moment:
    """A moment of a script; each method lets one thing happen at it and returns the moment."""

    def __init__(self, world: World, moment: dt.datetime) -> None:
        self._world = world
        self._moment = moment

    # --- sources ------------------------------------------------------------------------------

    def rows_arrive(self, source: str, *numbers: int) -> "Moment":
        """Rows come late to days of a source; days by number, as `day` counts them."""
        return self._count(source, [day(number) for number in numbers], place=0)

    def detail_changes(self, source: str, *numbers: int) -> "Moment":
        """Days of a source change in a way that whoever absorbs does not see."""
        return self._count(source, [day(number) for number in numbers], place=1)

    def rewritten(self, source: str, *numbers: int) -> "Moment":
        """Days of a source are written anew with equal rows: another version, the same content."""
        return self._count(source, [day(number) for number in numbers], place=2)

    def table_changes(self, source: str) -> "Moment":
        """The static source changes."""
        return self._count(source, [""], place=0)

    def undone(self, source: str, number: int) -> "Moment":
        """A day of a source is again as it was at the start."""

        def act() -> None:
            self._world.lake.sources[source].counters[day(number)] = (0, 0, 0)

        return self._do(f"{source}[{day(number)}] is again as it was", act)

    def day_arrives(self, *sources: str, complete_until: dt.datetime | None = None) -> "Moment":
        """The next day comes to both sources, or those named; complete, if nothing else is said."""

        def act() -> None:
            for name in sources or (FLIGHTS, WEATHER):
                source = self._world.lake.sources[name]
                key = shifted(max(source.counters), 1)
                source.counters[key] = (0, 0, 0)
                source.watermark = complete_until or end_of(key)

        return self._do(f"the next day comes to {', '.join(sources) or 'both sources'}", act)

    def comes(self, source: str, number: int) -> "Moment":
        """A certain day comes to a source, whole; its watermark is the end of its newest day."""

        def act() -> None:
            one = self._world.lake.sources[source]
            one.counters[day(number)] = (0, 0, 0)
            one.watermark = end_of(max(one.counters))

        return self._do(f"{day(number)} comes to {source}", act)

    def says_complete_until(self, source: str, moment: dt.datetime) -> "Moment":
        """The watermark of a source is another one, forwards or backwards, without a change of its rows."""

        def act() -> None:
            self._world.lake.sources[source].watermark = moment

        return self._do(f"{source} says that it is complete until {moment:%m-%d %H:%M}", act)

    def days_vanish(self, source: str, *numbers: int) -> "Moment":
        """Days of a source are deleted."""

        def act() -> None:
            for number in numbers:
                del self._world.lake.sources[source].counters[day(number)]

        return self._do(f"{len(numbers)} days of {source} are deleted", act)

    # --- people -------------------------------------------------------------------------------

    def person_builds(self, steps: Mapping[str, Sequence[int]]) -> "Moment":
        """A person starts a run: days by asset, none for an asset without partitions."""
        keys = {
            asset: [day(number) for number in numbers] or [""] for asset, numbers in steps.items()
        }
        return self._do("", lambda: self._world.person_starts(Request(steps=keys)))

    def person_drops(self, asset: str, *numbers: int) -> "Moment":
        """A person deletes days of a built asset from the lake."""
        keys = [day(number) for number in numbers]
        return self._do(f"{asset}{keys} is deleted", lambda: self._world.drop(asset, keys))

    def person_cancels(self) -> "Moment":
        """A person cancels the newest run under way."""
        return self._do("a person cancels", self._world.executor.cancel)

    def deploys(self, change: Callable[[Graph], Graph], what: str) -> "Moment":
        """New definitions are deployed."""
        return self._do(what, lambda: self._world.redefine(change(self._world.lake.graph)))

    def code_changes(self, asset: str, *, makes_no_difference: bool = False) -> "Moment":
        """New code of an asset is deployed."""

        def change(graph: Graph) -> Graph:
            code = graph.assets[asset].code
            effect = code.effect + (not makes_no_difference)
            return graph.changed(asset, code=Code(version=f"{code.version}1", effect=effect))

        return self.deploys(change, f"new code of {asset}")

    # --- what goes wrong ----------------------------------------------------------------------

    def fails(self, asset: str, *numbers: int, times: int = 1) -> "Moment":
        """The next steps of an asset, or some days of it, fail."""
        fault = Fault(asset=asset, days=[day(n) for n in numbers] or None, times=times)
        return self._do(
            f"{asset} will fail {times} times", lambda: self._world.faults.failing.append(fault)
        )

    def breaks(self, asset: str, *numbers: int, unreadable: str = "") -> "Moment":
        """Building an asset, or some days of it, fails until its code, or if it cannot read a version, its inputs, change."""
        fault = Fault(asset=asset, days=[day(n) for n in numbers] or None, unreadable=unreadable)

        def act() -> None:
            code = self._world.lake.graph.assets[asset].code.version
            self._world.faults.failing.append(replace(fault, code=code))

        return self._do(f"{asset} fails from now on", act)

    def kills(self, asset: str, when: Death = "working") -> "Moment":
        """The next process that builds an asset dies."""

        def act() -> None:
            self._world.faults.deaths[asset] = when

        return self._do("", act)

    def takes(self, asset: str, minutes: int) -> "Moment":
        """Steps of an asset take so long from now on."""

        def act() -> None:
            self._world.faults.minutes[asset] = minutes

        return self._do("", act)

    def drifts(self, *, is_over: bool = False) -> "Moment":
        """The report will find that the data have drifted, or will not any more."""

        def act() -> None:
            self._world.lake.drifts["report"] = not is_over

        return self._do(f"the data {'do not drift' if is_over else 'drift'}", act)

    # --- the process that ticks ---------------------------------------------------------------

    def daemon_stops(self) -> "Moment":
        """No tick until it starts again."""
        return self._do("the daemon is down", lambda: setattr(self._world, "is_down", True))

    def daemon_starts(self, *, is_cursor_lost: bool = False) -> "Moment":
        """It starts again, or is replaced while it runs."""

        def act() -> None:
            self._world.is_down = False
            self._world.system.restarted(self._world.now, is_cursor_lost=is_cursor_lost)

        return self._do(f"the daemon starts{' without its cursor' if is_cursor_lost else ''}", act)

    def clock_is_off(self, hours: float) -> "Moment":
        """The clock of the machine that ticks is wrong by so much; 0 sets it right."""
        return self._do(
            f"its clock is off by {hours} h",
            lambda: setattr(self._world, "skew", dt.timedelta(hours=hours)),
        )

    # --- the rest -----------------------------------------------------------------------------

    def _do(self, what: str, act: Callable[[], None]) -> "Moment":
        def told() -> None:
            if what:
                self._world.course.say(f"** {what}")
            act()

        self._world.course.at(self._moment, told)
        return self

    def _count(self, source: str, keys: Sequence[str], *, place: int) -> "Moment":
        def act() -> None:
            counters = self._world.lake.sources[source].counters
            for key in keys:
                values = list(counters[key])
                values[place] += 1
                counters[key] = (values[0], values[1], values[2])

        what = ("main rows", "detail", "no row")[place]
        return self._do(f"{source}: {what} of {len(keys)} partitions change, first {keys[0]}", act)
