"""Clean impressions: what was known of visitor and item, and whether the propensities can be what they say."""

from typing import TYPE_CHECKING, Any

from assets.shop.contracts import ImpressionClean
from assets.shop.domain import promised, shop
from assets.shop.files import KEY
from assets.shop.raw import affinities, impressions, items, profiles
from lakeline.domain import Check, Rows, Table
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

LEAST_PROPENSITY = 0.01
"""Propensities that the check of the learning policy counts: the inverse of smaller ones is mostly chance."""
STANDARD_ERRORS = 4


@shop.table(
    contract=ImpressionClean,
    reads=[impressions, affinities, items, profiles],
    checks={"propensities": "What was logged as the chance of being shown is that chance."},
    fresh=promised("48h"),
)
def impressions_clean(
    window: Window, shown: Table, affinities: Table, items: Table, profiles: Table
) -> Rows:
    """Impressions with their visitor's and their item's features, one row each, partitioned by ``days(event_ts)``."""
    import polars as pl

    catalogue = items.read().collect()
    rows = (
        shown.read(window)
        .collect()
        .join(profiles.read().collect(), on="profile", how="left")
        .join(catalogue.drop("campaign"), on="item", how="left")
        .join(catalogue.group_by("campaign").agg(items=pl.len().cast(pl.Int64)), on="campaign")
    )
    frame = with_affinities(rows, affinities.read(window).collect()).with_columns(
        pl.col("position").cast(pl.String)
    )
    return Rows(
        frame=frame.select(list(ImpressionClean.columns)), checks=(propensity_check(frame),)
    )


def with_affinities(rows: "pl.DataFrame", affinities: "pl.DataFrame") -> "pl.DataFrame":
    """The impressions with their visitor's affinities: in total, to the item shown, and the item of the greatest."""
    import polars as pl

    # Of equal affinities the first item counts, so that equal rows give an equal table.
    of_visitor = (
        affinities.sort("affinity", "item", descending=[True, False])
        .group_by(KEY, maintain_order=True)
        .agg(affinity_total=pl.col("affinity").sum(), liked_item=pl.col("item").first())
    )
    return (
        rows.join(of_visitor, on=KEY, how="left")
        .join(affinities, on=[*KEY, "item"], how="left")
        .with_columns(pl.col("affinity", "affinity_total").fill_null(0.0))
    )


def propensity_check(rows: "pl.DataFrame") -> Check:
    """Whether the propensities are probabilities over the items of a campaign, as far as logged actions can tell.

    Those of the uniform policy are one over the number of items. Of the learning policy only what it showed is logged: the
    mean of the inverse is then the number of items that it might have shown, which cannot be more than there are.
    """
    import polars as pl

    uniform = rows.filter(pl.col("log") == "random")
    off: Any = (uniform["propensity"] * uniform["items"] - 1).abs().max() or 0.0
    inverse = pl.when(pl.col("propensity") >= LEAST_PROPENSITY).then(1 / pl.col("propensity"))
    learning = (
        rows.filter(pl.col("log") == "bts")
        .with_columns(inverse=inverse.otherwise(0.0))
        .group_by("campaign")
        .agg(
            mean=pl.col("inverse").mean(),
            error=pl.col("inverse").std() / pl.len().sqrt(),
            items=pl.col("items").first(),
        )
        .with_columns(excess=(pl.col("mean") - pl.col("items")) / pl.col("error"))
    )
    told: list[dict[str, Any]] = learning.sort("campaign").to_dicts()
    seen = ", ".join(
        f"{one['mean']:.0f} of {one['items']} items ({one['campaign']})" for one in told
    )
    return Check(
        name="propensities",
        passed=off < 1e-4 and all(one["excess"] <= STANDARD_ERRORS for one in told),
        description=f"The uniform policy's differ from one over the number of items by {off:.1e} of it at most; the "
        f"learning policy's stand for {seen or 'none'}.",
        numbers={f"items_{one['campaign']}": one["mean"] for one in told},
    )
