"""Batches that wait for the lock of their table, ready to be committed by whoever holds it.

Everything here runs inside the ledger's one writing transaction, but for the questions.
"""

import datetime as dt
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from lakeline.ledger import batches
from lakeline.ledger.marks import chunks
from lakeline.ledger.records import Build
from lakeline.ledger.schema import ABANDONED, PENDING, PUBLISHED, QUEUED, asset, batch, handover


def enqueue(
    connection: sa.Connection,
    name: str,
    builds: Sequence[Build],
    started_ts: dt.datetime,
    text: str,
) -> None:
    """Write the batch with its builds and its handover as queued."""
    batch_id = batches.begin(connection, name, builds, started_ts, status=QUEUED)
    connection.execute(sa.insert(handover).values(batch_id=batch_id, text=text))


def queued(connection: sa.Connection, asset_name: str, limit: int) -> dict[str, str]:
    """Handover by batch of the first ``limit`` that wait for the table, in the order they came."""
    rows = connection.execute(
        sa.select(batch.c.name, handover.c.text)
        .join_from(handover, batch, batch.c.id == handover.c.batch_id)
        .join(asset, asset.c.id == batch.c.asset_id)
        .where(asset.c.name == asset_name, batch.c.status == QUEUED)
        .order_by(batch.c.id)
        .limit(limit)
    )
    return {row.name: row.text for row in rows}


def take(connection: sa.Connection, names: Collection[str]) -> set[str]:
    """Make batches pending that are queued, or were given up by another writer; returns which."""
    statement = sa.select(batch.c.id, batch.c.name).where(
        batch.c.name.in_(list(names)), batch.c.status.in_((QUEUED, ABANDONED))
    )
    found = {row.id: row.name for row in connection.execute(statement)}
    for some in chunks(found):
        connection.execute(sa.update(batch).where(batch.c.id.in_(some)).values(status=PENDING))
        connection.execute(sa.delete(handover).where(handover.c.batch_id.in_(some)))
    return set(found.values())


def withdraw(connection: sa.Connection, name: str) -> bool:
    """Give up a batch that nobody has taken, or whose taker gave it up; whether it is given up."""
    row = batches.find(connection, name)
    if row.status == QUEUED:
        batches.abandon(connection, name)
    return row.status in {QUEUED, ABANDONED}


def committed(connection: sa.Connection, name: str) -> int | None:
    """The commit of a published batch; None while it is not published."""
    statement = sa.select(batch.c.snapshot_id)
    is_it = (batch.c.name == name, batch.c.status == PUBLISHED)
    return connection.execute(statement.where(*is_it)).scalar()
