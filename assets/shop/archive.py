"""Where the raw tables come from: the shop's logs, published day by day as the clock passes."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from assets.shop.files import (
    is_installed,
    package_folder,
    read_affinities,
    read_impressions,
    read_items,
    read_profiles,
)
from lakeline.deployment import Timepiece
from lakeline.window import DAY, Window

if TYPE_CHECKING:
    import polars as pl


class ShopArchive(Timepiece):
    """The logs, complete up to some hours before the clock's present."""

    publishes_every: ClassVar[dt.timedelta] = DAY
    publishes_after: ClassVar[dt.timedelta] = dt.timedelta(hours=12)

    folder: str = Field(default="", description="Folder of the files; empty finds those of obp")
    lag_h: int = Field(
        default=publishes_after // dt.timedelta(hours=1),
        ge=0,
        description="Hours after a day's end until the day is published",
    )

    def published_until(self) -> dt.datetime:
        """Midnight up to which every day is published, aware UTC."""
        shown = self.clock.now() - dt.timedelta(hours=self.lag_h)
        return shown.replace(hour=0, minute=0, second=0, microsecond=0)

    def impressions(self, window: Window) -> "pl.DataFrame":
        """Impressions of the window; clicks that are not known by the clock are null.

        Raises:
            FutureError: The window is not published yet.
            SourceError: The files are not there, or cannot be used.
        """
        self._require_published(window, "impressions")
        return _within(window, self._shown())

    def affinities(self, window: Window) -> "pl.DataFrame":
        """Affinities of the visitors of the window's impressions.

        Raises:
            FutureError: The window is not published yet.
            SourceError: The files are not there, or cannot be used.
        """
        self._require_published(window, "affinities")
        return _within(window, read_affinities(self._place))

    def items(self) -> "pl.DataFrame":
        """Every item.

        Raises:
            SourceError: The files are not there, or cannot be used.
        """
        return read_items(self._place)

    def profiles(self) -> "pl.DataFrame":
        """Every combination of visitors' features.

        Raises:
            SourceError: The files are not there, or cannot be used.
        """
        return read_profiles(self._place)

    def versions(self, table: str) -> Mapping[str, str]:
        """A hash of what is published of each day of ``impressions`` or ``affinities``, or of a whole reference table.

        Data that is not installed publishes nothing, so that who does not want the shop is not told of it at each look; who
        builds it is.

        Raises:
            SourceError: The files cannot be used.
        """
        if not self.folder and not is_installed():
            return {}
        if table in ("items", "profiles"):
            rows = self.items() if table == "items" else self.profiles()
            return {"": f"{rows.height}-{rows.hash_rows().sum():x}"}
        rows = self._shown() if table == "impressions" else read_affinities(self._place)
        return _hash_of_days(rows, until=self.published_until())

    def _shown(self) -> "pl.DataFrame":
        import polars as pl

        is_known = pl.col("known_ts") <= self.clock.now()
        return read_impressions(self._place).with_columns(
            is_clicked=pl.when(is_known).then("is_clicked")
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
    import polars as pl

    shown = rows.filter(pl.col("event_ts") < until)
    found = (
        shown.select(day=pl.col("event_ts").dt.strftime("%Y-%m-%d"), hash=shown.hash_rows())
        .group_by("day")
        .agg(pl.len().alias("rows"), pl.col("hash").sum())
    )
    return {day: f"{count}-{value:x}" for day, count, value in found.sort("day").iter_rows()}
