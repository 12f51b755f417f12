"""From features to a recommender: the training set, labelled impressions, and the two towers."""

from typing import TYPE_CHECKING

from assets.shop.clean import impressions_clean
from assets.shop.contracts import LabelledImpression
from assets.shop.domain import promised, shop
from assets.shop.features import item_popularity
from lakeline.compute import Compute
from lakeline.domain import Table, past
from lakeline.models.rows import Rows
from lakeline.models.training import TrainedModel
from lakeline.neural.errors import require_torch
from lakeline.neural.plan import Plan
from lakeline.neural.training import train_network
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

USER = ("user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3", "liked_item")
CONTEXT = ("campaign", "position")
ITEM = ("item_feature_1", "item_feature_2", "item_feature_3")
USER_AMOUNTS = ("affinity_total",)
PAIR_AMOUNTS = ("affinity",)
ITEM_AMOUNTS = ("item_feature_0", "click_rate_7d", "bandit_lift_7d")
CATEGORICAL = (*USER, *CONTEXT, *ITEM)
FEATURES = (*CATEGORICAL, *USER_AMOUNTS, *PAIR_AMOUNTS, *ITEM_AMOUNTS)
POPULARITY = past(item_popularity, days=1)

JOINED = ("shown_7d", "clicks_7d", "click_rate_7d", "bandit_lift_7d")
SHOWN = [name for name in LabelledImpression.columns if name not in ("decision_ts", *JOINED)]


@shop.training_set(
    contract=LabelledImpression,
    reads=[impressions_clean],
    features=(POPULARITY,),
    label="is_clicked",
    at="decision_ts",
    known="known_ts",
    fresh=promised("48h"),
)
def labelled_impressions(window: Window, impressions: Table) -> "pl.LazyFrame":
    """Impressions of both policies with the popularity of their item as it was then, and the label once it is known."""
    import polars as pl

    return impressions.read(window, SHOWN).with_columns(decision_ts=pl.col("event_ts"))


def two_tower_plan(seed: int, architecture: str) -> Plan:
    """Towers of 8 numbers that are hardly let learn: five days have 200 clicks, less than two an item.

    Chosen among twelve settings by the log loss of 26, 27 and 28 November, each after training on the days before: a rate of
    half to three times this, a tenth to three times this weight decay, with the item itself as a feature and without, which
    is a quarter better. They differ by less than one day from the next. A first look at five others, which learned more and
    did worse, saw the two days after as well. No early stop: forty clicks a day cannot say when.
    """
    amounts = (*USER_AMOUNTS, *PAIR_AMOUNTS, *ITEM_AMOUNTS)
    return Plan(
        seed=seed,
        architecture=architecture,
        config={
            "user_codes": [CATEGORICAL.index(name) for name in USER],
            "item_codes": [CATEGORICAL.index(name) for name in ITEM],
            "user_numbers": [amounts.index(name) for name in USER_AMOUNTS],
            "item_numbers": [amounts.index(name) for name in ITEM_AMOUNTS],
            "embedding": 8,
            "vector": 8,
            "dropout": 0.2,
            "base_logit": -5.3,  # of half a percent
        },
        epochs=5,
        batch_rows=512,
        learning_rate=1e-3,
        weight_decay=10.0,
        stop_days=0,
    )


@shop.model(
    training_set=labelled_impressions,
    features=FEATURES,
    categorical=CATEGORICAL,
    label="is_clicked",
    at="decision_ts",
    known="known_ts",
    fresh=promised("30d"),
    # The report comes later, hence its name.
    retrain_on=[("policy_value", "not_worse")],
    cooldown="1d",
    at_most=(3, "7d"),
    metric="log_loss",
    holdout="2d",
    # The days that judged stay unseen: the value of its policy is estimated on them.
    refit=False,
    slices=("log", "campaign"),
    limits=(
        "Two hundred clicks taught it: most of what it ranks by is chance.",
        "Visitors are known by four hashed traits and what they dealt with before, not by a name.",
    ),
    kinds=("torch", "mlflow"),
    compute=Compute(memory="4Gi"),
)
def two_tower(train: Rows, seed: int) -> TrainedModel:
    """Probability that a visitor clicks an item, from a vector of the visitor and one of the item.

    Learned from what was shown, clicked or not, by both policies alike. Needs torch; without it, its build says which
    command installs it.
    """
    require_torch("Training the two towers")
    from lakeline.neural.towers import TwoTowers

    plan = two_tower_plan(seed, f"{TwoTowers.__module__}:{TwoTowers.__qualname__}")
    return train_network(train, plan, name="shop.two_tower")
