"""Plays a case: each event in turn, then peace, in which everything must come to rest where the oracle says.

Peace is a tick, then all runs to their end, again and again, the clock moving on to where the next thing is due.
"""

import datetime as dt
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.convergence.cases import (
    REGIONS,
    WHOLE,
    Asset,
    Case,
    Event,
    day,
    renamed,
    without,
)
from benchmarks.convergence.judging import WrongError, require_rest, told
from benchmarks.convergence.running import Fault, Run
from benchmarks.convergence.world import World
from lakeline.ledger import Ledger

DAYS = 10
"""Days that a daily source has, at most."""
ROUNDS = 60
"""Ticks after which everything must be at rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What a case came to.

    Attributes:
        wrong: What was wrong; empty if nothing was.
    """

    wrong: str = ""
    ticks: int = 0
    built: int = 0
    partitions: int = 0


def play(case: Case, file: Path) -> Played:
    """Play a case on a ledger in a file, to the end or to the first thing that is wrong."""
    ledger = Ledger(f"sqlite:///{file}")
    world = World(case=case, ledger=ledger)
    wrong = ""
    try:
        for event in case.events:
            happen(world, event)
        settle(world)
    except WrongError as error:
        wrong = str(error)
    finally:
        ledger.close()
    return Played(wrong=wrong, ticks=world.ticks, built=world.built, partitions=len(world.truth.held))  # fmt: skip


def happen(world: World, event: Event) -> None:
    """Let an event happen, if there is something for it to happen to."""
    HAPPENINGS[event.kind](world, event)


def settle(world: World) -> None:
    """Peace until nothing is asked for, and what is required then."""
    for _ in range(ROUNDS):
        while world.runs:
            world.advance(world.runs[0])
        is_quiet = not world.ended
        plan = world.tick()
        if plan.runs or not is_quiet:
            continue
        until = min((one.until for one in plan.decisions if one.until is not None), default=None)
        if until is None:
            require_rest(world, plan)
            return
        world.truth.now = max(world.truth.now, until)
    raise WrongError(f"nothing has come to rest after {ROUNDS} ticks: {told(world.tick())}")


# --- what can happen ------------------------------------------------------------------------------


def _sources(world: World) -> list[Asset]:
    return [one for one in world.truth.assets.values() if one.kind == "source"]


def _built(world: World) -> list[Asset]:
    return [one for one in world.truth.assets.values() if one.kind != "source"]


def _keys(asset: Asset) -> list[str]:
    if asset.parting == "days":
        return [one for one in map(day, range(DAYS)) if asset.may_have(one)]
    return list(REGIONS) if asset.parting == "regions" else [WHOLE]


def _change(world: World, event: Event) -> None:
    """A source has another version of some partitions: new, restated, or as they were before."""
    if sources := _sources(world):
        source = sources[event.which % len(sources)]
        keys = _keys(source)
        first = event.where % len(keys)
        for key in keys[first : first + 1 + event.how // 3]:
            world.present[source.name, key] = f"v{event.how % 3}"


def _fill(world: World, event: Event) -> None:
    """Sources have their first days."""
    for source in _sources(world):
        for key in _keys(source)[: 1 + event.where]:
            world.present.setdefault((source.name, key), "v0")


def _vanish(world: World, event: Event) -> None:
    if world.present:
        pairs = sorted(world.present)
        del world.present[pairs[event.which % len(pairs)]]


def _tick(world: World, event: Event) -> None:
    world.tick(is_lost=event.how == 1)


def _advance(world: World, event: Event) -> None:
    for _ in range(1 + event.how):
        if world.runs:
            world.advance(world.runs[event.which % len(world.runs)])


def _kill(world: World, event: Event) -> None:
    if world.runs:
        world.kill(world.runs[event.which % len(world.runs)], event.how % 3)


def _person(world: World, event: Event) -> None:
    """Somebody builds some assets over some days, whatever there is to say against it."""
    assets = _built(world)
    first = event.which % len(assets)
    days = [day(event.where % DAYS + i) for i in range(1 + event.how)]
    steps = {}
    for asset in assets[first : first + 1 + event.how % 3]:
        keys = (
            [one for one in days if asset.may_have(one)]
            if asset.parting == "days"
            else _keys(asset)
        )
        if keys:
            steps[asset.name] = tuple(keys)
    if steps:
        world.runs.append(Run(steps=steps, assets=world.truth.assets, by_person=True))


def _forget(world: World, event: Event) -> None:
    if world.truth.held:
        pairs = sorted(world.truth.held)
        world.forget(pairs[event.which % len(pairs)])


def _restart(world: World, _event: Event) -> None:
    world.restart()


def _jump(world: World, event: Event) -> None:
    world.truth.now += dt.timedelta(hours=(1, 5, 30, -1, -7, -30)[event.how % 6])


def _amnesia(world: World, _event: Event) -> None:
    """The marks and the changes of the ledger are gone, as after a careless repair; until it is found, nothing seems stale."""
    world.tries.held.clear()
    for run in world.runs:
        run.known = {}
    world.ledger.changes()  # makes the tables, where nobody has yet
    world.ledger.close()
    with sqlite3.connect(world.ledger.url.removeprefix("sqlite:///")) as connection:
        connection.execute(
            "UPDATE lakeline_current SET because_asset_id = NULL, because_part_id = NULL"
        )
        connection.execute("DELETE FROM lakeline_change")
    connection.close()


def _break(world: World, event: Event) -> None:
    assets = _built(world)
    asset = assets[event.which % len(assets)]
    keys = _keys(asset)
    key = keys[event.where % len(keys)]
    how = ("times", "code", "inputs")[event.how % 3]
    world.faults[asset.name, key] = Fault(how=how, times=1 + event.how // 3, code=asset.code)


def _deploy(world: World, event: Event) -> None:
    """Other code with another or the same effect, an asset turned off or on, renamed, or gone."""
    assets = world.truth.assets
    built = _built(world)
    asset = built[event.which % len(built)]
    how = event.how % 6
    if how == 4:
        world.deploy(renamed(assets, asset.name, f"{asset.salt}_{event.where}"))
    elif how == 5:
        if len(built) > 1:
            world.deploy(without(assets, asset.name))
    else:
        changed = (
            replace(asset, code=asset.code + 1, effect=asset.effect + 1),
            replace(asset, code=asset.code + 1),
            replace(asset, is_manual=not asset.is_manual),
            replace(asset, first=event.where % 4, until=None if event.where % 2 else 8),
        )[how]
        world.deploy({name: changed if name == asset.name else one for name, one in assets.items()})


def _settle(world: World, _event: Event) -> None:
    settle(world)


HAPPENINGS = {
    "fill": _fill,
    "change": _change,
    "vanish": _vanish,
    "tick": _tick,
    "advance": _advance,
    "kill": _kill,
    "person": _person,
    "forget": _forget,
    "restart": _restart,
    "jump": _jump,
    "amnesia": _amnesia,
    "break": _break,
    "deploy": _deploy,
    "settle": _settle,
}
