"""The course of a scenario: one played clock, what is to happen at which time, and a timeline in words."""

import datetime as dt
import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count

SCRIPT, WORK, TICK = 0, 1, 2
"""What comes first where times are equal."""


class Course:
    """Events by time; nothing waits and nothing is random."""

    def __init__(self, start: dt.datetime) -> None:
        self.now = start
        self.timeline: list[str] = []
        self._queue: list[tuple[dt.datetime, int, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, moment: dt.datetime, act: Callable[[], None], rank: int = SCRIPT) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._queue, (moment, rank, next(self._order), act))

    def later(self, minutes: float, act: Callable[[], None]) -> None:
        """Let work end so many minutes from now."""
        self.at(self.now + dt.timedelta(minutes=minutes), act, WORK)

    def step(self, end: dt.datetime) -> int | None:
        """Let the next thing happen; returns its rank, None if nothing is left until ``end``."""
        if not self._queue or self._queue[0][0] > end:
            return None
        self.now, rank, _, act = heapq.heappop(self._queue)
        act()
        return rank

    @property
    def has_ticks_only(self) -> bool:
        """Whether nothing but ticks is to happen."""
        return all(rank == TICK for _, rank, _, _ in self._queue)

    def say(self, text: str) -> None:
        """Add a line to the timeline."""
        self.timeline.append(f"{self.now:%m-%d %H:%M}  {text}")


def told(steps: Mapping[str, Sequence[str]]) -> str:
    """Assets with their partitions, for people.

    >>> told({"clean": ["2024-01-02"], "totals": [""]})
    'clean[01-02], totals'
    """
    return ", ".join(f"{asset}{_keys(keys)}" for asset, keys in steps.items())


def _keys(keys: Sequence[str]) -> str:
    named = sorted(key[5:] for key in keys if key)
    if len(named) <= 4:
        return f"[{' '.join(named)}]" if named else ""
    return f"[{named[0]} .. {named[-1]}, {len(named)}]"
