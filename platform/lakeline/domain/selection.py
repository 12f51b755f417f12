"""Which partitions of a run a step builds: all that were asked for, or only those that are not as they should be.

A run that a person starts builds what it names. A run with the tag ``lakeline/if_changed`` compares each partition with
the present when its turn comes, as reconciling does, and passes over what is fine. A run of the reconciler also says
which partitions of its range it means, and which of them failed before and are worth another attempt only if something
that they read has changed since.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lakeline.freshness.graph import Pair
from lakeline.freshness.plan_tags import IF_CHANGED, PLAN, UNLESS, keys_of, unless_of

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.ledger import Ledger

__all__ = ["IF_CHANGED", "is_current", "may_skip", "to_build"]


def may_skip(tags: Mapping[str, str]) -> bool:
    """Whether a run asks only for what has changed."""
    return tags.get(IF_CHANGED) == "true"


def to_build(
    ledger: "Ledger", node: "Node", keys: Sequence[str], tags: Mapping[str, str]
) -> tuple[str, ...]:
    """Partitions among ``keys`` that the run is to build, in order.

    Args:
        ledger: What each partition was built from.
        node: The asset.
        keys: Partitions of the run's range; ``""`` for an unpartitioned asset.
        tags: Of the run.
    """
    if not may_skip(tags) or (PLAN not in tags and _is_opaque(node)):
        return tuple(keys)
    from lakeline.freshness.declared import neighbourhood
    from lakeline.freshness.view import View

    meant = keys_of(json.loads(tags[PLAN]), node.asset, keys) if PLAN in tags else tuple(keys)
    view = View(neighbourhood(node), ledger)
    pairs: list[Pair] = [(node.asset, key) for key in meant]
    view.load(pairs)
    hopeless = unless_of(json.loads(tags.get(UNLESS, "{}")), node.asset)
    return tuple(
        key
        for asset, key in pairs
        if not view.standing((asset, key)).is_fine
        and not (key in hopeless and view.key((asset, key)) == hopeless[key])
    )


def _is_opaque(node: "Node") -> bool:
    """Whether only reading its source tells what that holds."""
    return node.source is not None and not hasattr(node.source, "versions")


def is_current(ledger: "Ledger", node: "Node", keys: Sequence[str]) -> bool:
    """Whether every partition was built by the present code from the present versions of what it reads."""
    return not to_build(ledger, node, keys, {IF_CHANGED: "true"})
