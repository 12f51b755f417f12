"""Whether data is fresh: how far it reaches against what was promised, and which ancestor holds it back.

The *watermark* of an asset is the event time up to which its newest partition is complete: the smallest watermark among
the inputs that it was built from. A source declares or observes its own; a model's is the end of its training window.
When something was built does not matter here, only how old the data is. It is a level too: while a partition is made from
the present versions of its inputs, it reaches as far as these reach now, also where a source has since said that nothing
more came, or that it is less complete than it thought; otherwise it reaches as far as it did when it was built.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.freshness.graph import Graph, Pair, Vertex
from lakeline.freshness.view import View
from lakeline.ledger import ABSENT
from lakeline.window import DAY, day_start

if TYPE_CHECKING:
    from lakeline.ledger import Ledger, Reach, SourceState


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """The truth about one asset's data at one moment.

    Attributes:
        watermark: Up to when it is complete; None if it holds nothing that has one.
        promise: What was promised, in words; empty without a promise.
        is_fresh: Whether that is kept; True without a promise.
        share_used: How much of the promise is used up; 1 is broken.
        breaks_at: When the promise breaks or broke.
        held_back_by: Ancestor that reaches no further, which may be the asset itself.
        held_back_since: Up to when that ancestor's data reaches.
        is_untold: Whether nothing tells how far that ancestor reaches: it reads nothing and has no source.
    """

    asset: str
    watermark: dt.datetime | None
    promise: str = ""
    is_fresh: bool = True
    share_used: float = 0.0
    breaks_at: dt.datetime | None = None
    held_back_by: str = ""
    held_back_since: dt.datetime | None = None
    is_untold: bool = False

    def __str__(self) -> str:
        reaches = f"complete to {self.watermark:%Y-%m-%d %H:%M}" if self.watermark else "without a watermark"  # fmt: skip
        if not self.promise:
            return f"{self.asset} is {reaches}"
        kept = "keeps" if self.is_fresh else "breaks"
        return f"{self.asset} is {reaches} and {kept} its promise of {self.promise}"


class Watermarks:
    """Watermarks of assets at one moment.

    Args:
        view: The ledger, seen through the graph.
        assets: Those to be asked for; what they are made from is read with them.
    """

    def __init__(self, view: View, assets: Iterable[str]) -> None:
        self._view = view
        self._reach: dict[str, Reach] = view.ledger.reach()
        self._sources: dict[str, SourceState] = view.ledger.sources()
        self._found: dict[Pair, dt.datetime | None] = {}
        view.load([newest for name in _ancestors(view.graph, assets) if (newest := self._newest(name))])  # fmt: skip

    def of(self, asset: str) -> dt.datetime | None:
        """The watermark of an asset or source; None where there is none."""
        if asset in self._sources:
            return self._sources[asset].watermark
        newest = self._newest(asset)
        return self._of_partition(newest) if newest is not None else None

    def _newest(self, asset: str) -> Pair | None:
        held = self._reach.get(asset)
        return (asset, held.newest) if held is not None and held.newest is not None else None

    def _of_partition(self, pair: Pair) -> dt.datetime | None:
        if pair not in self._found:
            self._found[pair] = self._live(pair)
        return self._found[pair]

    def _live(self, pair: Pair) -> dt.datetime | None:
        asset, key = pair
        if asset in self._sources:
            return _within(self._sources[asset].watermark, key)
        current = self._view.current(pair)
        if current is None or current.watermark is None or current.marked or self._is_model(asset):
            return current.watermark if current is not None else None
        newest: dict[str, str] = {}
        for one in self._view.inputs(pair):
            if one.version != ABSENT and one.asset != asset and not self._is_model(one.asset):
                newest[one.asset] = max(one.partition, newest.get(one.asset, ""))
        marks = [mark for read in newest.items() if (mark := self._of_partition(read)) is not None]
        return min(marks, default=current.watermark)

    def _is_model(self, asset: str) -> bool:
        vertex = self._view.graph.vertices.get(asset)
        return vertex is not None and vertex.kind == "model"


def _ancestors(graph: Graph, assets: Iterable[str]) -> list[str]:
    """The assets and everything that they are made from."""
    found: dict[str, None] = {}
    queue = [name for name in assets if name in graph.vertices]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = None
            queue += [edge.upstream for edge in graph.vertices[name].reads]
    return list(found)


def _within(watermark: dt.datetime | None, key: str) -> dt.datetime | None:
    """How far one partition of a source reaches: a day no further than its end."""
    if watermark is None or not key:
        return watermark
    try:
        return min(watermark, day_start(key) + DAY)
    except ValueError:  # a static partition
        return watermark


def freshness(
    graph: Graph, ledger: "Ledger", now: dt.datetime, assets: Iterable[str] | None = None
) -> dict[str, Freshness]:
    """The truth about every asset, or some; who holds an asset back is looked up where a promise is broken."""
    wanted = graph.order if assets is None else tuple(assets)
    view = View(graph, ledger)
    marks = Watermarks(view, wanted)
    return {name: _freshness(view, marks, graph.vertices[name], now) for name in wanted}


def _freshness(view: View, marks: Watermarks, vertex: Vertex, now: dt.datetime) -> Freshness:
    watermark = marks.of(vertex.name)
    if vertex.promise is None:
        return Freshness(asset=vertex.name, watermark=watermark)
    is_fresh = watermark is not None and vertex.promise.is_kept(watermark, now)
    path = () if is_fresh else path_to_cause(view, marks, vertex.name)
    return Freshness(
        asset=vertex.name,
        watermark=watermark,
        promise=vertex.promise.text,
        is_fresh=is_fresh,
        share_used=vertex.promise.share_used(watermark, now) if watermark else 1.0,
        breaks_at=vertex.promise.breaks_at(watermark, now) if watermark else None,
        held_back_by=path[-1] if path else "",
        held_back_since=marks.of(path[-1]) if path else None,
        is_untold=bool(path) and _is_untold(view, marks, path[-1]),
    )


def path_to_cause(view: View, marks: Watermarks, asset: str) -> tuple[str, ...]:
    """From an asset up to the ancestor that holds it back, both included.

    At each step it goes to the input whose watermark is smallest, as long as that reaches no further than the asset
    itself. An asset all of whose inputs reach further is the cause: it has not been built from what is there. So is one of
    which nothing tells how far it reaches.
    """
    path = [asset]
    while True:
        own = marks.of(path[-1])
        reads = view.graph.vertices[path[-1]].reads
        inputs = [(mark, edge.upstream) for edge in reads if (mark := marks.of(edge.upstream)) is not None]  # fmt: skip
        untold = [edge.upstream for edge in reads if marks.of(edge.upstream) is None]
        nothing = [edge.upstream for edge in reads if _is_empty(view, marks, edge.upstream)]
        if nothing:
            path.append(nothing[0])
        elif inputs and (own is None or min(inputs)[0] <= own):
            if own is None and min(inputs)[0] is not None and not _is_empty(view, marks, path[-1]):
                return tuple(path)
            path.append(min(inputs)[1])
        elif own is None and untold:
            path.append(untold[0])
        else:
            return tuple(path)


def _is_empty(view: View, marks: Watermarks, asset: str) -> bool:
    """Whether an asset that should have partitions has none."""
    vertex = view.graph.vertices[asset]
    return marks.of(asset) is None and vertex.kind != "source" and not view.keys(asset)


def _is_untold(view: View, marks: Watermarks, asset: str) -> bool:
    """Whether an asset has neither a source nor anything else that it reads, so that its data has no watermark."""
    vertex = view.graph.vertices[asset]
    return marks.of(asset) is None and vertex.kind != "source" and not vertex.reads


def watermark_of(view: View, asset: str) -> dt.datetime | None:
    """Watermark of one asset's newest partition."""
    keys = view.keys(asset)
    current = view.current((asset, keys[-1])) if keys else None
    return current.watermark if current is not None else None


def sentence(one: Freshness) -> str:
    """What the ``fresh`` check says."""
    if one.is_fresh:
        return str(one)
    if one.is_untold:
        who = "it" if one.held_back_by == one.asset else f"held back by {one.held_back_by}, which"
        return (
            f"{one}; {who} has no source, so nothing tells how far its data reaches. "
            "Give it one with source=, or take fresh= away"
        )
    if one.held_back_by == one.asset:
        return f"{one}; what it reads reaches further, and it was not built since"
    reaches = f"{one.held_back_since:%Y-%m-%d %H:%M}" if one.held_back_since else "nowhere yet"
    return f"{one}; held back by {one.held_back_by}, which reaches {reaches}"
