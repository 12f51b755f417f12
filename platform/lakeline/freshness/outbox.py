"""The alerts that a channel is still to be told, kept in the ledger until it has taken them.

Each asset partition has one row a channel, named ``alert:<channel>``, with the alerts that wait. Two of one state and
kind are kept as the later one: of an asset that broke ten times while nobody could be told, people hear once. So the
backlog is bounded by what there is, and beyond `BACKLOG` alerts the oldest are dropped and written to the log.

A channel is told at least once: one that takes an alert and fails to say so is told again, with the same id.
"""

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lakeline.freshness.alerts import Alert
from lakeline.freshness.channels import Channel, DeliveryError
from lakeline.freshness.patience import Patience
from lakeline.ledger import State

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

PREFIX = "alert:"
PENDING, SENT = "pending", "sent"
WITHIN_S = 5.0
"""How long all channels together may take, in seconds; a tick waits no longer for them."""
A_TICK = 20
"""Alerts that a channel is told at most in one tick; the others wait for the next."""
BACKLOG = 1_000
"""Alerts that wait for a channel at most."""

_log = logging.getLogger(__name__)
_patience: Patience[None] = Patience(within_s=WITHIN_S)


def is_outbox(state: State) -> bool:
    """Whether a state of the ledger is a row of the outbox."""
    return state.name.startswith(PREFIX)


def waiting_rows(
    ledger: "Ledger", channels: Sequence[Channel], alerts: Sequence[Alert]
) -> list[State]:
    """Rows of the outbox to be set so that each channel is told of the alerts, beside what waits already."""
    if not alerts:
        return []
    return [row for one in channels for row in _Box.of(ledger, one).with_alerts(alerts)]


def deliver(ledger: "Ledger", channels: Sequence[Channel], *, now: dt.datetime) -> None:
    """Tell each channel what waits for it, side by side; what one does not take is logged and stays."""
    boxes = {one.name: _Box.of(ledger, one) for one in channels}
    rounds = {one.name: _Round(channel=one, box=boxes[one.name]) for one in channels}
    due = {name: one for name, one in rounds.items() if one.box.waiting}
    tasks: Mapping[str, Callable[[], None]] = {
        f"{name} {ledger.url}": partial(one.tell) for name, one in due.items()
    }
    ended = _patience.run(tasks)
    rows: list[State] = []
    for one, outcome in zip(due.values(), ended.values(), strict=True):
        rows += one.rows(outcome)
    if rows:
        ledger.set_states(rows, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    """An alert that waits.

    Attributes:
        refused: How often the channel would not have it; those that were refused come last, so that they block nobody.
    """

    alert: Alert
    refused: int = 0

    @property
    def order(self) -> tuple[int, dt.datetime]:
        return self.refused, self.alert.since

    def as_json(self) -> dict[str, Any]:
        return {**self.alert.as_json(), "refused": self.refused}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Box:
    """What waits for one channel, by asset and partition."""

    name: str
    rows: Mapping[tuple[str, str], tuple[_Waiting, ...]]

    @classmethod
    def of(cls, ledger: "Ledger", channel: Channel) -> "_Box":
        name = PREFIX + channel.name
        rows = {
            (one.asset, one.partition): tuple(
                _Waiting(alert=Alert.from_json(said), refused=said["refused"])
                for said in one.detail.get("waiting", ())
            )
            for one in ledger.states(name=name)
            if one.state == PENDING
        }
        return cls(name=name, rows=rows)

    @property
    def waiting(self) -> list[_Waiting]:
        return sorted((one for row in self.rows.values() for one in row), key=lambda one: one.order)

    def with_alerts(self, alerts: Iterable[Alert]) -> list[State]:
        """The rows that some new alerts change."""
        added: dict[tuple[str, str], list[_Waiting]] = {}
        for one in alerts:
            where = (one.asset, one.partition)
            row = added.setdefault(where, list(self.rows.get(where, ())))
            row[:] = [old for old in row if _topic(old.alert) != _topic(one)]
            row.append(_Waiting(alert=one))
        return [self.row(where, row) for where, row in added.items()]

    def without(self, gone: Collection[str], refused: Collection[str]) -> list[State]:
        """The rows that change when some alerts are gone and others were refused, both by their ids."""
        changed = []
        for where, row in self.rows.items():
            left = [
                _Waiting(alert=one.alert, refused=one.refused + (one.alert.id in refused))
                for one in row
                if one.alert.id not in gone
            ]
            if tuple(left) != row:
                changed.append(self.row(where, left))
        return changed

    def row(self, where: tuple[str, str], waiting: Sequence[_Waiting]) -> State:
        return State(
            asset=where[0],
            partition=where[1],
            name=self.name,
            state=PENDING if waiting else SENT,
            detail={"waiting": [one.as_json() for one in waiting]},
        )


@dataclass(kw_only=True)
class _Round:
    """One attempt to tell a channel what waits for it."""

    channel: Channel
    box: _Box
    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def tell(self) -> None:
        """Send one after the other; a refusal concerns that alert alone, anything else ends the round."""
        for one in self.box.waiting[:A_TICK]:
            try:
                self.channel.send(one.alert)
            except DeliveryError as error:
                if not error.is_refusal:
                    raise
                self.refused[one.alert.id] = str(error)
            else:
                self.sent.append(one.alert.id)

    def rows(self, outcome: Exception | None) -> list[State]:
        """The rows that change by what came of it."""
        # Its thread may still be at work: what it does from here on is done again.
        sent, refused = tuple(self.sent), dict(self.refused)
        left = [one for one in self.box.waiting if one.alert.id not in sent]
        if outcome is not None or refused:
            why = outcome if outcome is not None else next(iter(refused.values()))
            _log.error(
                "%d alerts wait for %s and are sent again: %s", len(left), self.channel.name, why
            )
        dropped = left[: max(0, len(left) - BACKLOG)]
        for one in dropped:
            _log.error("Dropped for %s, which takes nothing: %s", self.channel.name, one.alert)
        return self.box.without({*sent, *(one.alert.id for one in dropped)}, refused)


def _topic(alert: Alert) -> tuple[str, str]:
    return alert.topic, alert.kind
