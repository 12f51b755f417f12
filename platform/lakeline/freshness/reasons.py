"""Why: from a partition down to what it waits for, is blocked by, or is held back by."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.freshness.decision import Decision, Plan
from lakeline.freshness.fresh import freshness, sentence
from lakeline.freshness.graph import Graph
from lakeline.freshness.reconcile import reconcile
from lakeline.freshness.reconciler import Reconciler

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

SHOWN = 5


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


def explain(
    graph: Graph, ledger: "Ledger", asset: str, partition: str | None, now: dt.datetime
) -> Outlook:
    """The outlook of an asset, or of one of its partitions; writes nothing."""
    fresh = freshness(graph, ledger, now, [asset])[asset]
    looked_at = dict.fromkeys(Reconciler(graph, ledger).look(now), now)
    plan = reconcile(graph, ledger, now=now, agenda={**looked_at, **ledger.agenda()})
    of_asset = [one for one in plan.decisions if one.asset == asset and partition in (None, one.partition)]  # fmt: skip
    return Outlook(
        freshness=sentence(fresh),
        is_bad=not fresh.is_fresh,
        paths=tuple(path_to_cause(plan, one) for one in of_asset[:SHOWN]),
        more=max(0, len(of_asset) - SHOWN),
    )


def path_to_cause(plan: Plan, decision: Decision) -> tuple[Decision, ...]:
    """A decision, the one that it waits for or is blocked by, and so on."""
    by_pair = {(one.asset, one.partition): one for one in plan.decisions}
    path = [decision]
    while (by := path[-1].by) is not None and by in by_pair and by_pair[by] not in path:
        path.append(by_pair[by])
    return tuple(path)
