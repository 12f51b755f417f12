"""The present: which build of each partition is the published one, and how it moves on.

Everything here runs inside the ledger's one writing transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from lakeline.ledger import batches, marks
from lakeline.ledger.records import ABSENT, Cost
from lakeline.ledger.schema import PUBLISHED, asset, batch, build, current, word


def publish(
    connection: sa.Connection,
    name: str,
    snapshot_id: int | None,
    *,
    cost: Cost | None,
    overtaken_by: Collection[str],
) -> None:
    """Make the builds of a batch the present ones and settle the marks; nothing if they are."""
    row = batches.find(connection, name)
    if row.status == PUBLISHED:
        return
    batches.close(connection, row, snapshot_id, cost)
    builds = connection.execute(
        sa.select(build.c.id, build.c.part_id, build.c.version)
        .where(build.c.batch_id == row.id)
        .order_by(build.c.id)
    ).all()
    if not overtaken_by:
        _advance(connection, row.asset_id, snapshot_id, builds[-1].id)
    newer = _partitions_of(connection, row.asset_id, overtaken_by)
    taking = [one for one in builds if one.part_id not in newer]
    _replace(connection, row.asset_id, taking, snapshot_id)
    marks.settle(connection, row.asset_id, {one.part_id: one.version for one in taking})


def forget(connection: sa.Connection, asset_name: str, partitions: Collection[str]) -> None:
    """Take partitions out of the present and settle the marks of their readers; history stays."""
    wanted = set(partitions)
    rows = connection.execute(
        sa.select(current.c.asset_id, current.c.part_id, word.c.text)
        .join_from(current, asset, asset.c.id == current.c.asset_id)
        .join(word, word.c.id == current.c.part_id)
        .where(asset.c.name == asset_name)
    ).all()
    gone = {one.part_id: ABSENT for one in rows if one.text in wanted}
    if gone:
        _delete(connection, rows[0].asset_id, gone)
        marks.settle(connection, rows[0].asset_id, gone)


def _advance(
    connection: sa.Connection, asset_id: int, snapshot_id: int | None, build_id: int
) -> None:
    values = {"build_id": build_id}
    if snapshot_id is not None:
        values["snapshot_id"] = snapshot_id
    connection.execute(sa.update(asset).where(asset.c.id == asset_id).values(values))


def _partitions_of(connection: sa.Connection, asset_id: int, names: Collection[str]) -> set[int]:
    """Partitions of the asset that its published batches among ``names`` built."""
    if not names:
        return set()
    wanted = set(names)
    rows = connection.execute(
        sa.select(build.c.part_id, batch.c.name)
        .join_from(build, batch, batch.c.id == build.c.batch_id)
        .where(batch.c.asset_id == asset_id, batch.c.status == PUBLISHED)
    )
    return {part_id for part_id, name in rows if name in wanted}


def _replace(
    connection: sa.Connection,
    asset_id: int,
    builds: Sequence["sa.Row[Any]"],
    snapshot_id: int | None,
) -> None:
    if not builds:
        return
    if snapshot_id is None:  # no commit: the newest snapshot holds this content already
        newest = sa.select(asset.c.snapshot_id).where(asset.c.id == asset_id)
        snapshot_id = connection.execute(newest).scalar()
    rows = [
        {
            "asset_id": asset_id,
            "part_id": one.part_id,
            "build_id": one.id,
            "version": one.version,
            "snapshot_id": snapshot_id,
        }
        for one in builds
    ]
    _delete(connection, asset_id, {one.part_id for one in builds})
    connection.execute(sa.insert(current), rows)


def _delete(connection: sa.Connection, asset_id: int, parts: Collection[int]) -> None:
    for some in marks.chunks(parts):
        is_one = (current.c.asset_id == asset_id, current.c.part_id.in_(some))
        connection.execute(sa.delete(current).where(*is_one))
