"""Record what a model or a report was built from: builds without a table, so that the ledger alone holds them."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.ledger import Build, Input
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.ledger import Cost, Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run made.

    Attributes:
        version: Hash of its content; a rerun that makes the same marks nobody.
        watermark: Event time up to which what it was made from is complete.
    """

    version: str
    watermark: dt.datetime | None
    rows: int
    size_bytes: int


def record(
    ledger: "Ledger",
    node: "Node",
    outcome: Outcome,
    inputs: Sequence[Input],
    *,
    run_id: str,
    cost: "Cost",
) -> None:
    """Make an outcome the present one of an asset, in one transaction: a crash leaves all of it or nothing."""
    build = Build(
        asset=node.asset,
        partition=WHOLE,
        version=outcome.version,
        watermark=outcome.watermark,
        code_version=node.code_version,
        run_id=run_id,
        rows=outcome.rows,
        bytes=outcome.size_bytes,
        inputs=tuple(inputs),
    )
    ledger.record(uuid.uuid4().hex, [build], cost)
