"""The checks ``fresh`` and ``consistent``, as Dagster is given them: the truth about an asset's data, whenever a person asks."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from lakeline.domain.node import Node

FRESH, CONSISTENT = "fresh", "consistent"
"""Names of the checks, and of the ledger's states that say what they said last."""

_DOC = {
    FRESH: "Whether the data reaches as far as was promised, by the time of the data.",
    CONSISTENT: "Whether every partition was built from the present versions of what it reads.",
}


def checks_of(nodes: "Iterable[Node]", *, clock_key: str) -> dg.AssetChecksDefinition:
    """Both checks of every asset, to be evaluated when a person asks.

    Args:
        nodes: The assets.
        clock_key: Resource with a ``clock``, which says what time it is.
    """
    held = list(nodes)
    specs = [
        dg.AssetCheckSpec(name, asset=dg.AssetKey([node.domain, node.name]), description=_DOC[name])
        for node in held
        for name in (CONSISTENT, *((FRESH,) if node.extras["promise"] else ()))
    ]

    @dg.multi_asset_check(
        name="freshness",
        specs=specs,
        can_subset=True,
        required_resource_keys={"lakehouse", clock_key},
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from lakeline.freshness.check_states import evaluation, present_states
        from lakeline.freshness.declared import graph_of

        wanted = context.selected_asset_check_keys
        now = getattr(context.resources, clock_key).clock.now()
        graph = graph_of(held)
        for state in present_states(graph, context.resources.lakehouse.ledger, now):
            said = evaluation(state)
            if said.asset_check_key in wanted:
                yield dg.AssetCheckResult(
                    asset_key=said.asset_key,
                    check_name=said.check_name,
                    passed=said.passed,
                    severity=said.severity,
                    description=said.description,
                    metadata=said.metadata,
                )

    return check
