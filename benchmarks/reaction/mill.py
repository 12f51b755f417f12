"""The domain: machines are measured by day; a feature is made of that, a model of the feature, a report of both."""

import datetime as dt
import hashlib
from pathlib import Path

import dagster as dg
import polars as pl

from lakeline.contract import Contract, column
from lakeline.domain import Check, Daily, Domain, Report, Table
from lakeline.models.booster import train_booster
from lakeline.models.rows import Rows
from lakeline.models.training import TrainedModel
from lakeline.window import Window, day_start, shift

FIRST, DAYS, ROWS_A_DAY = "2024-03-01", 48, 40
LAST = shift(FIRST, DAYS - 1)
CHAIN = ("samples", "strain", "breaks", "quality")


class Machines(dg.ConfigurableResource["Machines"]):
    """A folder with a file of measurements for each day."""

    folder: str

    def published_until(self) -> dt.datetime:
        """The end of the last day."""
        return day_start(shift(LAST, 1))

    def versions(self, table: str) -> dict[str, str]:
        """A hash of each day's file."""
        del table
        return {
            file.stem: hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
            for file in sorted(Path(self.folder).glob("*.parquet"))
        }

    def read(self, window: Window) -> pl.DataFrame:
        """The rows of a window."""
        return pl.concat(
            pl.read_parquet(Path(self.folder) / f"{day}.parquet") for day in window.partitions
        )

    def write(self, day: str, seed: int) -> None:
        """Measure a day, with one row that depends on ``seed``."""
        import numpy as np

        draw = np.random.default_rng(int(day.replace("-", "")))
        heat, noise = draw.normal(size=(2, ROWS_A_DAY))
        broke = draw.random(ROWS_A_DAY) < 1 / (1 + np.exp(-(3 * heat)))
        heat[0] += seed / 100
        times = [day_start(day) + dt.timedelta(minutes=20 * i) for i in range(ROWS_A_DAY)]
        rows = {"event_ts": times, "machine": range(ROWS_A_DAY), "heat": heat, "noise": noise, "broke": broke}  # fmt: skip
        part = Path(self.folder) / f"{day}.part"
        pl.DataFrame(rows).write_parquet(part)
        part.replace(part.with_suffix(".parquet"))


class Sample(Contract, version="1.0"):
    """One row a machine and time."""

    event_ts: dt.datetime = column("When it was looked at", event_time=True, key=True)
    machine: int = column("Number of the machine", key=True)
    heat: float = column("Temperature over the usual", unit="K")
    noise: float = column("Loudness over the usual", unit="dB")
    broke: bool = column("Label: broke within the hour")


class Strain(Contract, version="1.0"):
    """One row a machine and time."""

    event_ts: dt.datetime = column("When it was looked at", event_time=True, key=True)
    machine: int = column("Number of the machine", key=True)
    known_ts: dt.datetime = column("When it was known whether it broke")
    strain: float = column("Heat and noise together")
    noise: float = column("Loudness over the usual", unit="dB")
    broke: bool = column("Label: broke within the hour")


def mill() -> Domain:
    """The domain; its model promises what is never kept, so that a training is due as soon as anything has changed."""
    domain = Domain("mill", owner="team:mill", partitions=Daily(FIRST, until=shift(LAST, 1)))

    @domain.table(contract=Sample, source=Machines)
    def samples(window: Window, machines: Machines) -> pl.DataFrame:
        """What was measured."""
        return machines.read(window)

    @domain.table(contract=Strain, layer="features", reads=[samples])
    def strain(window: Window, samples: Table) -> pl.LazyFrame:
        """How much the machines have to bear."""
        rows = samples.read(window)
        known = pl.col("event_ts") + dt.timedelta(minutes=30)
        made = rows.with_columns(known_ts=known, strain=pl.col("heat") + pl.col("noise") / 10)
        return made.select(*Strain.columns)

    @domain.model(
        training_set=strain,
        features=("strain", "noise"),
        label="broke",
        at="event_ts",
        known="known_ts",
        schedule=("noise",),
        fresh="1d",
        cooldown="0m",
        at_most=(1000, "30d"),
    )
    def breaks(train: Rows, seed: int) -> TrainedModel:
        """Probability that a machine breaks."""
        return train_booster(train, rounds=8, seed=seed)

    @domain.report(reads=[breaks, strain], checks=["rows"])
    def quality(model: TrainedModel, strain: Table) -> Report:
        """What the model says of what was measured."""
        rows = strain.read().collect()
        mean = float(model.predict(rows).mean())
        check = Check(name="rows", passed=rows.height > 0)
        return Report(html="<html></html>", numbers={"score": mean}, checks=(check,))

    return domain
