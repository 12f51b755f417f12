"""The stretch of event time that one run builds, and the daily partitions it is made of."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

DAY = dt.timedelta(days=1)
WHOLE = ""
"""Key of the one partition of an unpartitioned asset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Event time from ``start`` (included) to ``end`` (excluded), both aware UTC.

    Attributes:
        partitions: Keys of the daily partitions covered, in order; empty for an unpartitioned asset.
    """

    start: dt.datetime
    end: dt.datetime
    partitions: tuple[str, ...] = ()

    @classmethod
    def of_days(cls, first: str, last: str | None = None) -> "Window":
        """Window over whole UTC days, both ends included.

        >>> Window.of_days("2013-01-01", "2013-01-02").partitions
        ('2013-01-01', '2013-01-02')
        """
        start = day_start(first)
        end = day_start(last or first) + DAY
        keys = tuple((start + i * DAY).date().isoformat() for i in range((end - start).days))
        return cls(start=start, end=end, partitions=keys)

    @property
    def has_whole_days(self) -> bool:
        """Whether it begins and ends at midnight UTC.

        >>> Window.of_days("2013-01-01").has_whole_days
        True
        """
        return all(moment.timestamp() % 86_400 == 0 for moment in (self.start, self.end))

    def back(self, days: int) -> "Window":
        """The same window with its start ``days`` earlier.

        >>> Window.of_days("2013-01-02").back(1).partitions
        ('2013-01-01', '2013-01-02')
        """
        return Window.of_days(shift(self.partitions[0], -days), self.partitions[-1])


def day_start(key: str) -> dt.datetime:
    """Midnight UTC of the daily partition ``key``."""
    return dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC)


@lru_cache(maxsize=1 << 14)  # a look at many assets asks for the same days again and again
def shift(key: str, days: int) -> str:
    """The daily partition ``days`` after ``key``.

    >>> shift("2013-01-01", -1)
    '2012-12-31'
    """
    return (dt.date.fromisoformat(key) + dt.timedelta(days=days)).isoformat()


def contiguous(keys: Sequence[str]) -> list[tuple[str, str]]:
    """First and last key of each unbroken stretch of daily partitions.

    >>> contiguous(["2013-01-01", "2013-01-02", "2013-01-05"])
    [('2013-01-01', '2013-01-02'), ('2013-01-05', '2013-01-05')]
    """
    stretches: list[tuple[str, str]] = []
    for key in sorted(keys):
        if stretches and shift(stretches[-1][1], 1) == key:
            stretches[-1] = (stretches[-1][0], key)
        else:
            stretches.append((key, key))
    return stretches
