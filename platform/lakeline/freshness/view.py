"""What the ledger says at one moment, as reconciling asks for it: read in bulk, each thing once.

A partition is *fine* when it was built from the present versions of exactly the partitions that its mapping names, by
the present code. Everything else is *missing* or *stale*, and a level: no order of events can hide it.
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lakeline.freshness.graph import Days, Edge, Fixed, Graph, Pair, Vertex
from lakeline.freshness.mapping import Mapping
from lakeline.ledger import place
from lakeline.window import Window, day_start

if TYPE_CHECKING:
    from lakeline.ledger import Attempt, Current, Input, Ledger

FINE, MISSING, STALE = "fine", "missing", "stale"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a partition compares with the present.

    Attributes:
        level: ``fine``, ``missing`` or ``stale``.
        because: What differs, in words.
    """

    level: str
    because: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether nothing is to be done."""
        return self.level == FINE


class View:
    """One moment of a ledger, seen through a graph. Reads nothing twice and writes nothing."""

    def __init__(self, graph: Graph, ledger: "Ledger") -> None:
        self.graph = graph
        self.ledger = ledger
        self._keys: dict[str, tuple[str, ...]] = {}
        self._currents: dict[Pair, Current | None] = {}
        self._inputs: dict[Pair, tuple[Input, ...]] = {}
        self._versions: dict[Pair, str | None] = {}
        self._downstream: dict[tuple[str, tuple[str, ...]], frozenset[str]] = {}

    @cached_property
    def attempts(self) -> "dict[Pair, Attempt]":
        """Failures by partition."""
        return self.ledger.attempts()

    def load(self, pairs: Collection[Pair]) -> None:
        """Read the builds of many partitions at once, with what they were made from."""
        new = [pair for pair in pairs if pair not in self._currents]
        if not new:
            return
        found = self.ledger.currents_of(new)
        self._currents |= {pair: found.get(pair) for pair in new}
        self._versions |= {pair: one.version for pair, one in found.items()}
        # Those of a marked one are not asked for: it is stale whatever they are.
        self._inputs |= self.ledger.inputs_of([p for p, one in found.items() if not one.marked])

    def load_versions(self, pairs: Iterable[Pair]) -> None:
        """Read the present versions of many partitions at once."""
        new = [pair for pair in set(pairs) if pair not in self._versions]
        if not new:
            return
        found = self.ledger.versions_of(new)
        self._versions |= {pair: found.get(pair) for pair in new}

    def load_keys(self, assets: Iterable[str]) -> None:
        """Read which partitions many assets have at once."""
        new = [asset for asset in assets if asset not in self._keys]
        if not new:
            return
        found = self.ledger.partitions_of(new)
        self._keys |= {asset: found.get(asset, ()) for asset in new}

    def keys(self, asset: str) -> tuple[str, ...]:
        """Partitions of an asset that exist, sorted."""
        self.load_keys([asset])
        return self._keys[asset]

    def exist(self, pairs: Collection[Pair]) -> bool:
        """Whether partitions are all there."""
        self.load_versions(pairs)
        return all(self._versions[pair] is not None for pair in pairs)

    def possible_keys(self, vertex: Vertex, now: dt.datetime) -> tuple[str, ...]:
        """Partitions that an asset has, or could have by what it reads, sorted."""
        have = {key for key in self.keys(vertex.name) if key in vertex.partitions}
        return tuple(sorted(have | self.lacking_keys(vertex, now)))

    def lacking_keys(self, vertex: Vertex, now: dt.datetime) -> set[str]:
        """Partitions that an asset could have by what it reads, and has not."""
        found: set[str] = set()
        if isinstance(vertex.partitions, Fixed):
            return found.union(vertex.partitions.keys).difference(self.keys(vertex.name))
        parted = [edge for edge in vertex.reads if not edge.mapping.needs_keys]
        for edge in parted:
            found |= self._reached(edge.mapping, self.keys(edge.upstream))
        if not parted:
            found.update(_days(vertex.partitions, now))
        found.difference_update(self.keys(vertex.name))
        return {key for key in found if key in vertex.partitions}

    def version(self, pair: Pair) -> str | None:
        """Present version of a partition; None if it does not exist."""
        if pair not in self._versions:
            self.load_versions([pair])
        return self._versions[pair]

    def current(self, pair: Pair) -> "Current | None":
        """The published build of a partition."""
        if pair not in self._currents:
            self.load([pair])
        return self._currents[pair]

    def inputs(self, pair: Pair) -> "tuple[Input, ...]":
        """What the published build of a partition read."""
        if pair not in self._inputs:
            self._inputs[pair] = self.ledger.inputs_of([pair]).get(pair, ())
        return self._inputs[pair]

    def wanted(self, edge: Edge, key: str) -> tuple[str, ...]:
        """Partitions of the upstream asset that ``key`` is to be made from at present."""
        return edge.mapping.upstream(key, self._known(edge))

    def required(self, edge: Edge, key: str) -> tuple[str, ...]:
        """Those of them without which it cannot be built."""
        return edge.mapping.required(key, self._known(edge))

    def standing(self, pair: Pair) -> Standing:
        """How a partition compares with the present."""
        vertex = self.graph.vertices[pair[0]]
        current = self.current(pair)
        if current is None:
            return Standing(MISSING, "it was never built")
        if current.marked:
            return Standing(STALE, f"{current.marked_by} has changed")
        if vertex.rebuilds_on_code and current.code_version != vertex.code_version:
            return Standing(STALE, "its code has changed")
        return self._compared(vertex, pair)

    def lacks_history(self, vertex: Vertex, coming: AnyMapping[str, Collection[str]]) -> bool:
        """Whether less exists of what it reads as a whole than it needs to be built for the first time.

        Args:
            vertex: The asset.
            coming: Partitions that are about to be built, by asset.
        """
        if not vertex.needs_partitions:
            return False
        open_edges = [edge.upstream for edge in vertex.reads if edge.mapping.is_open]
        known = [{*self.keys(name), *coming.get(name, ())} for name in open_edges]
        return any(len(keys) < vertex.needs_partitions for keys in known)

    def key(self, pair: Pair) -> str:
        """Hash of everything that decides what a build of the partition would do: its code, and the versions it reads."""
        vertex = self.graph.vertices[pair[0]]
        reads = [
            (edge.upstream, key) for edge in vertex.reads for key in self.wanted(edge, pair[1])
        ]
        self.load_versions(reads)
        parts = [vertex.code_version, *(f"{place(*one)}={self._versions[one]}" for one in reads)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _reached(self, mapping: Mapping, keys: tuple[str, ...]) -> frozenset[str]:
        """Partitions that all of ``keys`` reach; most assets share their days and their mappings."""
        asked = (repr(mapping), keys)
        if asked not in self._downstream:
            self._downstream[asked] = frozenset(
                one for key in keys for one in mapping.downstream(key, ())
            )
        return self._downstream[asked]

    def _known(self, edge: Edge) -> tuple[str, ...]:
        return self.keys(edge.upstream) if edge.mapping.is_open else ()

    def _compared(self, vertex: Vertex, pair: Pair) -> Standing:
        """Whether the partitions that were read are those that would be read now."""
        read: dict[str, set[str]] = {}
        for one in self._inputs.get(pair, ()):
            if (one.asset, one.partition) != pair:  # what it read of itself never counts
                read.setdefault(one.asset, set()).add(one.partition)
        edges = {edge.upstream: edge for edge in vertex.reads}
        if gone := sorted(read.keys() - edges.keys()):
            return Standing(STALE, f"it was built from {gone[0]}, which it does not read any more")
        for name, edge in edges.items():
            if name not in read and self.graph.vertices[name].kind != "source":
                continue  # declared, and not read when it was built
            wanted = set(self.wanted(edge, pair[1]))
            if new := sorted(wanted - read.get(name, set())):
                if name not in read and self.version((name, new[0])) is None:
                    continue  # a source that nobody observes
                return Standing(STALE, f"{place(name, new[-1])} is new")
            if old := sorted(read[name] - wanted):
                return Standing(STALE, f"{place(name, old[-1])} is not read any more")
        return Standing(FINE)


def _days(days: Days, now: dt.datetime) -> tuple[str, ...]:
    """Days that are over, for an asset whose days nothing upstream tells."""
    last = f"{now - dt.timedelta(days=1):%Y-%m-%d}"
    if day_start(last) < day_start(days.first):
        return ()
    return Window.of_days(days.first, last).partitions
