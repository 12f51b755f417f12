"""When a model is trained again: its reasons, and what holds it back.

Reasons are a broken promise, other code, other features, and checks of reports that it watches. Changed inputs alone are
none: they are noted. What holds it back is that nothing changed (equal inputs and code train an equal model), a
cool-down, and a limit on trainings a period. Every training counts, also one whose challenger was refused.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lakeline.freshness.promise import Promise
    from lakeline.ledger import Ledger

WATCHED_CHECK = "check:"
"""Prefix of the name under which the ledger's states hold the latest result of a report's check."""

PASSED, FAILED = "passed", "failed"

TRAINING = "training"
"""Name of the state in which the ledger holds the newest trainings of a model."""

KEPT_TRAININGS = 50
ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrain:
    """A model's own reasons to be trained again, and how often it may be.

    Attributes:
        on: Reports that it watches, as ``domain/name``, each with one of its checks; an empty check stands for all.
        cooldown: Least time between a training and the next one.
        at_most: Trainings within ``per``.
        per: Length of the period that ``at_most`` counts in, back from now.
        metric: What the gate compares.
        holdout: Newest days, which judge a challenger. One that may not learn from more than the champion did has
            nothing to win with, unless its code or its features are others.
    """

    on: tuple[tuple[str, str], ...] = ()
    cooldown: dt.timedelta = dt.timedelta(days=7)
    at_most: int = 3
    per: dt.timedelta = dt.timedelta(days=30)
    metric: str = "brier"
    holdout: dt.timedelta = dt.timedelta(0)

    def watches(self, report: str, check: str) -> bool:
        """Whether a failure of the check is a reason.

        >>> Retrain(on=(("shop/drift", ""),)).watches("shop/drift", "share")
        True
        """
        return (report, check) in self.on or (report, "") in self.on

    def not_before(self, trained: Sequence[dt.datetime], now: dt.datetime) -> dt.datetime | None:
        """The earliest time of the next training, given those of all earlier ones; None if it may be now."""
        ended = sorted(trained)
        waits = [ended[-1] + self.cooldown] if ended else []
        if len(ended) >= self.at_most:
            waits.append(ended[-self.at_most] + self.per)
        until = max(waits, default=now)
        return until if until > now else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a model is to be trained, and why or why not.

    Attributes:
        due: Whether it is to be trained now.
        reason: In words, for people.
        not_before: Where there is a reason but it is too early: when it will be due.
    """

    due: bool
    reason: str
    not_before: dt.datetime | None = None


def reason_to_train(  # noqa: PLR0913 - each is one fact, all named
    *,
    now: dt.datetime,
    promise: "Promise | None",
    watermark: dt.datetime | None,
    trained: Sequence[dt.datetime],
    code_changed: bool,
    features_changed: bool,
    inputs_changed_since_training: bool,
    failed_checks: Sequence[str],
    policy: Retrain,
) -> Verdict:
    """Whether a model is to be trained now.

    Args:
        now: The present.
        promise: How far back the champion's training window may end; None promises nothing.
        watermark: End of the champion's training window; None without a champion.
        trained: When each training was, whatever became of its challenger, in any order and in the clock of ``now``.
        code_changed: Whether the model's code is another than in the last training.
        features_changed: Whether the code of what it learns from is another than in the last training.
        inputs_changed_since_training: Whether it would read other partitions or versions than in the last training.
        failed_checks: Watched checks whose latest result is a failure, by readable names.
        policy: What the model's declaration says.
    """
    if not trained:
        return Verdict(due=True, reason="it was never trained")
    if not (code_changed or inputs_changed_since_training):
        return Verdict(
            due=False, reason="nothing changed since it was trained: it would be the same model"
        )
    reasons = [
        *_of_age(now, promise, watermark),
        *(["its code has changed"] if code_changed else []),
        *(["its features have changed"] if features_changed else []),
        *(f"{name} failed" for name in failed_checks),
    ]
    if not reasons:
        return Verdict(due=False, reason="its inputs have changed, which alone is no reason")
    reason = "; ".join(reasons)
    until = policy.not_before(trained, now)
    if until is not None:
        held = _held_back(policy, trained, until)
        return Verdict(due=False, reason=f"{reason}; {held}", not_before=until)
    # A day more than the holdout, or the challenger's window would end where the champion's does.
    news = watermark + policy.holdout + ONE_DAY if watermark is not None and policy.holdout else now
    if now < news and not (code_changed or features_changed):
        held = f"a challenger would know no more than the champion before {news:%Y-%m-%d %H:%M}"
        return Verdict(due=False, reason=f"{reason}; {held}", not_before=news)
    return Verdict(due=True, reason=reason)


def _of_age(
    now: dt.datetime, promise: "Promise | None", watermark: dt.datetime | None
) -> list[str]:
    if watermark is None:
        return ["it has no champion"]
    if promise is None or promise.is_kept(watermark, now):
        return []
    return [f"it learned up to {watermark:%Y-%m-%d}, and promises {promise.text}"]


def _held_back(policy: Retrain, trained: Sequence[dt.datetime], until: dt.datetime) -> str:
    again = f"{until:%Y-%m-%d %H:%M}"
    if until == max(trained) + policy.cooldown:
        return f"it cools down until {again}"
    return f"it was trained {policy.at_most} times in {policy.per.days} days, and may be again from {again}"


class Training(NamedTuple):
    """One training of a model, whatever became of its challenger.

    Attributes:
        known_ts: End of the newest day that it could read. Cool-downs are counted from there, in the time of the data, so
            that a replayed year and a late machine's clock count like every other.
        inputs: What it read, as `fingerprint` writes it.
        code_version: Of the model's code.
    """

    known_ts: dt.datetime
    inputs: str
    code_version: str


def fingerprint(read: Iterable[tuple[str, str, str]]) -> str:
    """Hash of what a training read: asset, partition and version of each input, in any order."""
    lines = sorted("\0".join(one) for one in read)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def trainings(ledger: "Ledger", model: str) -> tuple[Training, ...]:
    """The newest trainings of a model, oldest first; one row of the ledger, however many there are."""
    for held in ledger.states(name=TRAINING, asset=model):
        return tuple(
            Training(dt.datetime.fromisoformat(known), inputs, code)
            for known, inputs, code in held.detail["trainings"]
        )
    return ()


def note_training(ledger: "Ledger", model: str, training: Training) -> None:
    """Add a training to those that the ledger holds; the oldest go."""
    from lakeline.ledger import State

    known = [*trainings(ledger, model), training][-KEPT_TRAININGS:]
    rows = [[one.known_ts.isoformat(), one.inputs, one.code_version] for one in known]
    state = State(
        asset=model,
        partition="",
        name=TRAINING,
        state=training.known_ts.isoformat(),
        detail={"trainings": rows},
    )
    ledger.set_states([state], now=dt.datetime.now(dt.UTC))
