"""The latest state of named things, such as checks and alerts, so that a change of state is told once.

Everything here that writes runs inside the ledger's one writing transaction.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.agenda import ids_of, of_pair, pair_rows
from lakeline.ledger.bulk import rows_of, wanted
from lakeline.ledger.moments import micros, moment
from lakeline.ledger.records import State, StateChange
from lakeline.ledger.schema import asset, state, word
from lakeline.ledger.texts import storable, storable_json

_Name = tuple[str, str, str]


def set_states(
    connection: sa.Connection, states: Sequence[State], now: dt.datetime
) -> tuple[StateChange, ...]:
    """Store the states; returns those of which the word is another one now."""
    after = {_name(one): _storable(one) for one in states}
    before = _stored(connection, after)
    changed = {
        name: StateChange(
            state=replace(one, since_ts=now), before=before[name].state if name in before else None
        )
        for name, one in after.items()
        if name not in before or before[name].state != one.state
    }
    written = {
        name: replace(one, since_ts=now if name in changed else before[name].since_ts)
        for name, one in after.items()
        if name in changed or before[name].detail != one.detail
    }
    _replace(connection, list(written.values()))
    return tuple(changed.values())


def states(connection: sa.Connection, name: str | None, asset_name: str | None) -> list[State]:
    """Stored states, of one name or one asset if given, by asset, partition and name."""
    statement = (
        sa.select(asset.c.name, word.c.text, state.c.name, state.c.state)
        .add_columns(state.c.detail, state.c.since_us)
        .join_from(state, asset, asset.c.id == state.c.asset_id)
        .join(word, word.c.id == state.c.part_id)
    )
    if name is not None:
        statement = statement.where(state.c.name == name)
    if asset_name is not None:
        statement = statement.where(asset.c.name == asset_name)
    return sorted((_state(row) for row in connection.execute(statement)), key=_name)


def _stored(connection: sa.Connection, names: "dict[_Name, State]") -> dict[_Name, State]:
    asked = wanted(connection.dialect.name)
    is_its = sa.and_(state.c.asset_id == asked.c.asset_id, state.c.part_id == asked.c.part_id)
    statement = (
        sa.select(asked.c.asset, asked.c.partition, state.c.name, state.c.state)
        .add_columns(state.c.detail, state.c.since_us)
        .join_from(asked, state, is_its)
    )
    pairs = {(asset_name, partition) for asset_name, partition, _ in names}
    found = (_state(row) for row in rows_of(connection, statement, pairs))
    return {_name(one): one for one in found if _name(one) in names}


def _replace(connection: sa.Connection, written: Sequence[State]) -> None:
    if not written:
        return
    ids = ids_of(connection, [(one.asset, one.partition) for one in written])
    of_state = [ids[one.asset, one.partition] for one in written]
    keys = [
        {**row, "one_name": one.name} for row, one in zip(pair_rows(of_state), written, strict=True)
    ]
    is_it = sa.and_(of_pair(state), state.c.name == sa.bindparam("one_name"))
    connection.execute(sa.delete(state).where(is_it), keys)
    rows = [
        _row(one, asset_id, part_id)
        for one, (asset_id, part_id) in zip(written, of_state, strict=True)
    ]
    connection.execute(sa.insert(state), rows)


def _row(one: State, asset_id: int, part_id: int) -> dict[str, Any]:
    assert one.since_ts is not None
    return {
        "asset_id": asset_id,
        "part_id": part_id,
        "name": one.name,
        "state": one.state,
        "detail": json.dumps(dict(one.detail), ensure_ascii=False, sort_keys=True),
        "since_us": micros(one.since_ts),
    }


def _state(row: "sa.Row[Any]") -> State:
    asset_name, partition, name, text, detail, since_us = row
    return State(
        asset=asset_name,
        partition=partition,
        name=name,
        state=text,
        detail=json.loads(detail),
        since_ts=moment(since_us),
    )


def _storable(one: State) -> State:
    return replace(one, state=storable(one.state), detail=storable_json(one.detail))


def _name(one: State) -> _Name:
    return one.asset, one.partition, one.name
