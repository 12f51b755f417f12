"""Which files of a folder or bucket belong to a source, and to which of its days, by their names."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lakeline.errors import SourceError
from lakeline.window import WHOLE

_CODES = {
    "%Y": r"(?P<year>\d{4})",
    "%m": r"(?P<month>\d\d)",
    "%d": r"(?P<day>\d\d)",
    "%H": r"\d\d",
    "%M": r"\d\d",
    "%S": r"\d\d",
    "%%": "%",
    "**": ".*",
    "*": "[^/]*",
    "?": "[^/]",
}
_TOKEN = re.compile(r"%.|\*\*|\*|\?")
_PARTS = ("year", "month", "day")


class PatternError(SourceError):
    """A pattern that cannot say of a file's name which day it is of."""

    def __init__(self, pattern: str, problem: str) -> None:
        super().__init__(
            f"The pattern '{pattern}' {problem}. Write a name with %Y, %m and %d, such as orders/%Y-%m-%d*.csv, "
            "or give a compiled regular expression with groups year, month and day; without any, all files are one."
        )


@dataclass(frozen=True, slots=True)
class FileNames:
    """A pattern of names below a place, with ``/`` between folders.

    In a text, ``%Y``, ``%m`` and ``%d`` are the day, ``%H``, ``%M`` and ``%S`` two digits of no consequence, ``*`` and
    ``?`` stand for anything within a folder and ``**`` for any folders. A compiled expression must match the whole name.

    >>> FileNames("%Y/orders-%Y%m%d.csv").day_of("2026/orders-20260102.csv")
    '2026-01-02'

    Raises:
        PatternError: It holds part of a day.
    """

    pattern: str | re.Pattern[str]
    _expression: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pattern = self.pattern
        compiled = pattern if isinstance(pattern, re.Pattern) else re.compile(_translated(pattern))
        object.__setattr__(self, "_expression", compiled)
        had = [part for part in _PARTS if part in compiled.groupindex]
        if had and len(had) < len(_PARTS):
            raise PatternError(self.text, f"says {' and '.join(had)}, which is no whole day")

    @property
    def text(self) -> str:
        """As it was given."""
        return self.pattern if isinstance(self.pattern, str) else self.pattern.pattern

    @property
    def is_daily(self) -> bool:
        """Whether a file belongs to a day; else all of them are the one partition of the source."""
        return "day" in self._expression.groupindex

    @property
    def depth(self) -> int | None:
        """How many folders deep its files lie; None if that is not fixed."""
        if isinstance(self.pattern, str) and "**" not in self.pattern:
            return self.pattern.count("/")
        return None

    def day_of(self, name: str) -> str | None:
        """The partition of the file; None if it is none of the source's, or names a day that never was."""
        found = self._expression.fullmatch(name)
        if found is None:
            return None
        if not self.is_daily:
            return WHOLE
        try:
            return dt.date(*(int(found[part]) for part in _PARTS)).isoformat()
        except ValueError:
            return None

    def names_no_day(self, name: str) -> bool:
        """Whether a name fits, with a day that never was, such as 30 February."""
        return self._expression.fullmatch(name) is not None and self.day_of(name) is None

    def beginnings(self, days: Iterable[dt.date]) -> list[str] | None:
        """How the names of some days begin, each beginning once; None if that cannot be told.

        >>> FileNames("%Y/%m/%d-*.csv").beginnings([dt.date(2026, 1, 2), dt.date(2026, 1, 3)])
        ['2026/01/02-', '2026/01/03-']
        """
        if not self.is_daily or not isinstance(self.pattern, str):
            return None
        free = (one.start() for one in _TOKEN.finditer(self.pattern) if one[0] not in ("%Y", "%m", "%d", "%%"))  # fmt: skip
        fixed = self.pattern[: next(free, len(self.pattern))]
        return sorted({day.strftime(fixed) for day in days})


def _translated(pattern: str) -> str:
    parts: list[str] = []
    named: set[str] = set()
    at = 0
    for token in _TOKEN.finditer(pattern):
        parts.append(re.escape(pattern[at : token.start()]))
        code = _CODES.get(token[0])
        if code is None:
            raise PatternError(pattern, f"has {token[0]}, which means nothing here")
        parts.append(re.sub(r"\(\?P<(\w+)>.*\)", r"(?P=\1)", code) if token[0] in named else code)
        named.add(token[0])
        at = token.end()
    return "".join([*parts, re.escape(pattern[at:])])
