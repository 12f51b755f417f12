"""Alerts: what people are told when a state changes for the worse, and when it is well again, once a change.

States live in the ledger. Some of their words are bad (``fresh`` is ``broken``, ``consistent`` is ``blocked``): coming to
another bad word is told, and so is leaving them all. What an alert says stands in the detail of the state: ``message`` or
``said``, and if need be ``path`` and ``since``.

An alert is in the ledger before anybody is told, and leaves it when the channel has taken it: `announce` writes both in
one transaction, so that no crash lies between a change of state and its alert.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from lakeline.ledger import State, StateChange, place

if TYPE_CHECKING:
    from lakeline.freshness.channels import Channel
    from lakeline.freshness.decision import Plan
    from lakeline.freshness.fresh import Freshness
    from lakeline.ledger import Ledger

Kind = Literal["about_to_break", "broken", "blocked", "gave_up", "budget", "recovered"]
BAD: Mapping[str, Kind] = {
    "about_to_break": "about_to_break",
    "broken": "broken",
    "blocked": "blocked",
    "gave_up": "gave_up",
    "over_budget": "budget",
}
"""Words of a state that people are told of, with the kind of the alert."""

_SAID: Mapping[str, str] = {
    "about_to_break": "the promise is about to break",
    "broken": "the promise is broken",
    "blocked": "it cannot be built",
    "gave_up": "it failed too often and is not tried again before its inputs or code change",
    "budget": "the budget is used up",
    "recovered": "all is well again",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One change of state, as people are told of it.

    Attributes:
        kind: What happened.
        asset, partition: Of what; no asset for what concerns all of them.
        since: Since when it is so, aware UTC.
        message: One sentence.
        path: From the asset to the cause, each as ``asset[partition]: reason``.
        topic: Name of the state that changed.
    """

    kind: Kind
    asset: str
    partition: str
    since: dt.datetime
    message: str
    path: tuple[str, ...] = ()
    topic: str = ""

    @property
    def id(self) -> str:
        """The same whenever this change is told again, so that whoever receives it twice can see that."""
        parts = (self.asset, self.partition, self.topic, self.kind, self.since.isoformat())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def place(self) -> str:
        """What it is about, in a word."""
        return place(self.asset, self.partition) or "all assets"

    def as_json(self) -> dict[str, Any]:
        """As it is posted to a webhook and kept in the ledger."""
        return {
            "id": self.id,
            "kind": self.kind,
            "asset": self.asset,
            "partition": self.partition,
            "topic": self.topic,
            "since": self.since.isoformat(),
            "message": self.message,
            "path": list(self.path),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Alert":
        """What `as_json` wrote."""
        given = {name: said[name] for name in ("kind", "asset", "partition", "topic", "message")}
        since = dt.datetime.fromisoformat(said["since"])
        return cls(**given, since=since, path=tuple(said["path"]))


def alerts_of(
    changes: Sequence[StateChange],
    plan: "Plan | None" = None,
    fresh: "Mapping[str, Freshness] | None" = None,
) -> tuple[Alert, ...]:
    """The alerts of changes that `Ledger.set_states` returned; most changes are worth none.

    Args:
        changes: Of any states.
        plan: What reconciling decided, from which the path to a cause is read where a state has none.
        fresh: How far assets reach, for the same.
    """
    alerts = (_alert_of(change) for change in changes)
    found = [one for one in alerts if one is not None]
    return tuple(one if one.path else replace(one, path=_path(one, plan, fresh)) for one in found)


def raise_alerts(
    ledger: "Ledger", alerts: Sequence[Alert], channels: "Sequence[Channel]", *, now: dt.datetime
) -> None:
    """Tell each channel of the alerts, and of what it could not be told before.

    To be called at every tick, with no alerts too: what a channel did not take is kept in the ledger and told again.
    No channel is waited for longer than `outbox.WITHIN_S` seconds, and none keeps another from being told.
    """
    from lakeline.freshness import outbox

    if rows := outbox.waiting_rows(ledger, channels, alerts):
        ledger.set_states(rows, now)
    outbox.deliver(ledger, channels, now=now)


def announce(
    ledger: "Ledger",
    states: Sequence[State],
    channels: "Sequence[Channel]",
    *,
    now: dt.datetime,
    plan: "Plan | None" = None,
    fresh: "Mapping[str, Freshness] | None" = None,
) -> tuple[StateChange, ...]:
    """Set states and tell the channels what changed, as `raise_alerts` does, with no gap for a crash in between.

    Returns:
        Those of the states whose word is another one now.
    """
    from lakeline.freshness import outbox

    alerts = alerts_of(_coming(ledger, states, now), plan, fresh) if channels else ()
    rows = outbox.waiting_rows(ledger, channels, alerts)
    changes = ledger.set_states([*states, *rows], now)
    outbox.deliver(ledger, channels, now=now)
    return tuple(one for one in changes if not outbox.is_outbox(one.state))


def _coming(ledger: "Ledger", states: Sequence[State], now: dt.datetime) -> list[StateChange]:
    """What setting the states will change."""
    before = {
        (one.asset, one.partition, one.name): one.state
        for name in {state.name for state in states}
        for one in ledger.states(name=name)
    }
    found = []
    for one in states:
        was = before.get((one.asset, one.partition, one.name))
        if was != one.state:
            found.append(StateChange(state=replace(one, since_ts=now), before=was))
    return found


def _alert_of(change: StateChange) -> Alert | None:
    state = change.state
    before = change.before or ""
    kind = BAD.get(state.state) or ("recovered" if before in BAD else None)
    if kind is None:
        return None
    said = state.detail.get("since")
    since = dt.datetime.fromisoformat(said) if said else state.since_ts
    assert since is not None
    where = place(state.asset, state.partition) or "all assets"
    message = state.detail.get("message") or state.detail.get("said")
    return Alert(
        kind=kind,
        asset=state.asset,
        partition=state.partition,
        since=since,
        message=message or f"{where}: {_SAID[kind]}",
        path=tuple(state.detail.get("path", ())),
        topic=state.name,
    )


def _path(
    alert: Alert, plan: "Plan | None", fresh: "Mapping[str, Freshness] | None"
) -> tuple[str, ...]:
    """From the asset to the cause, by what holds its data back, and then by what keeps that from being built."""
    if alert.kind == "recovered":
        return ()
    steps: list[str] = []
    cause = alert.asset
    if fresh is not None and alert.topic == "fresh" and alert.asset in fresh:
        steps, cause = _steps_back(fresh[alert.asset])
    return (*steps, *_decided(plan, cause)) if plan is not None else tuple(steps)


def _steps_back(one: "Freshness") -> tuple[list[str], str]:
    cause = one.held_back_by or one.asset
    reaches = f"reaches {one.watermark:%Y-%m-%d %H:%M}" if one.watermark else "has nothing yet"
    steps = [f"{one.asset}: {reaches}"]
    if cause != one.asset:
        since = one.held_back_since
        steps.append(
            f"{cause}: {f'reaches {since:%Y-%m-%d %H:%M}' if since else 'has nothing yet'}"
        )
    return steps, cause


def _decided(plan: "Plan", asset: str) -> list[str]:
    from lakeline.freshness.reasons import path_to_cause

    decisions = [one for one in plan.decisions if one.asset == asset]
    worst = min(decisions, key=lambda one: one.action not in BAD, default=None)
    path = path_to_cause(plan, worst) if worst is not None else ()
    return [f"{one.place}: {one.reason}" for one in path]
