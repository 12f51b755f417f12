"""The graph that every scenario is played on: 12 assets over 60 days, with three sources, in terms of no system."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Literal

Pair = tuple[str, str]
"""An asset and one of its partitions; the partition of an asset without partitions is ``""``."""

WHOLE = ""
ABSENT = ""
"""Version of a partition that does not exist."""

FIRST_DAY = dt.date(2024, 1, 1)
DAYS = 60
START = dt.datetime(2024, 3, 1, 6, tzinfo=dt.UTC)
"""When each scenario begins: the morning after the sixtieth day."""

MIDNIGHT = START - dt.timedelta(hours=6)
HOUR = dt.timedelta(hours=1)
Correspondence = Literal["same", "window", "every", "newest", "whole"]


def day(number: int) -> str:
    """Key of a day; 59 is the newest at the start, and negative numbers count back from it.

    >>> day(0), day(59), day(-1)
    ('2024-01-01', '2024-02-29', '2024-02-29')
    """
    return (FIRST_DAY + dt.timedelta(days=number if number >= 0 else DAYS + number)).isoformat()


def shifted(key: str, days: int) -> str:
    """The key so many days later."""
    return (dt.date.fromisoformat(key) + dt.timedelta(days=days)).isoformat()


def end_of(key: str) -> dt.datetime:
    """The moment at which a day is over."""
    return dt.datetime.fromisoformat(shifted(key, 1)).replace(tzinfo=dt.UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One dependency and how its partitions correspond.

    Attributes:
        start, end: Of a window: its first and last day, counted from the reader's.
        count: Of the newest partitions: how many.
    """

    upstream: str
    kind: Correspondence = "same"
    start: int = 0
    end: int = 0
    count: int = 0

    def partitions(self, key: str, known: Sequence[str]) -> tuple[str, ...]:
        """Upstream partitions that the reader's partition is made from; ``known`` are those that exist, sorted."""
        if self.kind == "window":
            days = (shifted(key, offset) for offset in range(self.start, self.end + 1))
            return tuple(one for one in days if one >= day(0))
        if self.kind in ("every", "newest"):
            return tuple(known[-self.count :])
        return (WHOLE,) if self.kind == "whole" else (key,)

    def required(self, key: str, known: Sequence[str]) -> tuple[str, ...]:
        """Those without which it cannot be built: of many days the newest one, of a window the nearest."""
        return self.partitions(key, known)[-1:] or (
            (WHOLE,) if self.count or self.kind == "every" else ()
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """Code of an asset: its version, and what it does; versions that do the same make equal content."""

    version: str = "1"
    effect: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Retraining:
    """A model is trained again for its promise, its code, the code of what it reads, or a failed check of a report.

    Changed inputs alone are no reason, and without changed inputs or code no reason counts.

    Attributes:
        report: Whose failed check ``drift`` is a reason.
        cooldown: Least time from one training to the next.
        at_most: Trainings in ``per``.
    """

    report: str
    cooldown: dt.timedelta
    at_most: int
    per: dt.timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One asset, or a source, which nobody builds.

    Attributes:
        promise: How old its data may get: now less its watermark.
        absorbs: Whether its content is the same for inputs that differ in detail only.
        is_automatic: False leaves building it to people.
        salt: What its content depends on beside code and inputs; an asset keeps it under another name.
    """

    name: str
    kind: Literal["source", "table", "model", "report"] = "table"
    is_daily: bool = True
    reads: tuple[Read, ...] = ()
    code: Code = field(default_factory=Code)
    promise: dt.timedelta | None = None
    absorbs: bool = False
    is_automatic: bool = True
    retraining: Retraining | None = None
    salt: str = ""


@dataclass(frozen=True)
class Graph:
    """Assets by name; ``order`` has each after what it reads."""

    assets: Mapping[str, Asset]
    order: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        reads = {name: [one.upstream for one in asset.reads] for name, asset in self.assets.items()}
        object.__setattr__(self, "order", tuple(TopologicalSorter(reads).static_order()))

    @classmethod
    def of(cls, assets: Iterable[Asset]) -> "Graph":
        """The graph of some assets."""
        return cls({asset.name: asset for asset in assets})

    @property
    def sources(self) -> list[Asset]:
        """What is read and not built."""
        return [self.assets[name] for name in self.order if self.assets[name].kind == "source"]

    @property
    def built(self) -> list[Asset]:
        """What is built, upstream first."""
        return [self.assets[name] for name in self.order if self.assets[name].kind != "source"]

    def changed(self, name: str, **changes: object) -> "Graph":
        """The graph with other attributes of one asset."""
        assets = dict(self.assets)
        assets[name] = replace(assets[name], **changes)  # type: ignore[arg-type]
        return Graph(assets)

    def without(self, name: str) -> "Graph":
        """The graph without an asset and the reads of it."""
        return Graph.of(
            replace(one, reads=tuple(read for read in one.reads if read.upstream != name))
            for one in self.assets.values()
            if one.name != name
        )

    def renamed(self, name: str, to: str) -> "Graph":
        """The graph with an asset under another name; the code of its readers, which say the name, is new with it."""
        return Graph.of(_with_name(one, name, to) for one in self.assets.values())


def _with_name(asset: Asset, name: str, to: str) -> Asset:
    if asset.name == name:
        return replace(asset, name=to)
    if all(read.upstream != name for read in asset.reads):
        return asset
    reads = (
        replace(read, upstream=to if read.upstream == name else read.upstream)
        for read in asset.reads
    )
    return replace(
        asset, reads=tuple(reads), code=replace(asset.code, version=f"{asset.code.version}+")
    )


DAY_AND_HALF = 36 * HOUR
TWO_DAYS_AND_HALF = 60 * HOUR
FLIGHTS, WEATHER, PLANES = "source_flights", "source_weather", "source_planes"


def the_graph() -> Graph:
    """Two daily sources and a static one, twelve assets: three diamonds, two windows, and consumers of many days.

    ``features`` reads yesterday's weather, so it and what follows it are a day behind and promise a day more.
    """
    source = [
        Asset(name=FLIGHTS, kind="source"),
        Asset(name=WEATHER, kind="source"),
        Asset(name=PLANES, kind="source", is_daily=False),
    ]
    raw = [
        _table("departures", Read(upstream=FLIGHTS)),
        _table("weather", Read(upstream=WEATHER)),
        Asset(
            name="planes",
            is_daily=False,
            reads=(Read(upstream=PLANES, kind="whole"),),
            salt="planes",
        ),
    ]
    tables = [
        _table("clean", Read(upstream="departures"), Read(upstream="planes", kind="whole")),
        replace(_table("hourly", Read(upstream="weather")), absorbs=True),
        _table("joined", Read(upstream="clean"), Read(upstream="hourly")),
        _table("backlog", Read(upstream="clean", kind="window", start=-2)),
    ]
    yesterday = Read(upstream="hourly", kind="window", start=-1, end=-1)
    features = replace(
        _table("features", Read(upstream="joined"), Read(upstream="backlog"), yesterday),
        promise=TWO_DAYS_AND_HALF,
    )
    return Graph.of([*source, *raw, *tables, features, *_consumers()])


def _table(name: str, *reads: Read) -> Asset:
    return Asset(name=name, reads=reads, promise=DAY_AND_HALF, salt=name)


def _consumers() -> list[Asset]:
    retraining = Retraining(report="report", cooldown=30 * HOUR, at_most=3, per=14 * 24 * HOUR)
    return [
        replace(_table("totals", Read(upstream="clean", kind="every")), is_daily=False),
        replace(
            _table("recent", Read(upstream="joined", kind="newest", count=7)),
            is_daily=False,
            absorbs=True,
        ),
        Asset(
            name="model",
            kind="model",
            is_daily=False,
            reads=(Read(upstream="features", kind="newest", count=28),),
            promise=7 * 24 * HOUR,
            retraining=retraining,
            salt="model",
        ),
        Asset(
            name="report",
            kind="report",
            is_daily=False,
            reads=(
                Read(upstream="model", kind="whole"),
                Read(upstream="features", kind="newest", count=7),
            ),
            promise=TWO_DAYS_AND_HALF,
            salt="report",
        ),
    ]
