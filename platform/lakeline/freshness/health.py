"""The health of a domain on one page: a table of its assets, what holds them up, and their watermarks over time."""

import base64
import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.freshness.overview import Cause, Line, causes, clock, overview, share
from lakeline.freshness.picture import Track, watermarks_svg
from lakeline.freshness.reasons import said
from lakeline.freshness.sources import unread

if TYPE_CHECKING:
    from lakeline.freshness.decision import Plan
    from lakeline.freshness.graph import Graph
    from lakeline.ledger import Ledger, State

PICTURED = dt.timedelta(days=30)
"""How far the picture goes back, by the machine's clock."""
SHOWN_CAUSES = 10
HEADINGS = ("asset", "complete up to", "promise", "used", "consistent", "next")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What there is to show of a domain.

    Attributes:
        summary: One sentence.
        markdown: Table, list and picture; the picture is part of the text.
        numbers: Figures worth a curve.
    """

    summary: str
    markdown: str
    numbers: dict[str, int]


def page(graph: "Graph", ledger: "Ledger", plan: "Plan", domain: str, *, wall: dt.datetime) -> Page:
    """The page of a domain.

    Args:
        graph: With the domain's assets.
        ledger: Only read.
        plan: What was decided last.
        domain: Its name.
        wall: The machine's time, which builds are dated by.
    """
    lines = overview(graph, ledger, plan, assets_of(graph, domain))
    held_up = [one for one in causes(plan) if _concerns(one, domain)]
    tracks = [
        Track(
            name=one.asset.partition("/")[2],
            points=tuple(ledger.progress(one.asset, wall - PICTURED)),
            level=one.level,
        )
        for one in lines
    ]
    picture = base64.b64encode(watermarks_svg(tracks, wall).encode()).decode()
    parts = [
        f"**{domain}** at {clock(plan.now)} UTC: {summary(lines)}",
        "\n".join(_table(lines)),
        "\n".join(_list([*unread(ledger, domain), *(line_of(one, plan.now) for one in held_up)])),
        f"![watermarks over time](data:image/svg+xml;base64,{picture})",
    ]
    text = "\n\n".join(one for one in parts if one)
    return Page(summary=summary(lines), markdown=text, numbers=_numbers(lines))


def assets_of(graph: "Graph", domain: str) -> list[str]:
    """Names of the assets of a domain."""
    return [name for name in graph.order if name.startswith(f"{domain}/")]


def digest(states: "Iterable[State]", domain: str) -> str:
    """Stands for what the checks of a domain say; the same as long as none of them changes its state."""
    mine = sorted((one.asset, one.name, one.state) for one in states if one.asset.startswith(f"{domain}/"))  # fmt: skip
    return hashlib.sha256(repr(mine).encode()).hexdigest()[:32]


def summary(lines: Sequence[Line]) -> str:
    """How many promises are kept, and how many assets are at rest, in a sentence."""
    promised = [one for one in lines if one.freshness.promise]
    kept = sum(one.freshness.is_fresh for one in promised)
    at_rest = sum(not one.decisions for one in lines)
    return f"{kept} of {len(promised)} promises kept, {at_rest} of {len(lines)} assets at rest"


def _numbers(lines: Sequence[Line]) -> dict[str, int]:
    return {
        "promises": sum(bool(one.freshness.promise) for one in lines),
        "promises_broken": sum(not one.freshness.is_fresh for one in lines),
        "assets": len(lines),
        "assets_at_rest": sum(not one.decisions for one in lines),
        "partitions": sum(one.partitions for one in lines),
        "partitions_to_build": sum(len(one.decisions) for one in lines),
    }


def _table(lines: Sequence[Line]) -> Iterator[str]:
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|---|---|---|--:|--:|---|"
    for one in lines:
        fresh = one.freshness
        used = share(fresh.share_used) if fresh.promise else "-"
        cells = (
            f"[{one.asset}](/assets/{one.asset})",
            clock(fresh.watermark),
            fresh.promise or "-",
            used if fresh.is_fresh else f"**{used}, broken**",
            f"{one.consistent:,} of {one.partitions:,}",
            f"**{one.next}**" if one.level == "bad" and one.decisions else one.next,
        )
        yield f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _list(said: Sequence[str]) -> Iterator[str]:
    yield from (f"- {_escaped(one)}" for one in said[:SHOWN_CAUSES])
    if len(said) > SHOWN_CAUSES:
        yield f"- and {len(said) - SHOWN_CAUSES} more"


def line_of(cause: Cause, now: dt.datetime) -> str:
    """A cause in one line: which partitions, what becomes of them, why, and how many assets it holds up."""
    others = len(cause.held_up)
    follows = f"; holds up {others} asset{'s' if others > 1 else ''}" if others else ""
    return f"{cause.place}: {said(cause.decision, now)}{follows}"


def _concerns(cause: Cause, domain: str) -> bool:
    return any(name.startswith(f"{domain}/") for name in (cause.decision.asset, *cause.held_up))


def _escaped(text: str) -> str:
    """Without what would end a cell or a line of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
