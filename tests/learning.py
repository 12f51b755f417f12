"""A small domain with a model: a training set that a test decides, a model, its scores and two reports."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from lakeline.contract import Contract, column
from lakeline.domain import Check, Daily, Domain, Report, Table
from lakeline.models.booster import train_booster
from lakeline.models.registry import Registry
from lakeline.models.rows import Rows
from lakeline.models.training import TrainedModel
from lakeline.neural.plan import Plan
from lakeline.neural.training import train_network
from lakeline.resource import Lakehouse
from lakeline.window import Window, day_start
from tests.shop import Run, lakehouse, run

FIRST, UNTIL = "2024-03-01", "2024-06-01"
ROWS_A_DAY = 60
MODEL = "mill/breaks"
TABLE = "mill.breaks"


class Sample(Contract, version="1.0"):
    """One row a machine and hour."""

    event_ts: dt.datetime = column("When it was looked at", event_time=True, key=True)
    machine: int = column("Number of the machine", key=True)
    known_ts: dt.datetime = column("When it was known whether it broke")
    heat: float = column("Temperature over the usual", unit="K")
    noise: float = column("Loudness over the usual", unit="dB")
    broke: bool = column("Label: broke within the hour")


class Score(Contract, version="1.0"):
    """One row a machine and hour."""

    event_ts: dt.datetime = column("When it was looked at", event_time=True, key=True)
    machine: int = column("Number of the machine", key=True)
    score: float = column("Probability of breaking", ge=0, le=1)


@dataclass
class World:
    """What the tests decide: when heat begins to mean the opposite, and what a report says.

    Attributes:
        turns_on: Day from which on heat protects; None for never.
        drifted: What the report of drift says.
        rounds: Trees; another number is another model.
        network: Whether a network learns instead of trees.
    """

    turns_on: str | None = None
    drifted: bool = False
    rounds: int = 12
    network: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def samples(self, day: str) -> pl.DataFrame:
        """The rows of a day, the same at each call."""
        draw = np.random.default_rng(int(day.replace("-", "")))
        heat, noise = draw.normal(size=(2, ROWS_A_DAY))
        sign = -1 if self.turns_on is not None and day >= self.turns_on else 1
        chance = 1 / (1 + np.exp(-(2 * sign * heat + 0.5 * noise)))
        start = day_start(day)
        times = [start + dt.timedelta(minutes=20 * i) for i in range(ROWS_A_DAY)]
        return pl.DataFrame(
            {
                "event_ts": times,
                "machine": range(ROWS_A_DAY),
                "known_ts": [at + dt.timedelta(minutes=30) for at in times],
                "heat": heat,
                "noise": noise,
                "broke": draw.random(ROWS_A_DAY) < chance,
            },
            schema_overrides={
                "event_ts": pl.Datetime("us", "UTC"),
                "known_ts": pl.Datetime("us", "UTC"),
            },
        )


def mill(world: World) -> Domain:
    """The domain, whose functions read ``world`` when they run."""
    domain = Domain("mill", owner="team:mill", partitions=Daily(FIRST, until=UNTIL))

    @domain.table(contract=Sample, layer="raw")
    def samples(window: Window) -> pl.DataFrame:
        """What the machines were like."""
        return pl.concat([world.samples(day) for day in window.partitions])

    @domain.report(reads=[samples], checks=["share"])
    def drift(samples: Table) -> Report:
        """Whether the machines have changed."""
        rows = samples.read(columns=["heat"]).collect().height
        check = Check(name="share", passed=not world.drifted, description="Told by the test.")
        return Report(html="<html></html>", numbers={"rows": rows}, checks=(check,))

    settings = {"retrain_on": [drift, ("quality", "brier")], **world.settings}

    @domain.model(
        training_set=samples,
        features=("heat", "noise"),
        label="broke",
        at="event_ts",
        known="known_ts",
        schedule=("noise",),
        **settings,
    )
    def breaks(train: Rows, seed: int) -> TrainedModel:
        """Probability that a machine breaks."""
        if world.network:
            plan = Plan(seed=seed, epochs=world.rounds, batch_rows=64, config={"hidden": [16]})
            return train_network(train, plan)
        return train_booster(train, rounds=world.rounds, seed=seed)

    @domain.predictions(contract=Score, model=breaks, reads=[samples])
    def scores(window: Window, model: TrainedModel, samples: Table) -> pl.DataFrame:
        """The champion's scores."""
        rows = samples.read(window).collect()
        scored = rows.with_columns(score=pl.Series(model.predict(rows)))
        return scored.select("event_ts", "machine", "score")

    @domain.report(reads=[breaks, scores], checks=["brier"])
    def quality(model: TrainedModel, scores: Table) -> Report:
        """Whether the scores hold."""
        rows = scores.read(columns=["score"]).collect().height
        check = Check(name="brier", passed=True)
        return Report(html="<html></html>", numbers={"rows": rows}, checks=(check,))

    return domain


@dataclass
class Mill:
    """The domain with a lake of its own."""

    world: World
    house: Lakehouse
    domain: Domain

    @classmethod
    def at(cls, folder: Path, world: World, empty_registry: Path) -> "Mill":
        """A mill below a folder, with a registry that need not be made first."""
        house = lakehouse(folder)
        models = Path(house.models)
        models.mkdir(parents=True, exist_ok=True)
        (models / "registry.db").write_bytes(empty_registry.read_bytes())
        return cls(world, house, mill(world))

    @property
    def node(self) -> Any:
        from lakeline.domain.node import nodes

        return nodes()[MODEL]

    @property
    def registry(self) -> Registry:
        return self.house.registry

    def asset(self, name: str) -> dg.AssetsDefinition:
        return next(one for one in self.domain.assets if one.key.path[-1] == name)

    def measure(self, first: str, last: str) -> Run:
        """Build the training set for some days."""
        return run([self.asset("samples")], self.house, first, last)

    def build(
        self, *names: str, first: str | None = None, last: str | None = None, **tags: str
    ) -> Run:
        """Build assets, none of them if they are as they should be."""
        assets = [self.asset(name) for name in names]
        return run(assets, self.house, first, last, tags=dict(tags))

    def train(self, **config: Any) -> Run:
        """Train the model once."""
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [self.asset("breaks")],
                resources={"lakehouse": self.house},
                instance=instance,
                run_config={"ops": {"mill__breaks": {"config": config}}} if config else None,
                raise_on_error=False,
            )
        return Run(result)

    @property
    def champion(self) -> int | None:
        """Number of the version that serves."""
        held = self.registry.champion(TABLE)
        return held.version if held else None

    @property
    def version(self) -> str:
        """The ledger's version of the model."""
        return self.house.ledger.versions(MODEL)[""]

    def is_agreed(self) -> bool:
        """Whether the registry and the ledger name the same champion."""
        held = self.registry.champion(TABLE)
        return held is not None and held.digest.startswith(self.version)
