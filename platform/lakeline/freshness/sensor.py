"""The sensor that keeps assets consistent: it observes the sources, asks the reconciler, and launches its runs.

Nothing is kept in a cursor: what changed, what is to be done, what failed and what was said last are the ledger's, so a
daemon that was down for a day or lost its storage goes on from the truth.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from lakeline.domain.health import pages_of
from lakeline.domain.node import nodes_of
from lakeline.freshness.budget import BUDGET, Budget

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.freshness.channels import Channel
    from lakeline.freshness.graph import Graph
    from lakeline.freshness.outside import Watch
    from lakeline.freshness.reconciler import Reconciler
    from lakeline.ledger import Ledger

INTERVAL_S = 30


def reconcile_sensor(
    assets: Sequence[dg.AssetsDefinition],
    *,
    name: str = "reconcile",
    budget: Budget | None = None,
    clock_key: str = "clock",
    channels: "Sequence[Channel]" = (),
    is_running: bool = True,
    interval_s: int = INTERVAL_S,
) -> dg.SensorDefinition:
    """The sensor for assets of domains.

    Args:
        assets: All of a code location's, so that everything they read is among them; what no domain made is left alone.
        name: Of the sensor; runs carry it as their cause.
        budget: How much may be under way, and how patiently failures are tried again.
        clock_key: Resource with a ``clock``, which says what time it is.
        channels: Where alerts go.
        is_running: Whether it runs unless a person stops it.
        interval_s: Shortest time between two ticks, in seconds.
    """
    nodes = nodes_of(assets)
    if any(read.node.asset not in nodes for node in nodes.values() for read in node.reads):
        _graph(nodes)  # which says what is missing
    mine = [asset for asset in assets if asset.keys & {_key(name) for name in nodes}]
    pages = pages_of(assets)
    sources = {node.extras["source_key"] for node in nodes.values() if node.source is not None}
    checks = {asset.key: [spec.key for spec in asset.check_specs] for asset in mine}
    held: list[tuple[Reconciler, Watch]] = []

    @dg.sensor(
        name=name,
        # Not target=: Dagster would make one job of it, and it refuses one over two calendars.
        asset_selection=dg.AssetSelection.assets(*mine),
        default_status=dg.DefaultSensorStatus.RUNNING
        if is_running
        else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=interval_s,
        required_resource_keys={"lakehouse", clock_key, *sources},
        metadata={BUDGET: dg.MetadataValue.json((budget or Budget()).as_json())},
        description="Builds what is missing or was built from something that has changed since, and tells what is fresh.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from lakeline.freshness import ticking
        from lakeline.freshness.runs import in_flight

        ledger = context.resources.lakehouse.ledger
        now = getattr(context.resources, clock_key).clock.now()
        if not held:
            # Not before: the graph, and what a table is to be, bring in all that it takes to decide and to write.
            held.append(_deciding(nodes, ledger, budget))
        reconciler, watch = held[0]
        busy = {
            asset
            for run in in_flight(context.instance, reconciler.graph)
            for asset in run.partitions
        }
        watch.look(context.resources.lakehouse.lake, ledger, now, busy=busy)
        unread = ticking.observe_all(ledger, nodes, context.resources, now)
        plan = ticking.tick(reconciler, context.instance, name, now)
        ticking.tell(context.instance, reconciler, plan, channels, pages=pages)
        requests = [ticking.request_of(run, name, checks) for run in plan.runs]
        reason = None if requests else ticking.idle_reason(plan, unread)
        return dg.SensorResult(run_requests=requests, skip_reason=reason)

    return sensor


def _deciding(
    nodes: "Mapping[str, Node]", ledger: "Ledger", budget: Budget | None
) -> "tuple[Reconciler, Watch]":
    from lakeline.freshness.outside import Watch
    from lakeline.freshness.reconciler import Reconciler

    targets = [node.target for node in nodes.values() if node.contract is not None]
    return Reconciler(_graph(nodes), ledger, budget), Watch(targets)


def _graph(nodes: "Mapping[str, Node]") -> "Graph":
    from lakeline.freshness.declared import graph_of

    return graph_of(nodes)


def _key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(asset.split("/"))
