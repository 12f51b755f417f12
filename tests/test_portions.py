"""Domains that begin and end on different days, one reading the other: which run builds what, and what nobody can build."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from rich.console import Console

from lakeline.cli.backfill import NothingSelectedError, RunFailedError, build
from lakeline.cli.keys import OutsideRangeError
from lakeline.cli.portions import Arrangement, NoDayError, arrange
from lakeline.domain import Daily, Domain, Table, latest, past
from lakeline.project import Place, Project
from lakeline.window import Window
from tests.shop import FIRST, Shop, Total, by_day, lakehouse, new_domain, run, sales_asset

BANK_FIRST, BANK_LAST = "2024-03-03", "2024-03-10"
ALL = [
    "shop/sales",
    "bank/totals",
    "bank/known",
    "shop/mirrored",
    "museum/visits",
    "museum/summary",
]


def world(folder: Path, *, bad_days: Sequence[str] = ()) -> Project:
    """A shop, a bank that reads it from its third day on, the shop again, and a museum of another year."""
    shop = new_domain()
    bank = Domain("bank", owner="team:bank", partitions=Daily(BANK_FIRST, until="2024-03-11"))
    museum = Domain(
        "museum", owner="team:museum", partitions=Daily("1999-01-01", until="1999-02-01")
    )
    sales = sales_asset(shop)

    @bank.table(contract=Total, reads=[past(sales, days=1)])
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        """What the shop took in."""
        if window.partitions[0] in bad_days:
            raise ValueError("the vault is shut")
        return by_day(sales.read()).filter(pl.col("event_ts") >= window.start)

    @bank.table(contract=Shop, reads=[latest(sales, days=9)], daily=False)
    def known(sales: Table) -> pl.LazyFrame:
        """Who has an account."""
        return sales.read().group_by("shop").agg(sales=pl.len().cast(pl.Int64))

    @shop.table(contract=Total, reads=[totals])
    def mirrored(window: Window, totals: Table) -> pl.LazyFrame:
        """What the bank says that the shop took in."""
        return totals.read()

    @museum.table(contract=Total)
    def visits(window: Window) -> pl.LazyFrame:
        """Tickets."""
        return by_day(
            pl.LazyFrame(
                schema={
                    "event_ts": pl.Datetime(time_zone="UTC"),
                    "shop": pl.String,
                    "amount_cents": pl.Int64,
                }
            )
        )

    @museum.table(contract=Shop, reads=[visits], daily=False)
    def summary(visits: Table) -> pl.LazyFrame:
        """Tickets ever sold."""
        return visits.read().group_by("shop").agg(sales=pl.len().cast(pl.Int64))

    definitions = dg.Definitions(
        assets=[*shop.assets, *bank.assets, *museum.assets],
        resources={"lakehouse": lakehouse(folder)},
    )
    place = Place(root=folder, module="definitions", location="test")
    return Project(place=place, definitions=definitions)


def planned(
    project: Project,
    names: Sequence[str] = ALL,
    first: str | None = None,
    last: str | None = None,
    *,
    is_strict: bool = False,
) -> Arrangement:
    keys = [dg.AssetKey(name.split("/")) for name in names]
    return arrange(project, keys, first, last, is_strict=is_strict)


def told(found: Arrangement) -> list[tuple[tuple[str, str], list[str]]]:
    return [(one.days, [key.to_user_string() for key in one.assets]) for one in found.portions]


def done(project: Project, wanted: Arrangement) -> str:
    """Build, and what a person sees of it."""
    screen = Console(record=True, width=200)
    with dg.DagsterInstance.ephemeral() as instance:
        build(screen, project, instance, wanted)
    return screen.export_text()


def test_each_asset_takes_the_days_that_it_has(tmp_path: Path) -> None:
    found = planned(world(tmp_path), first=FIRST, last="2024-03-04")
    assert told(found) == [
        ((FIRST, "2024-03-04"), ["shop/sales", "bank/known"]),
        ((BANK_FIRST, "2024-03-04"), ["bank/totals", "shop/mirrored"]),
    ]
    assert [key.to_user_string() for key in found.left_out] == ["museum/visits", "museum/summary"]


def test_without_a_range_each_asset_takes_all_its_days(tmp_path: Path) -> None:
    assert told(planned(world(tmp_path))) == [
        ((FIRST, "2024-03-31"), ["shop/sales", "bank/known"]),
        ((BANK_FIRST, BANK_LAST), ["bank/totals", "shop/mirrored"]),
        (("1999-01-01", "1999-01-31"), ["museum/visits", "museum/summary"]),
    ]


def test_days_that_all_have_are_one_run(tmp_path: Path) -> None:
    found = planned(world(tmp_path), first=BANK_FIRST, last="2024-03-05")
    assert told(found) == [((BANK_FIRST, "2024-03-05"), ALL[:4])]


def test_what_reads_a_table_of_other_days_that_was_built_before_is_built(tmp_path: Path) -> None:
    project = world(tmp_path)
    done(project, planned(project, ["museum/visits"], last="1999-01-01"))
    assert not planned(project, ["museum/summary", "shop/sales"], last=FIRST).left_out
    found = planned(project, ["museum/visits", "museum/summary", "shop/sales"], first=FIRST)
    assert [key.to_user_string() for key in found.left_out] == ["museum/visits", "museum/summary"]


@pytest.mark.parametrize("asset", ["bank/totals", "shop/mirrored"])
def test_a_chosen_asset_must_have_the_days(tmp_path: Path, asset: str) -> None:
    with pytest.raises(OutsideRangeError) as caught:
        planned(world(tmp_path), ["shop/sales", asset], first=FIRST, is_strict=True)
    assert str(caught.value) == (
        f"'{asset}' has no day {FIRST}. Its days are {BANK_FIRST} to {BANK_LAST}."
    )


def test_a_day_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoDayError) as caught:
        planned(world(tmp_path), first="2001-01-01")
    assert str(caught.value) == (
        "No asset has a day 2001-01-01. Their days are 1999-01-01 to 1999-01-31, 2024-03-01 to 2024-03-31, "
        "2024-03-03 to 2024-03-10."
    )


def test_all_is_built_in_order_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    project = world(tmp_path)
    said = done(project, planned(project, first=FIRST, last="2024-03-04"))
    ledger = project.house.ledger
    assert sorted(ledger.versions("shop/sales")) == [
        FIRST, "2024-03-02", "2024-03-03", "2024-03-04",
    ]  # fmt: skip
    assert sorted(ledger.versions("shop/mirrored")) == ["2024-03-03", "2024-03-04"]
    assert f"{FIRST} to 2024-03-04" in said
    assert "left out, as they or what they read have no day of the range: 2 of museum" in said
    read = ledger.inputs("bank/totals", BANK_FIRST)
    assert [one.partition for one in read] == ["2024-03-02", "2024-03-03"]


def test_a_failure_holds_up_only_what_reads_it(tmp_path: Path) -> None:
    project = world(tmp_path, bad_days=[BANK_FIRST])
    with pytest.raises(RunFailedError) as caught:
        done(project, planned(project))
    assert "bank/totals: " in str(caught.value)
    assert "the vault is shut" in str(caught.value)
    assert "Not tried, because what they read failed: shop/mirrored." in str(caught.value)
    assert project.house.ledger.current("museum/summary")


def test_what_a_run_did_is_told_by_the_names_of_its_assets_whatever_is_in_them(
    tmp_path: Path,
) -> None:
    shop = new_domain("shop__eu")
    sales = sales_asset(shop)

    @shop.table(contract=Total, reads=[sales], retries=0)
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        """Never to be had."""
        raise ValueError("the vault is shut")

    @shop.table(contract=Total, reads=[totals])
    def mirrored(window: Window, totals: Table) -> pl.LazyFrame:
        """The same again."""
        return totals.read()

    definitions = dg.Definitions(assets=shop.assets, resources={"lakehouse": lakehouse(tmp_path)})
    place = Place(root=tmp_path, module="definitions", location="test")
    project = Project(place=place, definitions=definitions)
    names = ["shop__eu/sales", "shop__eu/totals", "shop__eu/mirrored"]
    with pytest.raises(RunFailedError) as caught:
        done(project, planned(project, names, FIRST, FIRST))
    said = str(caught.value)
    assert "shop__eu/totals: ValueError: the vault is shut" in said
    assert "Not tried, because what they read failed: shop__eu/mirrored." in said


def test_a_day_that_an_upstream_cannot_have_is_no_missing_one(tmp_path: Path) -> None:
    project = world(tmp_path)
    assets = [
        one for one in project.definitions.assets or () if isinstance(one, dg.AssetsDefinition)
    ]
    mirrored = [one for one in assets if one.key.path[-1] == "mirrored"]
    said = run(mirrored, project.house, FIRST, BANK_FIRST).error
    assert said is not None
    assert (
        "'shop/mirrored' reads 'bank/totals' on the same days, and that cannot have 2024-03-01, 2024-03-02: its days begin "
        "on 2024-03-03 and end before 2024-03-11. Build 'shop/mirrored' for days that both have."
    ) in said


def test_nothing_to_build_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingSelectedError) as caught:
        done(world(tmp_path), planned(world(tmp_path), []))
    assert str(caught.value).startswith("Nothing is selected. Name assets with --select")
