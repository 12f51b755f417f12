"""What both ways of using Dagster share: real definitions, a real event log, its evaluators, and a frozen clock.

Sources are external assets, for which a landing sensor reports a materialization whenever a partition of theirs has
another version. Runs are real records with the events that Dagster writes: planned, materialized with its data version,
failed. What Dagster asks for is turned into runs and backfills by its own code.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.automation_tick_evaluation_context import build_run_requests
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time
from dagster._time import get_current_datetime

from benchmarks.freshness.dagster_graph import PartitionChecks, Rules, definitions
from benchmarks.freshness.dagster_log import (
    copied,
    log_of,
    materialization,
    materialized,
    planned,
    record_of,
    run_id_of,
    runs_of,
    succeeded,
)
from benchmarks.freshness.graph import Graph, Pair
from benchmarks.freshness.system import Built, Observation, Outcome, Request, Run

CLAIMS_FRESH = (FreshnessState.PASS, FreshnessState.WARN)


class DagsterSystem:
    """Dagster with a freshness policy and an automation condition on every asset."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self._rules = rules
        self._checks: PartitionChecks | None = None
        self._cursor: Any = None
        self._states: dict[str, FreshnessState] = {}
        self._seen: dict[str, Observation] = {}
        self._planned: dict[str, set[Pair]] = {}

    # --- start and end ------------------------------------------------------------------------

    def setup(
        self,
        graph: Graph,
        history: Sequence[Built],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> None:
        """Start on a copy of an event log that tells of the history."""
        self.redefined(graph, now)
        self._instance = copied(log_of(history, sources, now))
        self._seen = {one.source: one for one in sources}

    def close(self) -> None:
        """Let go of the event log."""
        self._instance.dispose()

    def redefined(self, graph: Graph, now: dt.datetime) -> None:
        """Other definitions."""
        self._graph = graph
        self._defs = definitions(graph, self._rules)
        self._assets = self._defs.resolve_asset_graph()
        if self._rules.deadline is not None:
            self._checks = PartitionChecks(self._defs, graph, self._rules.deadline)

    def restarted(self, now: dt.datetime, *, is_cursor_lost: bool) -> None:
        """Its conditions keep what they wait for in the cursor."""
        if is_cursor_lost:
            self._cursor = None

    # --- what it sees -------------------------------------------------------------------------

    def observe(self, seen: Observation, now: dt.datetime) -> None:
        """Report a materialization of each partition of a source that has another version."""
        before = self._seen[seen.source].versions
        self._seen[seen.source] = seen
        with freeze_time(now):
            for key, version in seen.versions.items():
                if before.get(key) != version:
                    event = materialization(seen.source, key, version, code="")
                    self._instance.report_runless_asset_event(event)

    def dropped(self, asset: str, partitions: Sequence[str], now: dt.datetime) -> None:
        """Nothing tells Dagster of what is missing in the lake."""

    def tick(self, now: dt.datetime) -> Sequence[Request]:
        """Evaluate freshness, then the conditions, and make of the result what its daemon makes of it."""
        with freeze_time(now):
            asyncio.run(self._evaluate_freshness())
            if self._checks is not None:
                self._checks.run(self._instance, now)
            result = dg.evaluate_automation_conditions(
                self._defs, self._instance, cursor=self._cursor, evaluation_time=now
            )
            self._cursor = result.cursor
            with partition_loading_context(
                effective_dt=now, dynamic_partitions_store=self._instance
            ):
                subsets = list(result._requested_subsets)
                asked = build_run_requests(subsets, self._assets, {}, emit_backfills=True)
                return [_request(one) for one in asked]

    # --- runs ---------------------------------------------------------------------------------

    def run_started(self, run: Run, now: dt.datetime) -> None:
        """Record the run with what it plans; a backfill is a run for each of its partitions."""
        with freeze_time(now):
            for run_id, steps in runs_of(run).items():
                self._instance.add_run(record_of(run_id, steps))
                self._planned[run_id] = {
                    (asset, key) for asset, keys in steps.items() for key in keys
                }
                for asset, key in sorted(self._planned[run_id]):
                    self._instance.report_dagster_event(planned(asset, key), run_id=run_id)

    def step_started(
        self,
        run: Run,
        asset: str,
        partitions: Sequence[str],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> Sequence[str]:
        """A step of Dagster's always runs."""
        return partitions

    def published(
        self, run: Run, builds: Sequence[Built], now: dt.datetime, *, is_told: bool
    ) -> None:
        """Record materializations, and the checks made with them."""
        if not is_told:
            return
        if self._checks is not None:
            self._checks.is_news = True
        with freeze_time(now):
            for one in builds:
                self._tell(one, run_id_of(run, one.partition))

    def step_failed(
        self, run: Run, asset: str, partitions: Sequence[str], now: dt.datetime
    ) -> None:
        """Dagster takes what was planned and not materialized in a failed run as failed."""

    def run_ended(self, run: Run, outcome: Outcome, now: dt.datetime) -> None:
        """Record how the run ended, or each run of a backfill."""
        with freeze_time(now):
            for run_id in runs_of(run):
                record = self._instance.get_run_by_id(run_id)
                assert record is not None
                if not self._planned.pop(run_id):
                    self._instance.report_dagster_event(succeeded(), run_id=run_id)
                elif outcome == "canceled":
                    self._instance.report_run_canceled(record)
                else:
                    self._instance.report_run_failed(record)

    def _tell(self, one: Built, run_id: str) -> None:
        self._planned[run_id].discard((one.asset, one.partition))
        event = materialization(one.asset, one.partition, one.version, code=one.code_version)
        self._instance.report_dagster_event(materialized(event), run_id=run_id)
        for name, passed in one.checks.items():
            self._instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(one.asset), check_name=name, passed=passed
                )
            )

    # --- what it claims -----------------------------------------------------------------------

    def is_fresh(self, asset: str, now: dt.datetime) -> bool:
        """The state of its freshness policy, and of the check on its newest partition if it has one."""
        is_late = self._checks is not None and asset in self._checks.failed
        return self._states.get(asset) in CLAIMS_FRESH and not is_late

    def is_consistent(self, asset: str, partition: str) -> bool | None:
        """It does not say: a partition is never shown as out of step with its inputs."""
        return None

    async def _evaluate_freshness(self) -> None:
        """What the freshness daemon does in each of its rounds."""
        context = LoadingContextForTest(self._instance)
        nodes = [
            node for node in self._assets.asset_nodes if node.freshness_policy_or_from_metadata
        ]
        states = await asyncio.gather(*(_freshness(context, node) for node in nodes))
        for node, state in zip(nodes, states, strict=True):
            name = node.key.to_user_string()
            if (before := self._states.get(name, FreshnessState.UNKNOWN)) == state:
                continue
            self._states[name] = state
            self._instance._report_runless_asset_event(
                FreshnessStateChange(
                    key=node.key,
                    new_state=state,
                    previous_state=before,
                    state_change_timestamp=get_current_datetime().timestamp(),
                )
            )


async def _freshness(context: Any, node: Any) -> FreshnessState:
    evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(node.freshness_policy_or_from_metadata)]()
    return await evaluator.evaluate_freshness(context=context, node=node)


def _request(asked: dg.RunRequest) -> Request:
    """A run request, or the backfill that stands in one, with all its runs."""
    if asked.asset_graph_subset is None:
        keys = [asked.partition_key or ""]
        return Request(steps={key.to_user_string(): keys for key in asked.asset_selection or ()})
    steps: dict[str, list[str]] = {}
    for one in asked.asset_graph_subset.iterate_asset_partitions():
        steps.setdefault(one.asset_key.to_user_string(), []).append(one.partition_key or "")
    return Request(steps={name: sorted(keys) for name, keys in steps.items()}, fails_apart=True)
