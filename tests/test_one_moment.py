"""A reader records exactly what it read, whatever is published, killed or set back while it opens its tables."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakeline.domain.node import nodes_of
from lakeline.freshness.declared import graph_of
from lakeline.freshness.reconciler import Reconciler
from lakeline.ledger import Ledger
from lakeline.resource import Lakehouse
from lakeline.window import Window
from tests.shop import FIRST, Total, by_day, lakehouse, new_domain, published, run, sales_asset

NOON = dt.datetime(2024, 3, 4, 12, tzinfo=dt.UTC)


class Shop:
    """Sales, and their totals of a day, over rows that a test changes."""

    def __init__(self, folder: Path, cents: int) -> None:
        self.house: Lakehouse = lakehouse(folder)
        self.rows = [(f"{FIRST}T09:00", "north", cents)]
        domain = new_domain()
        self.sales = sales_asset(domain, self.rows)

        @domain.table(contract=Total, reads=[self.sales])
        def totals(window: Window, sales: Any) -> pl.LazyFrame:
            """What was sold in a day."""
            return by_day(sales.read())

        self.totals = totals

    def build(self, *assets: Any, cents: int | None = None) -> Any:
        if cents is not None:
            self.rows[:] = [(f"{FIRST}T09:00", "north", cents)]
        return run(assets, self.house, FIRST)

    def amounts(self, name: str) -> list[int]:
        return [row["amount_cents"] for row in published(self.house, f"shop.{name}")]

    def to_build(self) -> list[str]:
        plan = Reconciler(graph_of(nodes_of([self.sales, self.totals])), self.house.ledger)
        return [one.asset for one in plan.tick(NOON).decisions if one.partition == FIRST]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path, 100)
    assert made.build(made.sales).success
    return made


def test_a_publish_that_was_killed_before_its_record_is_finished_by_whoever_reads_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    def killed(*_given: object, **_named: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Ledger, "publish_together", killed)
    assert not shop.build(shop.sales, cents=999).success
    monkeypatch.undo()
    assert shop.house.ledger.pending("shop/sales")
    assert shop.build(shop.totals).success
    assert shop.amounts("totals") == [999]
    # The source goes back to what it said first, and nobody may take the totals for those of 100.
    assert shop.build(shop.sales, cents=100).success
    assert not shop.house.ledger.is_consistent("shop/totals", FIRST)
    assert shop.to_build() == ["shop/totals"]


def test_a_table_that_was_set_back_is_not_read_as_what_was_published(shop: Shop):
    first = shop.house.lake.load("shop.sales").current_snapshot()
    assert first is not None
    assert shop.build(shop.sales, cents=999).success
    table = shop.house.lake.load("shop.sales")
    table.manage_snapshots().set_current_snapshot(first.snapshot_id).commit()
    refused = shop.build(shop.totals)
    assert not refused.success
    assert "was set back to snapshot" in refused.error
    assert "lakeline lake adopt shop/sales" in refused.error


def test_a_publish_while_a_reader_opens_its_table_is_read_and_recorded_as_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    real = Ledger.current
    turns: list[str] = []

    def then_published(self: Ledger, asset: str, *rest: Any) -> Any:
        found = real(self, asset, *rest)
        if asset == "shop/sales" and not rest and not turns:
            turns.append(asset)
            assert shop.build(shop.sales, cents=999).success
        return found

    monkeypatch.setattr(Ledger, "current", then_published)
    assert shop.build(shop.totals).success
    assert turns
    assert shop.amounts("totals") == [999]
    assert shop.house.ledger.is_consistent("shop/totals", FIRST)
    assert shop.build(shop.sales, cents=100).success
    assert not shop.house.ledger.is_consistent("shop/totals", FIRST)
