"""One table of sensor readings, and the places that a lake can be: a folder with SQLite, or Postgres and S3."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from lakeline.contract import Contract, column
from lakeline.lake import Lake
from lakeline.lake.content import content_version
from lakeline.lake.files import stored
from lakeline.lake.quarantine import quarantine_name
from lakeline.lake.read import scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import Publication, Target, publish
from lakeline.window import Window, day_start
from tests.services import S3


class Reading(Contract, version="1.0", duplicates="fail"):
    """One row a sensor and moment."""

    event_ts: dt.datetime = column("When it was read", event_time=True, key=True)
    sensor: str = column("Name of the sensor", key=True)
    celsius: float | None = column("Temperature", ge=-90, le=60, on_fail="reject")
    volts: float | None = column("Battery", ge=0, le=5, on_fail="blank")
    level: int | None = column("Water level", ge=0, on_fail="fail")


class Sensor(Contract, version="1.0", duplicates="fail"):
    """One row a sensor."""

    sensor: str = column("Name", key=True)
    height: int | None = column("Height above the sea")


READINGS = Target(asset="weather/readings", contract=Reading, daily=True)
SENSORS = Target(asset="weather/sensors", contract=Sensor, daily=False)
DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
WEEKEND = Window.of_days(DAYS[0], DAYS[-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """Where a lake and its ledger are; `lake` and `ledger` open them anew."""

    catalog_uri: str
    warehouse: str
    locks: Path
    ledger_url: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def lake(self) -> Lake:
        return Lake(
            catalog_uri=self.catalog_uri,
            warehouse=self.warehouse,
            locks=self.locks,
            properties=self.properties,
        )

    def ledger(self) -> Ledger:
        return Ledger(self.ledger_url)


def embedded(folder: Path) -> Store:
    """SQLite and files below a folder."""
    return Store(
        catalog_uri=f"sqlite:///{folder / 'catalog.db'}",
        warehouse=str(folder / "warehouse"),
        locks=folder / "locks",
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
    )


def on_servers(folder: Path, postgres_url: str, bucket: S3) -> Store:
    """The catalog and the ledger in Postgres, the files in a bucket."""
    return Store(
        catalog_uri=postgres_url,
        warehouse=f"s3://{bucket.bucket}/lake",
        locks=folder / "locks",
        ledger_url=postgres_url,
        properties={
            "s3.endpoint": bucket.endpoint,
            "s3.access-key-id": bucket.key,
            "s3.secret-access-key": bucket.secret,
            "s3.region": bucket.region,
        },
    )


def readings(*days: str, base: float = 10.0, rows: int = 4) -> pl.DataFrame:
    """``rows`` readings of each day, an hour apart; other bases are other content."""
    starts = [day_start(day) + dt.timedelta(hours=hour) for day in days for hour in range(rows)]
    return pl.DataFrame(
        {
            "event_ts": starts,
            "sensor": [f"s{i % 2}" for i in range(len(starts))],
            "celsius": [float(base + i % rows) for i in range(len(starts))],
            "volts": [3.0] * len(starts),
            "level": [1] * len(starts),
        },
        schema_overrides={"event_ts": pl.Datetime("us", "UTC")},
    )


def publish_days(
    lake: Lake, ledger: Ledger, *days: str, base: float = 10.0, run_id: str = "run"
) -> Publication:
    """Publish `readings` of the days."""
    window = Window.of_days(days[0], days[-1])
    return publish(lake, ledger, READINGS, readings(*days, base=base), window=window, run_id=run_id)


def append_elsewhere(lake: Lake, *days: str, **values: Any) -> None:
    """What another engine does: four rows a day appended without lakeline, with ``values`` in their columns."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    table = lake.load(READINGS.table)
    rows = readings(*days, base=-20).with_columns(sensor=pl.lit("other"))
    rows = rows.with_columns(pl.lit(v, dtype=rows.schema[k]).alias(k) for k, v in values.items())
    table.append(rows.to_arrow().cast(schema_to_pyarrow(table.schema())))


def failing(error: BaseException) -> Callable[..., Any]:
    """A function that raises, whatever it is given."""

    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


def rows_of(lake: Lake, target: Target = READINGS) -> pl.DataFrame:
    """Every row of a table, sorted."""
    rows = scan_polars(lake.load(target.table)).collect()
    return rows.sort(rows.columns)


def versions_of(lake: Lake, target: Target = READINGS) -> dict[str, str]:
    """Content version of each partition that has rows, recomputed from the lake."""
    rows = rows_of(lake, target)
    if not target.daily:
        return {"": content_version(rows)} if rows.height else {}
    dated = rows.with_columns(day=pl.col("event_ts").dt.date().cast(pl.String))
    days = dated.partition_by("day", as_dict=True, include_key=False)
    return {str(day[0]): content_version(part) for day, part in days.items()}


def snapshots_of(lake: Lake, target: Target = READINGS) -> list[int]:
    """Ids of the table's snapshots, oldest first."""
    table = lake.find(target.table)
    return [] if table is None else [one.snapshot_id for one in table.metadata.snapshots]


def assert_true_ledger(lake: Lake, ledger: Ledger, target: Target = READINGS) -> None:
    """The ledger says what the lake holds, and nothing is under way."""
    known = {
        key: version for key, version in ledger.versions(target.asset).items() if version != "empty"
    }
    assert known == versions_of(lake, target)
    assert ledger.pending(target.asset) == []


def with_value(frame: pl.DataFrame, row: int, **values: Any) -> pl.DataFrame:
    """The frame with other values in one row."""
    index = pl.int_range(pl.len()) == row
    return frame.with_columns(
        pl.when(index).then(pl.lit(value, dtype=frame.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


def quarantined(lake: Lake) -> pl.DataFrame:
    """Every rejected reading."""
    return scan_polars(lake.load(quarantine_name(READINGS.table))).collect()


def data_files(lake: Lake) -> set[str]:
    """Names of the Parquet files below the table, in the table or not."""
    table = lake.find(READINGS.table)
    if table is None:
        return set()
    return {one.path for one in stored(table) if one.path.endswith(".parquet")}
