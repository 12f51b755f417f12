"""Whole assets looked at, several in one statement: what they have, and what of it is not as it should be."""

import json
from collections.abc import Collection, Mapping
from functools import cache
from sys import intern
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.bulk import taken_apart
from lakeline.ledger.records import Pair
from lakeline.ledger.schema import asset, build, current, word

_code = word.alias("code")


def partitions_of(connection: sa.Connection, assets: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Present partitions of assets, sorted."""
    asked = [[name, ""] for name in assets]
    rows = _rows(connection, _listed(connection.dialect.name), asked)
    # The same days again and again: one text for each is a tenth of the memory.
    return {name: tuple(sorted(map(intern, json.loads(partitions)))) for name, partitions in rows}


def stale_of(connection: sa.Connection, codes: Mapping[str, str | None]) -> set[Pair]:
    """Present partitions of assets that are marked, or of another code version than the one given."""
    found: set[Pair] = set()
    any_code = [[name, ""] for name in codes]
    one_code = [[name, code] for name, code in codes.items() if code is not None]
    for statement, asked in ((_marked, any_code), (_other_code, one_code)):
        rows = _rows(connection, statement(connection.dialect.name), asked)
        found.update((name, partition) for name, partition in rows)
    return found


def _rows(
    connection: sa.Connection, statement: "sa.Select[Any]", asked: Collection[list[str]]
) -> "list[sa.Row[Any]]":
    return list(connection.execute(statement, {"pairs": json.dumps(list(asked))}).all())


@cache
def _partitions(dialect: str) -> "sa.Select[Any]":
    name, _ = taken_apart(dialect)
    return (
        sa.select(asset.c.name, word.c.text)
        .join_from(asset, current, current.c.asset_id == asset.c.id)
        .join(word, word.c.id == current.c.part_id)
        .where(asset.c.name == name)
    )


@cache
def _listed(dialect: str) -> "sa.Select[Any]":
    """A row for each asset, its partitions as one JSON list: a third of the time that a row for each takes."""
    listed = sa.func.json_agg if dialect == "postgresql" else sa.func.json_group_array
    return (
        _partitions(dialect)
        .with_only_columns(asset.c.name, sa.cast(listed(word.c.text), sa.Text))
        .group_by(asset.c.name)
    )


@cache
def _marked(dialect: str) -> "sa.Select[Any]":
    return _partitions(dialect).where(current.c.because_asset_id.is_not(None))


@cache
def _other_code(dialect: str) -> "sa.Select[Any]":
    name, code = taken_apart(dialect)
    code_id = sa.select(_code.c.id).where(_code.c.text == code).scalar_subquery()
    return (
        sa.select(asset.c.name, word.c.text)
        .join_from(asset, current, current.c.asset_id == asset.c.id)
        .join(build, build.c.id == current.c.build_id)
        .join(word, word.c.id == current.c.part_id)
        .where(asset.c.name == name, build.c.code_id != sa.func.coalesce(code_id, -1))
    )
