"""What a domain makes of a function: an ordinary Dagster asset with every convention, and a run that records itself."""

import datetime as dt
import re
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from lakeline.domain import Check, Daily, Domain, Report, Rows, Table, latest, past
from lakeline.domain.declared import ArgumentsError, UndeclaredReadError
from lakeline.domain.domain import UnknownArgumentError
from lakeline.domain.node import ForeignAssetError, node_of
from lakeline.errors import DomainError
from lakeline.ledger import ABSENT
from lakeline.resource import Lakehouse
from lakeline.window import Window, day_start, shift
from tests.shop import (
    SALES,
    Row,
    Sale,
    Shop,
    Total,
    Trend,
    by_day,
    lakehouse,
    new_domain,
    published,
    run,
    sales_asset,
    sales_frame,
)

CHANGED_ONLY = {"lakeline/if_changed": "true"}
DAYS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")


@pytest.fixture
def house(tmp_path: Path) -> Lakehouse:
    return lakehouse(tmp_path)


def totals_asset(
    domain: Domain, sales: dg.AssetsDefinition, back: int = 0, **settings: Any
) -> dg.AssetsDefinition:
    @domain.table(contract=Total, reads=[past(sales, days=back)], **settings)
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        """What each shop took in, over the days that are read, at the day's start."""
        assert sales.window is not None
        days = [
            by_day(
                sales.read(Window.of_days(max(sales.window.partitions[0], shift(key, -back)), key))
            )
            .group_by("shop")
            .agg(pl.col("amount_cents").sum())
            .with_columns(event_ts=pl.lit(day_start(key)).dt.cast_time_unit("us"))
            for key in window.partitions
        ]
        return pl.concat(days)

    return totals


def marks(house: Lakehouse) -> set[tuple[str, str]]:
    return {(one.asset, one.partition) for one in house.ledger.marked()}


# --- what Dagster is told ---------------------------------------------------------------------


def test_every_convention_is_set_from_the_few_arguments() -> None:
    domain = new_domain()
    sales = sales_asset(domain, fresh="36h", tags={"tier": "gold"}, retries=3)
    key = dg.AssetKey(["shop", "sales"])
    spec = sales.get_asset_spec(key)
    assert domain.assets == [sales]
    assert spec.group_name == "shop_raw"
    assert spec.kinds == {"iceberg", "polars"}
    assert spec.owners == ["team:shop"]
    assert spec.description == "Sales as the tills report them."
    assert {"domain": "shop", "layer": "raw", "tier": "gold"}.items() <= spec.tags.items()
    assert spec.partitions_def == dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-04-01")
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(
        fail_window=dt.timedelta(hours=36), warn_window=dt.timedelta(hours=28.8)
    )
    assert sales.backfill_policy == dg.BackfillPolicy.single_run()
    assert sales.op.retry_policy == dg.RetryPolicy(max_retries=3)
    assert "lakehouse" in sales.required_resource_keys


def test_a_table_shows_its_columns_with_types_units_and_rules() -> None:
    metadata = sales_asset(new_domain()).get_asset_spec(dg.AssetKey(["shop", "sales"])).metadata
    columns = {one.name: one for one in metadata["dagster/column_schema"].columns}
    assert list(columns) == ["event_ts", "shop", "amount_cents"]
    assert columns["amount_cents"].description == "Amount (ct)"
    assert columns["amount_cents"].constraints.nullable is False
    assert metadata["dagster/table_name"] == "shop.sales"
    assert metadata["lakeline/contract_version"] == "1.2"


def test_the_source_of_an_asset_can_be_opened_from_the_ui() -> None:
    spec = sales_asset(new_domain()).get_asset_spec(dg.AssetKey(["shop", "sales"]))
    [reference] = spec.metadata["dagster/code_references"].code_references
    lines = Path(reference.file_path).read_text().splitlines()
    assert "@domain.table" in lines[reference.line_number - 1]


def test_checks_are_declared_and_only_the_contract_blocks() -> None:
    domain = new_domain()
    totals = totals_asset(domain, sales_asset(domain), checks=["plausible"])
    blocking = {spec.name: spec.blocking for spec in totals.check_specs}
    assert blocking == {"contract": True, "reads": False, "plausible": False}


def test_an_unpartitioned_asset_has_no_partitions_and_no_backfill_policy() -> None:
    domain = new_domain()

    @domain.table(contract=Shop, reads=[sales_asset(domain)], daily=False, retries=0)
    def shops(sales: Table) -> pl.LazyFrame:
        return sales.read().group_by("shop").agg(sales=pl.len())

    assert shops.partitions_def is None
    assert shops.backfill_policy is None
    assert shops.op.retry_policy is None
    mapping = shops.get_partition_mapping(dg.AssetKey(["shop", "sales"]))
    assert isinstance(mapping, dg.AllPartitionMapping)


def test_days_before_the_window_are_told_but_widen_no_backfill() -> None:
    domain = new_domain()
    totals = totals_asset(domain, sales_asset(domain), back=2)
    mapping = totals.get_partition_mapping(dg.AssetKey(["shop", "sales"]))
    assert mapping is None or mapping == dg.TimeWindowPartitionMapping()
    spec = totals.get_asset_spec(totals.key)
    assert spec.metadata["lakeline/reads"] == "shop/sales: its day and 2 before"


def test_a_feature_view_says_what_it_describes_and_how_long() -> None:
    domain = new_domain()

    @domain.feature_view(contract=Trend, reads=[sales_asset(domain)], entities=["shop"], ttl="2d")
    def trend(window: Window, sales: Table) -> pl.LazyFrame:
        return by_day(sales.read(window))

    spec = trend.get_asset_spec(dg.AssetKey(["shop", "trend"]))
    assert spec.group_name == "shop_features"
    assert spec.metadata["lakeline/entities"] == "shop"
    assert spec.metadata["lakeline/ttl_h"] == 48.0


# --- what is refused when it is declared ------------------------------------------------------


def test_an_undeclared_asset_in_the_function_is_refused() -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Total)
    def totals(window: Window) -> pl.LazyFrame:
        return by_day(sales.read(window))  # type: ignore[attr-defined]

    with pytest.raises(UndeclaredReadError) as caught:
        domain.complete()
    assert str(caught.value) == (
        "'shop/totals' mentions 'shop/sales' in "
        "test_an_undeclared_asset_in_the_function_is_refused.<locals>.totals() but does not declare it. "
        "Add it to reads= and use the handle that the function is then given."
    )


def test_an_undeclared_asset_in_a_function_that_is_called_is_refused() -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    def helper() -> dg.AssetsDefinition:
        return sales

    @domain.table(contract=Total)
    def totals(window: Window) -> object:
        return helper()

    with pytest.raises(UndeclaredReadError, match=r"in .*helper\(\)"):
        domain.complete()


def test_a_declared_asset_may_be_mentioned_and_a_column_may_have_its_name() -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Total, reads=[sales])
    def totals(window: Window, rows: Table) -> pl.LazyFrame:
        assert sales.key
        return by_day(rows.read(window))

    @domain.table(contract=Total)
    def others(window: Window) -> pl.LazyFrame:
        return by_day(pl.LazyFrame({"totals": [1]}).totals)  # type: ignore[attr-defined]

    domain.complete()
    assert {"shop/totals", "shop/others"} <= {node_of(one).asset for one in domain.assets}


@pytest.mark.parametrize("arguments", ["window", "window, sales, more", ""])
def test_a_function_takes_the_window_and_a_handle_for_each_dependency(arguments: str) -> None:
    domain = new_domain()
    scope: dict[str, Any] = {}
    exec(f"def totals({arguments}): ...", scope)  # noqa: S102 - the arguments vary
    with pytest.raises(ArgumentsError) as caught:
        domain.table(contract=Total, reads=[sales_asset(domain)])(scope["totals"])
    assert f"'shop/totals' takes ({arguments}) but will be given (window, sales)" in str(
        caught.value
    )


def test_an_unknown_argument_names_the_asset_and_the_nearest() -> None:
    with pytest.raises(UnknownArgumentError) as caught:
        sales_asset(new_domain(), ownr="team:x")
    assert str(caught.value) == (
        "'shop/sales' is declared with ownr=, which its decorator does not have. Did you mean owner?"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fresh": "soon"}, "'shop/sales': the promise 'soon' is neither a length of time nor"),
        (
            {"foo": 1},
            "Beside its own it takes automation, compute, deps, fresh, owner, rebuilds_on_code, retries, tags",
        ),
        ({"empty": "maybe"}, "'shop/sales' has empty='maybe'. Use one of fail, warn, allow"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, said: str) -> None:
    with pytest.raises(DomainError, match=said):
        sales_asset(new_domain(), **settings)


@pytest.mark.parametrize(
    ("start", "until", "said"),
    [
        ("2024-13-01", None, r"'2024-13-01' in Daily\(…\) is not a day. Write it as YYYY-MM-DD"),
        ("20240301", None, "'20240301' in Daily"),
        ("2024-03-01", "tomorrow", "'tomorrow' in Daily"),
        ("2024-03-01", "2024-03-01", "has no day. Give a later until"),
    ],
)
def test_days_that_are_none_are_refused(start: str, until: str | None, said: str) -> None:
    with pytest.raises(DomainError, match=said):
        Daily(start, until=until)


def test_an_unknown_layer_is_refused() -> None:
    domain = new_domain()
    with pytest.raises(
        DomainError, match=r"'shop/totals' has layer 'gold'\. Use one of raw, clean"
    ):
        totals_asset(domain, sales_asset(domain), layer="gold")


def test_a_daily_table_needs_an_event_time() -> None:
    with pytest.raises(DomainError, match="'shop/shops' is daily, but Shop has no event time"):

        @new_domain().table(contract=Shop)
        def shops(window: Window) -> None: ...


def test_a_dependency_is_declared_once() -> None:
    domain = new_domain()
    sales = sales_asset(domain)
    with pytest.raises(DomainError, match="'shop/totals' reads 'shop/sales' twice"):

        @domain.table(contract=Total, reads=[sales, past(sales, days=1)])
        def totals(window: Window, today: Table, before: Table) -> None: ...


def test_a_lookback_is_for_daily_assets_and_the_newest_days_for_others() -> None:
    domain = new_domain()
    sales = sales_asset(domain)
    with pytest.raises(DomainError, match=r"'shop/shops' .*latest\(sales, days=…\)"):

        @domain.table(contract=Shop, reads=[past(sales, days=1)], daily=False)
        def shops(sales: Table) -> None: ...

    with pytest.raises(DomainError, match=r"'shop/totals' .*past\(sales, days=…\)"):

        @domain.table(contract=Total, reads=[latest(sales, days=1)])
        def totals(window: Window, sales: Table) -> None: ...


def test_a_plain_asset_cannot_be_read_through_a_handle() -> None:
    @dg.asset
    def plain() -> None: ...

    with pytest.raises(ForeignAssetError, match=r"plain was not made by a Domain.*deps="):

        @new_domain().table(contract=Total, reads=[plain])
        def totals(window: Window, plain: Table) -> None: ...


def test_a_feature_view_without_times_or_entities_is_refused() -> None:
    domain = new_domain()
    with pytest.raises(DomainError, match="'trend' needs an event time and a knowledge time"):

        @domain.feature_view(contract=Total, reads=[], entities=["shop"], ttl="2d")
        def trend(window: Window) -> None: ...

    with pytest.raises(DomainError, match="'trend' has no column till for its entities"):

        @domain.feature_view(contract=Trend, reads=[], entities=["till"], ttl="2d")
        def trend(window: Window) -> None: ...


@pytest.mark.parametrize("name", ["Shop", "1shop", "shop-a", ""])
def test_a_domain_has_a_name_that_every_system_takes(name: str) -> None:
    with pytest.raises(DomainError, match="cannot name a domain"):
        new_domain(name)


# --- one run ----------------------------------------------------------------------------------


def test_a_range_of_days_is_one_run_and_one_snapshot(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)
    totals = totals_asset(domain, sales)
    done = run([sales, totals], house, DAYS[0], DAYS[3])
    assert done.success, done.error
    table = house.lake.load("shop.totals")
    assert len(table.snapshots()) == 1
    assert [one["amount_cents"] for one in published(house, "shop.totals")] == [
        100,
        250,
        300,
        50,
        75,
    ]
    assert {one.partition for one in done.materializations("totals")} == set(DAYS)


def test_the_ui_is_told_rows_snapshot_and_version(house: Lakehouse) -> None:
    sales = sales_asset(new_domain())
    [told] = run([sales], house, DAYS[0]).materializations("sales")
    assert told.metadata["dagster/row_count"].value == 2
    assert told.metadata["snapshot_id"].value == str(house.ledger.last_snapshot("shop/sales"))
    assert told.tags is not None
    assert told.tags["dagster/data_version"] == house.ledger.versions("shop/sales")[DAYS[0]]


def test_each_partition_of_a_range_shows_its_own_rows(house: Lakehouse) -> None:
    told = run([sales_asset(new_domain())], house, DAYS[0], DAYS[1]).materializations("sales")
    assert {one.partition: one.metadata["dagster/row_count"].value for one in told} == {
        DAYS[0]: 2,
        DAYS[1]: 1,
    }


def test_a_handle_records_the_snapshot_the_partitions_and_the_columns_really_used(
    house: Lakehouse,
) -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Total, reads=[sales])
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        cheap = sales.read().filter(pl.col("amount_cents") < 200)
        return cheap.select(
            pl.col("event_ts").dt.truncate("1d"),
            shop=pl.lit("north"),
            amount_cents=pl.lit(1).cast(pl.Int64),
        ).unique()

    run([sales], house, DAYS[0], DAYS[3])
    assert run([totals], house, DAYS[0], DAYS[1]).success
    [read] = house.ledger.inputs("shop/totals", DAYS[0])
    assert (read.asset, read.partition, read.columns) == (
        "shop/sales",
        DAYS[0],
        ("amount_cents", "event_ts"),
    )
    assert read.snapshot_id == house.ledger.last_snapshot("shop/sales")
    assert read.version == house.ledger.versions("shop/sales")[DAYS[0]]


def test_the_columns_read_by_each_engine_are_recorded(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Shop, reads=[sales], daily=False)
    def with_duckdb(sales: Table) -> object:
        import duckdb

        sales.duckdb(duckdb.connect(), columns=["shop"])
        return pl.DataFrame({"shop": ["a"], "sales": [1]})

    @domain.table(contract=Shop, reads=[sales], daily=False)
    def with_arrow(sales: Table) -> object:
        sales.arrow(columns=["amount_cents"])
        return pl.DataFrame({"shop": ["a"], "sales": [1]})

    @domain.table(contract=Shop, reads=[sales], daily=False)
    def with_everything(sales: Table) -> object:
        sales.arrow()
        return pl.DataFrame({"shop": ["a"], "sales": [1]})

    run([sales], house, DAYS[0])
    assert run([with_duckdb, with_arrow, with_everything], house).success
    read = {
        name: house.ledger.inputs(f"shop/{name}", "")[0].columns
        for name in ("with_duckdb", "with_arrow")
    }
    assert read == {"with_duckdb": ("shop",), "with_arrow": ("amount_cents",)}
    assert house.ledger.inputs("shop/with_everything", "")[0].columns == (
        "amount_cents",
        "event_ts",
        "shop",
    )


def test_the_first_partitions_look_back_no_further_than_there_is_data(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)
    totals = totals_asset(domain, sales, back=2)
    done = run([sales, totals], house, DAYS[0], DAYS[2])
    assert done.success, done.error
    read = {
        key: [one.partition for one in house.ledger.inputs("shop/totals", key)] for key in DAYS[:3]
    }
    assert read == {DAYS[0]: [DAYS[0]], DAYS[1]: [*DAYS[:2]], DAYS[2]: [*DAYS[:3]]}
    assert [one["amount_cents"] for one in published(house, "shop.totals")] == [
        100,
        250,
        400,
        250,
        450,
        250,
    ]


def test_a_day_that_was_not_there_is_recorded_and_its_coming_marks_who_looked_back(
    house: Lakehouse,
) -> None:
    domain = new_domain()
    sales = sales_asset(domain)
    totals = totals_asset(domain, sales, back=1)
    run([sales, totals], house, DAYS[2])
    versions = {one.partition: one.version for one in house.ledger.inputs("shop/totals", DAYS[2])}
    assert versions[DAYS[1]] == ABSENT
    run([sales], house, DAYS[1])
    assert marks(house) == {("shop/totals", DAYS[2])}


def test_an_unpartitioned_asset_reads_all_days_or_the_newest(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Shop, reads=[sales], daily=False)
    def ever(sales: Table) -> pl.LazyFrame:
        return sales.read().group_by("shop").agg(sales=pl.len().cast(pl.Int64))

    @domain.table(contract=Shop, reads=[latest(sales, days=2)], daily=False)
    def lately(sales: Table) -> pl.LazyFrame:
        return sales.read().group_by("shop").agg(sales=pl.len().cast(pl.Int64))

    run([sales], house, DAYS[0], DAYS[3])
    assert run([ever, lately], house).success
    assert published(house, "shop.ever") == [
        {"shop": "north", "sales": 3},
        {"shop": "south", "sales": 2},
    ]
    assert published(house, "shop.lately") == [
        {"shop": "north", "sales": 1},
        {"shop": "south", "sales": 1},
    ]
    assert [one.partition for one in house.ledger.inputs("shop/ever", "")] == [*DAYS]
    assert [one.partition for one in house.ledger.inputs("shop/lately", "")] == [*DAYS[2:]]


def test_a_daily_asset_reads_an_unpartitioned_one_whole(house: Lakehouse) -> None:
    domain = new_domain()

    @domain.table(contract=Shop, layer="raw", daily=False)
    def shops() -> pl.DataFrame:
        return pl.DataFrame({"shop": ["north"], "sales": [0]})

    @domain.table(contract=Sale, reads=[shops])
    def made_up(window: Window, shops: Table) -> pl.DataFrame:
        assert shops.window is None
        return (
            shops.read(columns=["shop"])
            .collect()
            .select(
                event_ts=pl.lit(window.start).dt.cast_time_unit("us"),
                shop="shop",
                amount_cents=pl.lit(1, pl.Int64),
            )
        )

    assert run([shops, made_up], house, DAYS[0]).success
    [read] = house.ledger.inputs("shop/made_up", DAYS[0])
    assert (read.asset, read.partition) == ("shop/shops", "")


def test_a_missing_upstream_is_named_with_the_way_out(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)
    run([sales], house, DAYS[0])
    done = run([totals_asset(domain, sales)], house, DAYS[0], DAYS[2])
    assert done.error == (
        "'shop/totals' needs 'shop/sales', which has no data for 2024-03-02, 2024-03-03 yet. "
        "Materialize 'shop/sales' first, or select both in one run."
    )
    assert not house.ledger.versions("shop/totals")


def test_an_upstream_that_was_never_built_is_named(house: Lakehouse) -> None:
    domain = new_domain()

    @domain.table(contract=Shop, reads=[sales_asset(domain)], daily=False)
    def shops(sales: Table) -> pl.LazyFrame:
        return sales.read()

    assert "needs 'shop/sales', which has no data for it yet" in run([shops], house).error


def test_a_window_wider_than_declared_is_refused_with_the_declaration_it_takes(
    house: Lakehouse,
) -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Total, reads=[sales])
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        return by_day(sales.read(window.back(3)))

    run([sales], house, DAYS[3])
    done = run([totals], house, DAYS[3])
    assert "declared by reads=[past(sales, days=3)]" in done.error


def test_a_column_that_is_not_there_is_named(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Total, reads=[sales])
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        return sales.read(columns=["amont_cents"])

    run([sales], house, DAYS[0])
    done = run([totals], house, DAYS[0])
    assert (
        done.error
        == "Table 'shop.sales' has no column amont_cents. It has event_ts, shop, amount_cents."
    )


def test_a_dependency_that_is_never_read_is_a_warning_and_no_input(house: Lakehouse) -> None:
    domain = new_domain()
    sales = sales_asset(domain)

    @domain.table(contract=Total, reads=[sales])
    def totals(window: Window, sales: Table) -> pl.DataFrame:
        return pl.DataFrame(
            schema={
                "event_ts": pl.Datetime("us", "UTC"),
                "shop": pl.String,
                "amount_cents": pl.Int64,
            }
        )

    done = run([sales, totals], house, DAYS[0])
    check = done.check("totals", "reads")
    assert done.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "Declared but never read: shop/sales. Take it out of reads=."
    assert house.ledger.inputs("shop/totals", DAYS[0]) == ()


def test_plain_assets_stand_beside_a_domain(house: Lakehouse) -> None:
    order = []

    @dg.asset
    def before() -> None:
        order.append("before")

    domain = new_domain()

    @domain.table(contract=Shop, layer="raw", daily=False, deps=[before])
    def shops() -> pl.DataFrame:
        assert before.key
        order.append("shops")
        return pl.DataFrame({"shop": ["north"], "sales": [0]})

    @dg.asset(deps=[shops])
    def after() -> None:
        order.append("after")

    assert run([after, shops, before], house).success
    assert order == ["before", "shops", "after"]


def busy(cpu_s: float, size_bytes: int = 0) -> None:
    """Compute for a while, with so much memory held."""
    held = bytearray(b"1") * size_bytes
    until = time.process_time() + cpu_s
    while time.process_time() < until:
        pass
    del held


def test_what_a_function_costs_is_recorded_and_not_what_the_one_before_did(
    house: Lakehouse,
) -> None:
    domain = new_domain()

    @domain.table(contract=Sale, layer="raw")
    def sales(window: Window) -> pl.DataFrame:
        busy(2, 600 << 20)
        return sales_frame(SALES, window)

    totals = totals_asset(domain, sales)
    assert run([sales, totals], house, DAYS[0]).success
    [dear], [cheap] = (house.ledger.history(f"shop/{name}") for name in ("sales", "totals"))
    assert dear.cpu_s > 2
    assert dear.wall_s > 2
    assert dear.peak_rss_bytes > 600 << 20
    assert cheap.cpu_s < 2
    assert cheap.peak_rss_bytes < dear.peak_rss_bytes - (300 << 20)
    assert dear.ended_ts is not None
    assert dear.ended_ts <= cheap.started_ts


def test_each_stretch_of_days_costs_what_it_took_itself(house: Lakehouse) -> None:
    domain, called = new_domain(), []

    @domain.table(contract=Sale, layer="raw")
    def sales(window: Window) -> pl.DataFrame:
        called.append(dt.datetime.now(dt.UTC))
        return sales_frame(SALES, window)

    assert run([sales], house, DAYS[1]).success
    assert run([sales], house, DAYS[0], DAYS[2], tags=CHANGED_ONLY).success
    spans = [(one.started_ts, one.ended_ts) for one in reversed(house.ledger.history("shop/sales"))]
    assert len(spans) == len(called) == 3
    for (start, end), at in zip(spans, called, strict=True):
        assert end is not None
        assert start <= at <= end
    assert all(end <= start for (_, end), (start, _) in pairwise(spans) if end is not None)


@pytest.mark.parametrize("kind", ["table", "feature view", "report"])
def test_the_build_begins_before_the_function_is_called(house: Lakehouse, kind: str) -> None:
    domain, called = new_domain(), []
    sales = sales_asset(domain)

    def made(window: Window, sales: Table) -> Any:
        called.append(dt.datetime.now(dt.UTC))
        rows = by_day(sales.read())
        return rows if kind == "table" else rows.with_columns(known_ts="event_ts")

    def told(sales: Table) -> Any:
        called.append(dt.datetime.now(dt.UTC))
        return Report(html="<p>none</p>", numbers={"rows": sales.read().collect().height})

    if kind == "report":
        asset = domain.report(reads=[sales])(told)
    elif kind == "table":
        asset = domain.table(contract=Total, reads=[sales])(made)
    else:
        asset = domain.feature_view(contract=Trend, reads=[sales], entities=["shop"], ttl="2d")(
            made
        )
    assert run([sales], house, DAYS[0]).success
    done = run([asset], house, None if kind == "report" else DAYS[0])
    assert done.success, done.error
    [record] = house.ledger.history("shop/told" if kind == "report" else "shop/made")
    assert record.ended_ts is not None
    assert record.started_ts <= called[0] <= record.ended_ts


# --- what a function returns ------------------------------------------------------------------


def frames(window: Window) -> Iterator[pl.DataFrame]:
    yield from (sales_frame(SALES, Window.of_days(key)) for key in window.partitions)


def relation(window: Window) -> object:
    import duckdb

    rows = sales_frame(SALES, window)  # noqa: F841 - DuckDB finds it by its name
    connection = duckdb.connect()
    connection.execute("set timezone='UTC'")
    return connection.sql("select * from rows")


RESULTS: dict[str, Callable[[Window], object]] = {
    "frame": lambda window: sales_frame(SALES, window),
    "lazy frame": lambda window: sales_frame(SALES, window).lazy(),
    "arrow": lambda window: sales_frame(SALES, window).to_arrow(),
    "relation": relation,
    "iterator": frames,
    "list": lambda window: list(frames(window)),
    "iterator of lazy frames": lambda window: (one.lazy() for one in frames(window)),
    "iterator of arrow": lambda window: (one.to_arrow() for one in frames(window)),
    "rows": lambda window: Rows(frame=sales_frame(SALES, window)),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_a_function_may_return_what_its_engine_gives(house: Lakehouse, kind: str) -> None:
    make = RESULTS[kind]

    @new_domain().table(contract=Sale, layer="raw")
    def sales(window: Window) -> object:
        return make(window)

    done = run([sales], house, DAYS[0], DAYS[3])
    assert done.success, done.error
    assert [one["amount_cents"] for one in published(house, "shop.sales")] == [
        100,
        250,
        300,
        50,
        75,
    ]


@pytest.mark.parametrize("result", [None, 7, "rows", {"shop": ["north"]}, ["north"]])
def test_anything_else_is_refused_by_its_type(house: Lakehouse, result: object) -> None:
    @new_domain().table(contract=Sale, layer="raw")
    def sales(window: Window) -> object:
        return result

    error = run([sales], house, DAYS[0]).error
    assert error.startswith("'shop/sales' returned ")
    assert "Return a Polars frame" in error


def test_rows_carry_checks_and_metadata(house: Lakehouse) -> None:
    @new_domain().table(contract=Sale, layer="raw", checks=["plausible"])
    def sales(window: Window) -> Rows:
        check = Check(name="plausible", passed=False, description="Few.", numbers={"share": 0.5})
        return Rows(frame=sales_frame(SALES, window), checks=(check,), metadata={"till": "new"})

    done = run([sales], house, DAYS[0])
    check = done.check("sales", "plausible")
    assert done.success
    assert (check.passed, check.severity, check.description) == (
        False,
        dg.AssetCheckSeverity.WARN,
        "Few.",
    )
    assert check.metadata["share"].value == 0.5
    assert done.materializations("sales")[0].metadata["till"].value == "new"


def test_a_failed_blocking_check_publishes_nothing(house: Lakehouse) -> None:
    answers = [True]

    @new_domain().table(contract=Sale, layer="raw", checks=["plausible"])
    def sales(window: Window) -> Rows:
        check = Check(
            name="plausible", passed=answers[-1], description="Too few.", is_blocking=True
        )
        return Rows(frame=sales_frame(SALES[: len(answers)], window), checks=(check,))

    run([sales], house, DAYS[0])
    before = published(house, "shop.sales")
    answers.append(False)
    done = run([sales], house, DAYS[0])
    assert not done.success
    assert done.check("sales", "plausible").passed is False
    assert "'shop/sales' failed plausible (Too few.). Nothing was published" in done.error
    assert published(house, "shop.sales") == before


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ((), "declares the check plausible and did not return it"),
        (("plausible", "odd"), "returned the check odd, which it does not declare"),
        (("plausible", "plausible"), "returned the check plausible twice"),
    ],
)
def test_checks_are_returned_as_declared(house: Lakehouse, returned, said: str) -> None:
    @new_domain().table(contract=Sale, layer="raw", checks=["plausible"])
    def sales(window: Window) -> Rows:
        checks = tuple(Check(name=name, passed=True) for name in returned)
        return Rows(frame=sales_frame(SALES, window), checks=checks)

    error = run([sales], house, DAYS[0]).error
    assert said in error
    assert house.lake.find("shop.sales") is None


def test_a_row_that_breaks_a_rule_is_kept_and_told(house: Lakehouse) -> None:
    rows = [*SALES, ("2024-03-01T11:00", "nowhere", 5)]
    done = run([sales_asset(new_domain(), rows)], house, DAYS[0])
    check = done.check("sales", "contract")
    assert done.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "shop.isin: 1 (moved to quarantine)"
    assert "nowhere" in published(house, "shop_quarantine.sales")[0]["row"]


def test_a_broken_promise_publishes_nothing_and_says_which(house: Lakehouse) -> None:
    rows = list(SALES)
    sales = sales_asset(new_domain(), rows)
    run([sales], house, DAYS[0], DAYS[3])
    before = published(house, "shop.sales")
    rows.append(("2024-03-02T11:00", "south", -5))
    done = run([sales], house, DAYS[0], DAYS[3])
    check = done.check("sales", "contract")
    assert not done.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "amount_cents.ge broken by 1 row(s)" in done.error
    assert published(house, "shop.sales") == before


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (sales_frame(SALES).drop("shop"), "the frame has no column shop"),
        (sales_frame(SALES).with_columns(till=1), "the frame has the column till"),
        (
            sales_frame(SALES).with_columns(pl.col("amount_cents").cast(pl.String)),
            "amount_cents is String",
        ),
        (sales_frame(SALES[2:3]), "returned rows of 2024-03-02, outside its window"),
        (sales_frame([*SALES[:1], *SALES[:1]]), "broken by"),
        (sales_frame(SALES[:1]).with_columns(shop=pl.lit(None, pl.String)), "broken by|null"),
    ],
)
def test_rows_that_are_not_as_promised_are_refused(
    house: Lakehouse, frame: pl.DataFrame, said: str
) -> None:
    @new_domain().table(contract=Sale, layer="raw")
    def sales(window: Window) -> pl.DataFrame:
        return frame

    done = run([sales], house, DAYS[0])
    assert re.search(said, done.error) or not done.check("sales", "contract").passed
    assert published(house, "shop.sales") == []


class Till(dg.ConfigurableResource["Till"]):
    """A source that is complete up to the start of the third of March."""

    rows: int = 5

    def published_until(self) -> dt.datetime:
        return day_start("2024-03-03")


def test_a_source_gives_rows_and_says_how_far_they_are_complete(house: Lakehouse) -> None:
    domain = new_domain()

    @domain.table(contract=Sale, source=Till)
    def sales(window: Window, till: Till) -> pl.DataFrame:
        return sales_frame(SALES[: till.rows], window)

    done = run([sales, totals_asset(domain, sales)], house, DAYS[0], DAYS[2], till=Till())
    assert done.success, done.error
    for asset in ("shop/sales", "shop/totals"):
        held = {key: one.watermark for key, one in house.ledger.current(asset).items()}
        assert held == {
            DAYS[0]: day_start(DAYS[1]),
            DAYS[1]: day_start(DAYS[2]),
            DAYS[2]: day_start(DAYS[2]),
        }


def test_a_day_without_rows_fails_where_a_source_promises_some(house: Lakehouse) -> None:
    @new_domain().table(contract=Sale, source=Till)
    def sales(window: Window, till: Till) -> pl.DataFrame:
        return sales_frame(SALES[: till.rows], window)

    done = run([sales], house, DAYS[0], DAYS[3], till=Till(rows=2))
    assert "'shop/sales' got no rows for 2024-03-02, 2024-03-03, 2024-03-04" in done.error


# --- what a change touches --------------------------------------------------------------------


def test_rebuilding_equal_rows_makes_no_snapshot_and_marks_nobody(house: Lakehouse) -> None:
    rows: list[Row] = list(SALES)
    domain = new_domain()
    sales = sales_asset(domain, rows)
    run([sales, totals_asset(domain, sales)], house, DAYS[0], DAYS[3])
    before = house.lake.load("shop.sales").current_snapshot()
    rows.reverse()
    [told] = run([sales], house, DAYS[0]).materializations("sales")
    assert house.lake.load("shop.sales").current_snapshot() == before
    assert told.metadata["partitions_changed"].value == 0
    assert marks(house) == set()


def test_a_late_row_marks_exactly_the_days_that_looked_back_to_it(house: Lakehouse) -> None:
    rows: list[Row] = list(SALES)
    domain = new_domain()
    sales = sales_asset(domain, rows)
    totals = totals_asset(domain, sales, back=1)
    run([sales, totals], house, DAYS[0], DAYS[3])
    rows.append(("2024-03-02T12:00", "south", 1))
    run([sales], house, DAYS[1])
    assert marks(house) == {("shop/totals", DAYS[1]), ("shop/totals", DAYS[2])}
    run([totals], house, DAYS[1], DAYS[2])
    assert marks(house) == set()


def test_a_run_of_what_changed_skips_what_did_not_and_repeats_what_its_checks_said(
    house: Lakehouse,
) -> None:
    calls: list[str] = []
    domain = new_domain()
    sales = sales_asset(domain, [*SALES, ("2024-03-01T11:00", "nowhere", 5)])

    @domain.table(contract=Total, reads=[sales], checks=["plausible"])
    def totals(window: Window, sales: Table) -> Rows:
        calls.append(window.partitions[0])
        check = Check(name="plausible", passed=False, description="Few.")
        return Rows(frame=by_day(sales.read(window)), checks=(check,))

    with dg.DagsterInstance.ephemeral() as instance:
        first = run([sales, totals], house, DAYS[0], instance=instance)
        again = run([sales, totals], house, DAYS[0], instance=instance, tags=CHANGED_ONLY)
    assert again.success, again.error
    assert calls == [DAYS[0]]
    assert again.check("totals", "plausible").description == "Few."
    assert again.check("sales", "contract").passed is False
    [told] = again.materializations("totals")
    assert told.metadata["skipped"].value is True
    [before] = first.materializations("totals")
    version = "dagster/data_version"
    assert told.tags is not None
    assert before.tags is not None
    assert told.tags[version] == before.tags[version]


def test_a_run_of_what_changed_builds_what_is_marked(house: Lakehouse) -> None:
    rows: list[Row] = list(SALES)
    domain = new_domain()
    sales = sales_asset(domain, rows)
    totals = totals_asset(domain, sales)
    run([sales, totals], house, DAYS[0])
    rows.append(("2024-03-01T12:00", "south", 1))
    run([sales], house, DAYS[0])
    assert run([totals], house, DAYS[0], tags=CHANGED_ONLY).success
    assert [one["amount_cents"] for one in published(house, "shop.totals")] == [100, 251]


def test_a_run_of_what_changed_builds_with_new_code(house: Lakehouse) -> None:
    def shops_asset(sales: int) -> dg.AssetsDefinition:
        @new_domain().table(contract=Shop, layer="raw", daily=False)
        def shops() -> pl.DataFrame:
            return pl.DataFrame({"shop": ["north"], "sales": [sales]})

        return shops

    run([shops_asset(1)], house)
    run([shops_asset(2)], house, tags=CHANGED_ONLY)
    assert published(house, "shop.shops") == [{"shop": "north", "sales": 2}]


def test_a_source_is_read_again_even_by_a_run_of_what_changed(house: Lakehouse) -> None:
    @new_domain().table(contract=Sale, source=Till)
    def sales(window: Window, till: Till) -> pl.DataFrame:
        return sales_frame(SALES[: till.rows], window)

    run([sales], house, DAYS[0], till=Till(rows=1))
    run([sales], house, DAYS[0], tags=CHANGED_ONLY, till=Till(rows=2))
    assert len(published(house, "shop.sales")) == 2


def test_an_interrupted_run_ends_and_tries_nothing_again(tmp_path: Path) -> None:
    domain, tries = new_domain("interrupted"), []

    @domain.table(contract=Shop, layer="clean", daily=False, retries=3)
    def first() -> pl.DataFrame:
        """Interrupted."""
        tries.append("first")
        signal.raise_signal(signal.SIGINT)
        return pl.DataFrame({"shop": ["north"], "sales": [1]})

    @domain.table(contract=Shop, layer="clean", daily=False)
    def second() -> pl.DataFrame:
        """Independent of the first."""
        tries.append("second")
        return pl.DataFrame({"shop": ["north"], "sales": [1]})

    assert not run([first, second], lakehouse(tmp_path)).success
    assert tries == ["first"]
