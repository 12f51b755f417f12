"""The truth by brute force: what every partition should be, computed from the sources each time it is asked for.

It goes through the assets, upstream first, and through every partition that each could have. It knows no events, no
agenda and no marks, and shares no code with what it judges.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.convergence.cases import (
    FIRST_DAY,
    HOUR,
    REGIONS,
    WHOLE,
    Asset,
    Assets,
    Pair,
    Read,
    day,
    shifted,
)

ABSENT = ""
HORIZON = range(-4, 24)
"""Days that are looked at: all that a case can reach."""

Inputs = Mapping[Pair, str]
Versions = Callable[[Pair], str]
Keys = Callable[[str], Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A published partition.

    Attributes:
        codes: Of a model: number of the code that had built the newest partition of each asset that it read.
        until: Of a model: the end of the days that it learned from.
    """

    version: str
    inputs: Inputs
    code: int
    codes: Mapping[Pair, int] = field(default_factory=dict)
    until: dt.datetime | None = None


@dataclass(kw_only=True)
class Truth:
    """What is there at one moment.

    Attributes:
        sources: Versions of the sources' partitions, as they were last observed.
        held: Published partitions.
        trained: When each model was trained.
        failing: Reports whose check failed.
        given_up: Whether a partition failed too often with this code and these inputs.
    """

    assets: Assets
    now: dt.datetime
    sources: dict[Pair, str] = field(default_factory=dict)
    held: dict[Pair, Held] = field(default_factory=dict)
    trained: dict[str, list[dt.datetime]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    given_up: Callable[[Pair, int, Inputs], bool] = lambda _pair, _code, _inputs: False

    def version(self, pair: Pair) -> str:
        """Present version of a partition."""
        if pair in self.sources:
            return self.sources[pair]
        return self.held[pair].version if pair in self.held else ABSENT

    def keys(self, asset: str) -> list[str]:
        """Partitions of an asset that exist, sorted."""
        return sorted(key for name, key in (*self.sources, *self.held) if name == asset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a partition should be; ``inputs`` is None where it stays as it is, right or not."""

    version: str
    inputs: Inputs | None = None
    code: int = 0


def fixpoint(truth: Truth) -> dict[Pair, Target]:
    """Every partition that should exist.

    One that only people build, that was given up, that lacks what it needs, and a model without a reason to be trained
    stay as they are, and their readers count on that.
    """
    found = _Found()
    for pair, version in truth.sources.items():
        found.add(pair, Target(version=version))
    for pair, held in truth.held.items():
        if pair[0] not in truth.assets:
            found.add(pair, Target(version=held.version, code=held.code))
    for asset in truth.assets.values():
        if asset.kind == "source":
            continue
        for key in sorted({*truth.keys(asset.name), *_candidates(truth, asset, found.keys)}):
            if (target := _target(truth, asset, key, found)) is not None:
                found.add((asset.name, key), target)
    return found.targets


@dataclass(kw_only=True, slots=True)
class _Found:
    """The targets so far."""

    targets: dict[Pair, Target] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, pair: Pair, target: Target) -> None:
        """One more."""
        self.targets[pair] = target
        self.names.setdefault(pair[0], []).append(pair[1])

    def keys(self, asset: str) -> Sequence[str]:
        """Partitions that an asset should have, sorted."""
        return sorted(self.names.get(asset, ()))

    def version(self, pair: Pair) -> str:
        """Version that a partition should have."""
        return self.targets[pair].version if pair in self.targets else ABSENT


def inputs_of(
    asset: Asset, key: str, assets: Assets, keys: Keys, version: Versions, *, declared: bool = False
) -> Inputs:
    """What a build of a partition reads, with versions; with ``declared`` also what it could read and does not."""
    return {
        (read.upstream, one): version((read.upstream, one))
        for read in asset.reads
        if read.is_taken or declared
        for one in partitions_read(read, key, assets[read.upstream], keys(read.upstream))
    }


def partitions_read(read: Read, key: str, upstream: Asset, there: Sequence[str]) -> list[str]:
    """Upstream partitions that a partition is made from."""
    if read.kind == "window":
        days = [shifted(key, offset) for offset in range(read.start, read.end + 1)]
        return [one for one in days if one >= day(upstream.first)]
    if read.kind == "regions":
        return list(read.keys)
    if read.kind == "pairs":
        return [read.keys[REGIONS.index(key)]]
    if read.kind == "whole":
        return [WHOLE]
    if read.kind in ("every", "newest"):
        return list(there)[-read.count if read.kind == "newest" else 0 :]
    return [key]


def can_be_built(asset: Asset, key: str, assets: Assets, keys: Keys) -> bool:
    """Whether what a partition cannot do without is there."""
    return all(
        _is_served(read, key, assets[read.upstream], keys(read.upstream)) for read in asset.reads
    )


def content(asset: Asset, inputs: Inputs) -> str:
    """What an asset makes from inputs; their names do not matter."""
    places = {read.upstream: str(number) for number, read in enumerate(asset.reads)}
    parts = [f"{places[name]}/{key}={version}" for (name, key), version in inputs.items()]
    made = digest(asset.salt, asset.effect, *parts)
    return f"{int(made, 16) % asset.grain}" if asset.grain else made


def digest(*parts: object) -> str:
    """Hash of some values."""
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=6).hexdigest()


def learned_until(inputs: Inputs) -> dt.datetime | None:
    """End of the newest day among the inputs."""
    days = [key for _, key in inputs if key and key not in REGIONS]
    if not days:
        return None
    return dt.datetime.fromisoformat(shifted(max(days), 1)).replace(tzinfo=dt.UTC)


def _candidates(truth: Truth, asset: Asset, keys: Keys) -> list[str]:
    """Partitions that it could have, by what there is to read."""
    if asset.parting != "days":
        return list(REGIONS) if asset.parting == "regions" else [WHOLE]
    days = [one for one in map(day, HORIZON) if asset.may_have(one)]
    daily = [read for read in asset.reads if read.kind in ("same", "window")]
    if not daily:
        over = (truth.now.date() - FIRST_DAY).days
        return [one for one in days if one < day(over)]
    there = {read.upstream: set(keys(read.upstream)) for read in daily}
    return [
        one
        for one in days
        if any(
            there[read.upstream] & set(partitions_read(read, one, truth.assets[read.upstream], ()))
            for read in daily
        )
    ]


def _is_served(read: Read, key: str, upstream: Asset, there: Sequence[str]) -> bool:
    if read.kind in ("every", "newest"):
        return bool(there)
    wanted = partitions_read(read, key, upstream, there)
    if read.kind == "window":
        nearest = min(range(read.start, read.end + 1), key=abs)
        wanted = [one for one in wanted if one == shifted(key, nearest)]
    return set(wanted) <= set(there)


def _target(truth: Truth, asset: Asset, key: str, found: _Found) -> Target | None:
    held = truth.held.get((asset.name, key))
    inputs = _worth_building(truth, asset, key, found)
    if inputs is None:
        return Target(version=held.version, code=held.code) if held is not None else None
    if held is not None and held.inputs == inputs and not is_code_new(asset, held):
        return Target(version=held.version, inputs=inputs, code=held.code)
    if asset.kind == "model" and held is not None and not _is_to_train(truth, asset, held, found):
        return Target(version=held.version, code=held.code)
    return Target(version=content(asset, inputs), inputs=inputs, code=asset.code)


def _worth_building(truth: Truth, asset: Asset, key: str, found: _Found) -> Inputs | None:
    """What a partition should be built from; None if it stays as it is."""
    if asset.is_manual or not asset.may_have(key):
        return None
    if not can_be_built(asset, key, truth.assets, found.keys):
        return None
    if (asset.name, key) not in truth.held and not _is_due(asset, key, truth.now, found.keys):
        return None
    declared = inputs_of(asset, key, truth.assets, found.keys, found.version, declared=True)
    if truth.given_up((asset.name, key), asset.code, declared):
        return None
    return inputs_of(asset, key, truth.assets, found.keys, found.version)


def is_code_new(asset: Asset, held: Held | None) -> bool:
    """Whether a partition was built by other code, and that matters."""
    return asset.rebuilds_on_code and held is not None and held.code != asset.code


def _is_due(asset: Asset, key: str, now: dt.datetime, keys: Keys) -> bool:
    """Whether the time of a partition that does not exist has come: its day is over, and there is enough to read."""
    if asset.parting == "days" and asset.until is None and shifted(key, 1) > f"{now:%Y-%m-%d}":
        return False
    whole = [read for read in asset.reads if read.kind in ("every", "newest")]
    return all(len(keys(read.upstream)) >= asset.needs for read in whole)


def _is_to_train(truth: Truth, asset: Asset, held: Held, found: _Found) -> bool:
    """Whether a model whose inputs or code changed has a reason to be trained, and may be."""
    has_reason = (
        is_code_new(asset, held)
        or _is_too_old(asset, held, truth.now)
        or any(
            pair in found.targets and found.targets[pair].code != code
            for pair, code in held.codes.items()
        )
        or asset.watches in truth.failing
    )
    trained = truth.trained.get(asset.name, [])
    newest = sorted(trained)[-asset.at_most :]
    is_cooling = bool(trained) and truth.now < max(trained) + asset.cooldown_h * HOUR
    is_spent = len(newest) == asset.at_most and truth.now < newest[0] + 48 * HOUR
    return has_reason and not is_cooling and not is_spent


def _is_too_old(asset: Asset, held: Held, now: dt.datetime) -> bool:
    if held.until is None:
        return True
    return bool(asset.promise) and now - held.until > int(asset.promise[:-1]) * HOUR
