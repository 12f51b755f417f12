"""Moments as microseconds since 1970, and as what SQL and Iceberg compare columns with."""

import datetime as dt

from lakeline.features.offline.dialect import Dialect, quoted
from lakeline.features.offline.types import DATE

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
_EARLIEST, _LATEST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)


def micros(span: dt.timedelta) -> int:
    """Microseconds of a span.

    >>> micros(dt.timedelta(seconds=1))
    1000000
    """
    return span // MICROSECOND


def micros_since_1970(moment: dt.datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return micros(moment - EPOCH)


def moment_of(micros_: int) -> dt.datetime:
    """The moment in UTC; one before the year 1 or after 9999 becomes the nearest that Python knows."""
    try:
        return EPOCH + micros_ * MICROSECOND
    except OverflowError:
        return _EARLIEST if micros_ < 0 else _LATEST


def iso_text(micros_: int, kind: str) -> str:
    """A moment as Iceberg and SQL read it, for a column of that Iceberg type.

    >>> iso_text(0, "timestamptz"), iso_text(0, "timestamp"), iso_text(0, "date")
    ('1970-01-01T00:00:00+00:00', '1970-01-01T00:00:00', '1970-01-01')
    """
    moment = moment_of(micros_)
    if kind == DATE:
        return moment.date().isoformat()
    return (moment if kind == "timestamptz" else moment.replace(tzinfo=None)).isoformat()


def compared(column: str, operator: str, moment: int, *, kind: str, dialect: Dialect) -> str:
    """A comparison of a time column with a moment; of a date with the moment at which it begins."""
    if kind == DATE:
        return f"{quoted(column)} {operator} DATE '{_day(operator, moment)}'"
    literal = dialect.instant if kind == "timestamptz" else dialect.local
    return f"{quoted(column)} {operator} {literal.format(iso_text(moment, kind))}"


def _day(operator: str, moment: int) -> str:
    """The first day that begins at the moment or later for ``>=``; the day of the moment for ``<=``."""
    is_lower = operator == ">="
    day = dt.timedelta(days=1) // MICROSECOND
    return iso_text(-(-moment // day) * day if is_lower else moment, DATE)
