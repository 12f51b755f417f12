"""What is there at a moment of a scenario: the sources, every published partition, and what it was built from.

A version is ``main.detail``, each a hash over the same part of all inputs and the code's effect. An asset that absorbs
has no detail, so that a change of detail stops there. A source's version has a third part, which changes when it is
rewritten without change, and which nothing looks at.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.freshness.graph import ABSENT, WHOLE, Asset, Graph, Pair, end_of
from benchmarks.freshness.system import Built, Observation

Versions = Callable[[Pair], str]
Keys = Callable[[str], Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A published partition.

    Attributes:
        marks: Watermark of each upstream asset as it was read, by asset.
        codes: Code version of each upstream asset at that time.
    """

    version: str
    inputs: Mapping[Pair, str]
    marks: Mapping[str, dt.datetime | None]
    codes: Mapping[str, str]
    code_version: str


@dataclass(kw_only=True)
class Source:
    """A source: three counters a partition, and its watermark."""

    counters: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    watermark: dt.datetime | None = None

    def version(self, key: str) -> str:
        """Version of a partition, ``ABSENT`` if it is not there."""
        return ".".join(map(str, self.counters[key])) if key in self.counters else ABSENT


@dataclass(kw_only=True)
class Lake:
    """Sources and published partitions.

    Attributes:
        trained: When a model was trained.
        drifts: Whether the next report's check will fail, by report.
        found: Whether the check of the published report passed, by report.
    """

    graph: Graph
    sources: dict[str, Source] = field(default_factory=dict)
    held: dict[Pair, Held] = field(default_factory=dict)
    trained: list[dt.datetime] = field(default_factory=list)
    drifts: dict[str, bool] = field(default_factory=dict)
    found: dict[str, bool] = field(default_factory=dict)

    def version(self, pair: Pair) -> str:
        """Present version of a partition, ``ABSENT`` if it does not exist."""
        if pair[0] in self.sources:
            return self.sources[pair[0]].version(pair[1])
        return self.held[pair].version if pair in self.held else ABSENT

    def keys(self, asset: str) -> list[str]:
        """Partitions of an asset that exist, sorted."""
        if asset in self.sources:
            return sorted(self.sources[asset].counters)
        return sorted(key for name, key in self.held if name == asset)

    def observation(self, source: str) -> Observation:
        """What a landing sensor sees of a source."""
        one = self.sources[source]
        versions = {key: one.version(key) for key in sorted(one.counters)}
        return Observation(source=source, versions=versions, watermark=one.watermark)

    def read(self, asset: Asset, key: str) -> Held | None:
        """What a build that reads now will be; None if something that it needs is not there."""
        if not has_required(asset, key, self.keys, self.version):
            return None
        inputs = inputs_of(asset, key, self.keys, self.version)
        return Held(
            version=content(asset, inputs),
            inputs=inputs,
            marks={name: self._mark(pairs) for name, pairs in by_upstream(inputs).items()},
            codes={
                one.upstream: self.graph.assets[one.upstream].code.version for one in asset.reads
            },
            code_version=asset.code.version,
        )

    def put(self, asset: Asset, key: str, held: Held, now: dt.datetime) -> None:
        """Publish a partition."""
        self.held[asset.name, key] = held
        if asset.kind == "model":
            self.trained.append(now)
        if asset.kind == "report":
            self.found[asset.name] = not self.drifts.get(asset.name, False)

    def watermark(self, asset: str) -> dt.datetime | None:
        """Event time up to which the data of an asset are complete; None without event time or data.

        The smallest among the inputs of its newest partition. An input that has the version that was read counts with
        its present watermark, since the data are the same; another counts with the watermark that it had then.
        """
        keys = self.keys(asset)
        return self.watermark_of((asset, keys[-1])) if keys else None

    def watermark_of(self, pair: Pair) -> dt.datetime | None:
        """The same of one partition."""
        if pair[0] in self.sources:
            mark = self.sources[pair[0]].watermark
            return min(mark, end_of(pair[1])) if mark and pair[1] and self.version(pair) else None
        held = self.held.get(pair)
        return smallest(self._contributions(held)) if held is not None else None

    def built(self, asset: Asset, key: str) -> Built:
        """A published partition as a system is told of it."""
        held = self.held[asset.name, key]
        return Built(
            asset=asset.name,
            partition=key,
            version=held.version,
            inputs=held.inputs,
            code_version=held.code_version,
            watermark=smallest(self._counted(held)),
            checks={"drift": self.found[asset.name]} if asset.name in self.found else {},
        )

    def _counted(self, held: Held) -> Iterable[dt.datetime | None]:
        return (mark for name, mark in held.marks.items() if self._holds_back(name))

    def _contributions(self, held: Held) -> Iterable[dt.datetime | None]:
        for name, pairs in by_upstream(held.inputs).items():
            if self._holds_back(name):
                newest = pairs[-1]
                is_same = self.version(newest) == held.inputs[newest]
                yield self._mark(pairs) if is_same else held.marks[name]

    def _holds_back(self, upstream: str) -> bool:
        """A report is as old as what it compares, not as the model that it compares it with."""
        known = self.graph.assets.get(upstream)
        return known is None or known.kind != "model"

    def _mark(self, pairs: Sequence[Pair]) -> dt.datetime | None:
        return self.watermark_of(pairs[-1])


def inputs_of(asset: Asset, key: str, keys: Keys, version: Versions) -> dict[Pair, str]:
    """Version of every partition that a partition is made from."""
    return {
        (read.upstream, one): version((read.upstream, one))
        for read in asset.reads
        for one in read.partitions(
            key, keys(read.upstream) if read.kind in ("every", "newest") else ()
        )
    }


def has_required(asset: Asset, key: str, keys: Keys, version: Versions) -> bool:
    """Whether everything is there without which a partition cannot be built."""
    return all(
        version((read.upstream, one)) != ABSENT
        for read in asset.reads
        for one in read.required(
            key, keys(read.upstream) if read.kind in ("every", "newest") else ()
        )
    )


def content(asset: Asset, inputs: Mapping[Pair, str]) -> str:
    """Version of what the code of an asset makes from inputs of these versions; their names do not matter."""
    places = {read.upstream: str(number) for number, read in enumerate(asset.reads)}
    parts = [
        (f"{places[name]}{key}", *f"{version}.".split(".")[:2])
        for (name, key), version in inputs.items()
    ]
    main = _hash(asset.salt, asset.code.effect, *(f"{where}={main}" for where, main, _ in parts))
    if asset.absorbs:
        return f"{main}.0"
    return f"{main}.{_hash(*(f'{where}={detail}' for where, _, detail in parts))}"


def by_upstream(inputs: Mapping[Pair, str]) -> dict[str, list[Pair]]:
    """Inputs by asset, the newest partition last."""
    found: dict[str, list[Pair]] = {}
    for pair in sorted(inputs):
        found.setdefault(pair[0], []).append(pair)
    return found


def smallest(marks: Iterable[dt.datetime | None]) -> dt.datetime | None:
    """Smallest of those that are there."""
    return min((mark for mark in marks if mark is not None), default=None)


def _hash(*parts: object) -> str:
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=5).hexdigest()


def fresh_lake(graph: Graph, days: Sequence[str], now: dt.datetime) -> Lake:
    """A lake in which the sources have all days and everything is built from them."""
    lake = Lake(graph=graph)
    for source in graph.sources:
        keys = days if source.is_daily else [WHOLE]
        watermark = end_of(days[-1]) if source.is_daily else None
        lake.sources[source.name] = Source(
            counters=dict.fromkeys(keys, (0, 0, 0)), watermark=watermark
        )
    for asset in graph.built:
        for key in days if asset.is_daily else [WHOLE]:
            held = lake.read(asset, key)
            assert held is not None
            lake.put(asset, key, held, now)
    return lake
