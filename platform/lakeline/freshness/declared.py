"""The graph of what domains declare: their assets, and a source for each raw table."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lakeline.freshness.graph import UNPARTITIONED, Days, Edge, Graph, Kind, Partitions, Vertex
from lakeline.freshness.mapping import (
    DayWindow,
    EveryPartition,
    NewestPartitions,
    SamePartition,
    WholeAsset,
)
from lakeline.freshness.mapping import (
    Mapping as PartitionMapping,
)
from lakeline.freshness.promise import parse_promise
from lakeline.freshness.sources import source_of

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.domain.reads import Read

WARM_UP_PARTITIONS = 45
"""Days that a model's training set must have before it is trained for the first time: a month to be evaluated on, and some to learn from."""


def graph_of(nodes: "Mapping[str, Node] | Iterable[Node]") -> Graph:
    """The graph of some assets of domains; everything they read must be among them.

    Raises:
        UnknownUpstreamError, GraphCycleError: They are no graph.
        PromiseError: A promise cannot be read.
    """
    held = list(nodes.values() if isinstance(nodes, Mapping) else nodes)
    return Graph.of([*(_vertex(node) for node in held), *(_source(node) for node in held if node.source)])  # fmt: skip


def neighbourhood(node: "Node") -> Graph:
    """One asset with what it reads directly: enough to compare its partitions with the present."""
    upstream = [Vertex(name=one.node.asset, partitions=_partitions(one.node)) for one in node.reads]
    return Graph.of([_vertex(node), *upstream, *([_source(node)] if node.source else [])])


def _vertex(node: "Node") -> Vertex:
    edges = [Edge(upstream=one.node.asset, mapping=_mapping(node, one)) for one in node.reads]
    if node.source is not None:
        edges.append(Edge(upstream=source_of(node.asset), mapping=SamePartition()))
    kind = _kind(node)
    promise = node.extras.get("promise")
    return Vertex(
        name=node.asset,
        kind=kind,
        partitions=_partitions(node),
        reads=tuple(edges),
        code_version=node.code_version,
        rebuilds_on_code=node.extras.get("rebuilds_on_code", True),
        automation=node.extras.get("automation", "auto"),
        promise=parse_promise(promise, asset=node.asset) if promise else None,
        retrain=node.extras.get("retrain"),
        needs_partitions=node.extras.get("needs", WARM_UP_PARTITIONS if kind == "model" else 0),
    )


def _source(node: "Node") -> Vertex:
    return Vertex(name=source_of(node.asset), kind="source", partitions=_partitions(node))


def _kind(node: "Node") -> Kind:
    if "learning" in node.extras:
        return "model"
    return "report" if node.contract is None else "table"


def _partitions(node: "Node") -> Partitions:
    return Days(first=str(node.first_partition), until=node.until) if node.daily else UNPARTITIONED


def _mapping(node: "Node", read: "Read") -> PartitionMapping:
    kind = read.mapping(node.daily)
    if kind == "whole":
        return WholeAsset() if node.daily else SamePartition()
    if kind == "days":
        first = read.node.first_partition or ""
        return DayWindow(start=-read.back_days, first=first) if read.back_days else SamePartition()
    return EveryPartition() if read.last_days is None else NewestPartitions(read.last_days)
