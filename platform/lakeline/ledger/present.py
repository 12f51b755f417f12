"""The present: which build of each partition is the published one, and how it moves on.

Everything here runs inside the ledger's one writing transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lakeline.ledger import agenda, attempts, batches, marks, reaching
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
    builds = builds_of(connection, row.id)
    if not overtaken_by:
        _advance(connection, row.asset_id, snapshot_id, builds[-1].id)
    newer = _partitions_of(connection, row.asset_id, overtaken_by)
    take(connection, row.asset_id, [one for one in builds if one.part_id not in newer], snapshot_id)


def publish_together(
    connection: sa.Connection, costs: Mapping[str, Cost], snapshot_id: int | None
) -> None:
    """Make the builds of batches that one commit carries the present ones; of those published already, nothing."""
    found = [batches.find(connection, name) for name in costs]
    rows = [row for row in found if row.status != PUBLISHED]
    for row in rows:
        batches.close(connection, row, snapshot_id, costs[row.name])
    builds = [one for row in rows for one in builds_of(connection, row.id)]
    if builds:
        _advance(connection, rows[0].asset_id, snapshot_id, max(one.id for one in builds))
        take(connection, rows[0].asset_id, builds, snapshot_id)


def builds_of(connection: sa.Connection, batch_id: int) -> Sequence["sa.Row[Any]"]:
    """Builds of a batch, as ``take`` wants them."""
    return connection.execute(
        sa.select(
            build.c.id,
            build.c.part_id,
            build.c.version,
            build.c.watermark_us,
            word.c.text.label("partition"),
        )
        .join_from(build, word, word.c.id == build.c.part_id)
        .where(build.c.batch_id == batch_id)
        .order_by(build.c.id)
    ).all()


def take(
    connection: sa.Connection,
    asset_id: int,
    builds: Sequence["sa.Row[Any]"],
    snapshot_id: int | None,
) -> None:
    """Make builds of an asset the present ones, with everything that follows from it."""
    if not builds:
        return
    before = _versions_of(connection, asset_id, {one.part_id for one in builds})
    moved = {one.part_id: one.version for one in builds if before.get(one.part_id) != one.version}
    _replace(connection, asset_id, builds, snapshot_id)
    marks.settle(connection, asset_id, moved, rebuilt={one.id for one in builds})
    agenda.append(connection, asset_id, moved)
    attempts.clear_published(connection, asset_id, {one.part_id for one in builds})
    reaching.extend(connection, asset_id, builds, new=len(builds) - len(before))


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
        asset_id = rows[0].asset_id
        _delete(connection, asset_id, gone)
        marks.settle(connection, asset_id, gone)
        agenda.append(connection, asset_id, gone)
        left = {one.part_id: one.text for one in rows if one.part_id not in gone}
        reaching.recount(connection, asset_id, left)


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


def _versions_of(
    connection: sa.Connection, asset_id: int, parts: Collection[int]
) -> dict[int, str]:
    """Present versions of those partitions that exist."""
    statement = sa.select(current.c.part_id, current.c.version).where(
        current.c.asset_id == asset_id
    )
    return {
        part_id: version
        for some in marks.chunks(parts)
        for part_id, version in connection.execute(statement.where(current.c.part_id.in_(some)))
    }


def _replace(
    connection: sa.Connection,
    asset_id: int,
    builds: Sequence["sa.Row[Any]"],
    snapshot_id: int | None,
) -> None:
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
