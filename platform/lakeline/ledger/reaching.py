"""How far each asset reaches: its number of partitions and its newest one, kept true with every publish.

Names are compared here and not in SQL, where the order of text is a setting of the server. Everything here that writes
runs inside the ledger's one writing transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.moments import moment_or_none
from lakeline.ledger.records import Reach
from lakeline.ledger.schema import asset, build, current, source, word


def extend(
    connection: sa.Connection, asset_id: int, taken: Sequence["sa.Row[Any]"], *, new: int
) -> None:
    """Take up partitions that were published, of which ``new`` did not exist before.

    Args:
        connection: In the writing transaction.
        asset_id: The asset.
        taken: Their builds, with ``part_id``, ``partition`` and ``watermark_us``.
        new: How many of them are new.
    """
    newest = max(taken, key=lambda one: one.partition)
    before = connection.execute(
        sa.select(word.c.text)
        .join_from(asset, word, word.c.id == asset.c.newest_part_id)
        .where(asset.c.id == asset_id)
    ).scalar()
    values: dict[str, Any] = {"partitions": asset.c.partitions + new} if new else {}
    if before is None or newest.partition >= before:
        values |= {"newest_part_id": newest.part_id, "watermark_us": newest.watermark_us}
    if values:
        connection.execute(sa.update(asset).where(asset.c.id == asset_id).values(values))


def recount(connection: sa.Connection, asset_id: int, names: Mapping[int, str]) -> None:
    """Set the reach of an asset of which exactly the partitions ``names`` (by id) are present."""
    newest = max(names, key=lambda part_id: names[part_id], default=None)
    watermark_us = connection.execute(
        sa.select(build.c.watermark_us)
        .join_from(current, build, build.c.id == current.c.build_id)
        .where(current.c.asset_id == asset_id, current.c.part_id == newest)
    ).scalar()
    values = {
        "partitions": len(names),
        "newest_part_id": newest,
        "watermark_us": watermark_us,
    }
    connection.execute(sa.update(asset).where(asset.c.id == asset_id).values(values))


def reach(connection: sa.Connection) -> dict[str, Reach]:
    """Every asset that the ledger has a name for."""
    statement = (
        sa.select(
            asset.c.name,
            word.c.text,
            sa.case(
                (source.c.asset_id.is_(None), asset.c.watermark_us), else_=source.c.watermark_us
            ),
            asset.c.partitions,
        )
        .join_from(asset, word, word.c.id == asset.c.newest_part_id, isouter=True)
        .outerjoin(source, source.c.asset_id == asset.c.id)
    )
    return {
        name: Reach(newest=newest, watermark=moment_or_none(watermark_us), partitions=partitions)
        for name, newest, watermark_us, partitions in connection.execute(statement)
    }
