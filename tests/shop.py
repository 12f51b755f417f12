"""A small domain on a temporary lake, for tests of how domains behave."""

import datetime as dt
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lakeline.contract import Contract, column
from lakeline.domain import Daily, Domain
from lakeline.resource import Lakehouse
from lakeline.window import Window

FIRST = "2024-03-01"
Row = tuple[str, str, int]
"""Event time, shop, and amount in cents."""

SALES: tuple[Row, ...] = (
    ("2024-03-01T09:00", "north", 100),
    ("2024-03-01T10:00", "south", 250),
    ("2024-03-02T09:00", "north", 300),
    ("2024-03-03T23:59", "north", 50),
    ("2024-03-04T00:00", "south", 75),
)


class Sale(Contract, version="1.2"):
    """One row a sale."""

    event_ts: dt.datetime = column("When it was paid", event_time=True, key=True)
    shop: str = column("Name of the shop", key=True, isin=("north", "south"), on_fail="reject")
    amount_cents: int = column("Amount", unit="ct", ge=0)


class Total(Contract, version="1.0"):
    """One row a day and shop."""

    event_ts: dt.datetime = column("Start of the day", event_time=True, key=True)
    shop: str = column("Name of the shop", key=True)
    amount_cents: int = column("Sum of the amounts", unit="ct")


class Shop(Contract, version="1.0"):
    """One row a shop."""

    shop: str = column("Name", key=True)
    sales: int = column("Sales ever made")


class Trend(Contract, version="1.0"):
    """One row a day and shop, as it is known after the day."""

    event_ts: dt.datetime = column("Start of the day", event_time=True, key=True)
    shop: str = column("Name of the shop", key=True)
    known_ts: dt.datetime = column("End of the day", knowledge_time=True)
    amount_cents: int = column("Sum of the amounts", unit="ct")


def new_domain(name: str = "shop", **settings: Any) -> Domain:
    """A domain whose days begin on the first of March 2024."""
    return Domain(name, owner="team:shop", partitions=Daily(FIRST, until="2024-04-01"), **settings)


def sales_frame(rows: Iterable[Row], window: Window | None = None) -> pl.DataFrame:
    """Rows as `Sale` wants them, those of the window."""
    frame = pl.DataFrame(list(rows), schema=["event_ts", "shop", "amount_cents"], orient="row")
    frame = frame.with_columns(pl.col("event_ts").str.to_datetime(time_zone="UTC"))
    if window is None:
        return frame
    return frame.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)


def sales_asset(
    domain: Domain, rows: Iterable[Row] = SALES, **settings: Any
) -> dg.AssetsDefinition:
    """A daily raw table; changing a list of rows changes what the next run finds."""

    @domain.table(contract=Sale, layer="raw", **settings)
    def sales(window: Window) -> pl.DataFrame:
        """Sales as the tills report them."""
        return sales_frame(rows, window)

    return sales


def by_day(sales: pl.LazyFrame) -> pl.LazyFrame:
    """Amounts summed over days and shops."""
    day = pl.col("event_ts").dt.truncate("1d")
    return sales.group_by(day, "shop").agg(pl.col("amount_cents").sum())


def lakehouse(folder: Path) -> Lakehouse:
    """Everything embedded, below a folder."""
    return Lakehouse.in_folder(folder)


@dataclass(frozen=True)
class Run:
    """What a run did, as tests ask for it."""

    result: dg.ExecuteInProcessResult

    @property
    def success(self) -> bool:
        return self.result.success

    @property
    def error(self) -> str:
        """The words of the step that failed; empty where none did."""
        for event in self.result.all_events:
            if event.event_type_value == "STEP_FAILURE":
                data = event.step_failure_data
                if data.user_failure_data is not None:
                    return str(data.user_failure_data.description)
                error = data.error
                return str(
                    error.cause.message if error and error.cause else error and error.message
                )
        return ""

    def check(self, asset: str, name: str) -> dg.AssetCheckEvaluation:
        """The result of one check."""
        [found] = [
            one
            for one in self.result.get_asset_check_evaluations()
            if one.check_name == name and one.asset_key.path[-1] == asset
        ]
        return found

    def materializations(self, asset: str) -> list[dg.AssetMaterialization]:
        """What the run told Dagster that it materialized, a partition each."""
        events = [one for one in self.result.get_asset_materialization_events() if one.asset_key]
        return [
            one.materialization
            for one in events
            if one.asset_key and one.asset_key.path[-1] == asset
        ]


def run(
    assets: Sequence[dg.AssetsDefinition],
    house: Lakehouse,
    first: str | None = None,
    last: str | None = None,
    *,
    tags: dict[str, str] | None = None,
    instance: dg.DagsterInstance | None = None,
    **resources: Any,
) -> Run:
    """Materialize the assets for a range of days."""
    tags = dict(tags or {})
    if first is not None:
        tags |= {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as held:
        result = dg.materialize(
            assets,
            resources={"lakehouse": house, **resources},
            tags=tags,
            instance=held,
            raise_on_error=False,
        )
    return Run(result)


def published(house: Lakehouse, table: str) -> list[dict[str, Any]]:
    """Rows of a table as readers see them now; none of one that was never written."""
    from lakeline.lake.read import scan_polars

    found = house.lake.find(table)
    if found is None:
        return []
    frame = scan_polars(found).collect()
    return frame.sort(frame.columns[:2]).to_dicts()
