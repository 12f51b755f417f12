"""Reconcile: from the graph, the ledger, the time, the runs in flight and the budget to decisions with their reasons.

A pure function: it reads the ledger and writes nothing, so the command line asks it why, tests play it through, and the
sensor carries it out. It compares levels, never edges: called twice at one moment it says the same, and an update that
was missed is found whenever it is called again.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import Decision, InFlight, Plan, RunPlan
from lakeline.freshness.graph import Graph, Pair, Vertex
from lakeline.freshness.joining import joined
from lakeline.freshness.training import why_train
from lakeline.freshness.unsettled import Search
from lakeline.freshness.view import Standing, View
from lakeline.ledger import place

if TYPE_CHECKING:
    from lakeline.ledger import Ledger, Reach

DAY = dt.timedelta(days=1)


def reconcile(
    graph: Graph,
    ledger: "Ledger",
    *,
    now: dt.datetime,
    in_flight: Sequence[InFlight] = (),
    budget: Budget | None = None,
    agenda: Mapping[Pair, dt.datetime] | None = None,
) -> Plan:
    """What is to be done now.

    Args:
        graph: Assets with what they read and promise.
        ledger: What each partition was built from. Only read.
        now: The present, aware.
        in_flight: Runs and backfills under way, also those that people started.
        budget: How much may run at once and how often a failure is tried again.
        agenda: Partitions to look at, with since when; left out, those on the ledger's agenda.
    """
    allowed = budget or Budget()
    view = View(graph, ledger)
    looked_at = ledger.agenda() if agenda is None else agenda
    search = Search(
        graph=graph,
        view=view,
        agenda=looked_at,
        now=now,
        budget=allowed,
        train=_trainer(view, now),
    ).run(in_flight)
    groups = _groups(search)
    reach = ledger.reach() if groups else {}
    runs = [_run(search, group, reach) for group in groups]
    runs.sort(key=lambda one: (-one.share_used, one.since))
    spent = _spent(ledger, allowed, now)
    room = _room(allowed, in_flight, spent)
    return Plan(
        now=now,
        decisions=tuple(_decisions(search, runs, room)),
        runs=tuple(runs[: room[0]]),
        settled=frozenset(search.settled),
        spent=spent,
    )


def _trainer(view: View, now: dt.datetime) -> Callable[[Vertex, bool], Standing]:
    return lambda vertex, is_moving: why_train(view, vertex, now, is_moving=is_moving)


def _groups(search: Search) -> list[set[Pair]]:
    """The runs that would do something: at least one of their partitions needs building for itself."""
    attempts = search.view.attempts
    failures = {
        pair: attempts[pair].failures
        for pair in search.going
        if pair in attempts and attempts[pair].key == search.view.key(pair)
    }
    return [one for one in joined(search.going, failures, search.view.exist) if _roots(search, one)]


def _roots(search: Search, pairs: set[Pair]) -> list[Pair]:
    return sorted(pair for pair in pairs if not search.standings[pair].is_fine)


def _run(search: Search, pairs: set[Pair], reach: "Mapping[str, Reach]") -> RunPlan:
    ranks = search.graph.ranks
    steps: dict[str, list[str]] = {}
    for asset, key in sorted(pairs, key=lambda pair: (ranks[pair[0]], pair[1])):
        steps.setdefault(asset, []).append(key)
    roots = sorted(_roots(search, pairs), key=lambda pair: (ranks[pair[0]], pair[1]))
    more = f" (and {len(roots) - 1} more)" if len(roots) > 1 else ""
    return RunPlan(
        steps={asset: tuple(keys) for asset, keys in steps.items()},
        reason=f"{place(*roots[0])}: {search.standings[roots[0]].because}{more}",
        share_used=max(_share_used(search, name, reach) for name in steps),
        since=min(search.agenda.get(pair, search.now) for pair in roots),
        unless={pair: key for pair, key in search.unless.items() if pair in pairs},
    )


def _share_used(search: Search, name: str, reach: "Mapping[str, Reach]") -> float:
    """How much of an asset's promise is used up; 0 without one, 1 for a promise that was never met."""
    promise = search.graph.vertices[name].promise
    if promise is None:
        return 0.0
    watermark = reach[name].watermark if name in reach else None
    return promise.share_used(watermark, search.now) if watermark is not None else 1.0


def _spent(ledger: "Ledger", budget: Budget, now: dt.datetime) -> str:
    """That the day's budget is used up, in words; empty while it is not."""
    if budget.cpu_s_a_day is None:
        return ""
    spent = ledger.cost_since(now - DAY)
    if spent < budget.cpu_s_a_day:
        return ""
    return f"{spent:.0f} of {budget.cpu_s_a_day:.0f} cpu seconds of a day are spent"


def _room(budget: Budget, in_flight: Sequence[InFlight], spent: str) -> tuple[int, str]:
    """How many runs may start, and what keeps others from starting."""
    if spent:
        return 0, spent
    under_way = len({one.run_id for one in in_flight})
    return max(0, budget.runs - under_way), f"{budget.runs} runs at once are allowed"


def _decisions(search: Search, runs: Sequence[RunPlan], room: tuple[int, str]) -> list[Decision]:
    found = dict(search.decisions)
    starting = {pair for run in runs[: room[0]] for pair in run.pairs}
    queued = {pair for run in runs[room[0] :] for pair in run.pairs}
    for pair in search.going:
        standing = search.standings[pair]
        if standing.is_fine and pair not in search.agenda:
            continue
        found[pair] = _going(search, pair, starting, queued, room[1])
    return [found[pair] for pair in sorted(found, key=lambda one: (search.graph.ranks.get(one[0], 0), one[1]))]  # fmt: skip


def _going(
    search: Search, pair: Pair, starting: set[Pair], queued: set[Pair], limit: str
) -> Decision:
    because = search.standings[pair].because or "what it reads is being built"
    since = search.agenda.get(pair, search.now)
    if pair in starting:
        return Decision(action="build", asset=pair[0], partition=pair[1], reason=because, since=since)  # fmt: skip
    if pair in queued:
        return Decision(action="over_budget", asset=pair[0], partition=pair[1], reason=f"{because}; {limit}", since=since)  # fmt: skip
    by = min(search.going[pair])
    return Decision(action="wait", asset=pair[0], partition=pair[1], reason=f"{place(*by)} is built first", by=by, since=since)  # fmt: skip
