"""Raw tables: what the archive publishes, typed and keyed."""

from typing import TYPE_CHECKING

from assets.shop.archive import ShopArchive
from assets.shop.contracts import Affinity, Impression, Item, Profile
from assets.shop.domain import promised, shop
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl


@shop.table(contract=Impression, source=ShopArchive, fresh=promised("48h"))
def impressions(window: Window, shop_archive: ShopArchive) -> "pl.DataFrame":
    """Items shown by both logging policies, one row each, with propensity and click, partitioned by ``days(event_ts)``."""
    return shop_archive.impressions(window).select(list(Impression.columns))


@shop.table(contract=Affinity, source=ShopArchive, fresh=promised("48h"), empty="warn")
def affinities(window: Window, shop_archive: ShopArchive) -> "pl.DataFrame":
    """What the visitors of the impressions dealt with before, one row an item, partitioned by ``days(event_ts)``."""
    return shop_archive.affinities(window).select(list(Affinity.columns))


@shop.table(contract=Item, source=ShopArchive, daily=False)
def items(shop_archive: ShopArchive) -> "pl.DataFrame":
    """Items that could be shown, one row an item and campaign."""
    return shop_archive.items()


@shop.table(contract=Profile, source=ShopArchive, daily=False)
def profiles(shop_archive: ShopArchive) -> "pl.DataFrame":
    """Combinations of what is known of visitors, one row each."""
    return shop_archive.profiles()
