"""From features to a champion: training set, model, predictions."""

import datetime as dt
from typing import TYPE_CHECKING

from assets.flights.clean import departures_clean
from assets.flights.contracts import Prediction, TrainingRow
from assets.flights.domain import flights
from assets.flights.features import (
    carrier_punctuality,
    origin_backlog,
    schedule_parts,
    weather_at_origin,
)
from lakeline.domain import Features, Table, past
from lakeline.models.booster import train_booster
from lakeline.models.rows import Rows
from lakeline.models.training import TrainedModel
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

DECISION_BEFORE = dt.timedelta(hours=2)
CATEGORICAL = ("carrier", "origin", "dest")
SCHEDULE = (*CATEGORICAL, "local_hour", "local_minute", "weekday", "distance_mi")
OBSERVED = (
    "seats",
    "plane_age_y",
    "mean_dep_delay_min",
    "departures",
    "late_share_1d",
    "late_share_7d",
    "landings_7d",
    "temp_f",
    "humidity_pct",
    "wind_speed_mph",
    "precip_in",
    "pressure_hpa",
    "visibility_mi",
)
ENTITY = ("event_ts", "flight", "carrier", "origin", "dest", "distance_mi", "seats", "plane_age_y")
FEATURES = (
    past(origin_backlog, days=1),
    past(carrier_punctuality, days=2),
    past(weather_at_origin, days=1),
    schedule_parts,
)


def decisions(departures: "pl.LazyFrame") -> "pl.LazyFrame":
    """Each departure with the moment two hours before, when its delay is to be predicted."""
    import polars as pl

    return departures.with_columns(decision_ts=pl.col("event_ts") - DECISION_BEFORE)


@flights.training_set(
    contract=TrainingRow,
    reads=[departures_clean],
    features=FEATURES,
    label="is_late",
    at="decision_ts",
    known="known_ts",
    fresh="48h",
)
def training_set(window: Window, departures: Table) -> "pl.LazyFrame":
    """Departures with their features as of two hours before, and the label once the flight has landed."""
    return decisions(departures.read(window, [*ENTITY, "known_ts", "is_late"]))


@flights.model(
    training_set=training_set,
    features=(*SCHEDULE, "route", *OBSERVED),
    categorical=(*CATEGORICAL, "route"),
    label="is_late",
    at="decision_ts",
    known="known_ts",
    schedule=SCHEDULE,
    fresh="30d",
    # Reports of this model's own scores come later, hence their names.
    retrain_on=["feature_drift", ("performance", "brier"), ("performance", "calibration")],
    cooldown="7d",
    at_most=(3, "30d"),
    metric="brier",
    slices=("carrier", "origin", "month"),
    limits=(
        "Learned from departures of New York's three airports alone.",
        "Cancelled flights have no label and are left out, so that a day of many looks better than it was.",
    ),
)
def delay_lightgbm(train: Rows, seed: int) -> TrainedModel:
    """Probability that a flight arrives more than 15 minutes late, predicted two hours before departure.

    Trained again when it is older than it promises, when its code changes, or when a report says that its features or
    its scores have moved; a challenger serves only if the newest labelled days say that it is better.
    """
    return train_booster(train, seed=seed)


@flights.predictions(
    contract=Prediction,
    model=delay_lightgbm,
    reads=[departures_clean],
    features=FEATURES,
    fresh="48h",
)
def predictions(
    window: Window, model: TrainedModel, departures: Table, features: Features
) -> "pl.DataFrame":
    """The champion's score of every departure, from what was known two hours before."""
    import polars as pl

    rows = features.join(decisions(departures.read(window, list(ENTITY))), at="decision_ts")
    scored = rows.with_columns(
        score=pl.Series(model.predict(rows)), model_digest=pl.lit(model.digest[:12])
    )
    return scored.select(list(Prediction.columns))
