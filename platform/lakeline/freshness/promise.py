"""How fresh an asset is promised to be: at most so old at any moment, or complete by a time of day.

A promise looks at the watermark, the event time up to which data is complete, and never at when a run ended. It is kept
while the present is not past the moment at which it breaks, and that moment follows from the watermark alone.

A time of day is the zone's. One that the clock skips in spring counts as much later as the clock jumps; one that comes
twice in autumn counts as the first.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from lakeline.errors import DomainError
from lakeline.window import DAY

if TYPE_CHECKING:
    import dagster as dg

WARN_SHARE = 0.8
"""Share of a promise after which it is about to break."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED = {"daily": DAYS, "on weekdays": DAYS[:5], "on weekends": DAYS[5:]}
_UNITS = {"m": dt.timedelta(minutes=1), "h": dt.timedelta(hours=1), "d": DAY}
_DEADLINE = re.compile(
    r"by (?P<time>\d\d:\d\d) (?P<zone>[\w/+-]+) (?P<days>daily|on \w+(?: *, *\w+)*)", re.IGNORECASE
)
_FORMS = (
    "Write a length of time such as 90m, 36h or 30d, or a deadline such as by 07:00 America/New_York on weekdays, "
    "by 07:00 Europe/Berlin daily or by 06:30 UTC on mon,thu."
)
_ONE_MINUTE = dt.timedelta(minutes=1)
_TRIED_FROM = dt.date(
    2024, 1, 1
)  # a leap year: every day of the calendar, and both changes of clocks
_TRIED_DAYS = 366


class PromiseError(DomainError):
    """A promise that says nothing, or one that its source cannot let anybody keep."""

    def __init__(self, asset: str, text: str, problem: str) -> None:
        self.asset, self.text = asset, text
        where = f"'{asset}': " if asset else ""
        super().__init__(f"{where}the promise '{text}' {problem}")


class Promise(Protocol):
    """What an asset says of the age of its data."""

    @property
    def text(self) -> str:
        """As it was declared."""
        ...

    def is_kept(self, watermark: dt.datetime | None, now: dt.datetime) -> bool:
        """Whether it holds at ``now``; never without a watermark."""
        ...

    def breaks_at(self, watermark: dt.datetime | None, now: dt.datetime) -> dt.datetime:
        """Last moment at which it holds unless the watermark moves, aware UTC; ``now`` without a watermark."""
        ...

    def share_used(self, watermark: dt.datetime | None, now: dt.datetime) -> float:
        """How much of the time until it breaks is gone: 0 at best, 1 at the last moment that is kept, more when broken.

        1 without a watermark.
        """
        ...

    def policy(self) -> "dg.FreshnessPolicy":
        """Dagster's nearest policy, which looks at when runs ended; for its UI."""
        ...

    def shortest(self, every: dt.timedelta, lag: dt.timedelta) -> str | None:
        """Nothing if it can be kept on a source with this rhythm, else a promise that can.

        Args:
            every: What the source publishes is complete up to a multiple of this.
            lag: Time from there until it is published.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class MaximumAge:
    """Data never reaches back further than ``age``: the watermark is at most so old.

    >>> one = parse_promise("36h")
    >>> noon = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
    >>> (
    ...     one.is_kept(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), noon),
    ...     one.share_used(noon - dt.timedelta(hours=9), noon),
    ... )
    (True, 0.25)
    """

    text: str
    age: dt.timedelta

    def is_kept(self, watermark: dt.datetime | None, now: dt.datetime) -> bool:
        """Whether the watermark is at most so old."""
        return watermark is not None and now - watermark <= self.age

    def breaks_at(self, watermark: dt.datetime | None, now: dt.datetime) -> dt.datetime:
        """The watermark and the age."""
        return now if watermark is None else watermark + self.age

    def share_used(self, watermark: dt.datetime | None, now: dt.datetime) -> float:
        """How old the watermark is, in ages."""
        return 1.0 if watermark is None else max(0.0, (now - watermark) / self.age)

    def policy(self) -> "dg.FreshnessPolicy":
        """Fails at the age, warns at four fifths of it; Dagster takes no window below a minute."""
        import dagster as dg

        warn = self.age * WARN_SHARE
        return dg.FreshnessPolicy.time_window(
            fail_window=self.age, warn_window=warn if warn >= _ONE_MINUTE else None
        )

    def shortest(self, every: dt.timedelta, lag: dt.timedelta) -> str | None:
        """Just before the source publishes, what it published last is as old as both together."""
        return None if self.age >= every + lag else _length_text(every + lag)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """At ``time`` of each of ``days`` the data is complete up to the midnight that began that day, in ``zone``.

    Time is used up from that midnight to the deadline, so nothing is about to break on the day before.

    >>> one = parse_promise("by 07:00 America/New_York on weekdays")
    >>> friday = dt.datetime(2026, 1, 9, 5, tzinfo=dt.UTC)  # midnight there
    >>> one.breaks_at(friday, friday).isoformat()
    '2026-01-12T12:00:00+00:00'

    Attributes:
        days: Of the week, Monday is 0.
    """

    text: str
    time: dt.time
    zone: ZoneInfo
    days: frozenset[int]

    def is_kept(self, watermark: dt.datetime | None, now: dt.datetime) -> bool:
        """Whether the first deadline that the watermark does not meet is yet to pass."""
        return watermark is not None and now <= self.breaks_at(watermark, now)

    def breaks_at(self, watermark: dt.datetime | None, now: dt.datetime) -> dt.datetime:
        """The first deadline that the watermark does not meet."""
        return now if watermark is None else self._deadline(self._next_day(watermark))

    def share_used(self, watermark: dt.datetime | None, now: dt.datetime) -> float:
        """How much of the time between midnight and the first deadline that is not met is gone."""
        if watermark is None:
            return 1.0
        day = self._next_day(watermark)
        begins = self._midnight(day)
        return max(0.0, (now - begins) / (self._deadline(day) - begins))

    def policy(self) -> "dg.FreshnessPolicy":
        """A run must end between midnight and the deadline."""
        import dagster as dg

        days = "*" if len(self.days) == 7 else ",".join(str((day + 1) % 7) for day in self.days)
        return dg.FreshnessPolicy.cron(
            deadline_cron=f"{self.time.minute} {self.time.hour} * * {days}",
            lower_bound_delta=dt.timedelta(hours=self.time.hour, minutes=self.time.minute),
            timezone=self.zone.key,
        )

    def shortest(self, every: dt.timedelta, lag: dt.timedelta) -> str | None:
        """Tried on every day of a year with both changes of clocks; the answer is the same days at a later time."""
        latest: dt.time | None = None
        for day in self._tried():
            shown = (_next_multiple(self._midnight(day), every) + lag).astimezone(self.zone)
            shown += -(shown - self._midnight(day)) % _ONE_MINUTE
            if shown.date() > day:
                return _length_text(every + lag)
            if shown > self._deadline(day):
                latest = max(shown.time(), latest or shown.time())
        return None if latest is None else self._at(latest)

    def _next_day(self, watermark: dt.datetime) -> dt.date:
        """The first day with a deadline whose midnight lies after the watermark."""
        day = watermark.astimezone(self.zone).date() + DAY
        while day.weekday() not in self.days:
            day += DAY
        return day

    def _midnight(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time(), tzinfo=self.zone).astimezone(dt.UTC)

    def _deadline(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, self.time, tzinfo=self.zone).astimezone(dt.UTC)

    def _tried(self) -> Iterator[dt.date]:
        year = (_TRIED_FROM + n * DAY for n in range(_TRIED_DAYS))
        return (day for day in year if day.weekday() in self.days)

    def _at(self, time: dt.time) -> str:
        days = self.text[self.text.index(self.zone.key) + len(self.zone.key) :]
        return f"by {time:%H:%M} {self.zone.key}{days}"


def parse_promise(text: str, *, asset: str = "") -> Promise:
    """The promise that a text makes: ``90m``, ``36h``, ``30d``, or ``by 07:00 America/New_York on weekdays``.

    Args:
        text: After ``by`` come a time, a zone by its IANA name, and ``daily``, ``on weekdays``, ``on weekends`` or ``on``
            with days such as ``mon,thu``.
        asset: Named in errors.

    Raises:
        PromiseError: The text makes none.
    """
    text = text.strip()
    if (age := length_of_time(text)) is not None:
        if not age:
            raise PromiseError(asset, text, f"leaves no time at all. {_FORMS}")
        return MaximumAge(text=text, age=age)
    found = _DEADLINE.fullmatch(text)
    if found is None:
        raise PromiseError(asset, text, f"is neither a length of time nor a deadline. {_FORMS}")
    return _deadline(asset, text, found)


def length_of_time(text: str) -> dt.timedelta | None:
    """A length of time from ``90m``, ``36h`` or ``30d``; None if the text is none."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def require_reachable(
    asset: str, promise: Promise, every: dt.timedelta, lag: dt.timedelta = dt.timedelta()
) -> None:
    """Refuse a promise that is shorter than the rhythm of what the asset is made from.

    Args:
        asset: Named in the error.
        promise: Of the asset.
        every: How often the source publishes; a rhythm that fills days evenly is counted from midnight UTC.
        lag: Time from the end of what is published until it is there.

    Raises:
        PromiseError: It could not be kept even if building took no time; it says which promise could.
    """
    shortest = promise.shortest(every, lag)
    if shortest is not None:
        after = f", {_length_text(lag)} after its end" if lag else ""
        raise PromiseError(
            asset,
            promise.text,
            f"cannot be kept: its source publishes every {_length_text(every)}{after}. "
            f"The shortest that can hold is '{shortest}', and building takes time on top.",
        )


def _deadline(asset: str, text: str, found: re.Match[str]) -> Deadline:
    try:
        time = dt.time.fromisoformat(found["time"])
    except ValueError as error:
        raise PromiseError(asset, text, f"has no time of day {found['time']}. {_FORMS}") from error
    if time == dt.time():
        problem = "leaves no time between the end of a day and its deadline. Write a later time, such as 00:30."
        raise PromiseError(asset, text, problem)
    return Deadline(
        text=text,
        time=time,
        zone=_zone(asset, text, found["zone"]),
        days=_days(asset, text, found["days"].lower()),
    )


def _zone(asset: str, text: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # no such zone, a folder of zones, a bad name
        problem = f"names no time zone: {name}. Write its IANA name, such as Europe/Berlin or UTC."
        raise PromiseError(asset, text, problem) from error


def _days(asset: str, text: str, said: str) -> frozenset[int]:
    named = _NAMED.get(said) or tuple(re.split(r" *, *", said.removeprefix("on ")))
    if unknown := [day for day in named if day not in DAYS]:
        problem = f"names no day of the week: {unknown[0]}. Write {', '.join(DAYS)}, weekdays or weekends."
        raise PromiseError(asset, text, problem)
    return frozenset(DAYS.index(day) for day in named)


def _next_multiple(moment: dt.datetime, every: dt.timedelta) -> dt.datetime:
    """The first moment from ``moment`` on up to which a source may be complete.

    A rhythm that does not fill days evenly, such as weeks, may begin anywhere: the best for the promise is taken.
    """
    if DAY % every:
        return moment
    past = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) % every
    return moment + (every - past if past else past)


def _length_text(length: dt.timedelta) -> str:
    """A length of time as a promise writes it, in whole minutes, rounded up."""
    minutes = -(-length // _ONE_MINUTE)
    if minutes % 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes % 1440 or minutes < 2880 else f"{minutes // 1440}d"
