"""Random cases that are hard on a point-in-time join: every time is an edge of some other."""

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from benchmarks.pit.oracle import Ask, Row, Rule

MICROSECOND, SECOND, HOUR = (
    dt.timedelta(microseconds=1),
    dt.timedelta(seconds=1),
    dt.timedelta(hours=1),
)
ZONE = ZoneInfo("Europe/Berlin")
AUTUMN = dt.datetime(2024, 10, 27, 1, tzinfo=dt.UTC)
"""The hour from 2 to 3 in Berlin comes twice: from an hour before this moment, and from it on."""
ANCHORS = (
    AUTUMN,
    AUTUMN - HOUR,
    dt.datetime(2024, 3, 31, 1, tzinfo=dt.UTC),  # the hour from 2 to 3 does not come at all
    dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
)
TTLS = (None, HOUR, dt.timedelta(days=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Cases that one view answers.

    Attributes:
        number: Which.
        keys: Number of keys.
        rule: How the view is read.
        cases: Rows of the feature table and entity rows of each case.
    """

    number: int
    keys: int
    rule: Rule
    cases: "tuple[Case, ...]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A small world: what happened, and what is asked."""

    rows: tuple[Row, ...]
    asks: tuple[Ask, ...]


def families(cases: int, seed: int) -> Iterator[Family]:
    """So many cases over views of one to three keys, every time to live, with and without a time of knowing."""
    kinds = [
        (keys, ttl, knows) for keys in (1, 2, 3) for ttl in TTLS for knows in (True, False, True)
    ]
    share, left = divmod(cases, len(kinds))
    for number, (keys, ttl, knows) in enumerate(kinds):
        rule = Rule(hides=knows, has_known=knows, ttl=ttl)
        dice = random.Random(f"{seed}/{number}")  # noqa: S311 - cases, not secrets
        count = share + (number < left)
        made = tuple(_case(dice, keys, ttl) for _ in range(count))
        yield Family(number=number, keys=keys, rule=rule, cases=made)


def _case(dice: random.Random, keys: int, ttl: dt.timedelta | None) -> Case:
    moments = _moments(dice, ttl)
    rows = [_row(dice, moments, keys, number) for number in range(dice.randint(0, 9))]
    rows += [dice.choice(rows) for _ in range(dice.randint(0, 2)) if rows]  # the same again
    asks = [Ask(keys=_keys(dice, keys), at=dice.choice(moments)) for _ in range(dice.randint(1, 4))]
    asks += [dice.choice(asks) for _ in range(dice.choice((0, 0, 1)))]
    return Case(rows=tuple(rows), asks=tuple(asks))


def _moments(dice: random.Random, ttl: dt.timedelta | None) -> Sequence[dt.datetime]:
    """Few moments, so that they meet: a microsecond, an hour or a time to live apart from each other."""
    anchor = dice.choice(ANCHORS) + dice.randint(0, 3) * HOUR / 2
    steps = [MICROSECOND, SECOND, HOUR, 2 * HOUR] + ([ttl, ttl + MICROSECOND] if ttl else [])
    found = [anchor]
    for _ in range(6):
        found.append(dice.choice(found) + dice.choice((-1, 1)) * dice.choice(steps))
    return found


def _row(dice: random.Random, moments: Sequence[dt.datetime], keys: int, number: int) -> Row:
    event = dice.choice(moments)
    late = dice.choice((0 * HOUR, 0 * HOUR, MICROSECOND, HOUR, -HOUR, 26 * HOUR))
    known = dice.choice((event + late, dice.choice(moments)))
    return Row(
        keys=_keys(dice, keys),
        event=event if dice.random() > 0.03 else None,
        known=known if dice.random() > 0.05 else None,
        value=float(number) if dice.random() > 0.1 else None,
    )


def _keys(dice: random.Random, keys: int) -> tuple[str | None, ...]:
    return tuple(
        dice.choice(("a", "b", "a", "b", None)) if dice.random() < 0.3 else "a" for _ in range(keys)
    )
