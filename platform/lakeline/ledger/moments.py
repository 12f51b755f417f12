"""Times as the ledger stores them: whole microseconds since 1970 in UTC, alike in SQLite and Postgres."""

import datetime as dt

from lakeline.errors import NaiveTimeError

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def micros(ts: dt.datetime) -> int:
    """Microseconds from 1970 to ``ts``.

    >>> micros(dt.datetime(1970, 1, 1, 0, 0, 2, tzinfo=dt.UTC))
    2000000

    Raises:
        NaiveTimeError: It has no time zone.
    """
    if ts.tzinfo is None:
        raise NaiveTimeError(ts)
    return (ts - _EPOCH) // _MICROSECOND


def micros_or_none(ts: dt.datetime | None) -> int | None:
    """The same, where there may be no time."""
    return None if ts is None else micros(ts)


def moment(count: int) -> dt.datetime:
    """Aware UTC time of ``count`` microseconds since 1970.

    >>> moment(2000000)
    datetime.datetime(1970, 1, 1, 0, 0, 2, tzinfo=datetime.timezone.utc)
    """
    return _EPOCH + count * _MICROSECOND


def moment_or_none(count: int | None) -> dt.datetime | None:
    """The same, where there may be no time."""
    return None if count is None else moment(count)
