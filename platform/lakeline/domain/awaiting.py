"""Rows that do not count yet when a store is filled: from the moment of the first of them on, what is online is stale.

The moment is kept in the ledger. Once it has come, what is online is recorded anew as built from an earlier version of
that partition, so that it is found inconsistent like everything whose input has changed, and its next build settles it.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lakeline.ledger import Cost, Input, State
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

AWAITED = "awaited"
"""Name of the ledger's state: when the next row of an online view counts, or `NOTHING`."""
NOTHING = "nothing"


def note(ledger: "Ledger", asset: str, awaited: Mapping[str, dt.datetime]) -> None:
    """Keep when the next row of an online view counts.

    Args:
        ledger: Where.
        asset: The online asset.
        awaited: Next such moment of each partition that has one.
    """
    first = min(awaited, key=lambda key: awaited[key], default=None)
    state = NOTHING if first is None else awaited[first].isoformat()
    said = State(asset=asset, name=AWAITED, state=state, detail={"partition": first})
    ledger.set_states([said], now=dt.datetime.now(dt.UTC))


def take_up(
    ledger: "Ledger", now: dt.datetime, *, assets: Collection[str] | None = None
) -> list[str]:
    """Make online assets stale of which an awaited row counts by now, once each; returns those, sorted.

    Args:
        ledger: What was noted, and what each was built from.
        now: The present of the clock that the data goes by.
        assets: Those that go by this clock; None for all.
    """
    noted = ledger.states(name=AWAITED)
    asked = [one for one in noted if assets is None or one.asset in assets]
    found = [one.asset for one in asked if _has_come(one, now) and _outdate(ledger, one)]
    ledger.settle_agenda(seq=None, add=[(name, WHOLE) for name in found], remove=(), now=now)
    return sorted(found)


def _has_come(awaited: State, now: dt.datetime) -> bool:
    return awaited.state != NOTHING and dt.datetime.fromisoformat(awaited.state) <= now


def _outdate(ledger: "Ledger", awaited: State) -> bool:
    """Record the present build anew as made from less than its input has now; False where it is stale already."""
    from lakeline.recording import recorded

    held = ledger.current(awaited.asset, [WHOLE]).get(WHOLE)
    if held is None or held.marked:
        return False
    build = recorded(ledger, awaited.asset, WHOLE, held)
    if awaited.detail["partition"] not in {one.partition for one in build.inputs}:
        return False
    build = replace(build, inputs=tuple(_before(one, awaited) for one in build.inputs))
    ledger.record(uuid.uuid4().hex, [build], _nothing_spent(held.ended_ts))
    return True


def _before(read: Input, awaited: State) -> Input:
    if read.partition != awaited.detail["partition"]:
        return read
    return replace(read, version=f"{read.version} before {awaited.state}")


def _nothing_spent(moment: dt.datetime) -> Cost:
    return Cost(started_ts=moment, ended_ts=moment, cpu_s=0.0, peak_rss_bytes=0, placement="observed")  # fmt: skip
