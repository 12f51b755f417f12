"""One tick of the sensor: sources are observed, what failed is written down, and what has changed is told."""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.freshness.alerts import announce
from lakeline.freshness.check_states import budget_state, evaluation, states_of
from lakeline.freshness.checks import CONSISTENT, FRESH
from lakeline.freshness.fresh import freshness
from lakeline.freshness.plan_tags import tags_of
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


def request_of(
    run: "RunPlan", cause: str, checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]]
) -> dg.RunRequest:
    """A planned run as Dagster takes it.

    Args:
        run: What to build.
        cause: Name of the sensor.
        checks: Keys of the checks of each asset.
    """
    keys = [dg.AssetKey(asset.split("/")) for asset in run.steps]
    return dg.RunRequest(
        asset_selection=keys,
        asset_check_keys=[check for key in keys for check in checks[key]],
        tags=tags_of(run, cause),
    )


def idle_reason(plan: "Plan", unread: Sequence[str]) -> str:
    """Why a tick launches nothing."""
    said = list(_waiting(plan)) or ["Everything is as it should be."]
    return " ".join([*said, *unread])


def _waiting(plan: "Plan") -> Iterator[str]:
    for action in ("wait", "over_budget", "backed_off", "blocked", "gave_up", "manual"):
        some = [one for one in plan.decisions if one.action == action]
        if some:
            yield f"{len(some)} {action.replace('_', ' ')} (first: {some[0]})."
