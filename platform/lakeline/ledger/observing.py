"""Sources: what raw tables are read from, with the versions that it was last seen to have and how far it reaches.

A source is an asset of the ledger alone. What is seen of it is recorded like a publish, so that a restated source marks
its readers as everything else does. Everything here that writes runs inside the ledger's one writing transaction.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from lakeline.ledger import batches, present, reading
from lakeline.ledger.moments import micros, micros_or_none, moment, moment_or_none
from lakeline.ledger.names import asset_ids
from lakeline.ledger.records import ABSENT, Build, Cost, SourceState
from lakeline.ledger.schema import asset, source


def observe(
    connection: sa.Connection,
    name: str,
    versions: Mapping[str, str],
    *,
    watermark: dt.datetime | None,
    observed_ts: dt.datetime,
    is_complete: bool,
) -> tuple[str, ...]:
    """Take up what is seen of a source; returns the partitions that changed, sorted."""
    asset_id = asset_ids(connection, [name])[name]
    known = reading.versions(connection, name)
    seen = {partition: v for partition, v in versions.items() if v != ABSENT}
    moved = sorted(partition for partition, v in seen.items() if known.get(partition) != v)
    gone = {p for p in known if p not in seen and (is_complete or p in versions)}
    if moved:
        builds = [
            Build(asset=name, partition=p, version=seen[p], watermark=watermark) for p in moved
        ]
        _record(connection, builds, observed_ts)
    if gone:
        present.forget(connection, name, gone)
    _store(connection, asset_id, watermark, observed_ts)
    return tuple(sorted({*moved, *gone}))


def sources(connection: sa.Connection) -> dict[str, SourceState]:
    """What the newest observation of each source said."""
    statement = sa.select(
        asset.c.name, source.c.watermark_us, source.c.highest_us, source.c.observed_us
    ).join_from(source, asset, asset.c.id == source.c.asset_id)
    return {
        name: SourceState(
            watermark=moment_or_none(watermark_us),
            highest=moment_or_none(highest_us),
            observed_ts=moment(observed_us),
        )
        for name, watermark_us, highest_us, observed_us in connection.execute(statement)
    }


def _record(connection: sa.Connection, builds: Collection[Build], observed_ts: dt.datetime) -> None:
    """As a publish that cost nothing; no line of it shows among the assets that are built."""
    name = uuid.uuid4().hex
    batch_id = batches.begin(connection, name, list(builds), observed_ts)
    row = batches.find(connection, name)
    batches.close(connection, row, None, _nothing_spent(observed_ts))
    present.take(connection, row.asset_id, present.builds_of(connection, batch_id), None)


def _nothing_spent(observed_ts: dt.datetime) -> Cost:
    return Cost(
        started_ts=observed_ts,
        ended_ts=observed_ts,
        cpu_s=0.0,
        peak_rss_bytes=0,
        placement="observed",
    )


def _store(
    connection: sa.Connection,
    asset_id: int,
    watermark: dt.datetime | None,
    observed_ts: dt.datetime,
) -> None:
    is_it = source.c.asset_id == asset_id
    before = connection.execute(sa.select(source).where(is_it)).one_or_none()
    watermark_us = micros_or_none(watermark)
    reached = [us for us in (watermark_us, before and before.highest_us) if us is not None]
    values = {
        "watermark_us": watermark_us,
        "highest_us": max(reached, default=None),
        "observed_us": micros(observed_ts),
    }
    if before is None:
        connection.execute(sa.insert(source).values(asset_id=asset_id, **values))
    else:
        connection.execute(sa.update(source).where(is_it).values(**values))
