"""The sensor that keeps assets consistent: it observes the sources, asks the reconciler, and launches its runs.

Nothing is kept in a cursor: what changed, what is to be done, what failed and what was said last are the ledger's, so a
daemon that was down for a day or lost its storage goes on from the truth.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.freshness.alerts import announce
from lakeline.freshness.budget import BUDGET, Budget
from lakeline.freshness.checks import CONSISTENT, FRESH, budget_state, evaluation, states_of
from lakeline.freshness.declared import graph_of
from lakeline.freshness.fresh import freshness
from lakeline.freshness.outside import Watch
from lakeline.freshness.plan_tags import CAUSE, tags_of
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.runs import ended_badly, in_flight
from lakeline.freshness.sources import READABLE, observe
from lakeline.ledger import State

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.freshness.channels import Channel
    from lakeline.freshness.decision import Plan, RunPlan
    from lakeline.ledger import Ledger, StateChange

log = logging.getLogger(__name__)

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
    from lakeline.domain.health import pages_of
    from lakeline.domain.node import nodes_of

    nodes = nodes_of(assets)
    mine = [asset for asset in assets if asset.keys & {_key(name) for name in nodes}]
    pages = pages_of(assets)
    graph = graph_of(nodes)
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
        ledger = context.resources.lakehouse.ledger
        now = getattr(context.resources, clock_key).clock.now()
        if not held:
            # Not before: what a table is to be brings in all that it takes to write one.
            targets = [node.target for node in nodes.values() if node.contract is not None]
            held.append((Reconciler(graph, ledger, budget), Watch(targets)))
        reconciler, watch = held[0]
        busy = {asset for run in in_flight(context.instance, graph) for asset in run.partitions}
        watch.look(context.resources.lakehouse.lake, ledger, now, busy=busy)
        unread = observe_all(ledger, nodes, context.resources, now)
        plan = tick(reconciler, context.instance, name, now)
        tell(context.instance, reconciler, plan, channels, pages=pages)
        requests = [_request(run, name, checks) for run in plan.runs]
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else _idle(plan, unread))  # fmt: skip

    return sensor


def observe_all(
    ledger: "Ledger", nodes: "Mapping[str, Node]", resources: Any, now: dt.datetime
) -> list[str]:
    """Take in what every source has; one that cannot be read is named and does not hold up the others."""
    unread = []
    states = []
    for node in nodes.values():
        if node.source is None:
            continue
        try:
            observe(ledger, node, getattr(resources, node.extras["source_key"]))
            said = ""
        except Exception as error:  # noqa: BLE001 - the edge of the sensor: a source may fail in any way
            log.warning("The source of %s cannot be observed: %s", node.asset, error)
            said = f"The source of {node.asset} cannot be observed: {error}"
            unread.append(said)
        states.append(State(asset=node.asset, partition="", name=READABLE, state="unread" if said else "read", detail={"said": said}))  # fmt: skip
    ledger.set_states(states, now)
    return unread


def tick(
    reconciler: Reconciler, instance: dg.DagsterInstance, cause: str, now: dt.datetime
) -> "Plan":
    """One tick against an instance: what failed is written down, what is under way is respected."""
    for run in ended_badly(instance, reconciler.ledger, cause, now):
        reconciler.failed(run.run_id, run.partitions, errors=run.errors, now=now)
    return reconciler.tick(now, in_flight(instance, reconciler.graph))


def tell(
    instance: dg.DagsterInstance,
    reconciler: Reconciler,
    plan: "Plan",
    channels: "Sequence[Channel]" = (),
    *,
    pages: Sequence[dg.AssetKey] = (),
) -> "Sequence[StateChange]":
    """Report the checks whose state has changed, and alert people; returns the changes.

    Args:
        instance: Told.
        reconciler: Whose graph and ledger.
        plan: What it decided.
        channels: Where alerts go.
        pages: Health pages of domains, which are told anew where a check has changed its state.
    """
    promised = [name for name, one in reconciler.graph.vertices.items() if one.promise is not None]
    fresh = freshness(reconciler.graph, reconciler.ledger, plan.now, promised)
    states = states_of(reconciler.graph, plan, fresh)
    said = {
        (one.asset, one.name): one.state
        for name in (FRESH, CONSISTENT)
        for one in reconciler.ledger.states(name=name)
    }
    for state in states:
        # Reported before it is written down: a crash in between says it twice, never not at all.
        if said.get((state.asset, state.name)) != state.state:
            instance.report_runless_asset_event(evaluation(state))
    told = [*states, budget_state(plan)]
    changes = announce(reconciler.ledger, told, channels, now=plan.now, plan=plan, fresh=fresh)
    if pages:
        from lakeline.domain.health import tell_pages

        wall = dt.datetime.now(dt.UTC)
        tell_pages(instance, reconciler.graph, reconciler.ledger, plan, pages=pages, states=states, wall=wall)  # fmt: skip
    return changes


def _request(
    run: "RunPlan", cause: str, checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]]
) -> dg.RunRequest:
    keys = [_key(asset) for asset in run.steps]
    return dg.RunRequest(
        asset_selection=keys,
        asset_check_keys=[check for key in keys for check in checks[key]],
        tags=tags_of(run, cause),
    )


def _key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(asset.split("/"))


def _idle(plan: "Plan", unread: Sequence[str]) -> str:
    said = list(_waiting(plan)) or ["Everything is as it should be."]
    return " ".join([*said, *unread])


def _waiting(plan: "Plan") -> Iterator[str]:
    for action in ("wait", "over_budget", "backed_off", "blocked", "gave_up", "manual"):
        some = [one for one in plan.decisions if one.action == action]
        if some:
            yield f"{len(some)} {action.replace('_', ' ')} (first: {some[0]})."


__all__ = ["CAUSE", "observe_all", "reconcile_sensor", "tell", "tick"]
