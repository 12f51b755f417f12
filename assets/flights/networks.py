"""The same question as the booster's, asked of a network."""

from assets.flights.domain import flights
from assets.flights.models import CATEGORICAL, OBSERVED, SCHEDULE, training_set
from lakeline.compute import Compute
from lakeline.models.rows import Rows
from lakeline.models.training import TrainedModel
from lakeline.neural.plan import Plan
from lakeline.neural.training import train_network


def delay_mlp_plan(seed: int) -> Plan:
    """A small perceptron: 20,000 weights, some seconds on one core for half a year of flights.

    Chosen on May and June 2013 after training on the months before, AUC over two seeds: as it is .760, twice the width .758,
    a third of the dropout .759, six epochs .757. No days are held out to tell when to stop (.741): the loss on a window's
    last two weeks says more about their weather than about the network, and the newest days teach most.
    """
    return Plan(
        seed=seed,
        config={"hidden": [128, 64], "embedding": 8, "dropout": 0.3},
        epochs=4,
        batch_rows=1024,
        learning_rate=2e-3,
        weight_decay=0.1,
        stop_days=0,
    )


@flights.model(
    training_set=training_set,
    features=(*SCHEDULE, "route", *OBSERVED),
    # Hours and weekdays are names to a network: five o'clock and midnight are nothing that a slope runs through.
    categorical=(*CATEGORICAL, "route", "local_hour", "weekday"),
    label="is_late",
    at="decision_ts",
    known="known_ts",
    schedule=SCHEDULE,
    automation="manual",
    metric="brier",
    kinds=("torch", "mlflow"),
    compute=Compute(gpu=1, memory="4Gi"),
)
def delay_mlp(train: Rows, seed: int) -> TrainedModel:
    """Probability that a flight arrives more than 15 minutes late, as a network tells it: the booster's rival.

    Always declared, since lineage does not depend on what is installed; built only when a person asks for it, since torch
    is an extra of 7 GB and the demo must run without. Without torch its build says which command installs it.
    """
    return train_network(train, delay_mlp_plan(seed), name="flights.delay_mlp")
