"""The sensor that keeps assets consistent: it observes the sources, asks the reconciler, and launches its runs.

Nothing is kept in a cursor: what changed, what is to be done, what failed and what was said last are the ledger's, so a
daemon that was down for a day or lost its storage goes on from the truth.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from lakeline.domain.node import nodes_of
from lakeline.freshness.budget import BUDGET, Budget

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.freshness.channels import Channel
    from lakeline.freshness.ticking import Ticker

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
        _refuse(nodes)
    sources = {node.extras["source_key"] for node in nodes.values() if node.source is not None}
    held: list[Ticker] = []

    @dg.sensor(
        name=name,
        # Not target=: Dagster would make one job of it, and it refuses one over two calendars.
        asset_selection=dg.AssetSelection.assets(*of_nodes(assets)),
        default_status=dg.DefaultSensorStatus.RUNNING
        if is_running
        else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=interval_s,
        required_resource_keys={"lakehouse", clock_key, *sources},
        metadata={BUDGET: dg.MetadataValue.json((budget or Budget()).as_json())},
        description="Builds what is missing or was built from something that has changed since, and tells what is fresh.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if not held:
            # Not before: to decide, and to know what a table is to be, brings in all that it takes to write one.
            from lakeline.freshness.ticking import Ticker

            ledger = context.resources.lakehouse.ledger
            held.append(Ticker(assets, ledger, cause=name, budget=budget, channels=channels))
        return held[0].evaluate(context, getattr(context.resources, clock_key).clock.now())

    return sensor


def of_nodes(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Those of the assets that domains made, which the sensor keeps."""
    return [asset for asset in assets if nodes_of([asset])]


def _refuse(nodes: "Mapping[str, Node]") -> None:
    """Say which asset reads something that is not among them."""
    from lakeline.freshness.declared import graph_of

    graph_of(nodes)
