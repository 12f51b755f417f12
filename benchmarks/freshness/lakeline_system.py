"""lakeline: its reconciler on a real SQLite ledger; what its Dagster sensor and its build steps do besides stands here.

The lake itself is played: the batches that reached it are remembered, as Iceberg's snapshots would say them, and a step
mends the ledger from them before it looks at anything, as every step of lakeline's does.
"""

import datetime as dt
import shutil
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from benchmarks.freshness.graph import Asset, Graph, Read, day
from benchmarks.freshness.system import Built, Observation, Outcome, Request, Run
from lakeline.freshness import mapping
from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import InFlight, RunPlan
from lakeline.freshness.fresh import freshness
from lakeline.freshness.graph import UNPARTITIONED, Days, Edge, Vertex
from lakeline.freshness.graph import Graph as FreshnessGraph
from lakeline.freshness.promise import parse_promise
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.retraining import FAILED, PASSED, WATCHED_CHECK, Retrain
from lakeline.freshness.view import View
from lakeline.ledger import Build, Cost, Input, Ledger, State
from lakeline.ledger.recovery import recover

BUDGET = Budget(runs=100, attempts=3)
FILE = "ledger.db"


class LakelineSystem:
    """lakeline as a system of the scenarios."""

    name = "lakeline"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lakeline-freshness-"))
        self._ledger = Ledger(f"sqlite:///{self._folder / FILE}")
        self._batches = count()
        self._committed: dict[str, dict[str, int]] = {}
        self._running: dict[str, Run] = {}
        self._errors: dict[str, dict[str, str]] = {}
        self._view: View | None = None
        self._fresh: dict[dt.datetime, dict[str, bool]] = {}

    # --- start and end ------------------------------------------------------------------------

    def setup(
        self,
        graph: Graph,
        history: Sequence[Built],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> None:
        """Start on a copy of a ledger that holds the history, with nothing left to do."""
        shutil.copyfile(_ledger_of(graph, history, sources, now), self._folder / FILE)
        self._reconciler = Reconciler(freshness_graph(graph), self._ledger, BUDGET)

    def close(self) -> None:
        """Remove the ledger."""
        self._ledger.close()
        shutil.rmtree(self._folder)

    def redefined(self, graph: Graph, now: dt.datetime) -> None:
        """A new code location makes a new reconciler."""
        self._wrote()
        self._reconciler = Reconciler(freshness_graph(graph), self._ledger, BUDGET)

    def restarted(self, now: dt.datetime, *, is_cursor_lost: bool) -> None:
        """A new process makes a new reconciler, and the ledger is what it goes on from."""
        self._reconciler = Reconciler(self._reconciler.graph, self._ledger, BUDGET)

    # --- what it sees -------------------------------------------------------------------------

    def observe(self, seen: Observation, now: dt.datetime) -> None:
        """Take up a source."""
        self._wrote()
        _observe(self._ledger, seen, now)

    def dropped(self, asset: str, partitions: Sequence[str], now: dt.datetime) -> None:
        """The ledger follows the lake."""
        self._wrote()
        self._ledger.forget(asset, partitions)

    def tick(self, now: dt.datetime) -> Sequence[Request]:
        """One tick of the reconciler, before which publishes that were cut short are finished from the lake."""
        self._wrote()
        busy = {asset for run in self._running.values() for asset in run.steps}
        for asset in self._ledger.unfinished() - busy:
            recover(self._ledger, asset, self._committed.get(asset, {}))
        running = [
            InFlight(run_id=one.run_id, partitions=one.steps) for one in self._running.values()
        ]
        plan = self._reconciler.tick(now, running)
        return [Request(steps=run.steps, note=run) for run in plan.runs]

    # --- runs ---------------------------------------------------------------------------------

    def run_started(self, run: Run, now: dt.datetime) -> None:
        """Remember what is under way."""
        self._running[run.run_id] = run

    def step_started(
        self,
        run: Run,
        asset: str,
        partitions: Sequence[str],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> Sequence[str]:
        """Mend the ledger, look at the source, and leave out what is fine or has failed from the same inputs."""
        self._wrote()
        recover(self._ledger, asset, self._committed.get(asset, {}))
        for seen in sources:
            _observe(self._ledger, seen, now)
        plan = run.note
        if not isinstance(plan, RunPlan):  # a person's run builds what it names
            return partitions
        view = View(self._reconciler.graph, self._ledger)
        view.load([(asset, key) for key in partitions])
        return [
            key
            for key in partitions
            if not view.standing((asset, key)).is_fine
            and (
                (asset, key) not in plan.unless or view.key((asset, key)) != plan.unless[asset, key]
            )
        ]

    def published(
        self, run: Run, builds: Sequence[Built], now: dt.datetime, *, is_told: bool
    ) -> None:
        """Write the batch down as a publish does, up to where the process lived."""
        self._wrote()
        batch = f"batch-{next(self._batches)}"
        asset = builds[0].asset
        self._ledger.begin(batch, [_build(one, run.run_id) for one in builds], now)
        snapshots = self._committed.setdefault(asset, {})
        snapshots[batch] = len(snapshots) + 1
        if is_told:
            self._ledger.publish(batch, snapshots[batch], _cost(now))
            _check(self._ledger, builds, now)

    def step_failed(
        self, run: Run, asset: str, partitions: Sequence[str], now: dt.datetime
    ) -> None:
        """Remember the error, which the sensor reads from the event log when the run is over."""
        self._errors.setdefault(run.run_id, {})[asset] = "it failed"

    def run_ended(self, run: Run, outcome: Outcome, now: dt.datetime) -> None:
        """Write a failure down, as the sensor does for runs of its own."""
        self._wrote()
        del self._running[run.run_id]
        if outcome != "succeeded" and not run.by_person:
            errors = self._errors.pop(run.run_id, {"": f"the run was {outcome}"})
            self._reconciler.failed(run.run_id, run.steps, errors=errors, now=now)

    # --- what it claims -----------------------------------------------------------------------

    def is_fresh(self, asset: str, now: dt.datetime) -> bool:
        """What its check ``fresh`` would say."""
        if now not in self._fresh:
            found = freshness(self._reconciler.graph, self._ledger, now)
            self._fresh[now] = {name: one.is_fresh for name, one in found.items()}
        return self._fresh[now][asset]

    def is_consistent(self, asset: str, partition: str) -> bool | None:
        """What its check ``consistent`` would say of a partition."""
        if self._view is None:
            self._view = View(self._reconciler.graph, self._ledger)
            names = self._reconciler.graph.order
            self._view.load([(name, key) for name in names for key in self._view.keys(name)])
        return self._view.standing((asset, partition)).is_fine

    def _wrote(self) -> None:
        """Forget what was read."""
        self._view = None
        self._fresh = {}


# --- the graph in lakeline's terms ----------------------------------------------------------------


def freshness_graph(graph: Graph) -> FreshnessGraph:
    """The graph as the reconciler knows it."""
    return FreshnessGraph.of(_vertex(asset) for asset in graph.assets.values())


def _vertex(asset: Asset) -> Vertex:
    rule = asset.retraining
    promise = f"{int(asset.promise.total_seconds() // 3600)}h" if asset.promise else ""
    return Vertex(
        name=asset.name,
        kind=asset.kind,
        partitions=Days(first=day(0)) if asset.is_daily else UNPARTITIONED,
        reads=tuple(Edge(upstream=read.upstream, mapping=_mapping(read)) for read in asset.reads),
        code_version=asset.code.version if asset.kind != "source" else "",
        automation="auto" if asset.is_automatic else "manual",
        promise=parse_promise(promise, asset=asset.name) if promise else None,
        retrain=Retrain(
            on=((rule.report, "drift"),), cooldown=rule.cooldown, at_most=rule.at_most, per=rule.per
        )
        if rule is not None
        else None,
    )


def _mapping(read: Read) -> mapping.Mapping:
    kinds: dict[str, mapping.Mapping] = {
        "same": mapping.SamePartition(),
        "window": mapping.DayWindow(start=read.start, end=read.end, first=day(0)),
        "every": mapping.EveryPartition(),
        "newest": mapping.NewestPartitions(read.count),
        "whole": mapping.WholeAsset(),
    }
    return kinds[read.kind]


# --- records --------------------------------------------------------------------------------------


def _observe(ledger: Ledger, seen: Observation, now: dt.datetime) -> None:
    ledger.observe(
        seen.source, seen.versions, watermark=seen.watermark, observed_ts=now, is_complete=True
    )


def _build(one: Built, run_id: str) -> Build:
    inputs = (
        Input(asset=asset, partition=key, version=version)
        for (asset, key), version in one.inputs.items()
    )
    return Build(
        asset=one.asset,
        partition=one.partition,
        version=one.version,
        watermark=one.watermark,
        code_version=one.code_version,
        run_id=run_id,
        inputs=tuple(inputs),
    )


def _cost(now: dt.datetime) -> Cost:
    return Cost(started_ts=now, ended_ts=now, cpu_s=1.0, peak_rss_bytes=1)


def _check(ledger: Ledger, builds: Sequence[Built], now: dt.datetime) -> None:
    """Keep the outcome of checks where the reconciler looks for them."""
    states = [
        State(asset=one.asset, name=f"{WATCHED_CHECK}{name}", state=PASSED if passed else FAILED)
        for one in builds
        for name, passed in one.checks.items()
    ]
    ledger.set_states(states, now)


_LEDGERS: dict[str, Path] = {}


def _ledger_of(
    graph: Graph, history: Sequence[Built], sources: Sequence[Observation], now: dt.datetime
) -> Path:
    """The file of a ledger that holds a history and has been looked at once; the same one for the same history."""
    name = repr((graph, history, sources, now))
    if name not in _LEDGERS:
        file = Path(tempfile.mkdtemp(prefix="lakeline-freshness-base-")) / FILE
        ledger = Ledger(f"sqlite:///{file}")
        for seen in sources:
            _observe(ledger, seen, now)
        for asset in graph.built:
            mine = [one for one in history if one.asset == asset.name]
            builds = [_build(one, "") for one in mine]
            ledger.record(f"history-{asset.name}", builds, _cost(now), 0)
            _check(ledger, mine, now)
        plan = Reconciler(freshness_graph(graph), ledger, BUDGET).tick(now)
        if plan.runs:
            raise RuntimeError(
                f"The history is not consistent: {[run.reason for run in plan.runs]}"
            )
        ledger.close()
        _LEDGERS[name] = file
    return _LEDGERS[name]
