"""A source of recorded rows that are published day by day as the clock passes: what replays of bundled data stand on."""

import datetime as dt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lakeline.deployment import Timepiece
from lakeline.window import DAY, Window

if TYPE_CHECKING:
    import polars as pl

EVENT = "event_ts"
"""Column of its rows: when they happened."""


class DailyArchive(Timepiece):
    """A source whose days are complete some hours after they end; a class of it reads the rows."""

    publishes_every: ClassVar[dt.timedelta] = DAY
    publishes_after: ClassVar[dt.timedelta] = dt.timedelta(hours=12)

    lag_h: int = Field(
        default=publishes_after // dt.timedelta(hours=1),
        ge=0,
        description="Hours after a day's end until the day is published",
    )

    def published_until(self) -> dt.datetime:
        """Midnight up to which every day is published, aware UTC."""
        shown = self.clock.now() - dt.timedelta(hours=self.lag_h)
        return shown.replace(hour=0, minute=0, second=0, microsecond=0)

    def require_published(self, window: Window, what: str) -> None:
        """Nothing where the window is published.

        Raises:
            FutureError: It is not yet.
        """
        self.clock.require(window.end + dt.timedelta(hours=self.lag_h), what=what)


def within(window: Window, rows: "pl.DataFrame") -> "pl.DataFrame":
    """The rows of a window."""
    import polars as pl

    return rows.filter(pl.col(EVENT) >= window.start, pl.col(EVENT) < window.end)


def version_of(rows: "pl.DataFrame") -> dict[str, str]:
    """Number of rows and a hash of a whole table, as a source tells its version."""
    return {"": f"{rows.height}-{rows.hash_rows().sum():x}"}


def versions_of_days(rows: "pl.DataFrame", until: dt.datetime) -> dict[str, str]:
    """The same of each day from the first to ``until``, those without rows included."""
    import polars as pl

    shown = rows.filter(pl.col(EVENT) < until)
    if shown.is_empty():
        return {}
    found = (
        shown.select(day=pl.col(EVENT).dt.strftime("%Y-%m-%d"), hash=shown.hash_rows())
        .group_by("day")
        .agg(pl.len().alias("rows"), pl.col("hash").sum())
    )
    hashes = {day: f"{count}-{value:x}" for day, count, value in found.iter_rows()}
    days = Window.of_days(min(hashes), max(hashes)).partitions
    return {day: hashes.get(day, "0") for day in days}
