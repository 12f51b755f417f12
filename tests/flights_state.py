"""A few days of the flights domain, built once for all tests that look at them."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lakeline.dbt.invoke import parse
from lakeline.dbt.manifest import ManifestMissingError, read_manifest
from lakeline.resource import Lakehouse
from resources import build_resources
from resources.settings import Settings
from tests.shop import Run

DBT = Path(__file__).parents[1] / "dbt"
VIEWS = ("carrier_punctuality", "origin_backlog", "weather_at_origin")
NOT_TABLES = (
    *("delay_lightgbm", "delay_mlp", "predictions", "feature_drift", "performance", "health"),
    *("feature_registry", *(f"{view}_{part}" for view in VIEWS for part in ("online", "parity"))),
)
"""Assets that take more days than a test builds, and those that are no tables."""


@dataclass(frozen=True)
class FlightsState:
    """A state folder and the run that filled it."""

    folder: Path
    house: Lakehouse
    run: Run

    def rows(self, name: str) -> pl.DataFrame:
        """The rows of a table of the domain, in the order of its key."""
        from lakeline.lake.read import scan_polars

        frame = scan_polars(self.house.lake.load(f"flights.{name}")).collect()
        return frame.sort(frame.columns[:5])

    def versions(self) -> dict[str, dict[str, str]]:
        """Version of every partition of every asset."""
        names = [summary.asset for summary in self.house.ledger.summary()]
        return {name: dict(self.house.ledger.versions(name)) for name in names}


def require_manifest() -> None:
    """Let dbt parse its project where that was not done since it changed."""
    try:
        read_manifest(DBT)
    except ManifestMissingError:
        parse(DBT)


def flights_assets(leave: Collection[str] = NOT_TABLES) -> list[dg.AssetsDefinition]:
    """The assets of the domain but those left out."""
    from assets import flights
    from lakeline.domain import load_domain

    return [one for one in load_domain(flights).assets if one.key.path[-1] not in leave]


def build_flights(
    state: Path, first: str, last: str, /, *, only: Collection[str] = (), **archive: Any
) -> FlightsState:
    """Build the tables of the domain for a range of days, in a state folder of its own.

    Args:
        state: Folder of the state; what is there already stays.
        first: First day.
        last: Last day.
        only: Names of the assets to build; left out, every table.
        archive: Settings of the archive, such as ``replay_start``.
    """
    resources = build_resources(Settings(state=state))
    asked = {
        **resources["archive"].model_dump(),
        "replay_anchor": str(state / "replay.json"),
        **archive,
    }
    resources["archive"] = type(resources["archive"])(**asked)
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    assets = [one for one in flights_assets() if not only or one.key.path[-1] in only]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets, resources=resources, tags=tags, instance=instance, raise_on_error=False
        )
    return FlightsState(folder=state, house=resources["lakehouse"], run=Run(result))


def at(day: str, hour: int = 0, minute: int = 0) -> dt.datetime:
    """A moment, UTC."""
    return dt.datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=dt.UTC)
