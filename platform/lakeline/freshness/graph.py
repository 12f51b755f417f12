"""The graph that freshness reasons about: assets, their partitions, what they read and what they promise.

It holds no data and asks no clock. Sources are part of it: what a raw table is read from has versions and a watermark
like everything else, and only cannot be built.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal

from lakeline.errors import DomainError, names
from lakeline.freshness.mapping import Mapping as PartitionMapping
from lakeline.window import DAY, WHOLE, day_start

if TYPE_CHECKING:
    from lakeline.freshness.promise import Promise
    from lakeline.freshness.retraining import Retrain

Kind = Literal["source", "table", "model", "report"]
Automation = Literal["auto", "manual"]
Pair = tuple[str, str]
"""An asset and one of its partitions."""


class GraphCycleError(DomainError):
    """Assets that read each other in a circle."""

    def __init__(self, circle: Iterable[str]) -> None:
        super().__init__(
            f"The graph goes in a circle: {' -> '.join(circle)}. Nothing in it could ever be built; "
            "let a model watch a report by retrain_on=, which is no dependency."
        )


class UnknownUpstreamError(DomainError):
    """An asset reads one that is not in the graph."""

    def __init__(self, reader: str, upstream: str, known: Iterable[str]) -> None:
        super().__init__(
            f"'{reader}' reads '{upstream}', which is not in the graph. It has {names(tuple(sorted(known)))}."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """Daily partitions from ``first`` (included) to ``until`` (excluded), both ``YYYY-MM-DD``."""

    first: str
    until: str | None = None

    def __contains__(self, key: str) -> bool:
        return self.first <= key and (self.until is None or key < self.until)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Partitions that are listed: static ones, or the one of an unpartitioned asset."""

    keys: tuple[str, ...] = (WHOLE,)

    def __contains__(self, key: str) -> bool:
        return key in self.keys


Partitions = Days | Fixed
UNPARTITIONED = Fixed()


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """One dependency and how its partitions correspond."""

    upstream: str
    mapping: PartitionMapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Vertex:
    """One asset.

    Attributes:
        partitions: Those that it may have.
        code_version: Of the code that builds it.
        rebuilds_on_code: Whether new code makes what it has built inconsistent.
        automation: ``manual`` leaves building to people.
        promise: How old its data may get.
        retrain: A model's own reasons to be built again; changed inputs alone are none.
        needs_partitions: How many partitions of what it reads must exist before it is built for the first time.
    """

    name: str
    kind: Kind = "table"
    partitions: Partitions = UNPARTITIONED
    reads: tuple[Edge, ...] = ()
    code_version: str = ""
    rebuilds_on_code: bool = True
    automation: Automation = "auto"
    promise: "Promise | None" = None
    retrain: "Retrain | None" = None
    needs_partitions: int = 0

    @property
    def is_partitioned(self) -> bool:
        """Whether it has partitions to tell apart."""
        return self.partitions != UNPARTITIONED

    def has_by(self, key: str, now: dt.datetime) -> bool:
        """Whether Dagster has one of its partitions yet: where there is no last day, a day is one when it is over."""
        is_endless = isinstance(self.partitions, Days) and self.partitions.until is None
        return not is_endless or day_start(key) + DAY <= now

    @property
    def fingerprint(self) -> str:
        """What decides which partitions it has and how they are built; another text asks for a look at all of them."""
        code = self.code_version if self.rebuilds_on_code else ""
        return f"{code} {self.partitions} {self.reads} {self.automation}"


@dataclass(frozen=True)
class Graph:
    """Vertices by name, checked: every upstream is there and nothing goes in a circle.

    Raises:
        UnknownUpstreamError, GraphCycleError: It is not so.
    """

    vertices: Mapping[str, Vertex]
    order: tuple[str, ...] = field(init=False)
    readers: Mapping[str, tuple[tuple[Vertex, Edge], ...]] = field(init=False)

    def __post_init__(self) -> None:
        readers: dict[str, list[tuple[Vertex, Edge]]] = {}
        for vertex in self.vertices.values():
            for edge in vertex.reads:
                if edge.upstream not in self.vertices:
                    raise UnknownUpstreamError(vertex.name, edge.upstream, self.vertices)
                readers.setdefault(edge.upstream, []).append((vertex, edge))
        object.__setattr__(self, "order", _ordered(self.vertices))
        object.__setattr__(self, "readers", {name: tuple(some) for name, some in readers.items()})

    @classmethod
    def of(cls, vertices: Iterable[Vertex]) -> "Graph":
        """The graph of some vertices."""
        return cls({vertex.name: vertex for vertex in vertices})

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Place of each vertex in an order in which everything comes after what it reads."""
        return {name: rank for rank, name in enumerate(self.order)}

    @cached_property
    def depths(self) -> dict[str, int]:
        """Steps from each vertex up to the farthest one that reads nothing."""
        found: dict[str, int] = {}
        for name in self.order:
            reads = self.vertices[name].reads
            found[name] = max((found[edge.upstream] + 1 for edge in reads), default=0)
        return found

    @cached_property
    def models(self) -> frozenset[str]:
        """Names of the models."""
        return frozenset(name for name, one in self.vertices.items() if one.kind == "model")


def _ordered(vertices: Mapping[str, Vertex]) -> tuple[str, ...]:
    reads = {name: [edge.upstream for edge in one.reads] for name, one in vertices.items()}
    try:
        return tuple(TopologicalSorter(reads).static_order())
    except CycleError as error:
        raise GraphCycleError(error.args[1]) from error
