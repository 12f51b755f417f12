"""What each table of the shop domain promises."""

import datetime as dt

from lakeline.contract import Contract, column

LOGS = ("random", "bts")
"""Policies that chose what was shown: each item alike, or Bernoulli Thompson sampling, which learns from clicks."""
CAMPAIGNS = ("all", "men", "women")


class Impression(Contract, version="1.0"):
    """One row an item that was shown at one of three places of a page."""

    event_ts: dt.datetime = column("When it was shown", event_time=True, key=True)
    log: str = column("Policy that chose it", key=True, isin=LOGS)
    campaign: str = column("Set of items that it was chosen from", key=True, isin=CAMPAIGNS)
    row: int = column("Row of the source file", key=True, ge=0)
    known_ts: dt.datetime = column(
        "When it is known whether it was clicked: the source has no time of a click, so half an hour later, the usual end "
        "of a visit",
        knowledge_time=True,
    )
    profile: str = column("What is known of the visitor, see profiles")
    position: int = column("Place on the page, from the left", ge=1, le=3)
    item: str = column("Item that was shown, such as men/13")
    propensity: float = column("Probability that the policy gave the item there", gt=0, le=1)
    is_clicked: bool | None = column("Whether it was clicked; null while that is not known")


class Affinity(Contract, version="1.0"):
    """One row an impression and item that its visitor has dealt with before; visitors without any have no row."""

    event_ts: dt.datetime = column("When the impression was", event_time=True, key=True)
    log: str = column("Policy that chose the impression", key=True, isin=LOGS)
    campaign: str = column("Set of items", key=True, isin=CAMPAIGNS)
    row: int = column("Row of the source file", key=True, ge=0)
    item: str = column("Item that the visitor has dealt with", key=True)
    affinity: float = column("How much, as the shop counts it before the impression", gt=0)


class Item(Contract, version="1.0"):
    """One row an item and campaign; campaigns number their items apart, and hash their features apart too."""

    item: str = column("Campaign and number, such as men/13", key=True)
    campaign: str = column("Set of items that it is in", isin=CAMPAIGNS)
    item_feature_0: float = column(
        "Amount that the shop does not name, on the campaign's own scale"
    )
    item_feature_1: str = column("Kind that the shop does not name, hashed")
    item_feature_2: str = column("Another")
    item_feature_3: str = column("Another")


class Profile(Contract, version="1.0"):
    """One row a combination of what is known of visitors: nobody's name, and what is nearest to a visitor in the data."""

    profile: str = column("Hash of the four features", key=True, matches=r"^[0-9a-f]{12}$")
    user_feature_0: str = column("Trait that the shop does not name, hashed")
    user_feature_1: str = column("Another")
    user_feature_2: str = column("Another")
    user_feature_3: str = column("Another")


class ImpressionClean(Contract, version="1.0"):
    """One row an impression with what was known of its visitor and its item when it was shown, and the label."""

    event_ts: dt.datetime = column("When it was shown", event_time=True, key=True)
    log: str = column("Policy that chose it", key=True, isin=LOGS)
    campaign: str = column("Set of items", key=True, isin=CAMPAIGNS)
    row: int = column("Row of the source file", key=True)
    known_ts: dt.datetime = column("When the click was known", knowledge_time=True)
    profile: str = column("What is known of the visitor")
    user_feature_0: str = column("Trait of the visitor, hashed")
    user_feature_1: str = column("Another")
    user_feature_2: str = column("Another")
    user_feature_3: str = column("Another")
    liked_item: str | None = column(
        "Item that the visitor dealt with most before; null without any"
    )
    affinity_total: float = column("How much the visitor dealt with items of the campaign", ge=0)
    position: str = column("Place on the page, from the left", isin=("1", "2", "3"))
    item: str = column("Item that was shown")
    item_feature_0: float = column("Amount of the item")
    item_feature_1: str = column("Kind of the item, hashed")
    item_feature_2: str = column("Another")
    item_feature_3: str = column("Another")
    affinity: float = column("How much the visitor dealt with this item before", ge=0)
    items: int = column("Items of the campaign", gt=0)
    propensity: float = column("Probability that the policy gave the item there", gt=0, le=1)
    is_clicked: bool | None = column("Label: whether it was clicked")


class ItemPopularity(Contract, version="1.0"):
    """How an item did in the seven days before: one row an item and midnight, from the first day on."""

    event_ts: dt.datetime = column(
        "Midnight that ends the days looked at", event_time=True, key=True
    )
    item: str = column("Item", key=True)
    known_ts: dt.datetime = column("Counts only clicks known before", knowledge_time=True)
    shown_7d: int = column("Times that it was shown", ge=0)
    clicks_7d: int = column("Clicks on it", ge=0)
    click_rate_7d: float = column(
        "Share of clicks, drawn to half a percent by 400 impressions: most items had none",
        ge=0,
        le=1,
    )
    bandit_lift_7d: float = column(
        "Logarithm of how much oftener than its turn the learning policy showed it", ge=-10, le=10
    )


class LabelledImpression(Contract, version="1.0"):
    """One row an impression with its features as they were known when it was shown, and the label."""

    event_ts: dt.datetime = column("When it was shown", event_time=True, key=True)
    log: str = column("Policy that chose it", key=True)
    campaign: str = column("Set of items", key=True)
    row: int = column("Row of the source file", key=True)
    decision_ts: dt.datetime = column("When it had to be chosen: as it was shown")
    known_ts: dt.datetime = column("When the label was known", knowledge_time=True)
    item: str = column("Item that was shown")
    user_feature_0: str = column("Trait of the visitor, hashed")
    user_feature_1: str = column("Another")
    user_feature_2: str = column("Another")
    user_feature_3: str = column("Another")
    liked_item: str | None = column("Item that the visitor dealt with most before")
    affinity_total: float = column("How much the visitor dealt with items of the campaign")
    position: str = column("Place on the page, from the left")
    item_feature_0: float = column("Amount of the item")
    item_feature_1: str = column("Kind of the item, hashed")
    item_feature_2: str = column("Another")
    item_feature_3: str = column("Another")
    affinity: float = column("How much the visitor dealt with this item before")
    shown_7d: int | None = column("Times that the item was shown, 7 days")
    clicks_7d: int | None = column("Clicks on the item, 7 days")
    click_rate_7d: float | None = column("Share of clicks of the item, 7 days")
    bandit_lift_7d: float | None = column("How much oftener than its turn it was shown, 7 days")
    is_clicked: bool | None = column("Label: whether it was clicked")


class Choice(Contract, version="1.0"):
    """One row an impression and policy: what the policy would have done there, for the estimators of its value."""

    event_ts: dt.datetime = column("When the impression was", event_time=True, key=True)
    log: str = column("Policy that chose what was shown", key=True, isin=LOGS)
    campaign: str = column("Set of items", key=True, isin=CAMPAIGNS)
    row: int = column("Row of the source file", key=True)
    policy: str = column("Policy that is asked", key=True)
    item: str = column("Item that it would most likely have shown")
    probability: float = column("What it gives the item that was shown", ge=0, le=1.000001)
    probability_sum: float = column(
        "What it gives all items of the campaign together", ge=0.999999, le=1.000001
    )
    expected_click_rate: float = column("What the model expects of the policy there", ge=0, le=1)
    predicted_click_rate: float = column("What the model expects of the item shown", ge=0, le=1)
    model_digest: str = column("Which model expects it")
