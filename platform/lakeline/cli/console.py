"""How numbers, times and sizes look on a terminal."""

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

SHORT = 12
"""Digits of a version that are shown."""


def console() -> "Console":
    """A console on the present standard output; lines are never broken where nobody watches."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=240)


def size(size_bytes: int) -> str:
    """Bytes for people.

    >>> size(999), size(12_345), size(3_400_000)
    ('999 B', '12.3 kB', '3.4 MB')
    """
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def seconds(value_s: float) -> str:
    """A length of time for people.

    >>> seconds(0.04), seconds(75.2), seconds(3720)
    ('0.04 s', '1 min 15 s', '1 h 2 min')
    """
    if value_s < 10:
        return f"{value_s:.2f} s"
    whole = round(value_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(value: dt.datetime | None) -> str:
    """A time in UTC, to the minute.

    >>> moment(dt.datetime(2013, 7, 1, tzinfo=dt.UTC)), moment(None)
    ('2013-07-01 00:00', '-')
    """
    return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if value is not None else "-"


def count(value: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "partition"), count(1200, "row")
    ('1 partition', '1,200 rows')
    """
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"
