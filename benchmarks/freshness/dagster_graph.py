"""The graph in Dagster's terms: assets with their dependencies, freshness policies, automation conditions and checks."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._utils.schedules import reverse_cron_string_iterator

from benchmarks.freshness.graph import Asset, Graph, Read, day

Condition = dg.AutomationCondition[Any]
DAILY = dg.DailyPartitionsDefinition(day(0))


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


def definitions(graph: Graph, rules: Rules) -> dg.Definitions:
    """The graph in Dagster's terms."""
    sources = [
        dg.AssetSpec(one.name, partitions_def=DAILY if one.is_daily else None)
        for one in graph.sources
    ]
    return dg.Definitions(assets=[*sources, *(_asset(graph, one, rules) for one in graph.built)])


def _asset(graph: Graph, asset: Asset, rules: Rules) -> dg.AssetsDefinition:
    def build() -> dg.MaterializeResult:  # type: ignore[type-arg]
        raise AssertionError("the played executor builds")

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
            one.asset_key.to_user_string()
            for one in result.get_asset_check_evaluations()
            if not one.passed
        }
        self._ran_for, self.is_news = passed, False
