"""What is deployed: the twenty assets by lakeline or by dagster-k8s alone, a training on spot, and one that eats too much."""

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from benchmarks.placement.declared import DECLARED, GPU_TAINT, SPOT, SPOT_TAINT, stock_tags
from lakeline.compute import Compute
from lakeline.compute.profile import Pods
from lakeline.contract import Contract, column
from lakeline.domain import Daily, Domain
from lakeline.resource import Lakehouse
from lakeline.window import Window
from tests.kubernetes.launchers import asked

if TYPE_CHECKING:
    from lakeline.models.rows import Rows
    from lakeline.models.training import TrainedModel

DAY = "2024-03-01"
UNTIL = "2024-04-01"
EPOCHS, BATCH, ROWS, EVERY = 4, 16, 2000, 25
DAILY = dg.DailyPartitionsDefinition(DAY, end_date=UNTIL)


class Row(Contract, version="1.0"):
    """One row a day."""

    at_ts: dt.datetime = column("Start of the day", event_time=True, key=True)


class Example(Contract, version="1.0"):
    """One row an example."""

    at_ts: dt.datetime = column("When", event_time=True, key=True)
    known_ts: dt.datetime = column("When its label was known", knowledge_time=True)
    number: float = column("A number")
    label: bool = column("What follows from it")


world = Domain(
    "placed", owner="team:bench", partitions=Daily(DAY, until=UNTIL), automation="manual"
)


def _sized(name: str, compute: Compute) -> None:
    def rows(window: Window) -> pl.DataFrame:
        """A row."""
        return pl.DataFrame({"at_ts": [window.start]})

    rows.__name__ = name
    world.table(contract=Row, layer="clean", compute=compute)(rows)


for _name, _compute in DECLARED.items():
    _sized(_name, _compute)

SIZED = tuple(world.assets)


@world.table(contract=Row, layer="clean", compute=Compute(memory="400Mi"))
def eats(window: Window) -> pl.DataFrame:
    """Takes more memory than it declares."""
    eaten = [bytearray(os.urandom(1 << 20) * 64) for _ in range(40)]
    return pl.DataFrame({"at_ts": [window.start]}).head(len(eaten))


@world.table(contract=Example, layer="features")
def examples(window: Window) -> pl.DataFrame:
    """Rows to learn from."""
    draw = np.random.default_rng(0)
    number = draw.normal(size=ROWS)
    every = (window.end - window.start) / ROWS
    at = [window.start + every * i for i in range(ROWS)]
    label = number + draw.normal(size=ROWS) > 0
    return pl.DataFrame(
        {"at_ts": at, "known_ts": at, "number": number, "label": label},
        schema_overrides=dict.fromkeys(("at_ts", "known_ts"), pl.Datetime("us", "UTC")),
    )


@world.model(
    training_set=examples, features=("number",), label="label", at="at_ts", known="known_ts",
    kinds=("torch", "mlflow"), compute=Compute(spot=True), refit=False, retries=0,
)  # fmt: skip
def learns(train: "Rows", seed: int) -> "TrainedModel":
    """A training of some hundred slow steps, with a checkpoint every few."""
    from lakeline.neural.plan import Plan
    from lakeline.neural.training import train_network

    plan = Plan(
        seed=seed, architecture="benchmarks.placement.slow:SlowNetwork", epochs=EPOCHS,
        batch_rows=BATCH, checkpoint_steps=EVERY, stop_days=0, learning_rate=0.05,
    )  # fmt: skip
    return train_network(train, plan, name="learns")


def _stock() -> list[dg.AssetsDefinition]:
    def asset(name: str, compute: Compute) -> dg.AssetsDefinition:
        def body() -> None:
            """Nothing."""

        tags = stock_tags(compute)
        return dg.asset(key=["placed", name], partitions_def=DAILY, op_tags=tags)(body)

    return [asset(*one) for one in DECLARED.items()]


def _launchers(assets: tuple[dg.AssetsDefinition, ...]) -> dg.Definitions:
    """The job, the sensor and the schedule that launch all of them in one run."""
    keys = [asset.key for asset in assets]
    job = dg.define_asset_job("all_job", dg.AssetSelection.assets(*keys))

    @dg.sensor(
        name="all_sensor",
        target=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return asked(context.cursor, keys)

    @dg.schedule(name="all_schedule", cron_schedule="* * * * *", job=job)
    def schedule(_: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=DAY)

    return dg.Definitions(jobs=[job], sensors=[sensor], schedules=[schedule])


def _house() -> Lakehouse:
    pods = Pods(
        namespace=os.environ["PLACED_NAMESPACE"],
        kubeconfig=os.environ["PLACED_KUBECONFIG"],
        image="lakeline/test:1",
        env_from=["configmap/placed-env"],
        gpu_tolerations=[GPU_TAINT],
        spot_selector=dict(SPOT),
        spot_tolerations=[SPOT_TAINT],
        grace_s=2,
    )
    fields = Lakehouse.in_folder(Path(os.environ["PLACED_STATE"])).model_dump()
    return Lakehouse(**(fields | {"compute": "kubernetes", "pods": pods}))


@dg.definitions
def defs() -> dg.Definitions:
    """One of the three ways, as the environment says."""
    kind = os.environ["PLACED_KIND"]
    executor: Any = dg.in_process_executor
    if kind == "lakeline":
        own = dg.Definitions(
            assets=world.assets, resources={"lakehouse": _house()}, executor=executor
        )
        return dg.Definitions.merge(own, _launchers(SIZED))
    if kind == "step_pods":
        from dagster_k8s import k8s_job_executor

        executor = k8s_job_executor
    assets = _stock()
    return dg.Definitions.merge(
        dg.Definitions(assets=assets, executor=executor), _launchers(tuple(assets))
    )
