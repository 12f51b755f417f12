"""What time it is: the system's, or a replay that lets a recorded stretch of time pass again at a chosen speed.

Only sources and freshness ask the clock; everything else takes times as arguments.
"""

import datetime as dt
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from lakeline.errors import SourceError


class FutureError(SourceError):
    """Data was asked for that, by the clock, does not exist yet."""

    def __init__(self, what: str, asked: dt.datetime, now: dt.datetime) -> None:
        super().__init__(
            f"{what} up to {asked:%Y-%m-%d %H:%M} UTC is not published yet: the clock says {now:%Y-%m-%d %H:%M} UTC. "
            "Ask for earlier days or wait until the clock has passed them."
        )


class AnchorError(SourceError):
    """The file that remembers a replay is damaged."""

    def __init__(self, anchor: Path) -> None:
        super().__init__(
            f"{anchor} does not say where the replay is. Delete it, and the replay begins at its start again."
        )


class Clock(Protocol):
    """Gives the present."""

    def now(self) -> dt.datetime:
        """The present, aware UTC."""
        ...

    def require(self, moment: dt.datetime, *, what: str) -> None:
        """Raise `FutureError` if ``moment`` has not come; a replay may jump there instead."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        """The present, aware UTC."""
        return dt.datetime.now(dt.UTC)

    def require(self, moment: dt.datetime, *, what: str) -> None:
        """Raise `FutureError` if ``moment`` lies in the future."""
        if moment > self.now():
            raise FutureError(what, moment, self.now())


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayClock:
    """A clock that starts at ``start`` when it is first asked and runs ``speed`` times as fast as the wall.

    Every process that is given the same ``anchor`` file sees the same time. A restart with another speed or a later
    start goes on from where the replay is; it never goes back.

    Attributes:
        start: The first moment of the replay, aware UTC.
        speed: Seconds of replay a second of wall time; 0 stands still.
        anchor: File that remembers when the replay began.
        can_jump: Whether data asked for from the future moves the clock there (a person's backfill in a
            replay) or is refused.
        wall: Gives seconds since the epoch; tests put their own here.
    """

    start: dt.datetime
    speed: float
    anchor: Path
    can_jump: bool = False
    wall: Callable[[], float] = field(default=time.time)

    def now(self) -> dt.datetime:
        """The present of the replay, aware UTC; never earlier than what was said before.

        Raises:
            AnchorError: The anchor file holds something else.
        """
        held = self._held()
        if held is not None and held.speed == self.speed and held.at(self.wall()) >= self.start:
            return held.at(self.wall())
        return self._move(self.start)

    def require(self, moment: dt.datetime, *, what: str) -> None:
        """Move the clock to ``moment`` where the replay may jump, else raise `FutureError`."""
        now = self.now()
        if moment <= now:
            return
        if not self.can_jump:
            raise FutureError(what, moment, now)
        self._move(moment)

    def _move(self, earliest: dt.datetime) -> dt.datetime:
        """Go on at this clock's speed, from ``earliest`` or where the replay is already, whichever is later."""
        from filelock import FileLock

        self.anchor.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.anchor.with_suffix(".lock")):
            held, wall_s = self._held(), self.wall()
            replay = earliest if held is None else max(earliest, held.at(wall_s))
            draft = self.anchor.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(
                json.dumps({"wall_s": wall_s, "replay": replay.isoformat(), "speed": self.speed})
            )
            draft.replace(
                self.anchor
            )  # readers see the old anchor or the new one, never half of it
        return replay

    def _held(self) -> "_Anchor | None":
        try:
            said = json.loads(self.anchor.read_text())
            return _Anchor(
                wall_s=float(said["wall_s"]),
                replay=dt.datetime.fromisoformat(said["replay"]),
                speed=float(said["speed"]),
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise AnchorError(self.anchor) from error


def going_replay(anchor: Path, *, can_jump: bool = False) -> "ReplayClock | None":
    """The replay that this file remembers, as another process runs it or left it; None without one, or past the present.

    Looking at it changes nothing.

    Args:
        anchor: The file.
        can_jump: Whether data asked for from the future moves the replay there.

    Raises:
        AnchorError: The file holds something else.
    """
    first = dt.datetime.fromtimestamp(0, dt.UTC)
    held = ReplayClock(start=first, speed=0.0, anchor=anchor)._held()
    if held is None or held.at(time.time()) > dt.datetime.now(dt.UTC):
        return None
    return ReplayClock(start=first, speed=held.speed, anchor=anchor, can_jump=can_jump)


def halt(anchor: Path) -> None:
    """Let a replay that this file remembers stand still where it is, until somebody goes on with it."""
    if (going := going_replay(anchor)) is not None:
        replace(going, speed=0.0).now()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Anchor:
    """A moment of the wall's time, the moment of the replay it stood for, and the speed since."""

    wall_s: float
    replay: dt.datetime
    speed: float

    def at(self, wall_s: float) -> dt.datetime:
        """The replay's present at a moment of the wall's time."""
        return self.replay + dt.timedelta(seconds=max(0.0, wall_s - self.wall_s) * self.speed)
