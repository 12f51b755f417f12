"""Feature views: how each item did before, told at each midnight."""

import datetime as dt
from typing import TYPE_CHECKING

from assets.shop.clean import impressions_clean
from assets.shop.contracts import ItemPopularity
from assets.shop.domain import promised, shop
from assets.shop.raw import items
from lakeline.domain import Table, past
from lakeline.window import Window, day_start

if TYPE_CHECKING:
    import polars as pl

OVER = dt.timedelta(days=7)
PRIOR_RATE, PRIOR_ROWS = 0.005, 400
"""The share of clicks that an item is taken to have before anything is known of it, and the impressions that this weighs."""
PRIOR_TURNS = 1.0
"""Impressions of the learning policy that every item is given beforehand."""


@shop.feature_view(
    contract=ItemPopularity,
    reads=[past(impressions_clean, days=7), items],
    entities=["item"],
    ttl="2d",
    online=True,
    fresh=promised("48h"),
)
def item_popularity(window: Window, impressions: Table, items: Table) -> "pl.DataFrame":
    """Impressions, clicks and turns of every item in the seven days before a midnight, of clicks known by then.

    How often the learning policy shows an item says more than the clicks logged here: it has seen all of the shop's.
    """
    import polars as pl

    shown = impressions.read(columns=["event_ts", "known_ts", "log", "item", "is_clicked"])
    rows, catalogue = shown.collect(), items.read(columns=["item", "campaign"]).collect()
    return pl.concat(popularity(rows, catalogue, day_start(key)) for key in window.partitions)


def popularity(rows: "pl.DataFrame", items: "pl.DataFrame", at: dt.datetime) -> "pl.DataFrame":
    """How each item did in the days before a moment.

    Args:
        rows: Impressions with ``event_ts``, ``known_ts``, ``log``, ``item`` and ``is_clicked``; later ones do not count.
        items: Every item with its campaign.
        at: Aware.
    """
    import polars as pl

    before = rows.filter(pl.col("known_ts") <= at, pl.col("event_ts") >= at - OVER)
    counted = before.group_by("item").agg(
        shown_7d=pl.len().cast(pl.Int64),
        clicks_7d=pl.col("is_clicked").sum().cast(pl.Int64),
        turns=(pl.col("log") == "bts").sum(),
    )
    moment = pl.lit(at).cast(pl.Datetime("us", "UTC"))
    turns, of_campaign = pl.col("turns") + PRIOR_TURNS, pl.len().over("campaign")
    return (
        items.join(counted, on="item", how="left", maintain_order="left")
        .with_columns(pl.col("shown_7d", "clicks_7d", "turns").fill_null(0))
        .select(
            "item",
            "shown_7d",
            "clicks_7d",
            event_ts=moment,
            known_ts=moment,
            click_rate_7d=(pl.col("clicks_7d") + PRIOR_RATE * PRIOR_ROWS)
            / (pl.col("shown_7d") + PRIOR_ROWS),
            bandit_lift_7d=(turns * of_campaign / turns.sum().over("campaign")).log(),
        )
    )
