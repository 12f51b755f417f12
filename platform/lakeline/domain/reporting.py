"""One run of a report asset: call the function, write its page, keep its numbers."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.build import as_failure, call, open_handle
from lakeline.domain.handles import Table
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check, Report, require_checks
from lakeline.domain.recording import Outcome, record
from lakeline.domain.results import skipped
from lakeline.domain.selection import to_build
from lakeline.errors import DomainError
from lakeline.freshness.retraining import FAILED, PASSED, WATCHED_CHECK
from lakeline.lake.partitions import WHOLE
from lakeline.ledger import State
from lakeline.meter import Meter
from lakeline.monitoring.pages import write_page

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


def build_report(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run a report asset; its version is the hash of its numbers."""
    with as_failure(context):
        house: Lakehouse = context.resources.lakehouse
        meter = Meter()
        handles = [open_handle(house, one, node, None) for one in node.reads]
        seen = house.ledger.current(node.asset, [WHOLE])
        if not to_build(house.ledger, node, [WHOLE], context.run.tags):
            yield from skipped(context, [WHOLE], seen)
            return
        report = call(house, node, None, handles, None).frame
        if not isinstance(report, Report):
            raise DomainError(
                f"'{node.asset}' returned {type(report).__name__}. A report returns Report(html=…, numbers=…)."
            )
        require_checks(node.asset, node.extras["checks"], report.checks)
        url = write_page(
            Path(house.reports),
            f"{node.domain}/{node.name}",
            report.html,
            base_url=house.reports_url,
        )
        version = hashlib.sha256(
            json.dumps(dict(report.numbers), sort_keys=True).encode()
        ).hexdigest()[:32]
        marks = [
            mark
            for one in handles
            if isinstance(one, Table) and (mark := one.watermark(WHOLE)) is not None
        ]
        outcome = Outcome(
            version=version,
            watermark=min(marks) if marks else None,
            rows=0,
            size_bytes=len(report.html),
        )
        # Before the build: a process that dies in between leaves a report that is built again, and tells the same.
        house.ledger.set_states(
            [watched(node.asset, one) for one in report.checks], now=dt.datetime.now(dt.UTC)
        )
        record(house.ledger, node, outcome, handles, run_id=context.run.run_id, meter=meter)
        yield from (check.result() for check in report.checks)
        metadata = {**report.numbers, "report": dg.MetadataValue.url(url)}
        yield dg.MaterializeResult(
            value=None, metadata=metadata, data_version=dg.DataVersion(version)
        )


def watched(asset: str, check: Check) -> State:
    """A check's latest result, as the models that watch it look it up."""
    return State(
        asset=asset,
        partition=WHOLE,
        name=f"{WATCHED_CHECK}{check.name}",
        state=PASSED if check.passed else FAILED,
        detail={"description": check.description},
    )
