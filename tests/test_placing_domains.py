"""A domain whose every asset is built in a process of its own, also those that lakeline makes: of dbt and of features."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeline.deployment import Timepiece
from lakeline.domain import Domain, load_domain
from lakeline.domain.node import nodes_of
from tests.shop import lakehouse, published, run
from tests.test_dbt import parsed

__all__ = ["parsed"]

DAY = "2024-03-01"
TABLES = """
from pathlib import Path

import polars as pl

from lakeline.compute import Compute
from lakeline.domain import Daily, Domain
from tests.shop import Total, Trend, sales_asset

shop = Domain(
    "shop", owner="team:shop", partitions=Daily("2024-03-01", until="2024-04-01"), compute=Compute(cpu=1, memory="2Gi")
)
sales = sales_asset(shop)
totals = shop.dbt_model("totals", contract=Total, project=Path({project!r}), reads=[sales])


@shop.feature_view(contract=Trend, reads=[totals], entities=["shop"], ttl="2d", online=True)
def trend(window, totals):
    return totals.read(window).with_columns(known_ts=pl.col("event_ts") + pl.duration(days=1))
"""


@pytest.fixture
def domain(parsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Domain]:
    """The domain, loaded from a folder that workers find too."""
    package = tmp_path / "placed_domain"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tables.py").write_text(TABLES.format(project=str(parsed)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    yield load_domain(importlib.import_module("placed_domain"))
    for name in ("placed_domain", "placed_domain.tables"):
        sys.modules.pop(name, None)


def test_assets_that_lakeline_makes_are_built_in_processes_too(
    domain: Domain, tmp_path: Path
) -> None:
    house = lakehouse(tmp_path / "house")
    clock = Timepiece(replay_start="2024-03-03T00:00", replay_anchor=str(tmp_path / "clock.json"))
    done = run(domain.assets, house, DAY, clock=clock)
    assert done.success, done.error
    placed = {
        name: done.materializations(name)[-1].metadata["placement"].value
        for name in ("sales", "totals", "trend", "trend_online", "trend_parity", "feature_registry")
    }
    assert set(placed.values()) == {"a process of its own"}
    assert set(placed) == {name.partition("/")[2] for name in nodes_of(domain.assets)}
    assert [one["amount_cents"] for one in published(house, "shop.trend")] == [100, 250]
    held = house.ledger.current("shop/totals", [DAY])[DAY]
    assert held.code_version == nodes_of(domain.assets)["shop/totals"].code_version
