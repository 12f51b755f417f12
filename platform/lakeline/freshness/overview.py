"""What there is to tell of every asset at one moment: how far it reaches, what was promised, what is consistent, what comes next.

`lakeline status` and the health page of a domain both show it, so that they say the same.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.freshness.decision import Decision, Plan
from lakeline.freshness.fresh import Freshness, freshness
from lakeline.freshness.graph import Graph, Pair
from lakeline.freshness.reasons import by_pair_of, path_to_cause
from lakeline.ledger import place
from lakeline.window import contiguous

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

AT_REST, NOT_DUE = "nothing", "not due yet"
NEXT = {
    "gave_up": "given up",
    "blocked": "blocked",
    "backed_off": "tried again later",
    "being_built": "being built",
    "build": "to build",
    "over_budget": "waiting for room",
    "wait": "waiting",
    "manual": "left to people",
}
"""What becomes of partitions, the worst first, in words that follow a number."""

SHOWN_RANGES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One asset.

    Attributes:
        partitions: Those that it has, and those that it is due to have.
        consistent: How many of them need nothing.
        decisions: For those that do.
    """

    freshness: Freshness
    partitions: int
    consistent: int
    decisions: tuple[Decision, ...] = ()

    @property
    def asset(self) -> str:
        """Its name."""
        return self.freshness.asset

    @property
    def level(self) -> str:
        """``bad`` where somebody has to act, ``busy`` where something is to be done, else ``good``."""
        actions = {one.action for one in self.decisions}
        if not self.freshness.is_fresh or actions & {"gave_up", "blocked"}:
            return "bad"
        return "busy" if actions else "good"

    @property
    def next(self) -> str:
        """What becomes of it, in words.

        >>> freshness = Freshness(asset="flights/weather", watermark=None)
        >>> Line(freshness=freshness, partitions=3, consistent=3).next
        'nothing'
        """
        if not self.decisions:
            return AT_REST if self.partitions else NOT_DUE
        counts = Counter(kind_of(one) for one in self.decisions)
        return ", ".join(
            f"{counts[kind]:,} {words}" for kind, words in NEXT.items() if counts[kind]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why partitions of an asset are not built now, and who waits for them.

    Attributes:
        decision: That of the first of the partitions; those of the others say the same.
        partitions: Sorted.
        held_up: Other assets that wait for them or are blocked by them.
    """

    decision: Decision
    partitions: tuple[str, ...]
    held_up: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The partitions by one readable name."""
        return place(self.decision.asset, spans(self.partitions))


def kind_of(decision: Decision) -> str:
    """The action, and ``being_built`` for what a run builds at this moment."""
    return "being_built" if decision.action == "wait" and decision.run_id and decision.by is None else decision.action  # fmt: skip


def overview(
    graph: Graph, ledger: "Ledger", plan: Plan, assets: Collection[str] | None = None
) -> tuple[Line, ...]:
    """A line for each asset, or for some, in the order of the graph; sources have none.

    Args:
        graph: The assets.
        ledger: Only read.
        plan: What was decided.
        assets: Names of those that are asked for; None for all.
    """
    names = [name for name in graph.order if graph.vertices[name].kind != "source"]
    names = [name for name in names if assets is None or name in assets]
    decisions: dict[str, list[Decision]] = {name: [] for name in names}
    for one in plan.decisions:
        if one.asset in decisions:
            decisions[one.asset].append(one)
    fresh = freshness(graph, ledger, plan.now, names)
    held = {name: one.partitions for name, one in ledger.reach().items()}
    present = ledger.versions_of([(one.asset, one.partition) for one in plan.decisions])
    return tuple(_line(fresh[name], held.get(name, 0), decisions[name], present) for name in names)


def causes(plan: Plan) -> list[Cause]:
    """What keeps partitions from being built, each cause once, worst first; what a run is about to build has none."""
    grouped: dict[tuple[str, str, str], list[Decision]] = {}
    held_up: dict[tuple[str, str, str], set[str]] = {}
    by_pair = by_pair_of(plan)
    for one in plan.decisions:
        cause = path_to_cause(plan, one, by_pair)[-1]
        key = (cause.asset, cause.action, cause.reason)
        if cause is one:
            grouped.setdefault(key, []).append(one)
        elif cause.asset != one.asset:
            held_up.setdefault(key, set()).add(one.asset)
    found = [
        _cause(some, held_up.get(key, ())) for key, some in grouped.items() if key[1] != "build"
    ]
    ranks = {action: rank for rank, action in enumerate(NEXT)}
    return sorted(found, key=lambda one: ranks[kind_of(one.decision)])


def spans(partitions: Sequence[str]) -> str:
    """Partitions as few words.

    >>> spans(["2026-01-01", "2026-01-02", "2026-01-05"])
    '2026-01-01 to 2026-01-02, 2026-01-05'
    """
    if not all(partitions):
        return ""
    ranges = [a if a == b else f"{a} to {b}" for a, b in contiguous(partitions)]
    more = len(ranges) - SHOWN_RANGES
    return ", ".join([*ranges[:SHOWN_RANGES], *([f"and {more} more"] if more > 0 else [])])


def _line(
    fresh: Freshness, held: int, decisions: Sequence[Decision], present: Mapping[Pair, str]
) -> Line:
    missing = sum((one.asset, one.partition) not in present for one in decisions)
    return Line(
        freshness=fresh,
        partitions=held + missing,
        consistent=max(0, held - (len(decisions) - missing)),
        decisions=tuple(decisions),
    )


def _cause(decisions: Sequence[Decision], held_up: Collection[str]) -> Cause:
    return Cause(
        decision=decisions[0],
        partitions=tuple(sorted(one.partition for one in decisions)),
        held_up=tuple(sorted(held_up)),
    )


def share(value: float) -> str:
    """A share of a promise for people: beyond ten times it is only told that it is.

    >>> share(0.333), share(120.0)
    ('33%', '>999%')
    """
    return f"{value:.0%}" if value < 10 else ">999%"


def clock(moment: dt.datetime | None) -> str:
    """A time in UTC to the minute; a dash for none."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if moment is not None else "-"
