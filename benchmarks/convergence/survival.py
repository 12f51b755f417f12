"""kill -9 while a case is played: a process dies at a random moment, and a new one goes on from the ledger's file.

What is outside of the process outlives it: the sources, the clock, the deployed code, which runs were launched, and what
was written to the lake. It stands in a file that is replaced whole. Everything else is lost, and all runs with it.
"""

import json
import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.convergence.cases import Assets, Case, Pair
from benchmarks.convergence.judging import WrongError
from benchmarks.convergence.play import Played, happen, settle
from benchmarks.convergence.running import Batch, Run
from benchmarks.convergence.world import World
from lakeline.ledger import Ledger

LONGEST_S = 0.25
MOST_WRITES = 60
WRITES = ("settle_agenda", "begin", "publish", "observe", "failed", "set_states", "forget", "abandon")  # fmt: skip
FOR_EVER = 10_000
"""Attempts: a process that dies over and over says nothing about the data."""


@dataclass(kw_only=True)
class Outside:
    """What outlives a process.

    Attributes:
        at: Number of the next event.
        runs: What was launched and has not ended.
    """

    case: Case
    at: int = 0
    assets: Assets = field(default_factory=dict)
    now: Any = None
    present: dict[Pair, str] = field(default_factory=dict)
    lake: list[Batch] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


def survive(case: Case, folder: Path, seed: int, kills: int) -> tuple[Played, int]:
    """Play a case in processes that are killed, the last one to the end; also returns how many kills hit."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark that repeats
    hit = 0
    _save(folder, Outside(case=_without_faults(case)))
    for _ in range(kills):
        by_time = chance.random() < 0.5
        after = 0 if by_time else chance.randint(1, MOST_WRITES)
        said = _in_child(lambda after=after: _go_on(folder, after), chance.uniform(0, LONGEST_S) if by_time else None)  # type: ignore[misc]  # fmt: skip
        if said is not None:
            return Played(**said), hit
        hit += 1
    said = _in_child(lambda: _go_on(folder, 0), None)
    if said is None:
        raise RuntimeError("The last process ended by itself")
    return Played(**said), hit


def _without_faults(case: Case) -> Case:
    events = tuple(one for one in case.events if one.kind not in ("break", "amnesia"))
    return replace(case, events=events, attempts=FOR_EVER)


def _go_on(folder: Path, dies_after: int) -> dict[str, Any]:
    """Play from where the file says to the end."""
    outside: Outside = pickle.loads((folder / "outside").read_bytes())  # noqa: S301 - our own
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    world = _world(outside, ledger, lambda: _save(folder, _outside(outside, world)))
    if dies_after:
        _die_at_write(dies_after)
    wrong = ""
    try:
        for event in outside.case.events[outside.at :]:
            happen(world, event)
            outside.at += 1
            world.saved()
        settle(world)
    except WrongError as error:
        wrong = str(error)
    return {"wrong": wrong, "ticks": world.ticks, "built": world.built, "partitions": len(world.truth.held)}  # fmt: skip


def _world(outside: Outside, ledger: Ledger, save: Callable[[], None]) -> World:
    """The world as a new process finds it: every run is dead, and what the ledger has decides what is published."""
    world = World(case=outside.case, ledger=ledger, saved=save)
    if not outside.assets:
        return world
    world.truth.now, world.present, world.lake = outside.now, outside.present, outside.lake
    world.deploy(outside.assets)
    unpublished = {name: ledger.unpublished(name) for name in {one.name for one in world.lake}}
    for batch in world.lake:
        if batch.gone is not None:
            world.truth.held.pop((batch.name, batch.gone), None)
            if not _has_later(world.lake, batch):
                ledger.forget(batch.name, [batch.gone])
        elif batch.batch in unpublished[batch.name]:
            world.pending[batch.batch] = batch
        else:
            world.put(batch)
    for run in outside.runs:
        run.errors = {"": "its process was lost"}
        world.kills.update(run.pairs)
        if not run.by_person:
            world.ended.append(run)
    return world


def _has_later(lake: list[Batch], gone: Batch) -> bool:
    later = lake[lake.index(gone) + 1 :]
    return any(one.name == gone.name and gone.gone in one.builds for one in later)


def _outside(before: Outside, world: World) -> Outside:
    return replace(
        before,
        assets=world.truth.assets,
        now=world.truth.now,
        present=world.present,
        lake=world.lake,
        runs=[*world.runs, *world.ended],
    )


def _save(folder: Path, outside: Outside) -> None:
    (folder / "new").write_bytes(pickle.dumps(outside))
    (folder / "new").replace(folder / "outside")


def _die_at_write(count: int) -> None:
    """Kill this process before or after its ``count``-th write to the ledger."""
    left = count

    def step() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def fatal(name: str) -> None:
        work = getattr(Ledger, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            done = work(*args, **kwargs)
            step()
            return done

        setattr(Ledger, name, call)

    for name in WRITES:
        fatal(name)


def _in_child(work: Callable[[], dict[str, Any]], pause_s: float | None) -> dict[str, Any] | None:
    """What ``work`` returns in a forked child; None if it died first, by its own hand or ours after a pause."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    if pause_s is not None:
        time.sleep(pause_s)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"A child ended with status {status}")
    return dict(json.loads(said)) if said else None
