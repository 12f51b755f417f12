"""What the checks ``fresh`` and ``consistent`` say, as the ledger keeps it and as Dagster is told."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.freshness.checks import CONSISTENT, FRESH
from lakeline.freshness.decision import Decision, Plan
from lakeline.freshness.fresh import Freshness, freshness, sentence
from lakeline.freshness.graph import Graph
from lakeline.freshness.reasons import present_plan
from lakeline.ledger import State

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

ABOUT_TO_BREAK = 0.8
"""Share of a promise after which it counts as about to break."""

_GOOD = frozenset({"fresh", "consistent"})
_WORST = ("gave_up", "blocked", "backed_off", "over_budget", "wait", "build", "manual")
_STATE = {"wait": "rebuilding", "build": "rebuilding", "over_budget": "rebuilding"}
BUDGET_STATE = "budget"
"""Name of the state of the day's budget, which is of no asset."""
SHOWN = 5


def states_of(graph: Graph, plan: Plan, fresh: Mapping[str, Freshness]) -> list[State]:
    """What both checks of every asset say now.

    Args:
        graph: The assets.
        plan: What reconciling decided; what is not in it is at rest.
        fresh: How far the assets that promise something reach.
    """
    decisions: dict[str, list[Decision]] = {}
    for one in plan.decisions:
        decisions.setdefault(one.asset, []).append(one)
    built = [name for name, one in graph.vertices.items() if one.kind != "source"]
    return [
        *(_consistent(name, decisions.get(name, ())) for name in built),
        *(_fresh(one) for one in fresh.values() if one.promise),
    ]


def budget_state(plan: Plan) -> State:
    """How the day's budget stands, as the ledger keeps it and people are told of it."""
    if not plan.spent:
        return State(asset="", name=BUDGET_STATE, state="within", detail={})
    waiting = sum(one.action == "over_budget" for one in plan.decisions)
    said = f"The day's budget is used up: {plan.spent}. {waiting} partition(s) wait until some of it is a day old."
    return State(asset="", name=BUDGET_STATE, state="over_budget", detail={"said": said})


def evaluation(state: State) -> dg.AssetCheckEvaluation:
    """A state as Dagster's check result, to be reported without a run."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(state.asset.split("/")),
        check_name=state.name,
        passed=state.state in _GOOD,
        severity=_severity(state),
        description=str(state.detail.get("said", "")),
        metadata=_metadata(state),
    )


def present_states(graph: Graph, ledger: "Ledger", now: dt.datetime) -> list[State]:
    """What both checks would say, without changing anything."""
    promised = [name for name, one in graph.vertices.items() if one.promise is not None]
    plan = present_plan(graph, ledger, now)
    return states_of(graph, plan, freshness(graph, ledger, now, promised))


def _consistent(asset: str, decisions: Sequence[Decision]) -> State:
    if not decisions:
        said = "Every partition was built from the present versions of what it reads."
        return State(asset=asset, name=CONSISTENT, state="consistent", detail={"said": said})
    worst = min(decisions, key=lambda one: _WORST.index(one.action)).action
    counts = Counter(one.action for one in decisions)
    shown = "; ".join(str(one) for one in decisions[:SHOWN])
    detail: dict[str, Any] = {f"partitions_{action}": n for action, n in counts.items()}
    detail["said"] = f"{len(decisions)} partition(s) to build. {shown}"
    return State(asset=asset, name=CONSISTENT, state=_STATE.get(worst, worst), detail=detail)


def _fresh(one: Freshness) -> State:
    state = "broken"
    if one.is_fresh:
        state = "about_to_break" if one.share_used >= ABOUT_TO_BREAK else "fresh"
    detail: dict[str, Any] = {"said": sentence(one), "share_used": round(one.share_used, 3)}
    if one.watermark is not None:
        detail["watermark"] = one.watermark.isoformat()
    if one.held_back_by:
        detail["held_back_by"] = one.held_back_by
    return State(asset=one.asset, name=FRESH, state=state, detail=detail)


def _severity(state: State) -> dg.AssetCheckSeverity:
    is_bad = state.state in ("broken", "gave_up", "blocked")
    return dg.AssetCheckSeverity.ERROR if is_bad else dg.AssetCheckSeverity.WARN


def _metadata(state: State) -> dict[str, Any]:
    found = {name: value for name, value in state.detail.items() if name != "said"}
    return {"state": state.state, **found}
