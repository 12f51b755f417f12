"""One run of a report asset: call the function, write its page, keep its numbers."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.build import call, open_handle
from lakeline.domain.handles import Table
from lakeline.domain.node import Node
from lakeline.domain.outcome import Report, require_checks
from lakeline.domain.recording import Outcome
from lakeline.domain.single import Made, build_single
from lakeline.errors import DomainError
from lakeline.monitoring.pages import write_page
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


def build_report(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run a report asset; its version is the hash of its numbers."""
    yield from build_single(context, node, lambda house: _made(house, node))


def _made(house: "Lakehouse", node: Node) -> Made:
    handles = [open_handle(house, one, node, None) for one in node.reads]
    report = call(house, node, None, handles, None).frame
    if not isinstance(report, Report):
        raise DomainError(
            f"'{node.asset}' returned {type(report).__name__}. A report returns Report(html=…, numbers=…)."
        )
    require_checks(node.asset, node.extras["checks"], report.checks)
    url = write_page(
        Path(house.reports), f"{node.domain}/{node.name}", report.html, base_url=house.reports_url
    )
    numbers = json.dumps(dict(report.numbers), sort_keys=True)
    tables = [one for one in handles if isinstance(one, Table)]
    marks = [mark for one in tables if (mark := one.watermark(WHOLE)) is not None]
    return Made(
        outcome=Outcome(
            version=hashlib.sha256(numbers.encode()).hexdigest()[:32],
            watermark=min(marks) if marks else None,
            rows=0,
            size_bytes=len(report.html),
        ),
        inputs=[one for handle in handles for one in handle.inputs(WHOLE)],
        checks=report.checks,
        metadata={**report.numbers, "report": dg.MetadataValue.url(url)},
    )
