"""Brings a ledger that an older release wrote to the present tables, in place and in one transaction."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lakeline.ledger import schema
from lakeline.ledger.schema import asset, batch, build, change, current, word

UPGRADABLE = (1, 2, 3)
"""Versions of the tables that ``upgrade`` knows how to bring up to date."""

_REACH_COLUMNS = (asset.c.partitions, asset.c.newest_part_id, asset.c.watermark_us)
_GPU_COLUMNS = (batch.c.gpu_busy, batch.c.peak_gpu_bytes)


def upgrade(connection: sa.Connection) -> None:
    """Add what the tables lack; nothing if another process has done it.

    From version 1, what freshness asks for is filled too: what marks the partitions that are marked already becomes the first changes, so that they are looked at. Version 2 had no statistics, version 3 nothing of what GPUs did.
    """
    found = connection.execute(sa.select(schema.version.c.schema_version)).scalar_one()
    if found not in UPGRADABLE:
        return
    schema.metadata.create_all(connection)
    _add_columns(connection, _GPU_COLUMNS)
    if found == 1:
        _from_first(connection)
    connection.execute(sa.update(schema.version).values(schema_version=schema.SCHEMA_VERSION))


def _from_first(connection: sa.Connection) -> None:
    _add_columns(connection, _REACH_COLUMNS)
    for index in schema.batch.indexes:
        index.create(connection, checkfirst=True)
    _fill_reach(connection)
    _fill_changes(connection)


def _add_columns(connection: sa.Connection, columns: "Sequence[sa.Column[Any]]") -> None:
    """Add columns of one table, those that it has not."""
    table = columns[0].table.name
    have = {column["name"] for column in sa.inspect(connection).get_columns(table)}
    for column in columns:
        if column.name not in have:
            text = str(sa.schema.CreateColumn(column).compile(dialect=connection.dialect))
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {text}")


def _fill_reach(connection: sa.Connection) -> None:
    is_postgres = connection.dialect.name == "postgresql"
    # As Python compares, whatever the server is set to.
    collation = "C" if is_postgres else "BINARY"
    reach = (
        sa.select(current.c.asset_id, sa.func.count(), sa.func.max(word.c.text.collate(collation)))
        .join_from(current, word, word.c.id == current.c.part_id)
        .group_by(current.c.asset_id)
    )
    rows = [
        {"one": asset_id, "count": count, "newest": newest}
        for asset_id, count, newest in connection.execute(reach)
    ]
    if rows:
        connection.execute(_SET_REACH, rows)


def _fill_changes(connection: sa.Connection) -> None:
    causes = (
        sa.select(current.c.because_asset_id, current.c.because_part_id)
        .where(current.c.because_asset_id.is_not(None))
        .distinct()
        .order_by(current.c.because_asset_id, current.c.because_part_id)
    )
    rows = [
        {"seq": seq, "asset_id": asset_id, "part_id": part_id}
        for seq, (asset_id, part_id) in enumerate(connection.execute(causes).all(), 1)
    ]
    if rows:
        connection.execute(sa.insert(change), rows)


_newest = sa.select(word.c.id).where(word.c.text == sa.bindparam("newest")).scalar_subquery()
_SET_REACH = (
    sa.update(asset)
    .where(asset.c.id == sa.bindparam("one"))
    .values(
        partitions=sa.bindparam("count"),
        newest_part_id=_newest,
        watermark_us=sa.select(build.c.watermark_us)
        .join_from(current, build, build.c.id == current.c.build_id)
        .where(current.c.asset_id == asset.c.id, current.c.part_id == _newest)
        .correlate(asset)
        .scalar_subquery(),
    )
)
