"""Failed builds of a partition, counted while its inputs and its code stay the same.

Everything here that writes runs inside the ledger's one writing transaction.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from lakeline.ledger import marks
from lakeline.ledger.agenda import ids_of, of_pair, pair_rows
from lakeline.ledger.bulk import rows_of, wanted
from lakeline.ledger.moments import micros, moment
from lakeline.ledger.records import Attempt, Pair
from lakeline.ledger.schema import asset, attempt, word
from lakeline.ledger.texts import storable


def failed(
    connection: sa.Connection,
    keys: Mapping[Pair, str],
    *,
    run_id: str,
    error: str,
    now: dt.datetime,
) -> None:
    """Count one more failure of each; another key starts again at one, the same run counts once."""
    ids, before, now_us = ids_of(connection, keys), attempts(connection, keys), micros(now)
    rows = []
    for pair, key in keys.items():
        last = before.get(pair)
        is_again = last is not None and last.key == key
        if last is not None and is_again and run_id and last.run_id == run_id:
            continue
        rows.append(
            {
                "asset_id": ids[pair][0],
                "part_id": ids[pair][1],
                "key": key,
                "failures": last.failures + 1 if last is not None and is_again else 1,
                "first_us": micros(last.first_ts) if last is not None and is_again else now_us,
                "last_us": now_us,
                "run_id": run_id,
                "error": storable(error),
            }
        )
    _replace(connection, rows)


def attempts(connection: sa.Connection, pairs: Collection[Pair] | None) -> dict[Pair, Attempt]:
    """Those of the pairs, or all."""
    if pairs is None:
        statement = _columns(sa.select(asset.c.name, word.c.text)).join_from(
            attempt, asset, asset.c.id == attempt.c.asset_id
        )
        rows = iter(connection.execute(statement.join(word, word.c.id == attempt.c.part_id)))
    else:
        asked = wanted(connection.dialect.name)
        is_it = sa.and_(
            attempt.c.asset_id == asked.c.asset_id, attempt.c.part_id == asked.c.part_id
        )
        of_pairs = _columns(sa.select(asked.c.asset, asked.c.partition))
        rows = rows_of(connection, of_pairs.join_from(asked, attempt, is_it), pairs)
    return {(row[0], row[1]): _attempt(row) for row in rows}


def clear(connection: sa.Connection, pairs: Collection[Pair]) -> None:
    """Forget the failures of pairs."""
    known = attempts(connection, pairs)
    ids = ids_of(connection, list(known))
    if ids:
        connection.execute(sa.delete(attempt).where(of_pair(attempt)), pair_rows(ids.values()))


def clear_published(connection: sa.Connection, asset_id: int, parts: Collection[int]) -> None:
    """Forget the failures of partitions of an asset; one look, where there are none."""
    failing = sa.select(attempt.c.part_id).where(attempt.c.asset_id == asset_id)
    for some in marks.chunks(set(connection.execute(failing).scalars()) & set(parts)):
        is_one = (attempt.c.asset_id == asset_id, attempt.c.part_id.in_(some))
        connection.execute(sa.delete(attempt).where(*is_one))


def _replace(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        ids = [(row["asset_id"], row["part_id"]) for row in rows]
        connection.execute(sa.delete(attempt).where(of_pair(attempt)), pair_rows(ids))
        connection.execute(sa.insert(attempt), rows)


def _columns(statement: "sa.Select[Any]") -> "sa.Select[Any]":
    return statement.add_columns(
        attempt.c.key,
        attempt.c.failures,
        attempt.c.first_us,
        attempt.c.last_us,
        attempt.c.run_id,
        attempt.c.error,
    )


def _attempt(row: "sa.Row[Any]") -> Attempt:
    return Attempt(
        key=row.key,
        failures=row.failures,
        first_ts=moment(row.first_us),
        last_ts=moment(row.last_us),
        run_id=row.run_id,
        error=row.error,
    )
