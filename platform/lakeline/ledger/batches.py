"""A batch: the builds of one commit to the lake, written as pending before it and closed after it.

Everything here runs inside the ledger's one writing transaction.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from lakeline.errors import (
    EmptyBatchError,
    MixedBatchError,
    RepeatedBatchError,
    RepeatedPartitionError,
    UnknownBatchError,
)
from lakeline.ledger.moments import micros, micros_or_none, moment
from lakeline.ledger.names import asset_ids, next_id, word_ids
from lakeline.ledger.records import RECOVERED, Build, Cost, Input
from lakeline.ledger.schema import (
    ABANDONED,
    PENDING,
    PUBLISHED,
    QUEUED,
    batch,
    build,
    handover,
    reads,
)

_Rows = list[dict[str, Any]]


def begin(
    connection: sa.Connection,
    name: str,
    builds: Sequence[Build],
    started_ts: dt.datetime,
    *,
    status: int = PENDING,
) -> int:
    """Write the batch with its builds and inputs as pending; returns its id."""
    asset_name = _only_asset(name, builds)
    if connection.execute(sa.select(batch.c.id).where(batch.c.name == name)).scalar() is not None:
        raise RepeatedBatchError(name)
    merged = [replace(one, inputs=_merged(one.inputs)) for one in builds]
    assets = asset_ids(connection, {asset_name, *(r.asset for one in merged for r in one.inputs)})
    words = word_ids(connection, {text for one in merged for text in _words(one)})
    batch_id = next_id(connection, batch)
    row = {
        "id": batch_id,
        "name": name,
        "asset_id": assets[asset_name],
        "status": status,
        "builds": len(builds),
        "started_us": micros(started_ts),
    }
    connection.execute(sa.insert(batch), row)
    first = next_id(connection, build)
    connection.execute(
        sa.insert(build), _build_rows(merged, first, batch_id, assets=assets, words=words)
    )
    rows = _input_rows(merged, first, assets, words)
    if rows:
        connection.execute(sa.insert(reads), rows)
    return batch_id


def find(connection: sa.Connection, name: str) -> "sa.Row[Any]":
    """The batch's row.

    Raises:
        UnknownBatchError: It never began.
    """
    row = connection.execute(sa.select(batch).where(batch.c.name == name)).one_or_none()
    if row is None:
        raise UnknownBatchError(name)
    return row


def close(
    connection: sa.Connection, row: "sa.Row[Any]", snapshot_id: int | None, cost: Cost | None
) -> None:
    """Set the batch to published, with what it cost."""
    spent = cost or _unknown_cost(row)
    values = {
        "status": PUBLISHED,
        "started_us": micros(spent.started_ts),
        "ended_us": micros(spent.ended_ts),
        "snapshot_id": snapshot_id,
        "cpu_s": spent.cpu_s,
        "gpu_s": spent.gpu_s,
        "peak_rss_bytes": spent.peak_rss_bytes,
        "gpu_busy": spent.gpu_busy,
        "peak_gpu_bytes": spent.peak_gpu_bytes,
        "placement": spent.placement,
    }
    connection.execute(sa.update(batch).where(batch.c.id == row.id).values(values))


def abandon(connection: sa.Connection, name: str) -> None:
    """Give the batch up; nothing if it is published."""
    row = find(connection, name)
    if row.status in {PENDING, QUEUED}:
        connection.execute(sa.update(batch).where(batch.c.id == row.id).values(status=ABANDONED))
        connection.execute(sa.delete(handover).where(handover.c.batch_id == row.id))


def _only_asset(name: str, builds: Sequence[Build]) -> str:
    assets = sorted({one.asset for one in builds})
    if not assets:
        raise EmptyBatchError(name)
    if len(assets) > 1:
        raise MixedBatchError(name, assets)
    counts = Counter(one.partition for one in builds)
    repeated = sorted(partition for partition, count in counts.items() if count > 1)
    if repeated:
        raise RepeatedPartitionError(name, assets[0], repeated)
    return assets[0]


def _merged(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """One input for each partition and version, with the columns of all; the last snapshot stands."""
    found: dict[tuple[str, str, str], Input] = {}
    for one in inputs:
        key = (one.asset, one.partition, one.version)
        before = found[key].columns if key in found else ()
        found[key] = replace(one, columns=tuple(sorted({*before, *one.columns})))
    return tuple(found.values())


def _words(one: Build) -> Iterable[str]:
    yield from (one.partition, one.code_version, one.run_id)
    for read in one.inputs:
        yield from (read.partition, _columns(read))


def _columns(read: Input) -> str:
    return json.dumps(read.columns, ensure_ascii=False)


def _build_rows(
    builds: Sequence[Build],
    first: int,
    batch_id: int,
    *,
    assets: Mapping[str, int],
    words: Mapping[str, int],
) -> _Rows:
    return [
        {
            "id": build_id,
            "batch_id": batch_id,
            "asset_id": assets[one.asset],
            "part_id": words[one.partition],
            "version": one.version,
            "watermark_us": micros_or_none(one.watermark),
            "code_id": words[one.code_version],
            "run_id": words[one.run_id],
            "rows": one.rows,
            "bytes": one.bytes,
        }
        for build_id, one in enumerate(builds, first)
    ]


def _input_rows(
    builds: Sequence[Build], first: int, assets: Mapping[str, int], words: Mapping[str, int]
) -> _Rows:
    return [
        {
            "build_id": build_id,
            "asset_id": assets[read.asset],
            "part_id": words[read.partition],
            "version": read.version,
            "snapshot_id": read.snapshot_id,
            "columns_id": words[_columns(read)],
        }
        for build_id, one in enumerate(builds, first)
        for read in one.inputs
    ]


def _unknown_cost(row: "sa.Row[Any]") -> Cost:
    started = moment(row.started_us)
    return Cost(
        started_ts=started, ended_ts=started, cpu_s=0.0, peak_rss_bytes=0, placement=RECOVERED
    )
