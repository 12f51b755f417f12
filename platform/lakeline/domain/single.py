"""One run of an asset that has neither partitions nor a table of its own: a report, what is online, a registry."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.alone import alone
from lakeline.domain.build import as_failure
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check
from lakeline.domain.recording import Outcome, record
from lakeline.domain.results import skipped
from lakeline.domain.selection import to_build
from lakeline.freshness.retraining import FAILED, PASSED, WATCHED_CHECK
from lakeline.ledger import Input, State
from lakeline.meter import Meter
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a run of such an asset made.

    Attributes:
        outcome: What the ledger is to say of it.
        inputs: What it was made from.
        checks: Results of its checks, which models may watch.
        metadata: Shown in the UI.
    """

    outcome: Outcome
    inputs: Sequence[Input] = ()
    checks: Sequence[Check] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def build_single(
    context: dg.AssetExecutionContext, node: Node, make: "Callable[[Lakehouse], Made]"
) -> Iterator[Any]:
    """Run the asset, unless the run asks only for what has changed and nothing has.

    One run at a time: of two, the one that read first could end last, and the ledger would tell of what the other made.
    """
    with as_failure(context), alone(context, node, "build"):
        house: Lakehouse = context.resources.lakehouse
        meter = Meter()
        seen = house.ledger.current(node.asset, [WHOLE])
        if not to_build(house.ledger, node, [WHOLE], context.run.tags):
            yield from skipped(context, [WHOLE], seen)
            return
        made = make(house)
        # Before the build: a process that dies in between leaves an asset that is built again, and tells the same.
        house.ledger.set_states(
            [_watched(node.asset, one) for one in made.checks], now=dt.datetime.now(dt.UTC)
        )
        record(
            house.ledger,
            node,
            made.outcome,
            made.inputs,
            run_id=context.run.run_id,
            cost=meter.cost(),
        )
        yield from (check.result() for check in made.checks)
        version = dg.DataVersion(made.outcome.version)
        yield dg.MaterializeResult(value=None, metadata=made.metadata, data_version=version)


def _watched(asset: str, check: Check) -> State:
    """A check's latest result, as the models that watch it look it up."""
    return State(
        asset=asset,
        partition=WHOLE,
        name=f"{WATCHED_CHECK}{check.name}",
        state=PASSED if check.passed else FAILED,
        detail={"description": check.description},
    )
