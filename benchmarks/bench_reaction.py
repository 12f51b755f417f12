"""From a changed row in a source to the rebuilt table, feature, model and report, in Dagster's running daemon.

Two daemons keep equal graphs side by side, by lakeline's sensor and by ``AutomationCondition.eager()``: first with their
shortest intervals, then with their default ones. Again and again a row changes at a random moment, and the clock stops
when the last of the four assets is built. Working is the time during which a step runs; everything else is waiting: for
sensors, for the queue, for processes to start. Both share one machine, so trust the ratios.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness import report

if TYPE_CHECKING:
    from dagster import DagsterInstance

ROOT = Path(__file__).parents[1]
ROUNDS = 3
KINDS = ("lakeline", "eager")
INTERVALS_S = {"shortest": 1, "default": 30}
"""Between two ticks of the sensors, in the order in which they are tried."""
UNTIL_S = {"shortest": 150.0, "default": 300.0}
"""After what time of the whole no further change is made."""
LAST_S = 240.0
"""How long a change is waited for."""
POLL_S = 0.5
CALM_S = 3.0
"""How long no run has been under way before the next change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """Who keeps the graph, and how often it looks."""

    kind: str
    speed: str

    @property
    def name(self) -> str:
        """Such as ``eager_default``."""
        return f"{self.kind}_{self.speed}"

    @property
    def interval_s(self) -> int:
        """Between two ticks of its sensors."""
        return INTERVALS_S[self.speed]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reaction:
    """One change and what followed.

    Attributes:
        total_s: From the change to the last of the four assets.
        working_s: Of that, the time during which a step ran.
        builds: Partitions that were built, which four would do.
        runs: Runs that it took.
    """

    total_s: float
    working_s: float
    builds: int
    runs: int

    @property
    def waiting_s(self) -> float:
        """Time during which nothing was built."""
        return self.total_s - self.working_s


@dataclass(kw_only=True)
class Daemon:
    """A daemon on a folder of its own; inside ``with`` it runs."""

    system: System
    folder: Path
    seed: int = 0
    reactions: list[Reaction] = field(default_factory=list)
    _process: "subprocess.Popen[bytes] | None" = None
    _started_ts: float = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """Of the daemon and all that it starts."""
        from benchmarks.reaction.location import FOLDER, INTERVAL_S, SYSTEM
        from lakeline.instance import dagster_home

        return {
            **os.environ,
            FOLDER: str(self.folder),
            SYSTEM: self.system.kind,
            INTERVAL_S: str(self.system.interval_s),
            "DAGSTER_HOME": str(dagster_home(self.folder / "dagster")),
            "PYTHONPATH": str(ROOT),
        }

    def __enter__(self) -> "Daemon":
        self._started_ts = time.time()
        with (self.folder / "daemon.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "--log-level", "warning", "-m", "benchmarks.reaction.location"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, how)
                self._process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self._process.wait()

    def observe(self, rounds: int, started_s: float) -> None:
        """Change a row and wait for the report, again and again."""
        from lakeline.instance import open_instance

        chance = random.Random(self.seed)  # noqa: S311 - a benchmark that repeats
        with open_instance(self.folder / "dagster") as instance:
            while len(self.reactions) < rounds:
                if self.reactions and time.perf_counter() - started_s > UNTIL_S[self.system.speed]:
                    return
                self._calm(instance)
                time.sleep(chance.uniform(0, self.system.interval_s))
                self.reactions.append(self._react(instance, chance.randint(1, 1_000_000)))
                print(f"{self.system.name}: {_told(self.reactions[-1])}", flush=True)

    def _calm(self, instance: "DagsterInstance") -> None:
        """Until every sensor has ticked and no run has been under way for a while."""
        quiet_s = 0.0
        while quiet_s < CALM_S:
            self._require_alive()
            time.sleep(POLL_S)
            is_quiet = _has_ticked(instance, self._started_ts) and not _under_way(instance)
            quiet_s = quiet_s + POLL_S if is_quiet else 0.0

    def _react(self, instance: "DagsterInstance", seed: int) -> Reaction:
        from benchmarks.reaction.location import machines_in
        from benchmarks.reaction.mill import CHAIN, LAST

        changed = time.time()
        machines_in(self.folder).write(LAST, seed)
        left = set(CHAIN)
        ended = changed
        while left:
            self._require_alive()
            if time.time() - changed > LAST_S:
                raise TimeoutError(f"{self.system.name} has not built {sorted(left)}: {self.folder / 'daemon.log'}")  # fmt: skip
            time.sleep(POLL_S)
            for name in sorted(left):
                if (at := _built_ts(instance, name)) > changed:
                    left.discard(name)
                    ended = max(ended, at)
        while _under_way(instance):
            time.sleep(POLL_S)
        return _reaction(instance, changed, ended)

    def _require_alive(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"{self.system.name} has ended: {(self.folder / 'daemon.log').read_text()[-2000:]}")  # fmt: skip


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the benchmark; the last line is its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="changes of a row, at most")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(None if arguments is None else list(arguments))
    started_s = time.perf_counter()
    daemons: list[Daemon] = []
    with (
        tempfile.TemporaryDirectory(prefix="lakeline-reaction-") as folder,
        ThreadPoolExecutor(len(KINDS)) as pool,
    ):
        list(pool.map(lambda kind: _prepare(Path(folder) / kind), KINDS))
        for speed in INTERVALS_S:
            some = [
                Daemon(
                    system=System(kind=kind, speed=speed),
                    folder=Path(folder) / kind,
                    seed=options.seed,
                )
                for kind in KINDS
            ]
            list(pool.map(lambda one: _run(one, options.rounds, started_s), some))
            daemons += some
    return _report(daemons, time.perf_counter() - started_s)


def _run(daemon: Daemon, rounds: int, started_s: float) -> None:
    with daemon:
        daemon.observe(rounds, started_s)


def _prepare(folder: Path) -> None:
    """Build everything once, in a process of its own."""
    folder.mkdir()
    environment = Daemon(
        system=System(kind=folder.name, speed="default"), folder=folder
    ).environment
    command = [sys.executable, "-m", "benchmarks.reaction.prepare"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


# --- what Dagster's storage tells -----------------------------------------------------------------


def _under_way(instance: "DagsterInstance") -> bool:
    import dagster as dg

    states = dg.DagsterRunStatus
    filters = dg.RunsFilter(statuses=[states.QUEUED, states.NOT_STARTED, states.STARTING, states.STARTED, states.CANCELING])  # fmt: skip
    return instance.get_runs_count(filters) > 0


def _has_ticked(instance: "DagsterInstance", since: float) -> bool:
    """Whether every sensor of the location has ticked since a moment."""
    sensors = [
        one for one in instance.all_instigator_state() if one.instigator_type.value == "SENSOR"
    ]
    newest = [instance.get_ticks(one.instigator_origin_id, one.selector_id, limit=1) for one in sensors]  # fmt: skip
    return bool(sensors) and all(ticks and ticks[0].timestamp > since for ticks in newest)


def _built_ts(instance: "DagsterInstance", name: str) -> float:
    import dagster as dg

    event = instance.get_latest_materialization_event(dg.AssetKey(["mill", name]))
    return event.timestamp if event is not None else 0.0


def _reaction(instance: "DagsterInstance", changed: float, ended: float) -> Reaction:
    """What happened since a change, from the event log."""
    import dagster as dg

    steps: list[tuple[float, float]] = []
    builds = 0
    runs = [one for one in instance.get_run_records(limit=50) if one.create_timestamp.timestamp() > changed]  # fmt: skip
    kinds = dg.DagsterEventType
    for run in runs:
        started: dict[str, float] = {}
        for log in instance.all_logs(run.dagster_run.run_id, of_type={kinds.STEP_START, kinds.STEP_SUCCESS, kinds.ASSET_MATERIALIZATION}):  # fmt: skip
            event = log.get_dagster_event()
            if event.event_type is kinds.STEP_START:
                started[str(event.step_key)] = log.timestamp
            elif event.event_type is kinds.STEP_SUCCESS:
                steps.append((started[str(event.step_key)], min(log.timestamp, ended)))
            else:
                builds += 1
    return Reaction(total_s=ended - changed, working_s=_covered(steps), builds=builds, runs=len(runs))  # fmt: skip


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of stretches of time.

    >>> _covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


# --- what is said ---------------------------------------------------------------------------------


def _told(one: Reaction) -> str:
    return f"{one.total_s:5.1f} s, of which working {one.working_s:4.1f} s; {one.builds} builds in {one.runs} runs"  # fmt: skip


def _report(daemons: Sequence[Daemon], wall_s: float) -> int:
    figures: dict[str, object] = {}
    waits, totals = {}, {}
    for daemon in daemons:
        name, some = daemon.system.name, daemon.reactions
        totals[name] = median(one.total_s for one in some)
        waits[name] = median(one.waiting_s for one in some)
        figures |= {
            f"{name}_reaction_s": totals[name],
            f"{name}_waiting_s": waits[name],
            f"{name}_working_s": median(one.working_s for one in some),
            f"{name}_builds": sum(one.builds for one in some) / len(some),
            f"{name}_runs": sum(one.runs for one in some) / len(some),
            f"{name}_changes": len(some),
        }
    for speed in ("default", "shortest"):
        figures[f"eager_to_lakeline_waiting_{speed}"] = waits[f"eager_{speed}"] / waits[f"lakeline_{speed}"]  # fmt: skip
        figures[f"eager_to_lakeline_reaction_{speed}"] = totals[f"eager_{speed}"] / totals[f"lakeline_{speed}"]  # fmt: skip
    figures["wall_s"] = wall_s
    reach = {
        "eager_to_lakeline_reaction_default": ">= 1",
        "eager_to_lakeline_reaction_shortest": ">= 1",
    }
    return report("reaction", figures, reach, met=all(figures[name] >= 1 for name in reach))  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
