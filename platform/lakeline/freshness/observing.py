"""Looking at sources: what an observer finds goes into the ledger as versions and a watermark, and nothing else happens.

What changed is built by reconciling, which compares levels. So an observation may be lost, repeated or late: the next
one finds the same. Nothing is kept outside the ledger.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from lakeline.errors import LedgerError, SourceError, names
from lakeline.freshness.patience import Patience, PatienceError
from lakeline.ledger import State
from lakeline.window import DAY, contiguous, day_start, shift

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

BACKWARDS = "watermark:backwards"
"""Name of the ledger's state that says whether a source reaches less far than it once did."""
LANDING = "landing"
"""Name of the ledger's state that says whether a source could be looked at."""


class SourceUnreachableError(SourceError):
    """A source could not be looked at."""

    can_retry = True

    def __init__(self, source: str, where: str, reason: object, advice: str) -> None:
        self.source = source
        super().__init__(
            f"'{source}' at {where} cannot be looked at: {reason}. {advice} "
            "What the ledger knows of it is left as it was, and the next tick looks again."
        )


class SourceVanishedError(SourceError):
    """A source that had partitions has none at all, which is more often a mistake than the truth."""

    def __init__(self, source: str, where: str, known: Collection[str]) -> None:
        self.source = source
        super().__init__(
            f"'{source}' at {where} is empty, and it had {len(known)} partitions ({names(sorted(known), 3)}). "
            "Nothing is forgotten: check that the right place is mounted and its pattern still fits. "
            "If it was emptied on purpose, call Ledger.forget with the source and these partitions."
        )


class ObservationError(SourceError):
    """Sources that could not be looked at; the others were."""

    def __init__(self, failed: Mapping[str, Exception]) -> None:
        self.failed = dict(failed)
        super().__init__(" ".join(str(error) for error in failed.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What a look at a source found.

    Attributes:
        changed: Partitions that are new, have another version, or are gone, sorted.
        watermark: Event time up to which it is complete; None if that cannot be told.
        notes: What a person should know, in sentences.
    """

    changed: tuple[str, ...]
    watermark: dt.datetime | None
    notes: tuple[str, ...] = ()


class Observer(Protocol):
    """Looks at one source."""

    @property
    def source(self) -> str:
        """Its name in the ledger, as `sources.source_of` makes it from the raw table's."""
        ...

    def observe(self, ledger: "Ledger", now: dt.datetime) -> Observation:
        """Look at the source and tell the ledger, as `record` does.

        Args:
            ledger: Where it is told, and where everything is that is to be known of earlier looks.
            now: The present of the clock that the data goes by.

        Raises:
            SourceError: It cannot be looked at; nothing was changed.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What an observer saw, before it is compared with what is known.

    Attributes:
        where: The place, for errors; no secrets.
        versions: Of each partition that is there, a text that changes when its content does.
        watermark: From all partitions that the source then has.
        is_left: Whether a partition was not looked at, so that what is known of it is to stay.
        is_in_order: Whether a day waits until the days between it and those before it are there.
        takes_open_days: Whether a day is taken once it has begun; else it waits until it is over, so that it is whole when
            it is built.
        notes: For people.
    """

    where: str
    versions: Mapping[str, str]
    watermark: Callable[[Collection[str]], dt.datetime | None]
    is_left: Callable[[str], bool] = lambda _: False
    is_in_order: bool = False
    takes_open_days: bool = False
    notes: tuple[str, ...] = ()


def record(ledger: "Ledger", source: str, look: Look, *, now: dt.datetime) -> Observation:
    """Tell the ledger what was seen of a source; partitions that were looked for and not found are gone.

    Raises:
        SourceVanishedError: Everything would be gone.
    """
    known = ledger.versions(source)
    waiting = _waiting(look, known, now)
    seen = {key: one for key, one in look.versions.items() if key not in waiting}
    left = {
        key: one
        for key, one in known.items()
        if key not in seen and (look.is_left(key) or key in waiting)
    }
    versions = {**left, **seen}
    if known and not versions:
        raise SourceVanishedError(source, look.where, known)
    watermark = look.watermark(versions)
    changed = ledger.observe(
        source, versions, watermark=watermark, observed_ts=now, is_complete=True
    )
    waits = (
        [f"'{source}' waits with {names(sorted(waiting), 3)}: {_why(waiting)}."] if waiting else []
    )
    notes = (*_note_backwards(ledger, source, now), *waits, *look.notes)
    return Observation(changed=changed, watermark=watermark, notes=notes)


def complete_days(
    days: Collection[str], now: dt.datetime, *, is_in_order: bool = False
) -> dt.datetime | None:
    """Up to when a source of daily partitions is complete: the end of its last day that is over.

    Args:
        days: Those that it has, as ``YYYY-MM-DD``.
        now: The present.
        is_in_order: Whether no day may be missing, so that only those before the first gap count.

    >>> noon = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
    >>> days = ["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-05"]
    >>> [f"{complete_days(days, noon, is_in_order=some):%d}" for some in (False, True)]
    ['05', '03']
    """
    over = [day for day in days if _is_over(day, now)]
    if not over:
        return None
    return day_start(contiguous(over)[0][1] if is_in_order else max(over)) + DAY


def look_at(
    observers: Sequence[Observer],
    ledger: "Ledger",
    *,
    now: dt.datetime,
    patience: Patience[Observation],
) -> tuple[dict[str, Observation], dict[str, Exception]]:
    """Look at all sources side by side; returns what was found, and what went wrong, by source.

    One that fails or hangs keeps no other from being looked at.

    Raises:
        LedgerError: The ledger itself cannot be used, so nothing can be told of any source.
    """
    outcomes = patience.run({one.source: partial(one.observe, ledger, now) for one in observers})
    found: dict[str, Observation] = {}
    failed: dict[str, Exception] = {}
    for source, outcome in outcomes.items():
        if isinstance(outcome, LedgerError):
            raise outcome
        if isinstance(outcome, Observation):
            found[source] = outcome
        else:
            failed[source] = _told(source, outcome)
    return found, failed


def landing_states(
    found: Mapping[str, Observation], failed: Mapping[str, Exception]
) -> list[State]:
    """Whether each source could be looked at, as the ledger keeps it and alerts tell it."""
    return [
        *(State(asset=source, name=LANDING, state="seen") for source in found),
        *(
            State(asset=source, name=LANDING, state="blocked", detail={"message": str(error)})
            for source, error in failed.items()
        ),
    ]


def _waiting(look: Look, known: Collection[str], now: dt.datetime) -> dict[str, str]:
    """Days that are there and not taken yet, each with why."""
    days = {day for day in look.versions if day}
    has_come = _has_begun if look.takes_open_days else _is_over
    why = "not begun yet" if look.takes_open_days else "not over yet"
    found = {day: why for day in days if not has_come(day, now)}
    kept = {day for day in known if day and look.is_left(day)}
    if look.is_in_order and (ordered := contiguous(sorted((days - found.keys()) | kept))):
        last = ordered[0][1]
        late = (day for day in days - found.keys() if day > last and day not in known)
        found |= dict.fromkeys(late, f"{shift(last, 1)} is missing")
    return found


def _why(waiting: Mapping[str, str]) -> str:
    return " and ".join(sorted(set(waiting.values())))


def _has_begun(day: str, now: dt.datetime) -> bool:
    return day_start(day) <= now


def _is_over(day: str, now: dt.datetime) -> bool:
    return day_start(day) + DAY <= now


def _told(source: str, error: Exception) -> Exception:
    """An error that names its source."""
    if isinstance(error, SourceError):
        return error
    advice = "Check that it answers." if isinstance(error, PatienceError) else "Check its observer."
    said = str(error) if isinstance(error, PatienceError) else f"{type(error).__name__}: {error}"
    made = SourceUnreachableError(source, "its place", said, advice)
    made.__cause__ = error
    return made


def _note_backwards(ledger: "Ledger", source: str, now: dt.datetime) -> tuple[str, ...]:
    """State that a source reaches less far than it did, until it reaches as far again."""
    present = ledger.sources()[source]
    was, reaches = present.highest, present.watermark
    is_back = was is not None and (reaches is None or reaches < was)
    if not is_back and not any(one.asset == source for one in ledger.states(name=BACKWARDS)):
        return ()
    said = (
        f"'{source}' reaches {_moment(reaches)}, and reached {_moment(was)} before."
        if is_back
        else ""
    )
    word = "backwards" if is_back else "forwards"
    detail = {"message": said, "watermark": _moment(reaches), "highest": _moment(was)}
    ledger.set_states([State(asset=source, name=BACKWARDS, state=word, detail=detail)], now)
    return (said,) if is_back else ()


def _moment(moment: dt.datetime | None) -> str:
    return "nowhere" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
