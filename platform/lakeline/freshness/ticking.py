"""One tick of the sensor: sources are observed, what failed is written down, and what has changed is told."""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.awaiting import take_up
from lakeline.domain.health import pages_of, tell_pages
from lakeline.domain.node import nodes_of
from lakeline.freshness.alerts import announce
from lakeline.freshness.budget import Budget
from lakeline.freshness.check_states import budget_state, evaluation, states_of
from lakeline.freshness.checks import CONSISTENT, FRESH
from lakeline.freshness.declared import graph_of
from lakeline.freshness.fresh import freshness
from lakeline.freshness.outside import Watch
from lakeline.freshness.plan_tags import tags_of
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.runs import ended_badly, in_flight
from lakeline.freshness.sensor import of_nodes
from lakeline.freshness.sources import READABLE, observe
from lakeline.ledger import State
from lakeline.ledger.texts import storable

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.freshness.channels import Channel
    from lakeline.freshness.decision import Plan, RunPlan
    from lakeline.ledger import Ledger, StateChange

log = logging.getLogger(__name__)


class Ticker:
    """What the sensor holds on to between two ticks: the graph, what was decided on it, and what each table is to be."""

    def __init__(
        self,
        assets: Sequence[dg.AssetsDefinition],
        ledger: "Ledger",
        *,
        cause: str,
        budget: Budget | None,
        channels: "Sequence[Channel]",
    ) -> None:
        self._nodes = nodes_of(assets)
        self._reconciler = Reconciler(graph_of(self._nodes), ledger, budget)
        tables = [node.target for node in self._nodes.values() if node.contract is not None]
        self._watch = Watch(tables)
        self._checks = {
            asset.key: [spec.key for spec in asset.check_specs] for asset in of_nodes(assets)
        }
        self._pages = pages_of(assets)
        self._cause, self._channels = cause, channels

    def evaluate(self, context: dg.SensorEvaluationContext, now: dt.datetime) -> dg.SensorResult:
        """Look at the lake and the sources, decide, tell, and ask for runs."""
        house, reconciler = context.resources.lakehouse, self._reconciler
        under_way = in_flight(context.instance, reconciler.graph)
        busy = {asset for run in under_way for asset in run.partitions}
        self._watch.look(house.lake, house.ledger, now, busy=busy)
        unread = observe_all(house.ledger, self._nodes, context.resources, now)
        take_up(house.ledger, now, assets=reconciler.graph.vertices)
        plan = tick(reconciler, context.instance, self._cause, now)
        tell(context.instance, reconciler, plan, self._channels, pages=self._pages)
        requests = [_request(run, self._cause, self._checks) for run in plan.runs]
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else _idle(plan, unread)
        )


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
            # Dagster is told too, and its UI shows no text that is not storable.
            said = storable(f"The source of {node.asset} cannot be observed: {error}")
            log.warning("%s", said)
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
        wall = dt.datetime.now(dt.UTC)
        tell_pages(instance, reconciler.graph, reconciler.ledger, plan, pages=pages, states=states, wall=wall)  # fmt: skip
    return changes


def _request(
    run: "RunPlan", cause: str, checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]]
) -> dg.RunRequest:
    keys = [dg.AssetKey(asset.split("/")) for asset in run.steps]
    return dg.RunRequest(
        asset_selection=keys,
        asset_check_keys=[check for key in keys for check in checks[key]],
        tags=tags_of(run, cause),
    )


def _idle(plan: "Plan", unread: Sequence[str]) -> str:
    said = list(_waiting(plan)) or ["Everything is as it should be."]
    return " ".join([*said, *unread])


def _waiting(plan: "Plan") -> Iterator[str]:
    for action in ("wait", "over_budget", "backed_off", "blocked", "gave_up", "manual"):
        some = [one for one in plan.decisions if one.action == action]
        if some:
            yield f"{len(some)} {action.replace('_', ' ')} (first: {some[0]})."
