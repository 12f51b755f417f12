"""What the ledger tells of a whole asset: its line in a list, its history, who was built from it."""

import datetime as dt
import json
from typing import Any, get_args

import sqlalchemy as sa

from lakeline.ledger.moments import micros, moment, moment_or_none
from lakeline.ledger.reading import asset_id
from lakeline.ledger.records import AssetSummary, BuildRecord, Consumer, Status
from lakeline.ledger.schema import PUBLISHED, asset, batch, build, current, reads, word

_STATUSES: tuple[Status, ...] = get_args(Status)  # in the order of their numbers
_part = word.alias("part")
_code = word.alias("code")
_run = word.alias("run")
_columns = word.alias("columns")
_source = word.alias("source")


def consumers(connection: sa.Connection, name: str, partition: str | None) -> list[Consumer]:
    """Published partitions that were built from the asset, or from one partition of it."""
    statement = (
        sa.select(asset.c.name, _part.c.text, _source.c.text, reads.c.version, _columns.c.text)
        .join_from(reads, current, current.c.build_id == reads.c.build_id)
        .join(asset, asset.c.id == current.c.asset_id)
        .join(_part, _part.c.id == current.c.part_id)
        .join(_source, _source.c.id == reads.c.part_id)
        .join(_columns, _columns.c.id == reads.c.columns_id)
        .where(reads.c.asset_id == asset_id(connection, name))
    )
    if partition is not None:
        statement = statement.where(_source.c.text == partition)
    found = [
        Consumer(asset=a, partition=p, source_partition=s, version=v, columns=tuple(json.loads(c)))
        for a, p, s, v, c in connection.execute(statement)
    ]
    return sorted(found, key=lambda one: (one.asset, one.partition, one.source_partition))


def history(
    connection: sa.Connection, name: str, partition: str | None, limit: int
) -> list[BuildRecord]:
    """Builds of the asset or of one partition, newest first."""
    statement = (
        sa.select(
            build,
            batch,
            _part.c.text.label("partition"),
            _code.c.text.label("code_version"),
            _run.c.text.label("run"),
        )
        .join_from(build, batch, batch.c.id == build.c.batch_id)
        .join(_part, _part.c.id == build.c.part_id)
        .join(_code, _code.c.id == build.c.code_id)
        .join(_run, _run.c.id == build.c.run_id)
        .where(build.c.asset_id == asset_id(connection, name))
        .order_by(build.c.id.desc())
        .limit(limit)
    )
    if partition is not None:
        statement = statement.where(_part.c.text == partition)
    return [_record(name, row) for row in connection.execute(statement).mappings()]


def progress(
    connection: sa.Connection, name: str, since: dt.datetime | None
) -> list[tuple[dt.datetime, dt.datetime]]:
    """When publishes of the asset ended, with the watermark of its newest partition from then on, oldest first."""
    statement = (
        sa.select(
            batch.c.ended_us,
            sa.func.max(_part.c.text),
            sa.func.max(build.c.watermark_us),
        )
        .join_from(batch, build, build.c.batch_id == batch.c.id)
        .join(_part, _part.c.id == build.c.part_id)
        .where(batch.c.asset_id == asset_id(connection, name), batch.c.status == PUBLISHED)
        .group_by(batch.c.id, batch.c.ended_us)
        .order_by(batch.c.ended_us, batch.c.id)
    )
    if since is not None:
        statement = statement.where(batch.c.ended_us >= micros(since))
    found: list[tuple[dt.datetime, dt.datetime]] = []
    newest = ""
    for ended_us, part, watermark_us in connection.execute(statement):
        if part >= newest and watermark_us is not None:
            newest = part
            found.append((moment(ended_us), moment(watermark_us)))
    return found


def _record(name: str, row: "sa.RowMapping") -> BuildRecord:
    ended_us = row[batch.c.ended_us]
    builds = row[batch.c.builds]
    return BuildRecord(
        build_id=row[build.c.id],
        batch=row[batch.c.name],
        status=_STATUSES[row[batch.c.status]],
        asset=name,
        partition=row["partition"],
        version=row[build.c.version],
        watermark=moment_or_none(row[build.c.watermark_us]),
        code_version=row["code_version"],
        snapshot_id=row[batch.c.snapshot_id],
        run_id=row["run"],
        rows=row[build.c.rows],
        bytes=row[build.c.bytes],
        started_ts=moment(row[batch.c.started_us]),
        ended_ts=moment_or_none(ended_us),
        wall_s=0.0 if ended_us is None else (ended_us - row[batch.c.started_us]) / 1e6 / builds,
        cpu_s=row[batch.c.cpu_s] / builds,
        gpu_s=row[batch.c.gpu_s] / builds,
        peak_rss_bytes=row[batch.c.peak_rss_bytes],
        placement=row[batch.c.placement],
    )


def summary(connection: sa.Connection) -> list[AssetSummary]:
    """Every asset that was ever published, by name."""
    present, spent = _present(), _spent()
    statement = (
        sa.select(
            asset.c.name,
            present.c.partitions,
            present.c.rows,
            present.c.bytes,
            present.c.watermark_us,
            present.c.marked,
            spent.c.cpu_s,
            spent.c.gpu_s,
            spent.c.wall_us,
            build.c.version,
            _run.c.text.label("run"),
            batch.c.ended_us,
        )
        .join_from(asset, build, build.c.id == asset.c.build_id)
        .join(batch, batch.c.id == build.c.batch_id)
        .join(_run, _run.c.id == build.c.run_id)
        .join(spent, spent.c.asset_id == asset.c.id)
        .outerjoin(present, present.c.asset_id == asset.c.id)
    )
    found = [_summary(row) for row in connection.execute(statement)]
    return sorted(found, key=lambda one: one.asset)


def _present() -> sa.Subquery:
    of_build = build.alias("present_build")
    return (
        sa.select(
            current.c.asset_id,
            sa.func.count().label("partitions"),
            sa.func.sum(of_build.c.rows).label("rows"),
            sa.func.sum(of_build.c.bytes).label("bytes"),
            sa.func.max(of_build.c.watermark_us).label("watermark_us"),
            sa.func.count(current.c.because_asset_id).label("marked"),
        )
        .join_from(current, of_build, of_build.c.id == current.c.build_id)
        .group_by(current.c.asset_id)
        .subquery("present")
    )


def _spent() -> sa.Subquery:
    of_batch = batch.alias("spent_batch")
    return (
        sa.select(
            of_batch.c.asset_id,
            sa.func.sum(of_batch.c.cpu_s).label("cpu_s"),
            sa.func.sum(of_batch.c.gpu_s).label("gpu_s"),
            sa.func.sum(of_batch.c.ended_us - of_batch.c.started_us).label("wall_us"),
        )
        .where(of_batch.c.status == PUBLISHED)
        .group_by(of_batch.c.asset_id)
        .subquery("spent")
    )


def _summary(row: "sa.Row[Any]") -> AssetSummary:
    return AssetSummary(
        asset=row.name,
        partitions=row.partitions or 0,
        rows=int(row.rows or 0),
        bytes=int(row.bytes or 0),
        watermark=moment_or_none(row.watermark_us),
        last_version=row.version,
        last_run_id=row.run,
        last_ended_ts=moment(row.ended_us),
        cpu_s=row.cpu_s,
        gpu_s=row.gpu_s,
        wall_s=float(row.wall_us) / 1e6,
        marked=row.marked or 0,
    )


def cost_since(connection: sa.Connection, ts: dt.datetime) -> float:
    """Processor time of the batches published since ``ts``, in seconds."""
    statement = sa.select(sa.func.sum(batch.c.cpu_s))
    is_since = (batch.c.status == PUBLISHED, batch.c.ended_us >= micros(ts))
    return float(connection.execute(statement.where(*is_since)).scalar() or 0.0)
