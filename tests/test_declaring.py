"""What cannot be an asset is refused in lakeline's words, where it is declared."""

import datetime as dt
import functools
from typing import Any

import pytest

from lakeline.contract import Contract, column
from lakeline.domain.declared import (
    AssetNameError,
    KeywordOnlyError,
    NoFunctionError,
    RepeatedAssetError,
)
from lakeline.domain.node import node_of
from lakeline.errors import DomainError
from tests.shop import Sale, Shop, Trend, new_domain, sales_asset


class Reading(Contract, version="1.0"):
    """One row a reading."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    event_ts_day: dt.date = column("Its day")


class Teller:
    """An object that can be called."""

    def __call__(self, window: object) -> None: ...

    def sales(self, window: object) -> None:
        """Its method, which is a function."""


def sell(shop: str, window: object) -> None: ...


def größe(window: object) -> None: ...  # noqa: PLC2401 - what is refused


DECORATORS = {
    "table": lambda domain: domain.table(contract=Sale),
    "feature view": lambda domain: domain.feature_view(
        contract=Trend, reads=[], entities=["shop"], ttl="1d"
    ),
    "report": lambda domain: domain.report(reads=[]),
    "on-demand view": lambda domain: domain.on_demand_view(contract=Shop, request={"n": int}),
}


@pytest.mark.parametrize("kind", DECORATORS)
@pytest.mark.parametrize("given", [functools.partial(sell, "north"), Teller(), Teller])
def test_an_asset_is_made_from_a_function(kind: str, given: Any) -> None:
    with pytest.raises(NoFunctionError, match="is no function, and an asset takes its name"):
        DECORATORS[kind](new_domain())(given)


@pytest.mark.parametrize("kind", DECORATORS)
@pytest.mark.parametrize("given", [lambda window: None, größe])
def test_a_function_has_a_name_that_every_system_takes(kind: str, given: Any) -> None:
    with pytest.raises(AssetNameError, match=f"'{given.__name__}' cannot name an asset"):
        DECORATORS[kind](new_domain())(given)


def test_a_method_is_a_function() -> None:
    asset = new_domain().table(contract=Sale)(Teller().sales)
    assert node_of(asset).asset == "shop/sales"


def test_what_is_given_by_position_is_taken_by_position() -> None:
    with pytest.raises(KeywordOnlyError, match="'shop/sales' takes window by keyword alone"):

        @new_domain().table(contract=Sale)
        def sales(*, window: object) -> None: ...


def test_a_name_is_declared_once() -> None:
    domain = new_domain()
    sales_asset(domain)
    sales_asset(domain)
    with pytest.raises(RepeatedAssetError, match="'shop/sales' is declared twice"):
        domain.complete()


def test_a_column_may_not_have_the_name_of_the_partitions_of_its_table() -> None:
    def readings(window: object) -> None: ...

    def whole() -> None: ...

    with pytest.raises(DomainError, match="'shop/readings' is daily, and its column event_ts_day"):
        new_domain().table(contract=Reading)(readings)
    new_domain().table(contract=Reading, daily=False)(whole)
