"""Tags by which a run carries its plan: which partitions of its range it means, and which attempts are not worth it.

Dagster gives a run one range of partitions for all its assets; what is to be built is often less.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lakeline.freshness.decision import RunPlan
from lakeline.window import Window, contiguous

IF_CHANGED = "lakeline/if_changed"
"""Partitions whose inputs and code are as recorded are not built again."""
PLAN = "lakeline/plan"
"""Ranges of partitions that are meant, by asset, as JSON."""
UNLESS = "lakeline/unless"
"""Keys with which partitions failed before, by asset and partition, as JSON."""
REASON = "lakeline/reason"
"""Why the run was launched, in words."""
CAUSE = "lakeline/cause"
"""What launched the run."""
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

_SEPARATOR = "..."


def tags_of(run: RunPlan, cause: str) -> dict[str, str]:
    """All tags of a run that carries out a plan."""
    tags = {
        IF_CHANGED: "true",
        CAUSE: cause,
        REASON: run.reason,
        PLAN: json.dumps({asset: _ranges(keys) for asset, keys in run.steps.items()}),
        # Reconciling tries again itself, after a pause and for a limited number of times.
        "dagster/max_retries": "0",
    }
    if run.unless:
        tags[UNLESS] = json.dumps(_nested(run))
    if run.span is not None:
        tags |= {RANGE_START: run.span[0], RANGE_END: run.span[1]}
    return tags


def partitions_of(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Partitions by asset of a run that carries a plan; empty for any other run."""
    plan: dict[str, list[str]] = json.loads(tags.get(PLAN, "{}"))
    return {asset: tuple(key for text in ranges for key in _keys(text)) for asset, ranges in plan.items()}  # fmt: skip


def keys_of(plan: Mapping[str, Sequence[str]], asset: str, keys: Sequence[str]) -> tuple[str, ...]:
    """Those of ``keys`` that a plan means for an asset."""
    meant = {key for text in plan.get(asset, ()) for key in _keys(text)}
    return tuple(key for key in keys if key in meant)


def unless_of(unless: Mapping[str, Any], asset: str) -> dict[str, str]:
    """Keys of earlier failures by partition of an asset."""
    return dict(unless.get(asset, {}))


def _ranges(keys: Sequence[str]) -> list[str]:
    """Keys as text, days that follow each other as one.

    >>> _ranges(["2026-01-01", "2026-01-02", "2026-01-05"]), _ranges([""])
    (['2026-01-01...2026-01-02', '2026-01-05'], [''])
    """
    if not all(_is_day(key) for key in keys):
        return list(keys)
    return [a if a == b else f"{a}{_SEPARATOR}{b}" for a, b in contiguous(keys)]


def _keys(text: str) -> Sequence[str]:
    first, is_range, last = text.partition(_SEPARATOR)
    return Window.of_days(first, last).partitions if is_range else (text,)


def _is_day(key: str) -> bool:
    return len(key) == len("2026-01-01") and key[4] == key[7] == "-" and key.replace("-", "").isdigit()  # fmt: skip


def _nested(run: RunPlan) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for (asset, partition), key in run.unless.items():
        found.setdefault(asset, {})[partition] = key
    return found
