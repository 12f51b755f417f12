"""The truth by brute force: what every partition should be, computed anew from the sources each time it is asked for.

It follows the graph from the sources and looks at every partition of every asset. It knows no events and keeps nothing.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.freshness.graph import ABSENT, FIRST_DAY, WHOLE, Asset, Pair, Retraining, day
from benchmarks.freshness.lake import Held, Lake, content, has_required, inputs_of

Stuck = Callable[[Pair, str, Mapping[Pair, str]], bool]
"""Whether building a partition with this code from these inputs is known to be in vain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a partition should be.

    Attributes:
        inputs: What it should be built from; None where it stays as it is for a reason other than being right.
    """

    version: str
    inputs: Mapping[Pair, str] | None


def targets(lake: Lake, now: dt.datetime, is_stuck: Stuck) -> dict[Pair, Target]:
    """The fixpoint: every partition that should exist, with its version.

    A partition that is stuck, that only people build, that lacks something that it needs, or a model without a reason to
    be trained stays as it is; its readers count on that, and where it does not exist they should not either.
    """
    found: dict[Pair, Target] = {
        (source.name, key): Target(version=lake.version((source.name, key)), inputs=None)
        for source in lake.graph.sources
        for key in lake.keys(source.name)
    }
    days = [day(number) for number in range((now.date() - FIRST_DAY).days)]
    for asset in lake.graph.built:
        keys_of = _keys_of(found)
        for key in days if asset.is_daily else [WHOLE]:
            target = _target(
                lake, asset, key, now=now, found=found, keys=keys_of, is_stuck=is_stuck
            )
            if target is not None:
                found[asset.name, key] = target
    return found


def off(lake: Lake, wanted: Mapping[Pair, Target]) -> list[Pair]:
    """Partitions that have another version than they should, or do not exist though they should."""
    return [pair for pair, target in wanted.items() if lake.version(pair) != target.version]


def is_consistent(lake: Lake, pair: Pair) -> bool:
    """Whether a partition was built by the present code from the present versions of what it should be made from."""
    asset, held = lake.graph.assets[pair[0]], lake.held[pair]
    present = inputs_of(asset, pair[1], lake.keys, lake.version)
    return held.code_version == asset.code.version and held.inputs == present


def is_fresh(lake: Lake, asset: Asset, now: dt.datetime) -> bool:
    """Whether the data of an asset are as young as it promises."""
    watermark = lake.watermark(asset.name)
    return watermark is not None and asset.promise is not None and now - watermark <= asset.promise


def least_builds(before: Lake, lake: Lake, after: Mapping[Pair, Target]) -> int:
    """How many builds no system can do without: one for each partition that is to be made from something else."""
    return sum(_is_other(before, lake, pair, target) for pair, target in after.items())


def _is_other(before: Lake, lake: Lake, pair: Pair, target: Target) -> bool:
    if target.inputs is None:
        return False
    held = before.held.get(pair)
    code = lake.graph.assets[pair[0]].code.version
    return held is None or (held.inputs, held.code_version) != (target.inputs, code)


def reason_to_train(lake: Lake, asset: Asset, inputs: Mapping[Pair, str], now: dt.datetime) -> str:
    """Why a model is to be trained on these inputs now, or nothing."""
    held = lake.held.get((asset.name, WHOLE))
    if held is None:
        return "it was never trained"
    is_code_new = held.code_version != asset.code.version
    rule = asset.retraining
    assert rule is not None
    if (held.inputs == inputs and not is_code_new) or _is_held_back(rule, lake.trained, now):
        return ""
    reasons = {
        "its code is new": is_code_new,
        "the code of what it reads is new": any(
            lake.graph.assets[name].code.version != code for name, code in held.codes.items()
        ),
        "its promise is broken": not is_fresh(lake, asset, now),
        "a check failed": not lake.found.get(rule.report, True),
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def _is_held_back(rule: Retraining, trained: Sequence[dt.datetime], now: dt.datetime) -> bool:
    is_cooling = now - trained[-1] < rule.cooldown
    return is_cooling or sum(now - one < rule.per for one in trained) >= rule.at_most


def _target(
    lake: Lake,
    asset: Asset,
    key: str,
    *,
    now: dt.datetime,
    found: Mapping[Pair, Target],
    keys: Callable[[str], list[str]],
    is_stuck: Stuck,
) -> Target | None:
    held = lake.held.get((asset.name, key))
    kept = Target(version=held.version, inputs=None) if held is not None else None

    def version(pair: Pair) -> str:
        return found[pair].version if pair in found else ABSENT

    if not asset.is_automatic or not has_required(asset, key, keys, version):
        return kept
    inputs = inputs_of(asset, key, keys, version)
    if asset.kind == "model" and not reason_to_train(lake, asset, inputs, now):
        return kept
    if is_stuck((asset.name, key), asset.code.version, inputs):
        return kept
    return Target(version=content(asset, inputs), inputs=inputs)


def _keys_of(found: Mapping[Pair, Target]) -> Callable[[str], list[str]]:
    def keys(name: str) -> list[str]:
        if name not in known:
            known[name] = sorted(key for asset, key in found if asset == name)
        return known[name]

    known: dict[str, list[str]] = {}
    return keys


def is_same(held: Held | None, reading: Held) -> bool:
    """Whether a build from this reading would be made from what the published one was made from."""
    return held is not None and (held.inputs, held.code_version) == (
        reading.inputs,
        reading.code_version,
    )
