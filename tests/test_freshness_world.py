"""The played world and the oracle of the freshness benchmark: a right system is found right, and wrong ones are caught."""

import datetime as dt
from collections.abc import Mapping, Sequence

import pytest

from benchmarks.freshness import oracle
from benchmarks.freshness.graph import (
    FLIGHTS,
    HOUR,
    MIDNIGHT,
    START,
    WEATHER,
    Asset,
    Graph,
    Pair,
    day,
    the_graph,
)
from benchmarks.freshness.lake import fresh_lake, has_required, inputs_of
from benchmarks.freshness.scenarios import SCENARIOS
from benchmarks.freshness.script import Scenario, Script
from benchmarks.freshness.system import Built, Observation, Outcome, Request, Run
from benchmarks.freshness.tally import PATIENCE, Score
from benchmarks.freshness.world import World

DAYS = tuple(day(number) for number in range(60))
PLAYED = (
    "next-day-arrives",
    "late-rows-in-both-sources",
    "first-day-changes",
    "no-op-rewrite",
    "one-arm-absorbs",
    "update-during-a-run",
    "person-backfills-an-old-day",
    "failed-run",
    "killed-after-its-data-were-written",
    "canceled-run",
    "missing-parent",
    "upstream-deleted",
    "days-arrive-out-of-order",
    "asset-renamed",
    "asset-turned-off",
    "daemon-down-for-a-day",
)
"""Those that need no patience with failures and no model."""


class LevelTriggered:
    """Compares everything with everything at each tick, in one run, and trains no model."""

    name = "level"
    skips_equal = True

    def setup(
        self,
        graph: Graph,
        history: Sequence[Built],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> None:
        self.graph = graph
        self.built: dict[Pair, Built] = {(one.asset, one.partition): one for one in history}
        self.seen = {one.source: one for one in sources}
        self.running: dict[str, Run] = {}
        self.marks: dict[Pair, Mapping[str, dt.datetime | None]] = {}

    def close(self) -> None: ...

    def observe(self, seen: Observation, now: dt.datetime) -> None:
        self.seen[seen.source] = seen

    def version(self, pair: Pair) -> str:
        if pair[0] in self.seen:
            return self.seen[pair[0]].versions.get(pair[1], "")
        return self.built[pair].version if pair in self.built else ""

    def keys(self, asset: str) -> list[str]:
        if asset in self.seen:
            return sorted(self.seen[asset].versions)
        return sorted(key for name, key in self.built if name == asset)

    def is_due(self, asset: Asset, key: str) -> bool:
        if (
            asset.kind == "model"
            or not asset.is_automatic
            or not has_required(asset, key, self.keys, self.version)
        ):
            return False
        held = self.built.get((asset.name, key))
        wanted = inputs_of(asset, key, self.keys, self.version)
        return (
            held is None or dict(held.inputs) != wanted or held.code_version != asset.code.version
        )

    def tick(self, now: dt.datetime) -> Sequence[Request]:
        if self.running:
            return []
        days = sorted({key for seen in self.seen.values() for key in seen.versions if key})
        steps: dict[str, list[str]] = {}
        for asset in self.graph.built:
            reached = {key for key in (days if asset.is_daily else [""]) if self.is_due(asset, key)}
            for read in asset.reads:
                for moved in steps.get(read.upstream, ()):
                    reached |= {
                        key
                        for key in (days if asset.is_daily else [""])
                        if self.reads(asset, key, (read.upstream, moved))
                    }
            if asset.is_automatic and asset.kind != "model" and reached:
                steps[asset.name] = sorted(reached)
        due = any(
            self.is_due(self.graph.assets[name], key)
            for name, keys in steps.items()
            for key in keys
        )
        return [Request(steps=steps)] if due else []

    def reads(self, asset: Asset, key: str, moved: Pair) -> bool:
        known = sorted({*self.keys(moved[0]), moved[1]})
        return any(
            read.upstream == moved[0] and moved[1] in read.partitions(key, known)
            for read in asset.reads
        )

    def run_started(self, run: Run, now: dt.datetime) -> None:
        self.running[run.run_id] = run

    def step_started(
        self,
        run: Run,
        asset: str,
        partitions: Sequence[str],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> Sequence[str]:
        for seen in sources:
            self.seen[seen.source] = seen
        if not self.skips_equal:
            return partitions
        return [key for key in partitions if self.is_due(self.graph.assets[asset], key)]

    def published(
        self, run: Run, builds: Sequence[Built], now: dt.datetime, *, is_told: bool
    ) -> None:
        for one in builds:  # it looks at the lake, so it needs no telling
            self.built[one.asset, one.partition] = one

    def step_failed(
        self, run: Run, asset: str, partitions: Sequence[str], now: dt.datetime
    ) -> None: ...

    def run_ended(self, run: Run, outcome: Outcome, now: dt.datetime) -> None:
        del self.running[run.run_id]

    def dropped(self, asset: str, partitions: Sequence[str], now: dt.datetime) -> None:
        for key in partitions:
            del self.built[asset, key]

    def redefined(self, graph: Graph, now: dt.datetime) -> None:
        self.graph = graph

    def restarted(self, now: dt.datetime, *, is_cursor_lost: bool) -> None: ...

    def is_fresh(self, asset: str, now: dt.datetime) -> bool:
        promise = self.graph.assets[asset].promise
        keys = self.keys(asset)
        mark = self.built[asset, keys[-1]].watermark if keys else None
        return promise is not None and mark is not None and now - mark <= promise

    def is_consistent(self, asset: str, partition: str) -> bool | None:
        held = self.built[asset, partition]
        vertex = self.graph.assets[asset]
        wanted = inputs_of(vertex, partition, self.keys, self.version)
        return held.code_version == vertex.code.version and dict(held.inputs) == wanted


class EdgeTriggered(LevelTriggered):
    """Acts on what changed since the tick before and remembers nothing: a failed run loses the update."""

    name = "edge"

    def setup(
        self,
        graph: Graph,
        history: Sequence[Built],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> None:
        super().setup(graph, history, sources, now)
        self.edges: set[Pair] = set()

    def observe(self, seen: Observation, now: dt.datetime) -> None:
        before = self.seen[seen.source].versions
        self.edges |= {
            (seen.source, key)
            for key, version in seen.versions.items()
            if before.get(key) != version
        }
        super().observe(seen, now)

    def tick(self, now: dt.datetime) -> Sequence[Request]:
        if not self.edges:
            return []
        self.edges.clear()
        return super().tick(now)


class Careless(LevelTriggered):
    """Builds everything that it put into a run, changed or not."""

    name = "careless"
    skips_equal = False


class LevelByLevel(LevelTriggered):
    """Builds whatever differs at the moment, although its inputs are about to change."""

    name = "one at a time"

    def tick(self, now: dt.datetime) -> Sequence[Request]:
        days = sorted({key for seen in self.seen.values() for key in seen.versions if key})
        due = [
            (asset.name, key)
            for asset in self.graph.built
            for key in (days if asset.is_daily else [""])
            if self.is_due(asset, key)
        ]
        return [Request(steps={asset: [key]}) for asset, key in due]


class Optimist(LevelTriggered):
    """Claims that everything is fresh and consistent."""

    name = "optimist"

    def is_fresh(self, asset: str, now: dt.datetime) -> bool:
        return True

    def is_consistent(self, asset: str, partition: str) -> bool | None:
        return True


def played(system: LevelTriggered, scenario: Scenario) -> tuple[Score, Sequence[str]]:
    world = World(system, the_graph())
    scenario.play(Script(world))
    score = world.play(
        hours=scenario.hours, every_min=scenario.every_min, may_end_early=scenario.may_end_early
    )
    return score, world.timeline


@pytest.mark.parametrize("name", PLAYED)
def test_a_system_that_compares_levels_loses_nothing_and_builds_nothing_in_vain(name: str) -> None:
    score, timeline = played(LevelTriggered(), SCENARIOS[name])
    assert (score.lost, score.surplus, score.early) == (0, 0, 0), "\n".join(timeline)


@pytest.mark.parametrize("name", ["failed-run", "killed-run", "canceled-run"])
def test_an_update_that_an_edge_carried_is_found_lost(name: str) -> None:
    score, _ = played(EdgeTriggered(), SCENARIOS[name])
    assert score.lost > 0


def test_a_build_from_equal_inputs_is_found_surplus() -> None:
    score, _ = played(Careless(), SCENARIOS["change-is-absorbed"])
    assert score.surplus > 0


def test_a_build_from_what_is_about_to_change_is_found_early() -> None:
    score, _ = played(LevelByLevel(), SCENARIOS["update-downstream-of-a-long-step"])
    assert score.early > 0


def test_a_claim_that_old_data_are_fresh_is_found_false() -> None:
    score, _ = played(Optimist(), SCENARIOS["source-falls-silent"])
    assert score.falsely_fresh > 0
    assert score.falsely_consistent == 0


def test_a_failure_that_stays_is_counted_as_often_as_it_is_tried() -> None:
    score, _ = played(LevelTriggered(), SCENARIOS["permanent-failure"])
    assert score.attempts > PATIENCE
    assert not score.is_perfect


def test_the_fixpoint_of_a_quiet_graph_is_what_is_there() -> None:
    lake = fresh_lake(the_graph(), DAYS, START)
    wanted = oracle.targets(lake, START, lambda *_: False)
    assert not oracle.off(lake, wanted)
    assert len(wanted) == 10 * 60 + 6 - 60
    assert oracle.least_builds(lake, lake, wanted) == 0


def test_a_late_day_moves_what_reads_it_and_nothing_else() -> None:
    lake = fresh_lake(the_graph(), DAYS, START)
    lake.sources[WEATHER].counters[day(30)] = (1, 0, 0)
    wanted = oracle.targets(lake, START, lambda *_: False)
    moved = {(asset, key) for asset, key in oracle.off(lake, wanted) if asset != WEATHER}
    assert moved == {
        ("weather", day(30)),
        ("hourly", day(30)),
        ("joined", day(30)),
        ("features", day(30)),
        ("features", day(31)),
    }


def test_a_change_of_detail_stops_where_it_is_absorbed() -> None:
    lake = fresh_lake(the_graph(), DAYS, START)
    lake.sources[WEATHER].counters[day(30)] = (0, 1, 0)
    wanted = oracle.targets(lake, START, lambda *_: False)
    assert oracle.off(lake, wanted) == [("weather", day(30))]
    assert oracle.least_builds(lake, lake, wanted) == 2


def test_a_renamed_asset_is_built_anew_and_its_readers_content_stays() -> None:
    lake = fresh_lake(the_graph(), DAYS, START)
    lake.graph = lake.graph.renamed("joined", "combined")
    wanted = oracle.targets(lake, START, lambda *_: False)
    assert {asset for asset, _ in oracle.off(lake, wanted)} == {"combined"}
    assert wanted["features", day(9)].version == lake.version(("features", day(9)))


def test_a_watermark_is_that_of_the_input_that_reaches_least() -> None:
    lake = fresh_lake(the_graph(), DAYS, START)
    assert lake.watermark("joined") == MIDNIGHT
    assert lake.watermark("features") == MIDNIGHT - 24 * HOUR  # it reads yesterday's weather
    assert lake.watermark("planes") is None
    lake.sources[WEATHER].watermark = MIDNIGHT - 9 * HOUR
    assert lake.watermark("joined") == MIDNIGHT - 9 * HOUR
    assert lake.watermark("totals") == MIDNIGHT


def test_a_watermark_that_was_read_stays_where_the_data_have_moved_on() -> None:
    lake = fresh_lake(the_graph(), DAYS, START)
    lake.sources[FLIGHTS].counters[day(-1)] = (1, 0, 0)
    lake.sources[FLIGHTS].watermark = START
    assert lake.watermark("departures") == MIDNIGHT


def test_there_are_many_scenarios_and_each_says_what_happens() -> None:
    assert len(SCENARIOS) >= 45
    assert all(one.play.__doc__ for one in SCENARIOS.values())
