"""What a person may change when a model is trained, and what holds where nobody changes it."""

import dagster as dg
from pydantic import Field

SEED = 7
"""Of everything random in a training."""


class TrainingConfig(dg.Config):
    """What a person may change when a model is trained."""

    train_until: str | None = Field(
        default=None,
        description="First day that is not trained on, YYYY-MM-DD; left out, the newest day less holdout_days",
    )
    holdout_days: int | None = Field(
        default=None,
        gt=0,
        description="Days after the training window that judge the model; left out, as the model declares",
    )
    seed: int = Field(default=SEED, ge=0, description="Seed of everything random in the training")
    allow_leaks: bool = Field(
        default=False,
        description="Whether to train on a training set that failed a leak check; such a model is never promoted by the gate",
    )
