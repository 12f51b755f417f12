"""What each policy would have shown: every item of a campaign is scored for every impression.

Shapes: N impressions of one campaign, A items of it.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from assets.shop.clean import impressions_clean
from assets.shop.contracts import Choice
from assets.shop.domain import promised, shop
from assets.shop.files import KEY
from assets.shop.models import FEATURES, POPULARITY, two_tower
from assets.shop.raw import affinities, items
from lakeline.compute import Compute
from lakeline.domain import Features, Table
from lakeline.models.choosing import greedy, softmax
from lakeline.models.training import TrainedModel
from lakeline.window import Window

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Floats = npt.NDArray[np.float64]

TEMPERATURE = 0.5
"""Of the softmax over log odds: an item of twice the odds is shown four times as often."""
RECOMMENDERS = ("two_tower_greedy", "two_tower_softmax")
POLICIES = (*RECOMMENDERS, "popularity_greedy", "popularity_softmax", "uniform")
"""Policies that are asked, in the order that reports name them."""


@shop.table(
    contract=Choice,
    layer="models",
    reads=[two_tower, impressions_clean, items, affinities],
    features=(POPULARITY,),
    kinds=("iceberg", "torch"),
    compute=Compute(memory="4Gi"),
    fresh=promised("48h"),
)
def choices(
    window: Window,
    model: TrainedModel,
    impressions: Table,
    items: Table,
    affinities: Table,
    features: Features,
) -> "Iterator[pl.DataFrame]":
    """What the recommender and popularity, each greedy and by softmax, and chance would have shown at each impression.

    They choose by what was known at the midnight before, which is when popularity is told.
    """
    import polars as pl

    catalogue, liked = items.read().collect(), affinities.read(window).collect()
    for key in window.partitions:
        day = Window.of_days(key)
        rows = impressions.read(day).collect()
        known = catalogue.with_columns(at_ts=pl.lit(day.start).cast(pl.Datetime("us", "UTC")))
        yield chosen(rows, features.join(known, at="at_ts").drop("at_ts"), liked, model)


def chosen(
    rows: "pl.DataFrame", items: "pl.DataFrame", liked: "pl.DataFrame", model: TrainedModel
) -> "pl.DataFrame":
    """What each policy would have shown at each impression, a row each, as `Choice` has them.

    Args:
        rows: Impressions.
        items: Every item with its features and its popularity.
        liked: Affinities above 0.
        model: Scores items.
    """
    import polars as pl

    parts = [
        _of_campaign(rows.filter(pl.col("campaign") == name), of_name, liked, model)
        for (name,), of_name in items.sort("item").group_by("campaign", maintain_order=True)
    ]
    return pl.concat(part for part in parts if part.height)


def candidates(
    rows: "pl.DataFrame", items: "pl.DataFrame", liked: "pl.DataFrame"
) -> "pl.DataFrame":
    """Every impression with every item of its campaign as if that had been shown, impressions and items in their order."""
    import polars as pl

    of_item = [name for name in items.columns if name != "campaign"]
    visitors = rows.drop([name for name in (*of_item, "affinity") if name in rows.columns])
    crossed = visitors.join(items.drop("campaign"), how="cross", maintain_order="left_right")
    return crossed.join(liked, on=[*KEY, "item"], how="left", maintain_order="left").with_columns(
        pl.col("affinity").fill_null(0.0)
    )


def probabilities(click_rate_NA: "Floats", popularity_A: "Floats") -> "Mapping[str, Floats]":
    """What each policy gives each item, shape ``(N, A)``, by the name of the policy.

    Args:
        click_rate_NA: What the model expects, above 0 and below 1.
        popularity_A: Share of clicks before, above 0 and below 1.
    """
    import numpy as np

    shape = click_rate_NA.shape
    popularity_NA = np.broadcast_to(popularity_A, shape)
    given = (
        greedy(click_rate_NA),
        softmax(_log_odds(click_rate_NA), TEMPERATURE),
        greedy(popularity_NA),
        softmax(_log_odds(popularity_NA), TEMPERATURE),
        np.full(shape, 1 / shape[1]),
    )
    return dict(zip(POLICIES, given, strict=True))


def _log_odds(rates: "Floats") -> "Floats":
    import numpy as np

    odds: Floats = np.log(rates) - np.log1p(-rates)
    return odds


def _of_campaign(
    rows: "pl.DataFrame", items: "pl.DataFrame", liked: "pl.DataFrame", model: TrainedModel
) -> "pl.DataFrame":
    import numpy as np
    import polars as pl

    scored = model.predict(candidates(rows, items, liked).select(FEATURES))
    click_rate_NA = np.clip(scored, 1e-9, 1 - 1e-9).reshape(rows.height, items.height)
    places = {item: place for place, item in enumerate(items["item"])}
    shown_N = rows["item"].replace_strict(places, return_dtype=pl.Int64).to_numpy()
    each_N = np.arange(rows.height)
    parts = [
        rows.select(
            *KEY,
            policy=pl.lit(name),
            item=pl.Series(items["item"].gather(given_NA.argmax(axis=1))),
            probability=pl.Series(given_NA[each_N, shown_N]),
            probability_sum=pl.Series(given_NA.sum(axis=1)),
            expected_click_rate=pl.Series((given_NA * click_rate_NA).sum(axis=1)),
            predicted_click_rate=pl.Series(click_rate_NA[each_N, shown_N]),
            model_digest=pl.lit(model.digest[:12]),
        )
        for name, given_NA in probabilities(
            click_rate_NA, items["click_rate_7d"].to_numpy()
        ).items()
    ]
    return pl.concat(parts).select(list(Choice.columns))
