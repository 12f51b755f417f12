"""Why: from a partition down to what it waits for, is blocked by, or is held back by."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import Decision, InFlight, Plan
from lakeline.freshness.fresh import freshness, sentence
from lakeline.freshness.graph import Graph, Pair
from lakeline.freshness.reconcile import reconcile
from lakeline.freshness.reconciler import Reconciler

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

SHOWN = 5
SAID = {
    "build": "to be built",
    "wait": "waits",
    "blocked": "blocked",
    "backed_off": "tried again later",
    "gave_up": "given up",
    "over_budget": "waits for room",
    "manual": "left to people",
    "up_to_date": "as it should be",
}
"""Decisions in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What is to be said of an asset.

    Attributes:
        freshness: How far it reaches and who holds it back, in a sentence.
        is_bad: Whether its promise is broken.
        paths: For each partition that is not at rest, its decision and those it rests on, down to the cause.
        more: How many further partitions are not at rest.
    """

    freshness: str
    is_bad: bool
    paths: tuple[tuple[Decision, ...], ...]
    more: int = 0


def present_plan(
    graph: Graph,
    ledger: "Ledger",
    now: dt.datetime,
    *,
    in_flight: Sequence[InFlight] = (),
    budget: Budget | None = None,
    everything: bool = False,
) -> Plan:
    """What a tick would decide at this moment; writes nothing.

    Args:
        graph: The assets.
        ledger: Only read.
        now: The present.
        in_flight: Runs under way.
        budget: As the sensor has it.
        everything: Whether to compare every partition anew, trusting no mark.
    """
    looked_at = dict.fromkeys(Reconciler(graph, ledger).look(now, everything=everything), now)
    agenda = {**looked_at, **ledger.agenda()}
    return reconcile(graph, ledger, now=now, in_flight=in_flight, budget=budget, agenda=agenda)


def explain(
    graph: Graph, ledger: "Ledger", plan: Plan, asset: str, partition: str | None
) -> Outlook:
    """The outlook of an asset, or of one of its partitions."""
    fresh = freshness(graph, ledger, plan.now, [asset])[asset]
    of_asset = [one for one in plan.decisions if one.asset == asset and partition in (None, one.partition)]  # fmt: skip
    return Outlook(
        freshness=sentence(fresh),
        is_bad=not fresh.is_fresh,
        paths=tuple(path_to_cause(plan, one) for one in of_asset[:SHOWN]),
        more=max(0, len(of_asset) - SHOWN),
    )


def path_to_cause(
    plan: Plan, decision: Decision, by_pair: Mapping[Pair, Decision] | None = None
) -> tuple[Decision, ...]:
    """A decision, the one that it waits for or is blocked by, and so on.

    Args:
        plan: Which holds the decision.
        decision: Where to begin.
        by_pair: What `by_pair_of` returned, where many paths of one plan are asked for.
    """
    by_pair = by_pair_of(plan) if by_pair is None else by_pair
    path = [decision]
    while (by := path[-1].by) is not None and by in by_pair and by_pair[by] not in path:
        path.append(by_pair[by])
    return tuple(path)


def by_pair_of(plan: Plan) -> dict[Pair, Decision]:
    """The decisions of a plan by their asset and partition."""
    return {(one.asset, one.partition): one for one in plan.decisions}


def said(decision: Decision, now: dt.datetime) -> str:
    """What becomes of a partition, why, and since and until when, without its name.

    >>> now = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
    >>> said(
    ...     Decision(
    ...         action="backed_off",
    ...         asset="a",
    ...         partition="",
    ...         reason="it failed",
    ...         since=now,
    ...         until=now,
    ...     ),
    ...     now,
    ... )
    'tried again from 2026-01-02 12:00 on: it failed'
    """
    word = SAID[decision.action]
    if decision.until is not None:
        word = f"tried again from {decision.until:%Y-%m-%d %H:%M} on"
    is_new = decision.since is None or decision.since >= now
    since = "" if is_new else f" (since {decision.since:%Y-%m-%d %H:%M})"
    return f"{word}: {decision.reason}{since}"
