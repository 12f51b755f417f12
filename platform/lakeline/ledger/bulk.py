"""The present of many partitions at once, in one statement, however many they are.

The pairs go to the database as one text, which it takes apart itself, so that no limit on variables is met and the
statement is the same each time.
"""

import json
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from lakeline.ledger.reading import to_current, with_builds
from lakeline.ledger.records import Current, Input, Pair
from lakeline.ledger.schema import asset, current, reads, word

_CHUNK = 5_000  # pairs a statement: a text of a few hundred kilobytes
_part = word.alias("part")
_source = asset.alias("source")
_source_part = word.alias("source_part")
_columns = word.alias("columns")


@cache
def wanted(dialect: str) -> sa.Subquery:
    """Those pairs of the parameter ``pairs`` that the ledger has names for, with their ids."""
    name, partition = taken_apart(dialect)
    return (
        sa.select(
            asset.c.name.label("asset"),
            _part.c.text.label("partition"),
            asset.c.id.label("asset_id"),
            _part.c.id.label("part_id"),
        )
        .where(asset.c.name == name, _part.c.text == partition)
        .subquery("wanted")
    )


def rows_of(
    connection: sa.Connection, statement: "sa.Select[Any]", pairs: Collection[Pair]
) -> Iterator["sa.Row[Any]"]:
    """Rows of a statement over ``wanted``, for all the pairs."""
    ordered = sorted(set(pairs))
    for start in range(0, len(ordered), _CHUNK):
        some = {"pairs": json.dumps(ordered[start : start + _CHUNK])}
        yield from connection.execute(statement, some).all()


def versions_of(connection: sa.Connection, pairs: Collection[Pair]) -> dict[Pair, str]:
    """Present version of those that exist."""
    rows = rows_of(connection, _versions(connection.dialect.name), pairs)
    return {(row[0], row[1]): row[2] for row in rows}


def currents_of(connection: sa.Connection, pairs: Collection[Pair]) -> dict[Pair, Current]:
    """The published build of those that exist."""
    rows = rows_of(connection, _currents(connection.dialect.name), pairs)
    return {(row[0], row[1]): to_current(row[2:]) for row in rows}


def inputs_of(connection: sa.Connection, pairs: Collection[Pair]) -> dict[Pair, tuple[Input, ...]]:
    """What the published builds read, by asset and partition; an empty tuple where one read nothing."""
    found: dict[Pair, list[Input]] = {}
    columns: dict[str, tuple[str, ...]] = {}
    rows = rows_of(connection, _inputs(connection.dialect.name), pairs)
    for a, p, name, partition, version, snapshot_id, text in rows:
        some = found.setdefault((a, p), [])
        if name is None:  # it read nothing
            continue
        if text not in columns:
            columns[text] = tuple(json.loads(text))
        some.append(
            Input(
                asset=name,
                partition=partition,
                version=version,
                snapshot_id=snapshot_id,
                columns=columns[text],
            )
        )
    return {
        pair: tuple(sorted(some, key=_by_name)) if len(some) > 1 else tuple(some)
        for pair, some in found.items()
    }


@cache
def _versions(dialect: str) -> "sa.Select[Any]":
    asked = wanted(dialect)
    return sa.select(asked.c.asset, asked.c.partition, current.c.version).join_from(
        asked, current, _is(asked)
    )


@cache
def _currents(dialect: str) -> "sa.Select[Any]":
    asked = wanted(dialect)
    named = sa.select(asked.c.asset, asked.c.partition)
    return with_builds(named.join_from(asked, current, _is(asked)))


@cache
def _inputs(dialect: str) -> "sa.Select[Any]":
    asked = wanted(dialect)
    return (
        sa.select(
            asked.c.asset,
            asked.c.partition,
            _source.c.name,
            _source_part.c.text,
            reads.c.version,
            reads.c.snapshot_id,
            _columns.c.text,
        )
        .join_from(asked, current, _is(asked))
        .outerjoin(reads, reads.c.build_id == current.c.build_id)
        .outerjoin(_source, _source.c.id == reads.c.asset_id)
        .outerjoin(_source_part, _source_part.c.id == reads.c.part_id)
        .outerjoin(_columns, _columns.c.id == reads.c.columns_id)
    )


def _is(asked: sa.Subquery) -> "sa.ColumnElement[bool]":
    return sa.and_(current.c.asset_id == asked.c.asset_id, current.c.part_id == asked.c.part_id)


def _by_name(one: Input) -> tuple[str, str]:
    return one.asset, one.partition


def taken_apart(dialect: str) -> tuple["sa.ColumnElement[str]", "sa.ColumnElement[str]"]:
    """First and second text of each pair of the parameter ``pairs``."""
    pairs = sa.bindparam("pairs", type_=sa.Text)
    if dialect == "postgresql":
        elements = sa.func.jsonb_array_elements(sa.cast(pairs, JSONB)).table_valued("value")
        return elements.c.value.op("->>")(0), elements.c.value.op("->>")(1)
    elements = sa.func.json_each(pairs).table_valued("value")
    return (
        sa.func.json_extract(elements.c.value, "$[0]"),
        sa.func.json_extract(elements.c.value, "$[1]"),
    )
