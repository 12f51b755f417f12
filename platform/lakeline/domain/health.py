"""The asset that shows how a domain stands, materialized by hand or told by the sensor when something has changed."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.freshness.decision import Plan
    from lakeline.freshness.graph import Graph
    from lakeline.freshness.health import Page
    from lakeline.ledger import Ledger, State

NAME = "health"
TAG = "lakeline/page"
"""Asset tag by which such pages are known; reconciling leaves them alone."""
CLOCK = "clock"
"""Key of the resource that says what time it is."""
TOLD = "page"
"""Name of the ledger's state that holds what the page said last and when."""
EVERY = dt.timedelta(minutes=3)
"""Least time between two pages that the sensor tells, by the machine's clock."""


def health_asset(
    domain: str, assets: Sequence[dg.AssetsDefinition], *, owner: str, tags: Mapping[str, str]
) -> dg.AssetsDefinition:
    """The page of a domain as an asset without dependencies, so that what is broken does not keep it from being shown.

    Args:
        domain: Its name.
        assets: Those of the domain when the page is made, which may be more than there are now.
        owner: Of the page.
        tags: More of its tags.
    """

    @dg.asset(
        key=[domain, NAME],
        description=f"How {domain} stands: watermark, promise, consistent partitions and next step of each asset. Kept up to date by the sensor.",
        group_name=f"{domain}_monitoring",
        kinds={"markdown"},
        owners=[owner],
        tags={"domain": domain, "layer": "monitoring", TAG: NAME, **tags},
        required_resource_keys={"lakehouse", CLOCK},
    )
    def health(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from lakeline.domain.node import nodes_of
        from lakeline.freshness.declared import graph_of
        from lakeline.freshness.health import page
        from lakeline.freshness.reasons import present_plan
        from lakeline.freshness.runs import in_flight

        graph = graph_of(_with_upstream(nodes_of(assets).values()))
        ledger = context.resources.lakehouse.ledger
        now = getattr(context.resources, CLOCK).clock.now()
        plan = present_plan(graph, ledger, now, in_flight=in_flight(context.instance, graph))
        shown = page(graph, ledger, plan, domain, wall=dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(metadata=_metadata(shown))

    return health


def pages_of(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    """Keys of the pages among some assets."""
    return [spec.key for asset in assets for spec in asset.specs if TAG in spec.tags]


def tell_pages(
    instance: dg.DagsterInstance,
    graph: "Graph",
    ledger: "Ledger",
    plan: "Plan",
    *,
    pages: Collection[dg.AssetKey],
    states: "Sequence[State]",
    wall: dt.datetime,
) -> list[str]:
    """Report, without a run, the pages of domains of which a check has changed its state, each once in `EVERY`.

    Returns:
        Names of the pages that were reported.
    """
    from lakeline.freshness.health import digest, page
    from lakeline.ledger import State

    last = {one.asset: one for one in ledger.states(name=TOLD)}
    told = []
    for key in pages:
        name, domain = key.to_user_string(), key.path[0]
        now_said = digest(states, domain)
        if not _is_due(last.get(name), now_said, wall):
            continue
        shown = page(graph, ledger, plan, domain, wall=wall)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(asset_key=key, metadata=_metadata(shown))
        )
        # Written down after: a crash in between tells it twice, never not at all.
        ledger.set_states([State(asset=name, name=TOLD, state=now_said, detail={"told_ts": wall.isoformat()})], wall)  # fmt: skip
        told.append(name)
    return told


def _with_upstream(nodes: "Iterable[Node]") -> "list[Node]":
    """The nodes and everything that they read, of other domains too."""
    found = {node.asset: node for node in nodes}
    left = list(found.values())
    while left:
        new = [read.node for read in left.pop().reads if read.node.asset not in found]
        found |= {node.asset: node for node in new}
        left += new
    return list(found.values())


def _is_due(last: "State | None", said: str, wall: dt.datetime) -> bool:
    if last is None:
        return True
    return last.state != said and wall - dt.datetime.fromisoformat(last.detail["told_ts"]) >= EVERY


def _metadata(shown: "Page") -> dict[str, Any]:
    return {
        "summary": shown.summary,
        "health": dg.MetadataValue.md(shown.markdown),
        **shown.numbers,
    }
