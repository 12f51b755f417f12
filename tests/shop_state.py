"""The week of the shop domain, built once for all tests that look at it."""

import importlib.metadata
import importlib.util
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from lakeline.resource import Lakehouse
from resources import build_resources
from resources.settings import Settings
from tests.shop import Run

NOT_BUILT = ("health", "feature_registry", "item_popularity_online", "item_popularity_parity")
FIRST, LAST = "2019-11-24", "2019-11-30"


def require_data() -> None:
    """Skip a module of tests without the shop's data; fail where everything must be there."""
    try:
        importlib.metadata.distribution("obp")
    except importlib.metadata.PackageNotFoundError:
        _missing("the shop's data is not installed: make setup-recommender")


def has_torch() -> bool:
    """Whether networks can be trained."""
    return importlib.util.find_spec("torch") is not None


def _missing(why: str) -> None:
    if os.environ.get("LAKELINE_REQUIRE_SERVICES"):
        pytest.fail(f"{why}, but LAKELINE_REQUIRE_SERVICES is set", pytrace=False)
    pytest.skip(why, allow_module_level=True)


@dataclass(frozen=True)
class ShopState:
    """A state folder and the run that filled it."""

    house: Lakehouse
    run: Run

    def rows(self, name: str) -> pl.DataFrame:
        """The rows of a table of the domain, in the order of its first columns."""
        from lakeline.lake.read import scan_polars

        frame = scan_polars(self.house.lake.load(f"shop.{name}")).collect()
        return frame.sort(frame.columns[:5])


def shop_assets(leave: Collection[str] = NOT_BUILT) -> list[dg.AssetsDefinition]:
    """The assets of the domain but those left out."""
    from assets import shop
    from lakeline.domain import load_domain

    return [one for one in load_domain(shop).assets if one.key.path[-1] not in leave]


def build_shop(
    state: Path,
    first: str = FIRST,
    last: str = LAST,
    /,
    *,
    only: Collection[str] = (),
    leave: Collection[str] = NOT_BUILT,
    **archive: Any,
) -> ShopState:
    """Build the domain for a range of days, in a state folder of its own; what is there already stays.

    Args:
        state: Folder of the state.
        first: First day.
        last: Last day.
        only: Names of the assets to build; left out, all.
        leave: Names of the assets to leave out.
        archive: Settings of the archive, such as ``folder``.
    """
    resources = build_resources(Settings(state=state))
    held = resources["shop_archive"]
    resources["shop_archive"] = type(held)(**{**held.model_dump(), **archive})
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    assets = [one for one in shop_assets(leave) if not only or one.key.path[-1] in only]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets, resources=resources, tags=tags, instance=instance, raise_on_error=False
        )
    return ShopState(house=resources["lakehouse"], run=Run(result))
