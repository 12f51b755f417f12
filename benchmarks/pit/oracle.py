"""The answer to a point-in-time join by looking at every row: slow, short, and with nothing in common with the engine."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a feature table.

    Attributes:
        keys: Its keys; a null one matches nothing.
        event: What its value describes; without, it is never used.
        known: From when on it could be read; without, it never could. Not looked at where views know no such time.
        value: The feature.
    """

    keys: tuple[Any, ...]
    event: dt.datetime | None
    known: dt.datetime | None
    value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """An entity row.

    Attributes:
        keys: Its keys; a null one matches nothing.
        at: As of when the feature is wanted.
    """

    keys: tuple[Any, ...]
    at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How a view is read.

    Attributes:
        hides: Whether rows count only once they are known.
        has_known: Whether the time of knowing decides between rows of one event time.
        ttl: Greatest age against the event time, itself included; None for any.
    """

    hides: bool
    has_known: bool
    ttl: dt.timedelta | None


def winners(ask: Ask, rows: Sequence[Row], rule: Rule) -> list[Row]:
    """Rows that the entity row may take, the last in the table last; more than one only where nothing tells them apart."""
    seen = [row for row in rows if _is_seen(ask, row, rule)]
    if not seen:
        return []
    best = max(_order(row, rule) for row in seen)
    return [row for row in seen if _order(row, rule) == best]


def answer(ask: Ask, rows: Sequence[Row], rule: Rule) -> float | None:
    """The value that the entity row takes: of rows that nothing tells apart the last in the table."""
    found = winners(ask, rows, rule)
    return found[-1].value if found and _is_young(ask, found[-1], rule) else None


def answers(ask: Ask, rows: Sequence[Row], rule: Rule) -> set[float | None]:
    """Every value that a store may give which says nothing about rows that nothing tells apart."""
    found = winners(ask, rows, rule)
    return {row.value if _is_young(ask, row, rule) else None for row in found} or {None}


def _is_seen(ask: Ask, row: Row, rule: Rule) -> bool:
    if ask.at is None or row.event is None or None in row.keys or ask.keys != row.keys:
        return False
    if rule.hides and (row.known is None or row.known > ask.at):
        return False
    return row.event <= ask.at


def _order(row: Row, rule: Rule) -> tuple[dt.datetime, bool, dt.datetime]:
    assert row.event is not None
    known = row.known if rule.has_known else None
    return row.event, known is not None, known or row.event


def _is_young(ask: Ask, row: Row, rule: Rule) -> bool:
    assert ask.at is not None
    assert row.event is not None
    return rule.ttl is None or ask.at - row.event <= rule.ttl
