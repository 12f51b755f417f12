"""Reconciling: what is missing or stale is built in few runs, in order, and everything else is left alone."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import InFlight, Plan, RunPlan
from lakeline.freshness.graph import (
    Days,
    Edge,
    Graph,
    GraphCycleError,
    Pair,
    UnknownUpstreamError,
    Vertex,
)
from lakeline.freshness.joining import joined
from lakeline.freshness.mapping import (
    DayWindow,
    EveryPartition,
    NewestPartitions,
    SamePartition,
    WholeAsset,
)
from lakeline.freshness.promise import parse_promise
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.retraining import Retrain
from lakeline.freshness.view import View
from lakeline.ledger import ABSENT, Build, Cost, Input, Ledger
from lakeline.window import Window

DAYS = Days(first="2026-01-01")
NOW = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)

SOURCE = Vertex(name="source:raw", kind="source", partitions=DAYS)
RAW = Vertex(
    name="raw",
    partitions=DAYS,
    code_version="1",
    reads=(Edge(upstream="source:raw", mapping=SamePartition()),),
)
PLANES = Vertex(name="planes", code_version="1")
CLEAN = Vertex(
    name="clean",
    partitions=DAYS,
    code_version="1",
    reads=(
        Edge(upstream="raw", mapping=SamePartition()),
        Edge(upstream="planes", mapping=WholeAsset()),
    ),
)
FEATURE = Vertex(
    name="feature",
    partitions=DAYS,
    code_version="1",
    reads=(Edge(upstream="clean", mapping=DayWindow(start=-2, first="2026-01-01")),),
)
WEEK = Vertex(
    name="week", code_version="1", reads=(Edge(upstream="feature", mapping=NewestPartitions(2)),)
)
TOTAL = Vertex(
    name="total", code_version="1", reads=(Edge(upstream="clean", mapping=EveryPartition()),)
)
GRAPH = Graph.of([SOURCE, RAW, PLANES, CLEAN, FEATURE, WEEK, TOTAL])


class World:
    """A graph, its ledger, and an executor that builds at once: a version is made of the versions that were read."""

    def __init__(self, folder: Path, graph: Graph = GRAPH, budget: Budget | None = None) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.graph = graph
        self.reconciler = Reconciler(graph, self.ledger, budget or Budget(runs=10))
        self.now = NOW
        self.built: list[tuple[str, str]] = []
        self.broken: set[tuple[str, str]] = set()
        self.rounds: dict[str, int] = {}

    def restart(self, graph: Graph | None = None) -> None:
        """A new process, which knows nothing but the ledger."""
        self.graph = graph or self.graph
        self.reconciler = Reconciler(self.graph, self.ledger, self.reconciler.budget)

    def observe(self, **versions: str) -> None:
        found = {key.replace("_", "-")[1:]: version for key, version in versions.items()}
        self.ledger.observe("source:raw", found, watermark=None, observed_ts=self.now)

    def publish(
        self, asset: str, key: str = "", version: str = "", watermark: dt.datetime | None = None
    ) -> None:
        """Build one partition from what is there now."""
        vertex = self.graph.vertices[asset]
        view = View(self.graph, self.ledger)
        reads = [(edge.upstream, k) for edge in vertex.reads for k in view.wanted(edge, key)]
        inputs = [
            Input(asset=a, partition=k, version=view.version((a, k)) or ABSENT) for a, k in reads
        ]
        made = version or f"{vertex.code_version}({','.join(one.version for one in inputs)})"
        build = Build(
            asset=asset,
            partition=key,
            version=made,
            watermark=watermark,
            code_version=vertex.code_version,
            inputs=tuple(inputs),
        )
        cost = Cost(started_ts=self.now, ended_ts=self.now, cpu_s=0, peak_rss_bytes=0)
        self.ledger.record(uuid.uuid4().hex, [build], cost)

    def tick(self, in_flight: Sequence[InFlight] = ()) -> Plan:
        self.now += MINUTE
        return self.reconciler.tick(self.now, in_flight)

    def execute(self, run: RunPlan) -> None:
        run_id = uuid.uuid4().hex
        for asset, keys in run.steps.items():
            for key in keys:
                view = View(self.graph, self.ledger)
                pair = (asset, key)
                if view.standing(pair).is_fine or run.unless.get(pair) == view.key(pair):
                    continue
                if pair in self.broken:
                    self.reconciler.failed(run_id, run.steps, errors={asset: "boom"}, now=self.now)
                    return
                self.publish(asset, key)
                self.built.append(pair)

    def settle(self, ticks: int = 10) -> list[tuple[str, str]]:
        """Tick and build until nothing is asked for; returns what was built, in order."""
        self.built = []
        for _ in range(ticks):
            plan = self.tick()
            for run in plan.runs:
                self.execute(run)
            if not plan.runs:
                return self.built
        raise AssertionError(plan)


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    found.publish("planes", version="p1")
    found.observe(d2026_01_01="a", d2026_01_02="b", d2026_01_03="c")
    return found


def test_what_is_missing_is_built_in_one_run_with_everything_downstream(world: World) -> None:
    plan = world.tick()
    (run,) = plan.runs
    assert list(run.steps) == ["raw", "clean", "feature", "total", "week"] or set(run.steps) == {
        "raw",
        "clean",
        "feature",
        "week",
        "total",
    }
    assert run.steps["clean"] == ("2026-01-01", "2026-01-02", "2026-01-03")
    assert run.span == ("2026-01-01", "2026-01-03")
    world.execute(run)
    assert world.settle() == []


def test_a_late_row_in_an_old_partition_reaches_exactly_what_was_made_from_it(world: World) -> None:
    world.settle()
    world.observe(d2026_01_01="late")
    built = world.settle()
    assert sorted(built) == [
        ("clean", "2026-01-01"),
        ("feature", "2026-01-01"),
        ("feature", "2026-01-02"),
        ("feature", "2026-01-03"),
        ("raw", "2026-01-01"),
        ("total", ""),
        ("week", ""),
    ]


def test_an_unchanged_value_stops_what_follows(world: World) -> None:
    world.settle()
    version = world.ledger.versions("raw")["2026-01-02"]
    world.observe(d2026_01_02="b2")
    plan = world.tick()
    assert "clean" in plan.runs[0].steps  # it may be needed
    world.publish("raw", "2026-01-02", version=version)
    assert world.settle() == []


def test_an_update_during_a_run_is_built_after_it(world: World) -> None:
    world.settle()
    running = InFlight(run_id="r1", partitions={"raw": ["2026-01-02"]})
    world.observe(d2026_01_02="b2")
    plan = world.tick([running])
    assert plan.runs == ()
    decision = plan.of("raw", "2026-01-02")
    assert decision is not None
    assert decision.action == "wait"
    assert ("raw", "2026-01-02") in world.settle()


def test_a_reader_waits_for_a_run_that_builds_what_it_reads(world: World) -> None:
    world.settle()
    world.publish("planes", version="p2")
    plan = world.tick([InFlight(run_id="r1", partitions={"raw": ["2026-01-02"]})])
    waiting = plan.of("clean", "2026-01-02")
    assert waiting is not None
    assert waiting.action == "wait"
    assert waiting.by == ("raw", "2026-01-02")
    assert "clean" in plan.runs[0].steps
    assert "2026-01-02" not in plan.runs[0].steps["clean"]


def test_a_permanent_failure_is_tried_at_most_k_times_and_again_after_the_fix(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, budget=Budget(runs=10, attempts=3))
    world.publish("planes", version="p1")
    world.observe(d2026_01_01="a")
    world.broken.add(("clean", "2026-01-01"))
    attempts = 0
    for _ in range(40):
        world.now += dt.timedelta(hours=3)
        for run in world.tick().runs:
            attempts += "clean" in run.steps
            world.execute(run)
    assert attempts == 3
    decision = world.tick().of("clean", "2026-01-01")
    assert decision is not None
    assert decision.action == "gave_up"
    assert "boom" in decision.reason
    world.broken.clear()
    assert world.settle() == []  # nothing changed that could mend it
    world.observe(d2026_01_01="fixed")
    assert ("clean", "2026-01-01") in world.settle()


def test_failed_days_are_tried_apart_from_the_healthy_ones(world: World) -> None:
    world.broken.add(("clean", "2026-01-02"))
    for _ in range(30):
        world.now += dt.timedelta(hours=6)
        for run in world.tick().runs:
            world.execute(run)
    assert set(world.ledger.versions("clean")) == {"2026-01-01", "2026-01-03"}


def test_new_code_rebuilds_what_other_code_built(world: World) -> None:
    world.settle()
    changed = replace(CLEAN, code_version="2")
    world.restart(Graph.of([SOURCE, RAW, PLANES, changed, FEATURE, WEEK, TOTAL]))
    built = world.settle()
    assert {key for asset, key in built if asset == "clean"} == {
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
    }
    assert world.settle() == []


def test_a_manual_asset_is_left_to_people_and_what_reads_it_settles_for_what_it_has(
    world: World,
) -> None:
    world.settle()
    manual = replace(CLEAN, automation="manual")
    world.restart(Graph.of([SOURCE, RAW, PLANES, manual, FEATURE, WEEK, TOTAL]))
    world.observe(d2026_01_01="late")
    assert world.settle() == [("raw", "2026-01-01")]
    decision = world.tick().of("clean", "2026-01-01")
    assert decision is not None
    assert decision.action == "manual"


def test_a_process_that_forgets_everything_goes_on_from_the_ledger(world: World) -> None:
    world.settle()
    world.observe(d2026_01_02="b2")
    world.restart()
    assert ("raw", "2026-01-02") in world.settle()


def test_a_partition_that_was_deleted_is_built_again(world: World) -> None:
    world.settle()
    world.ledger.forget("clean", ["2026-01-02"])
    assert ("clean", "2026-01-02") in world.settle()


def test_no_more_runs_start_than_the_budget_allows(tmp_path: Path) -> None:
    world = World(tmp_path, budget=Budget(runs=1))
    world.publish("planes", version="p1")
    world.observe(d2026_01_01="a")
    plan = world.tick([InFlight(run_id="r1", partitions={})])
    assert plan.runs == ()
    decision = plan.of("raw", "2026-01-01")
    assert decision is not None
    assert decision.action == "over_budget"


def test_a_day_that_is_not_over_waits_until_dagster_has_it(world: World) -> None:
    world.settle()
    world.observe(d2026_02_01="half of it")
    assert world.settle() == []
    world.now += dt.timedelta(days=1)
    assert ("raw", "2026-02-01") in world.settle()


def test_a_model_learns_of_new_features_although_the_clock_went_back(tmp_path: Path) -> None:
    model = Vertex(
        name="model",
        kind="model",
        code_version="1",
        reads=(Edge(upstream="feature", mapping=EveryPartition()),),
        promise=parse_promise("3650d"),
        retrain=Retrain(cooldown=dt.timedelta(0), at_most=9),
        needs_partitions=2,
    )
    world = World(tmp_path, Graph.of([SOURCE, RAW, PLANES, CLEAN, FEATURE, model]))
    world.publish("planes", version="p1")
    world.observe(d2026_01_01="a")
    world.settle()
    world.now -= dt.timedelta(hours=30)
    world.publish("model", watermark=NOW)
    world.restart(Graph.of([SOURCE, RAW, PLANES, CLEAN, replace(FEATURE, code_version="2"), model]))
    assert ("model", "") in world.settle()


def test_a_model_is_trained_first_with_the_days_that_complete_its_history(tmp_path: Path) -> None:
    model = Vertex(
        name="model",
        kind="model",
        reads=(Edge(upstream="raw", mapping=EveryPartition()),),
        needs_partitions=3,
    )
    world = World(tmp_path, Graph.of([SOURCE, RAW, model]))
    world.observe(d2026_01_01="a", d2026_01_02="b")
    assert ("model", "") not in world.settle()
    world.observe(d2026_01_03="c")
    (run,) = world.tick().runs
    assert dict(run.steps) == {"raw": ("2026-01-03",), "model": ("",)}


# --- which partitions share a run -----------------------------------------------------------------

D1, D2, D3, D4 = (f"2026-01-0{number}" for number in range(1, 5))
FAR = "2028-01-01"


def test_what_has_no_partition_goes_before_days_that_cannot_share_a_run() -> None:
    planes = ("planes", "")
    going = {planes: set[Pair](), ("clean", D1): {planes}, ("clean", FAR): {planes}}
    assert joined(going, {}, lambda _: True) == [{planes}]


def test_a_run_does_not_claim_a_day_that_it_leaves_to_another() -> None:
    going: dict[Pair, set[Pair]] = {("raw", day): set() for day in (D3, D4, FAR)}
    going |= {("ahead", D1): {("raw", D3)}, ("ahead", D3): {("raw", D4), ("raw", FAR)}}
    runs = joined(going, {}, lambda pairs: all(pair == ("raw", D2) for pair in pairs))
    for run in runs:
        days = sorted({day for _, day in run})
        for asset in {asset for asset, _ in run}:
            there = {day for name, day in run if name == asset} | (
                {D2} if asset == "raw" else set()
            )
            assert set(Window.of_days(days[0], days[-1]).partitions) <= there
    assert {pair for run in runs for pair in run} >= {("raw", D3), ("raw", D4), ("raw", FAR)}


def test_static_partitions_do_not_share_a_run_since_a_range_may_hold_others() -> None:
    going: dict[Pair, set[Pair]] = {("sales", "east"): set(), ("sales", "west"): set()}
    assert len(joined(going, {}, lambda _: True)) == 2


def test_days_are_not_torn_apart_by_the_failures_of_what_has_no_partition() -> None:
    days: dict[Pair, set[Pair]] = {("clean", day): set() for day in (D1, D2, D3, D4)}
    going = {**days, ("total", ""): set(days)}
    assert joined(going, {("total", ""): 3}, lambda _: True) == [set(going)]


def test_a_graph_with_an_unknown_upstream_or_a_circle_is_refused() -> None:
    with pytest.raises(
        UnknownUpstreamError, match="'clean' reads 'raw', which is not in the graph"
    ):
        Graph.of([CLEAN])
    a = Vertex(name="a", reads=(Edge(upstream="b", mapping=SamePartition()),))
    b = Vertex(name="b", reads=(Edge(upstream="a", mapping=SamePartition()),))
    with pytest.raises(GraphCycleError, match="goes in a circle"):
        Graph.of([a, b])
