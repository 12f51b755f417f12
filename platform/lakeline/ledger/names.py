"""Names that stand once: integers for the strings that builds and inputs repeat millions of times.

Everything here runs inside the ledger's one writing transaction, so ids are counted up without a sequence.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.schema import asset, word

_CHUNK = 500  # SQLite promises no more than 999 variables in a statement


def asset_ids(connection: sa.Connection, names: Collection[str]) -> dict[str, int]:
    """Id of each asset, added where new."""
    return _intern(connection, asset.c.name, names)


def word_ids(connection: sa.Connection, texts: Collection[str]) -> dict[str, int]:
    """Id of each other string, added where new."""
    return _intern(connection, word.c.text, texts)


def next_id(connection: sa.Connection, table: sa.Table) -> int:
    """The first id that ``table`` has not given out."""
    return (connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0) + 1


def _intern(
    connection: sa.Connection, column: "sa.Column[Any]", texts: Collection[str]
) -> dict[str, int]:
    ordered = sorted(texts)
    known = _known(connection, column, ordered)
    new = [text for text in ordered if text not in known]
    if not new:
        return known
    ids = {text: id_ for id_, text in enumerate(new, next_id(connection, column.table))}
    rows = [{"id": id_, column.name: text} for text, id_ in ids.items()]
    connection.execute(sa.insert(column.table), rows)
    return known | ids


def _known(
    connection: sa.Connection, column: "sa.Column[Any]", ordered: list[str]
) -> dict[str, int]:
    known: dict[str, int] = {}
    for start in range(0, len(ordered), _CHUNK):
        some = column.in_(ordered[start : start + _CHUNK])
        rows = connection.execute(sa.select(column, column.table.c.id).where(some))
        known |= {row[0]: row[1] for row in rows}
    return known
