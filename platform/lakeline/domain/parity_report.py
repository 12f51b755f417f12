"""The report that compares what a view served online with what its rows say of the same moments."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.handles import Table, open_table
from lakeline.domain.node import Node
from lakeline.domain.online_assets import PARITY
from lakeline.domain.outcome import Check
from lakeline.domain.recording import Outcome
from lakeline.domain.single import Made, build_single
from lakeline.freshness.retraining import FAILED, WATCHED_CHECK
from lakeline.ledger import Input
from lakeline.window import WHOLE

if TYPE_CHECKING:
    import polars as pl

    from lakeline.features.parity import FeatureParity, Parity
    from lakeline.features.point_in_time import FeatureSource
    from lakeline.ledger import Ledger
    from lakeline.resource import Lakehouse


def failed_parity(ledger: "Ledger", views: Sequence[Node]) -> list[str]:
    """Reports among those of some views that say that online and offline differ."""
    asked = {f"{node.domain}/{node.name}_{PARITY}" for node in views}
    states = ledger.states(name=f"{WATCHED_CHECK}{PARITY}")
    return sorted(one.asset for one in states if one.asset in asked and one.state == FAILED)


def build_parity(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run a parity report."""
    yield from build_single(context, node, lambda house: _made(house, node))


def _made(house: "Lakehouse", node: Node) -> Made:
    handle = open_table(house.lake, house.ledger, node.reads[0], node, None)
    found = compared(house, handle)
    said = "\n".join(str(one) for one in found)
    return Made(
        outcome=Outcome(
            version=hashlib.sha256(said.encode()).hexdigest()[:32],
            watermark=handle.watermark(WHOLE),
            rows=0,
            size_bytes=len(said),
        ),
        inputs=(*handle.inputs(WHOLE), *_online_input(house, node.reads[1].node)),
        checks=(_check(found),),
        metadata=_metadata(found),
    )


def compared(house: "Lakehouse", handle: Table) -> "list[Parity]":
    """Parity of the reads of each of the store's newest fillings, oldest first; empty where nothing was read."""
    from lakeline.features.parity import parity
    from lakeline.features.read_log import READ, STATUS

    view, source = handle.node, handle.features()
    found = []
    for reads in house.read_log(view.domain).newest(view.name):
        rows = _filled_from(handle, source, reads)
        if rows is None or not _reaches(handle, reads[READ].min(), source.ttl):
            continue
        handle.record(source.columns)
        there = replace(source, frame=rows)
        found.append(parity(reads, [there], at=READ, status={source.name: STATUS}))
    return found


def _filled_from(
    handle: Table, source: "FeatureSource", reads: "pl.DataFrame"
) -> "pl.LazyFrame | None":
    """The rows that the store had been filled from: what was published or corrected later, nobody could have served.

    None where the table does not remember them, so that the reads cannot be judged any more.
    """
    import polars as pl

    from lakeline.features.read_log import FILLED, SNAPSHOT
    from lakeline.lake.holds import UnknownSnapshotError
    from lakeline.lake.past import scan_past

    snapshot_id = reads[SNAPSHOT][0]
    if snapshot_id is None:
        return source.frame.lazy().filter(pl.col(source.event_time) < reads[FILLED][0])
    try:
        return scan_past(handle.iceberg, snapshot_id, handle.window, columns=source.columns)
    except UnknownSnapshotError:
        return None


def _reaches(handle: Table, moment: Any, ttl: dt.timedelta | None) -> bool:
    """Whether the handle has every row that could have been served at a moment; older reads cannot be judged by it."""
    if handle.window is None or handle.window.partitions[0] <= min(handle.current):
        return True
    return ttl is not None and moment - ttl >= handle.window.start


def _online_input(house: "Lakehouse", online: Node) -> list[Input]:
    held = house.ledger.current(online.asset, [WHOLE]).get(WHOLE)
    if held is None:
        return []
    return [Input(asset=online.asset, partition=WHOLE, version=held.version, columns=())]


def _check(found: "Sequence[Parity]") -> Check:
    broken = [one for each in found for one in each.broken]
    values = sum(one.values for one in found)
    said = f"All {values:,} values that were served are those of the offline path."
    if not found:
        said = "Nothing was read online yet."
    if broken:
        said = " ".join(f"{one}." for one in broken[:3])
    return Check(
        name=PARITY,
        passed=not broken,
        description=said,
        numbers={"values": values, "features_broken": len({one.feature for one in broken})},
    )


def _metadata(found: "Sequence[Parity]") -> dict[str, Any]:
    lines = ["| feature | reads | equal | differing | missing | extra | cause |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [_line(one) for each in found for one in each.features]
    return {
        "values": sum(one.values for one in found),
        "parity": dg.MetadataValue.md("\n".join(lines)),
    }


def _line(one: "FeatureParity") -> str:
    counts = f"{one.rows} | {one.equal} | {one.differing} | {one.missing} | {one.extra}"
    return f"| {one.feature} | {counts} | {one.cause or ''} |"
