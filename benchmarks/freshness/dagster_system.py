"""What both ways of using Dagster share: real definitions, a real event log, its evaluators, and a frozen clock.

Sources are external assets, for which a landing sensor reports a materialization whenever a partition of theirs has
another version. Runs are real records with the events that Dagster writes: planned, materialized with its data version,
failed. What Dagster asks for is turned into runs and backfills by its own code.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.automation_tick_evaluation_context import build_run_requests
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.test_utils import freeze_time
from dagster._time import get_current_datetime
from dagster._utils.schedules import reverse_cron_string_iterator

from benchmarks.freshness.graph import Asset, Graph, Read, day
from benchmarks.freshness.system import Built, Observation, Outcome, Request, Run

Condition = dg.AutomationCondition[Any]
DATA_VERSION, CODE_VERSION = "dagster/data_version", "dagster/code_version"
JOB = "__ASSET_JOB"
DAILY = dg.DailyPartitionsDefinition(day(0))
CLAIMS_FRESH = (FreshnessState.PASS, FreshnessState.WARN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How Dagster is to be used.

    Attributes:
        condition: Automation condition of an asset.
        policy: Freshness policy of an asset that promises something.
        deadline: When the newest day of an asset with daily partitions must be there, as a cron schedule, for Dagster's
            freshness checks on partitions; None leaves those out.
    """

    condition: Callable[[Graph, Asset], Condition]
    policy: Callable[[dt.timedelta], dg.FreshnessPolicy]
    deadline: str | None = None


class DagsterSystem:
    """Dagster with a freshness policy and an automation condition on every asset."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self._rules = rules
        self._checks: PartitionChecks | None = None
        self._cursor: Any = None
        self._states: dict[str, FreshnessState] = {}
        self._seen: dict[str, Observation] = {}

    # --- start and end ------------------------------------------------------------------------

    def setup(
        self, graph: Graph, history: Sequence[Built], sources: Sequence[Observation], now: dt.datetime
    ) -> None:
        """Start on a copy of an event log that tells of the history."""
        self.redefined(graph, now)
        self._instance = copied(_log_of(history, sources, now))
        self._seen = {one.source: one for one in sources}

    def close(self) -> None:
        """Let go of the event log."""
        self._instance.dispose()

    def redefined(self, graph: Graph, now: dt.datetime) -> None:  # noqa: ARG002 - the protocol's
        """Other definitions."""
        self._graph = graph
        self._defs = definitions(graph, self._rules)
        self._assets = self._defs.resolve_asset_graph()
        if self._rules.deadline is not None:
            self._checks = PartitionChecks(self._defs, graph, self._rules.deadline)

    def restarted(self, now: dt.datetime, *, is_cursor_lost: bool) -> None:  # noqa: ARG002 - the protocol's
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
            with partition_loading_context(effective_dt=now, dynamic_partitions_store=self._instance):
                subsets = list(result._requested_subsets)  # noqa: SLF001 - the result tells numbers only
                asked = build_run_requests(subsets, self._assets, {}, emit_backfills=True)
                return [_request(one) for one in asked]

    # --- runs ---------------------------------------------------------------------------------

    def run_started(self, run: Run, now: dt.datetime) -> None:
        """Record the run with what it plans."""
        with freeze_time(now):
            self._instance.add_run(_record(run))
            for asset, keys in run.steps.items():
                for key in keys:
                    self._report(run, _planned(asset, key))

    def step_started(
        self, run: Run, asset: str, partitions: Sequence[str], sources: Sequence[Observation], now: dt.datetime
    ) -> Sequence[str]:
        """A step of Dagster's always runs."""
        return partitions

    def published(self, run: Run, builds: Sequence[Built], now: dt.datetime, *, is_told: bool) -> None:
        """Record materializations, and the checks made with them."""
        if not is_told:
            return
        if self._checks is not None:
            self._checks.is_news = True
        with freeze_time(now):
            for one in builds:
                event = materialization(one.asset, one.partition, one.version, code=one.code_version)
                self._report(run, _materialized(event))
                for name, passed in one.checks.items():
                    self._instance.report_runless_asset_event(
                        dg.AssetCheckEvaluation(
                            asset_key=dg.AssetKey(one.asset), check_name=name, passed=passed
                        )
                    )

    def step_failed(self, run: Run, asset: str, partitions: Sequence[str], now: dt.datetime) -> None:
        """Dagster takes what was planned and not materialized in a failed run as failed."""

    def run_ended(self, run: Run, outcome: Outcome, now: dt.datetime) -> None:
        """Record how the run ended."""
        with freeze_time(now):
            record = self._instance.get_run_by_id(run.run_id)
            assert record is not None
            if outcome == "succeeded":
                self._report(run, DagsterEvent(event_type_value=DagsterEventType.PIPELINE_SUCCESS.value, job_name=JOB))
            elif outcome == "canceled":
                self._instance.report_run_canceled(record)
            else:
                self._instance.report_run_failed(record)

    # --- what it claims -----------------------------------------------------------------------

    def is_fresh(self, asset: str, now: dt.datetime) -> bool:  # noqa: ARG002 - a state that was stored
        """The state of its freshness policy, and of the check on its newest partition if it has one."""
        is_late = self._checks is not None and asset in self._checks.failed
        return self._states.get(asset) in CLAIMS_FRESH and not is_late

    def is_consistent(self, asset: str, partition: str) -> bool | None:  # noqa: ARG002 - the protocol's
        """It does not say: a partition is never shown as out of step with its inputs."""
        return None

    async def _evaluate_freshness(self) -> None:
        """What the freshness daemon does in each of its rounds."""
        context = LoadingContextForTest(self._instance)
        nodes = [node for node in self._assets.asset_nodes if node.freshness_policy_or_from_metadata]
        states = await asyncio.gather(*(_freshness(context, node) for node in nodes))
        for node, state in zip(nodes, states, strict=True):
            name = node.key.to_user_string()
            if (before := self._states.get(name, FreshnessState.UNKNOWN)) == state:
                continue
            self._states[name] = state
            self._instance._report_runless_asset_event(  # noqa: SLF001 - as the daemon does
                FreshnessStateChange(
                    key=node.key,
                    new_state=state,
                    previous_state=before,
                    state_change_timestamp=get_current_datetime().timestamp(),
                )
            )

    def _report(self, run: Run, event: DagsterEvent) -> None:
        self._instance.report_dagster_event(event, run_id=run.run_id)


class PartitionChecks:
    """Dagster's freshness checks on partitions, run when a deadline has passed, and again while one fails and is built.

    Attributes:
        is_news: Whether something was built since they ran.
        failed: Assets whose newest partition is overdue.
    """

    def __init__(self, defs: dg.Definitions, graph: Graph, deadline: str) -> None:
        names = [one.name for one in graph.built if one.is_daily]
        checks = dg.build_time_partition_freshness_checks(assets=names, deadline_cron=deadline)
        with_checks = dg.Definitions(assets=defs.assets, asset_checks=checks)
        keys = {key for one in checks for key in one.check_keys}
        whole = with_checks.resolve_implicit_global_asset_job_def()
        self._job = whole.get_subset(asset_check_selection=keys)
        self._deadline = deadline
        self._ran_for: object = None
        self.is_news = False
        self.failed: set[str] = set()

    def run(self, instance: dg.DagsterInstance, now: dt.datetime) -> None:
        """Run them if their outcome can be another one."""
        passed = next(reverse_cron_string_iterator(now.timestamp(), self._deadline, "UTC"))
        if passed == self._ran_for and not (self.failed and self.is_news):
            return
        result = self._job.execute_in_process(instance=instance)
        self.failed = {
            one.asset_key.to_user_string() for one in result.get_asset_check_evaluations() if not one.passed
        }
        self._ran_for, self.is_news = passed, False


async def _freshness(context: Any, node: Any) -> FreshnessState:
    evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(node.freshness_policy_or_from_metadata)]()
    return await evaluator.evaluate_freshness(context=context, node=node)


def definitions(graph: Graph, rules: Rules) -> dg.Definitions:
    """The graph in Dagster's terms."""
    sources = [
        dg.AssetSpec(one.name, partitions_def=DAILY if one.is_daily else None) for one in graph.sources
    ]
    return dg.Definitions(assets=[*sources, *(_asset(graph, one, rules) for one in graph.built)])


def _asset(graph: Graph, asset: Asset, rules: Rules) -> dg.AssetsDefinition:
    def build() -> dg.MaterializeResult:  # type: ignore[type-arg]
        raise NotImplementedError  # the played executor builds

    checks = [dg.AssetCheckSpec("drift", asset=asset.name)] if asset.kind == "report" else []
    return dg.asset(
        name=asset.name,
        deps=[_dep(graph, asset, one) for one in asset.reads],
        partitions_def=DAILY if asset.is_daily else None,
        code_version=asset.code.version,
        freshness_policy=rules.policy(asset.promise) if asset.promise else None,
        automation_condition=rules.condition(graph, asset) if asset.is_automatic else None,
        check_specs=checks,
    )(build)


def _dep(graph: Graph, asset: Asset, read: Read) -> dg.AssetDep:
    if not graph.assets[read.upstream].is_daily:
        return dg.AssetDep(read.upstream)
    if not asset.is_daily:
        return dg.AssetDep(read.upstream, partition_mapping=dg.AllPartitionMapping())
    window = dg.TimeWindowPartitionMapping(start_offset=read.start, end_offset=read.end)
    return dg.AssetDep(read.upstream, partition_mapping=window if read.kind == "window" else None)


def materialization(asset: str, key: str, version: str, *, code: str) -> dg.AssetMaterialization:
    """The event that tells of a build."""
    tags = {DATA_VERSION: version, CODE_VERSION: code} if code else {DATA_VERSION: version}
    return dg.AssetMaterialization(asset_key=asset, partition=key or None, tags=tags)


def _materialized(event: dg.AssetMaterialization) -> DagsterEvent:
    return DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name=JOB,
        step_key=event.asset_key.to_user_string(),
        event_specific_data=StepMaterializationData(event),
    )


def _planned(asset: str, key: str) -> DagsterEvent:
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), key or None)
    return DagsterEvent.build_asset_materialization_planned_event(JOB, asset, data)


def _record(run: Run) -> DagsterRun:
    keys = {key for keys in run.steps.values() for key in keys if key}
    return DagsterRun(
        job_name=JOB,
        run_id=run.run_id,
        asset_selection=frozenset(map(dg.AssetKey, run.steps)),
        status=dg.DagsterRunStatus.STARTED,
        tags={PARTITION_NAME_TAG: next(iter(keys))} if len(keys) == 1 else {},
    )


def _request(asked: dg.RunRequest) -> Request:
    """A run request, or the backfill that stands in one, with all its runs."""
    if asked.asset_graph_subset is None:
        keys = [asked.partition_key or ""]
        return Request(steps={key.to_user_string(): keys for key in asked.asset_selection or ()})
    steps: dict[str, list[str]] = {}
    for one in asked.asset_graph_subset.iterate_asset_partitions():
        steps.setdefault(one.asset_key.to_user_string(), []).append(one.partition_key or "")
    return Request(steps={name: sorted(keys) for name, keys in steps.items()}, fails_apart=True)


# --- an event log that is made once and copied ----------------------------------------------------

_LOGS: dict[str, dg.DagsterInstance] = {}


def _log_of(history: Sequence[Built], sources: Sequence[Observation], now: dt.datetime) -> dg.DagsterInstance:
    """An instance whose event log tells of a history; the same one for the same history."""
    name = repr((history, sources, now))
    if name not in _LOGS:
        _LOGS[name] = dg.DagsterInstance.ephemeral()
        for one in sources:
            _tell(_LOGS[name], now - dt.timedelta(hours=1), {(one.source, k): v for k, v in one.versions.items()})
        for built in history:
            _tell(_LOGS[name], built.built_ts or now, {(built.asset, built.partition): built.version}, built.code_version)
    return _LOGS[name]


def _tell(
    instance: dg.DagsterInstance, moment: dt.datetime, versions: Mapping[tuple[str, str], str], code: str = ""
) -> None:
    with freeze_time(moment):
        for (asset, key), version in versions.items():
            instance.report_runless_asset_event(materialization(asset, key, version, code=code))


def copied(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Another instance with an equal event log, in memory like the first."""
    found = dg.DagsterInstance.ephemeral()
    old: Any = instance.event_log_storage
    new: Any = found.event_log_storage
    with _raw(old) as source, _raw(new) as target:
        source.backup(target)
    new._storage_id = old._storage_id  # noqa: SLF001 - an in-memory storage counts for itself
    return found


@contextmanager
def _raw(storage: Any) -> Iterator[Any]:
    yield storage._held_conn.connection.driver_connection  # noqa: SLF001 - the connection that holds the memory
