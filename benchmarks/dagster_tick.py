"""Dagster's evaluator on the graph of ``big_ledger``: ``eager()`` on every asset, everything materialized before."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.big_ledger import DOMAIN, FIRST_DAY, SOURCE, Size, edges_of, name_of

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True, kw_only=True, slots=True)
class DagsterTicks:
    """Evaluations of all conditions, each with the cursor of the one before.

    Attributes:
        idle_s: With nothing changed.
        changed_s: After some partitions were materialized.
        requested: Partitions that the latter asked for.
    """

    idle_s: float
    changed_s: float
    requested: int


def dagster_ticks(size: Size, changed: Sequence[tuple[str, str]]) -> DagsterTicks:
    """Evaluate the graph at rest, then with ``changed`` partitions materialized again."""
    import dagster as dg

    warnings.filterwarnings("ignore", message="Parameter `allow_nonexistent_upstream")  # it is beta
    definitions = dg.Definitions(assets=[_asset(number, size) for number in range(size.assets)])
    with dg.DagsterInstance.ephemeral() as instance:
        everything = [(name_of(n), key) for n in range(size.assets) for key in size.keys]
        _materialize(instance, everything)
        first = _evaluate(definitions, instance, None)
        started_s = time.perf_counter()
        second = _evaluate(definitions, instance, first.cursor)
        idle_s = time.perf_counter() - started_s
        _materialize(instance, changed)
        started_s = time.perf_counter()
        third = _evaluate(definitions, instance, second.cursor)
        changed_s = time.perf_counter() - started_s
        return DagsterTicks(idle_s=idle_s, changed_s=changed_s, requested=third.total_requested)


def _evaluate(
    definitions: "dg.Definitions", instance: "dg.DagsterInstance", cursor: Any
) -> "dg.EvaluateAutomationConditionsResult":
    import dagster as dg

    return dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)


def _asset(number: int, size: Size) -> "dg.AssetsDefinition":
    import dagster as dg

    is_source = number % DOMAIN == SOURCE
    days = dg.DailyPartitionsDefinition(
        FIRST_DAY.isoformat(), end_date=f"{size.now:%Y-%m-%d}", timezone="UTC"
    )

    @dg.asset(
        key=_key(name_of(number)),
        deps=[_dep(upstream, yesterday=yesterday) for upstream, yesterday in edges_of(number)],
        partitions_def=days,
        automation_condition=None if is_source else dg.AutomationCondition.eager(),
    )
    def idle() -> None: ...

    return idle


def _dep(upstream: int, *, yesterday: bool) -> "dg.AssetDep":
    import dagster as dg

    window = dg.TimeWindowPartitionMapping(
        start_offset=-1, allow_nonexistent_upstream_partitions=True
    )
    return dg.AssetDep(_key(name_of(upstream)), partition_mapping=window if yesterday else None)


def _key(name: str) -> "dg.AssetKey":
    import dagster as dg

    return dg.AssetKey(name.replace(":", "_").split("/"))


def _materialize(instance: "dg.DagsterInstance", pairs: Sequence[tuple[str, str]]) -> None:
    import dagster as dg

    for name, partition in pairs:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(_key(name), partition=partition)
        )
