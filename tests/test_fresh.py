"""What is said of data of which nothing tells how far it reaches, and of a source that says it wrongly."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from lakeline.domain import Table
from lakeline.domain.node import node_of, nodes_of
from lakeline.freshness.check_states import present_states
from lakeline.freshness.declared import graph_of
from lakeline.freshness.fresh import freshness, sentence
from lakeline.freshness.reasons import explain, present_plan
from lakeline.freshness.sources import SourceTimeError, observe
from lakeline.resource import Lakehouse
from lakeline.window import Window, day_start
from tests.shop import SALES, Sale, lakehouse, new_domain, run, sales_asset, sales_frame

DAY = "2024-03-01"
NOW = day_start("2024-03-02")
NO_SOURCE = "has no source, so nothing tells how far its data reaches. Give it one with source=, or take fresh= away"


@pytest.fixture
def house(tmp_path: Path) -> Lakehouse:
    return lakehouse(tmp_path)


def shop_without_a_source() -> list[dg.AssetsDefinition]:
    domain = new_domain()
    sales = sales_asset(domain, fresh="24h")

    @domain.table(contract=Sale, reads=[sales], fresh="24h")
    def large(window: Window, sales: Table) -> pl.LazyFrame:
        return sales.read().filter(pl.col("amount_cents") > 100)

    return [sales, large]


@pytest.mark.parametrize("is_built", [True, False])
def test_a_promise_of_data_without_a_source_is_broken_for_want_of_a_source(
    house: Lakehouse, *, is_built: bool
) -> None:
    assets = shop_without_a_source()
    if is_built:
        assert run(assets, house, DAY).success
    graph = graph_of(nodes_of(assets))
    found = freshness(graph, house.ledger, NOW)
    assert {one.held_back_by for one in found.values()} == {"shop/sales"}
    said = {
        "shop/sales": f"breaks its promise of 24h; it {NO_SOURCE}",
        "shop/large": f"breaks its promise of 24h; held back by shop/sales, which {NO_SOURCE}",
    }
    plan = present_plan(graph, house.ledger, NOW)
    states = {
        one.asset: one for one in present_states(graph, house.ledger, NOW) if one.name == "fresh"
    }
    for asset, words in said.items():
        assert sentence(found[asset]).endswith(words)
        assert explain(graph, house.ledger, plan, asset, None).freshness.endswith(words)
        assert states[asset].detail["said"].endswith(words)


class Silent(dg.ConfigurableResource["Silent"]):
    """A source that does not say how far it reaches."""

    def versions(self, table: str) -> dict[str, str]:
        return {DAY: table}


def test_a_source_that_says_nothing_is_what_holds_back(house: Lakehouse) -> None:
    @new_domain().table(contract=Sale, source=Silent, fresh="24h")
    def sales(window: Window, silent: Silent) -> pl.DataFrame:
        return sales_frame(SALES, window)

    assert run([sales], house, DAY, silent=Silent()).success
    found = freshness(graph_of(nodes_of([sales])), house.ledger, NOW)["shop/sales"]
    assert sentence(found).endswith("held back by source:shop/sales, which reaches nowhere yet")


class Clock:
    """A source that says how far it reaches in some way."""

    def __init__(self, until: object) -> None:
        self.until = until

    def published_until(self) -> Any:
        return self.until


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (dt.datetime(2024, 3, 1), "2024-03-01 00:00:00, which has no time zone"),  # noqa: DTZ001
        (dt.date(2024, 3, 1), r"datetime.date\(2024, 3, 1\), which is no moment"),
        ("2024-03-01", "'2024-03-01', which is no moment"),
        (1709251200, "1709251200, which is no moment"),
    ],
)
def test_a_source_says_by_an_aware_time_how_far_it_reaches(
    house: Lakehouse, until: object, said: str
) -> None:
    node = node_of(sales_asset(new_domain()))
    with pytest.raises(SourceTimeError, match=rf"^'shop/sales': Clock.published_until\(\) returned {said}. Return"):  # fmt: skip
        observe(house.ledger, node, Clock(until))
    assert house.ledger.sources() == {}


@pytest.mark.parametrize("until", [None, NOW, NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))])
def test_a_source_may_have_nothing_and_be_in_any_zone(house: Lakehouse, until: object) -> None:
    observe(house.ledger, node_of(sales_asset(new_domain())), Clock(until))
    days = list(house.ledger.versions("source:shop/sales"))
    assert days == ([DAY] if until else [])
