"""A case: a graph and an order of events as plain data, so that Hypothesis can make it, shrink it and print it.

Days are numbered from the first of 2026. What an event means is up to the world that plays it: it picks one of what is
there by number, so that any list of events fits any graph.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Literal

from lakeline.freshness.graph import UNPARTITIONED, Days, Edge, Fixed, Graph, Vertex
from lakeline.freshness.mapping import (
    DayWindow,
    EveryPartition,
    NewestPartitions,
    SamePartition,
    StaticPairs,
    StaticPartitions,
    WholeAsset,
)
from lakeline.freshness.mapping import Mapping as PartitionMapping
from lakeline.freshness.promise import parse_promise
from lakeline.freshness.retraining import Retrain

Pair = tuple[str, str]
Parting = Literal["days", "regions", "whole"]
Correspondence = Literal["same", "window", "every", "newest", "whole", "regions", "pairs"]

WHOLE = ""
FIRST_DAY = dt.date(2026, 1, 1)
START = dt.datetime(2026, 1, 11, 6, tzinfo=dt.UTC)
REGIONS = ("east", "north", "west")
HOUR = dt.timedelta(hours=1)
CHECK = "drift"


def day(number: int) -> str:
    """Key of a day.

    >>> day(0), day(31)
    ('2026-01-01', '2026-02-01')
    """
    return (FIRST_DAY + dt.timedelta(days=number)).isoformat()


def shifted(key: str, days: int) -> str:
    """The key so many days later."""
    return (dt.date.fromisoformat(key) + dt.timedelta(days=days)).isoformat()


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One dependency.

    Attributes:
        start, end: Of a window: its first and last day, counted from the reader's.
        count: Of the newest partitions: how many.
        keys: Of regions: those that are read; of pairs: the region for each of the reader's.
        is_taken: Whether the build reads it; what is declared and not read makes nothing stale.
    """

    upstream: str
    kind: Correspondence = "same"
    start: int = 0
    end: int = 0
    count: int = 0
    keys: tuple[str, ...] = ()
    is_taken: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One asset, or a source, which nobody builds.

    Attributes:
        salt: What its content depends on beside code and inputs; it keeps it under another name.
        first, until: Of days: its first one, and the one after its last; None where it has no last.
        code: Number of its code, which is its code version.
        effect: What the code does; codes that do the same make equal content.
        grain: So many different contents it can have; 0 has one for each combination of inputs.
        needs: Partitions of what it reads as a whole that must exist before it is built for the first time.
        promise: Of a model: how old its data may get.
        watches: Of a model: the report whose failed check is a reason to train it.
    """

    name: str
    salt: str
    kind: Literal["source", "table", "model", "report"] = "table"
    parting: Parting = "days"
    first: int = 0
    until: int | None = None
    reads: tuple[Read, ...] = ()
    code: int = 1
    effect: int = 1
    grain: int = 0
    is_manual: bool = False
    rebuilds_on_code: bool = True
    needs: int = 0
    promise: str = ""
    watches: str = ""
    cooldown_h: int = 0
    at_most: int = 3

    def may_have(self, key: str) -> bool:
        """Whether it can have a partition."""
        if self.parting == "days":
            return key >= day(self.first) and (self.until is None or key < day(self.until))
        return key in (REGIONS if self.parting == "regions" else (WHOLE,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happens; the numbers say to what, and how."""

    kind: str
    which: int = 0
    where: int = 0
    how: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A graph, upstream first, and what happens to it."""

    assets: tuple[Asset, ...]
    events: tuple[Event, ...]
    runs: int = 2
    attempts: int = 4


Assets = Mapping[str, Asset]


def ordered(assets: Sequence[Asset]) -> dict[str, Asset]:
    """Assets by name, each after what it reads."""
    named = {one.name: one for one in assets}
    order = TopologicalSorter({one.name: [read.upstream for read in one.reads] for one in assets})
    return {name: named[name] for name in order.static_order()}


def graph_of(assets: Assets) -> Graph:
    """The graph as lakeline takes it."""
    return Graph.of(_vertex(one, assets) for one in assets.values())


def renamed(assets: Assets, name: str, to: str) -> dict[str, Asset]:
    """The assets with another name for one; the code of its readers, which say the name, is new with it."""
    found = []
    for one in assets.values():
        reads = [
            replace(read, upstream=to) if read.upstream == name else read for read in one.reads
        ]
        own = to if one.name == name else one.name
        watches = to if one.watches == name else one.watches
        found.append(replace(_reading(one, reads), name=own, watches=watches))
    return ordered(found)


def without(assets: Assets, name: str) -> dict[str, Asset]:
    """The assets without one of them and the reads of it."""
    left = [one for one in assets.values() if one.name != name]
    return ordered([_reading(one, [read for read in one.reads if read.upstream != name]) for one in left])  # fmt: skip


def _reading(asset: Asset, reads: Sequence[Read]) -> Asset:
    """The asset with other reads, which are part of its code."""
    if tuple(reads) == asset.reads:
        return asset
    return replace(asset, reads=tuple(reads), code=asset.code + 100)


def _vertex(asset: Asset, assets: Assets) -> Vertex:
    return Vertex(
        name=asset.name,
        kind=asset.kind,
        partitions=_partitions(asset),
        reads=tuple(
            Edge(upstream=read.upstream, mapping=_mapping(read, assets[read.upstream]))
            for read in asset.reads
        ),
        code_version=f"c{asset.code}",
        rebuilds_on_code=asset.rebuilds_on_code,
        automation="manual" if asset.is_manual else "auto",
        promise=parse_promise(asset.promise, asset=asset.name) if asset.promise else None,
        retrain=_retrain(asset) if asset.kind == "model" else None,
        needs_partitions=asset.needs,
    )


def _partitions(asset: Asset) -> Days | Fixed:
    if asset.parting == "days":
        until = None if asset.until is None else day(asset.until)
        return Days(first=day(asset.first), until=until)
    return Fixed(REGIONS) if asset.parting == "regions" else UNPARTITIONED


def _mapping(read: Read, upstream: Asset) -> PartitionMapping:
    if read.kind == "window":
        return DayWindow(start=read.start, end=read.end, first=day(upstream.first))
    if read.kind == "pairs":
        return StaticPairs({key: (one,) for key, one in zip(REGIONS, read.keys, strict=True)})
    if read.kind == "regions":
        return StaticPartitions(read.keys)
    if read.kind == "newest":
        return NewestPartitions(read.count)
    if read.kind == "every":
        return EveryPartition()
    return WholeAsset() if read.kind == "whole" else SamePartition()


def _retrain(asset: Asset) -> Retrain:
    return Retrain(
        on=((asset.watches, CHECK),) if asset.watches else (),
        cooldown=asset.cooldown_h * HOUR,
        at_most=asset.at_most,
        per=48 * HOUR,
    )
