"""What changed and what is to be looked at: kept in the ledger itself, so that no cursor can be lost.

Everything here that writes runs inside the ledger's one writing transaction.
"""

import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.moments import micros, moment
from lakeline.ledger.names import asset_ids, word_ids
from lakeline.ledger.records import Changes, Pair
from lakeline.ledger.schema import agenda, asset, change, position, word

RECONCILE = "reconcile"
"""The one that takes up the changes."""

_Ids = tuple[int, int]
_last_change = sa.select(sa.func.max(change.c.seq)).scalar_subquery()
_last_taken_up = sa.select(sa.func.max(position.c.seq)).scalar_subquery()


def append(connection: sa.Connection, asset_id: int, parts: Iterable[int]) -> None:
    """Note that partitions of an asset took another version, came into being or were forgotten."""
    ordered = list(parts)
    if not ordered:
        return
    last, taken_up = connection.execute(sa.select(_last_change, _last_taken_up)).one()
    rows = [
        {"seq": seq, "asset_id": asset_id, "part_id": part}
        for seq, part in enumerate(ordered, max(last or 0, taken_up or 0) + 1)
    ]
    connection.execute(sa.insert(change), rows)


def changes(connection: sa.Connection) -> Changes:
    """Those that were not taken up yet; what was is gone."""
    statement = (
        sa.select(asset.c.name, word.c.text, change.c.seq)
        .join_from(change, asset, asset.c.id == change.c.asset_id)
        .join(word, word.c.id == change.c.part_id)
        .order_by(change.c.seq)
    )
    rows = connection.execute(statement).all()
    seq = rows[-1].seq if rows else connection.execute(sa.select(_last_taken_up)).scalar()
    return Changes(pairs=tuple(dict.fromkeys((row[0], row[1]) for row in rows)), seq=seq or 0)


def agenda_of(connection: sa.Connection) -> dict[Pair, dt.datetime]:
    """Pairs on the agenda, with since when they are on it."""
    statement = (
        sa.select(asset.c.name, word.c.text, agenda.c.since_us)
        .join_from(agenda, asset, asset.c.id == agenda.c.asset_id)
        .join(word, word.c.id == agenda.c.part_id)
    )
    return {(a, p): moment(since) for a, p, since in connection.execute(statement)}


def settle(
    connection: sa.Connection,
    *,
    seq: int | None,
    add: Collection[Pair],
    remove: Collection[Pair],
    now: dt.datetime,
) -> None:
    """Take up the changes up to ``seq``; take ``remove`` off the agenda and put ``add`` on it."""
    ids = ids_of(connection, [*add, *remove])
    _delete(connection, [ids[pair] for pair in set(remove) - set(add)])
    _insert(connection, [ids[pair] for pair in set(add)], micros(now))
    if seq is not None:
        connection.execute(sa.delete(change).where(change.c.seq <= seq))
        _advance(connection, seq)


def ids_of(connection: sa.Connection, pairs: Collection[Pair]) -> dict[Pair, _Ids]:
    """Ids of assets and partitions, added where new."""
    assets = asset_ids(connection, {name for name, _ in pairs})
    parts = word_ids(connection, {partition for _, partition in pairs})
    return {(name, part): (assets[name], parts[part]) for name, part in pairs}


def of_pair(table: sa.Table) -> "sa.ColumnElement[bool]":
    """The row of the parameters ``one_asset`` and ``one_part``."""
    return sa.and_(
        table.c.asset_id == sa.bindparam("one_asset"), table.c.part_id == sa.bindparam("one_part")
    )


def pair_rows(ids: Iterable[_Ids]) -> list[dict[str, Any]]:
    """Parameters of ``of_pair``."""
    return [{"one_asset": asset_id, "one_part": part_id} for asset_id, part_id in ids]


def _delete(connection: sa.Connection, ids: Collection[_Ids]) -> None:
    if ids:
        connection.execute(sa.delete(agenda).where(of_pair(agenda)), pair_rows(ids))


def _insert(connection: sa.Connection, ids: Collection[_Ids], since_us: int) -> None:
    known = {(row[0], row[1]) for row in connection.execute(sa.select(agenda))} if ids else set()
    rows = [
        {"asset_id": asset_id, "part_id": part_id, "since_us": since_us}
        for asset_id, part_id in sorted(set(ids) - known)
    ]
    if rows:
        connection.execute(sa.insert(agenda), rows)


def _advance(connection: sa.Connection, seq: int) -> None:
    is_it = position.c.name == RECONCILE
    found = connection.execute(sa.select(position.c.seq).where(is_it)).scalar()
    if found is None:
        connection.execute(sa.insert(position).values(name=RECONCILE, seq=seq))
    elif found < seq:
        connection.execute(sa.update(position).where(is_it).values(seq=seq))
