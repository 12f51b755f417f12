"""Where the raw tables come from: the shop's logs, published day by day as the clock passes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from assets.shop.files import (
    is_installed,
    package_folder,
    read_affinities,
    read_impressions,
    read_items,
    read_profiles,
)
from lakeline.archive import DailyArchive, version_of, versions_of_days, within
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl


class ShopArchive(DailyArchive):
    """The logs, complete up to some hours before the clock's present."""

    folder: str = Field(default="", description="Folder of the files; empty finds those of obp")

    def impressions(self, window: Window) -> "pl.DataFrame":
        """Impressions of the window; clicks that are not known by the clock are null.

        Raises:
            FutureError: The window is not published yet.
            SourceError: The files are not there, or cannot be used.
        """
        self.require_published(window, "impressions")
        return within(window, self._shown())

    def affinities(self, window: Window) -> "pl.DataFrame":
        """Affinities of the visitors of the window's impressions.

        Raises:
            FutureError: The window is not published yet.
            SourceError: The files are not there, or cannot be used.
        """
        self.require_published(window, "affinities")
        return within(window, read_affinities(self._place))

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
            return version_of(rows)
        rows = self._shown() if table == "impressions" else read_affinities(self._place)
        return versions_of_days(rows, until=self.published_until())

    def _shown(self) -> "pl.DataFrame":
        import polars as pl

        is_known = pl.col("known_ts") <= self.clock.now()
        return read_impressions(self._place).with_columns(
            is_clicked=pl.when(is_known).then("is_clicked")
        )

    @property
    def _place(self) -> Path:
        return Path(self.folder) if self.folder else package_folder()
