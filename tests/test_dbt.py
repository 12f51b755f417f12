"""dbt models as assets: what their SQL reads is declared, what their tests find decides, and dbt by hand only looks."""

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakeline.contract.dbt import source_yaml
from lakeline.dbt import manifest
from lakeline.dbt.asset import ParentsError
from lakeline.dbt.invoke import ProjectError, parse
from lakeline.dbt.lineage import column_lineage
from lakeline.dbt.manifest import (
    KEPT,
    DbtModel,
    ManifestMissingError,
    UnknownModelError,
    manifest_path,
    read_model,
    unparsed,
)
from lakeline.domain import Domain
from lakeline.domain.node import node_of, nodes
from lakeline.resource import Lakehouse
from tests.flights_state import DBT, FlightsState
from tests.shop import SALES, Sale, Shop, Total, lakehouse, new_domain, published, run, sales_asset

DAY = "2024-03-01"
TOTALS = """
select date_trunc('day', event_ts) as event_ts, shop, sum(amount_cents)::bigint as amount_cents
from {{ source('shop', 'sales') }}
where amount_cents > {{ floor() }}
group by all
"""
FILES = {
    "macros/floor.sql": "{% macro floor() %}{{ lowest() }}{% endmacro %}\n{% macro lowest() %}0{% endmacro %}\n",
    "macros/large.sql": "{% test large(model, above) %}select * from {{ model }} where amount_cents > {{ above }}{% endtest %}\n",
    "models/shop/sources.yml": source_yaml("shop", {"sales": Sale}),
    "models/shop/totals.sql": TOTALS,
    "models/shop/broken.sql": "select *, error('the till is open') as till from {{ source('shop', 'sales') }}\n",
    "models/shop/strict.sql": TOTALS,
    "models/shop/patient.sql": TOTALS,
    "models/shop/later.sql": "select * from {{ ref('totals') }}\n",
    "models/shop/models.yml": """
models:
  - name: totals
    description: What each shop took in.
    columns:
      - name: shop
        data_tests: [not_null]
  - name: strict
    data_tests:
      - large: {arguments: {above: 200}, description: No total is large.}
  - name: patient
    data_tests:
      - large: {arguments: {above: 200}, config: {error_if: ">5", warn_if: ">0"}}
      - large: {name: few, arguments: {above: 100}, config: {severity: warn, meta: {check: few_large}}}
  - name: later
    columns:
      - name: shop
        data_tests:
          - relationships: {arguments: {to: ref('totals'), field: shop}}
""",
    "tests/totals_are_positive.sql": "select * from {{ ref('totals') }} where amount_cents < 0\n",
}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dbt project with its manifest."""
    project = tmp_path_factory.mktemp("dbt") / "till"
    for name in ("dbt_project.yml", "profiles.yml", "macros/lake.sql"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DBT / name, project / name)
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    parse(project)
    return project


@pytest.fixture
def project(parsed: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    return Path(shutil.copytree(parsed, tmp_path / "till"))


@pytest.fixture
def house(tmp_path: Path) -> Lakehouse:
    return lakehouse(tmp_path)


def model(
    domain: Domain, project: Path, name: str = "totals", **changes: Any
) -> tuple[dg.AssetsDefinition, dg.AssetsDefinition]:
    """The sales and a model that reads them."""
    sales = sales_asset(domain)
    return sales, domain.dbt_model(
        name, **{"contract": Total, "project": project, "reads": [sales], **changes}
    )


# --- when it is declared ----------------------------------------------------------------------


def test_a_missing_manifest_is_named_with_the_command_that_makes_it(project: Path) -> None:
    shutil.rmtree(project / "target")
    with pytest.raises(ManifestMissingError) as caught:
        model(new_domain(), project)
    assert (
        str(caught.value) == "dbt's manifest of till/ is missing. Make it with: lakeline dbt parse"
    )


def test_whoever_reads_the_manifest_while_it_is_made_finds_a_whole_one(project: Path) -> None:
    before = manifest_path(project).read_text()
    with manifest_path(project).open() as reading:
        (project / "models/shop/totals.sql").write_text(f"{TOTALS}-- more\n")
        parse(project)
        assert reading.read() == before
    assert manifest_path(project).read_text() != before
    assert [one.name for one in (project / "target").iterdir() if one.is_dir()] == []


def test_what_is_asked_of_the_manifest_is_kept_beside_it_for_as_long_as_it_has_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, extract = read_model(project, "totals"), project / "target" / KEPT
    assert extract.stat().st_size < manifest_path(project).stat().st_size / 5
    assert _read_again(project, monkeypatch, "totals") == (found, False)
    written = manifest_path(project).read_text()
    manifest_path(project).write_text(written.replace("What each shop took in", "What every shop took in"))  # fmt: skip
    other, was_whole = _read_again(project, monkeypatch, "totals")
    assert was_whole
    assert other == replace(found, description="What every shop took in.")
    extract.write_text("no JSON")
    assert _read_again(project, monkeypatch, "totals") == (other, True)


def _read_again(project: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[DbtModel, bool]:
    """A model as another process reads it, and whether that went through the whole manifest."""
    whole: list[int] = []

    def extract_of(content: Any) -> Any:
        whole.append(1)
        return extract(content)

    extract = manifest._extract
    monkeypatch.setattr(manifest, "_extract", extract_of)
    manifest._parsed.cache_clear()
    try:
        return read_model(project, name), bool(whole)
    finally:
        monkeypatch.undo()


def test_an_old_manifest_is_named_with_what_is_newer(project: Path) -> None:
    (project / "models/shop/totals.sql").write_text(TOTALS + "-- more\n")
    with pytest.raises(ManifestMissingError, match=r"till/ is older than models/shop/totals\.sql"):
        model(new_domain(), project)


def test_a_manifest_that_knows_a_file_that_is_gone_is_named(project: Path) -> None:
    (project / "models/shop/broken.sql").unlink()
    with pytest.raises(ManifestMissingError, match=r"knows models/shop/broken\.sql, which is gone"):
        model(new_domain(), project)


def test_an_unknown_model_is_named_with_those_there_are(parsed: Path) -> None:
    with pytest.raises(
        UnknownModelError, match=r"till/ has no model 'total'\. It has broken, later, patient"
    ):
        read_model(parsed, "total")


def test_parents_that_dbt_does_not_know_are_refused(parsed: Path) -> None:
    domain = new_domain()

    @domain.table(contract=Shop, daily=False)
    def shops() -> None: ...

    with pytest.raises(ParentsError) as caught:
        domain.dbt_model("totals", contract=Total, project=parsed, reads=[shops])
    assert str(caught.value) == (
        "dbt model 'totals' and its asset disagree: its SQL or tests read shop.sales, which reads= lacks; "
        "reads= has shop.shops, which neither reads. Make the two equal."
    )


def test_definitions_load_without_a_manifest_so_that_sources_can_be_written(tmp_path: Path) -> None:
    with unparsed():
        _, totals = model(new_domain(), tmp_path / "nowhere")
    assert node_of(totals).asset == "shop/totals"
    with pytest.raises(ManifestMissingError):
        model(new_domain(), tmp_path / "nowhere")


def test_a_model_is_an_asset_with_its_tests_as_checks(parsed: Path) -> None:
    _, totals = model(new_domain(), parsed)
    spec = totals.get_asset_spec()
    blocking = {one.name: one.blocking for one in totals.check_specs}
    [code] = spec.metadata["dagster/code_references"].code_references
    assert spec.kinds == {"dbt", "duckdb", "iceberg"}
    assert spec.description == "What each shop took in."
    assert spec.group_name == "shop_clean"
    assert blocking == {
        "contract": True,
        "reads": False,
        "shop_not_null": True,
        "totals_are_positive": True,
    }
    assert code.file_path == str(parsed / "models/shop/totals.sql")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/shop/totals.sql", "sum(", "max("),
        ("macros/floor.sql", "{{ lowest() }}", "1"),
        ("macros/floor.sql", "%}0{%", "%}1{%"),
        (
            "models/shop/models.yml",
            "data_tests: [not_null]",
            "data_tests: [{not_null: {config: {severity: warn}}}]",
        ),
        ("tests/totals_are_positive.sql", "< 0", "<= 0"),
    ],
)
def test_the_code_version_changes_with_sql_macros_and_tests(
    project: Path, file: str, old: str, new: str
) -> None:
    before = read_model(project, "totals").checksum
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))
    parse(project)
    assert read_model(project, "totals").checksum != before


def test_the_code_version_changes_with_the_variables_that_are_asked_for(project: Path) -> None:
    floor, settings = project / "macros/floor.sql", project / "dbt_project.yml"
    floor.write_text(floor.read_text().replace("%}0{%", '%}{{ var("lowest") }}{%', 1))
    plain, said = settings.read_text(), []
    for extra in (
        "vars: {lowest: 0, other: 1}",
        "vars: {lowest: 0, other: 2}",
        "vars: {lowest: 1, other: 1}",
        "vars: {lowest: 0, lakeline: {lowest: 1}}",
    ):
        settings.write_text(f"{plain}\n{extra}\n")
        parse(project)
        said.append(read_model(project, "totals").checksum)
    assert said[0] == said[1] != said[2] == said[3]


def test_the_code_version_of_another_model_stays(project: Path) -> None:
    before = read_model(project, "totals").checksum
    (project / "models/shop/strict.sql").write_text("select * from {{ source('shop', 'sales') }}\n")
    parse(project)
    assert read_model(project, "totals").checksum == before


# --- when it runs -----------------------------------------------------------------------------


def test_a_model_publishes_the_rows_of_its_window(parsed: Path, house: Lakehouse) -> None:
    done = run(model(new_domain(), parsed), house, DAY, "2024-03-02")
    assert done.success, done.error
    assert [one["amount_cents"] for one in published(house, "shop.totals")] == [100, 250, 300]
    assert done.check("totals", "shop_not_null").passed
    assert done.check("totals", "totals_are_positive").passed


def test_the_columns_that_the_sql_uses_are_recorded_and_shown(
    parsed: Path, house: Lakehouse
) -> None:
    done = run(model(new_domain(), parsed), house, DAY)
    [read] = house.ledger.inputs("shop/totals", DAY)
    [told] = done.materializations("totals")
    lineage: Any = told.metadata["dagster/column_lineage"].value
    assert read.columns == ("amount_cents", "event_ts", "shop")
    assert read.snapshot_id == house.ledger.last_snapshot("shop/sales")
    assert {
        name: [(one.asset_key.to_user_string(), one.column_name) for one in origins]
        for name, origins in lineage.deps_by_column.items()
    } == {
        "event_ts": [("shop/sales", "event_ts")],
        "shop": [("shop/sales", "shop")],
        "amount_cents": [("shop/sales", "amount_cents")],
    }


def test_a_model_whose_sql_fails_says_so_and_publishes_nothing(
    parsed: Path, house: Lakehouse
) -> None:
    done = run(model(new_domain(), parsed, "broken"), house, DAY)
    assert done.error.startswith("dbt model 'broken' failed: ")
    assert "the till is open" in done.error
    assert house.lake.find("shop.broken") is None


def test_a_test_that_fails_as_an_error_publishes_nothing(parsed: Path, house: Lakehouse) -> None:
    done = run(model(new_domain(), parsed, "strict"), house, DAY)
    check = done.check("strict", "large")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert str(check.description).startswith("No total is large. Found 1.")
    assert "'shop/strict' failed large" in done.error
    assert house.lake.find("shop.strict") is None


def test_a_test_that_warns_lets_the_rows_through(parsed: Path, house: Lakehouse) -> None:
    done = run(model(new_domain(), parsed, "patient"), house, DAY)
    assert done.success, done.error
    for name in ("large", "few_large"):
        check = done.check("patient", name)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert check.metadata["failures"].value == 1
    assert len(published(house, "shop.patient")) == 2


def test_a_model_reads_another_and_only_its_own_tests_run(parsed: Path, house: Lakehouse) -> None:
    domain = new_domain()
    sales, totals = model(domain, parsed)
    later = domain.dbt_model("later", contract=Total, project=parsed, reads=[totals])
    done = run([sales, totals, later], house, DAY)
    assert done.success, done.error
    assert published(house, "shop.later") == published(house, "shop.totals")
    assert done.check("later", "shop_relationships").passed
    assert [one.asset for one in house.ledger.inputs("shop/later", DAY)] == ["shop/totals"]


def test_a_run_leaves_the_environment_as_it_was(parsed: Path, house: Lakehouse) -> None:
    run(model(new_domain(), parsed), house, DAY)
    assert "LAKELINE_START" not in os.environ


def test_running_dbt_is_part_of_what_a_build_cost(
    parsed: Path, house: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakeline.dbt import invoke

    build, called = invoke.build, []

    def noted(*given: Any) -> Any:
        called.append(dt.datetime.now(dt.UTC))
        return build(*given)

    monkeypatch.setattr(invoke, "build", noted)
    assert run(model(new_domain(), parsed), house, DAY).success
    [record] = house.ledger.history("shop/totals")
    assert record.ended_ts is not None
    assert record.started_ts <= called[0] <= record.ended_ts


# --- lineage ----------------------------------------------------------------------------------

UPSTREAM = {
    "s.sales": {"id": "int", "shop": "text", "amount": "int", "paid": "bool"},
    "s.shops": {"shop": "text", "city": "text", "area": "int"},
}


@pytest.mark.parametrize(
    ("sql", "origins", "used"),
    [
        (
            "select shop, amount + id as n from s.sales",
            {"shop": {"sales.shop"}, "n": {"sales.amount", "sales.id"}},
            {"s.sales": {"shop", "amount", "id"}},
        ),
        (
            "select a.amount, b.city from s.sales a join s.shops b on a.shop = b.shop where a.paid",
            {"amount": {"sales.amount"}, "city": {"shops.city"}},
            {"s.sales": {"amount", "shop", "paid"}, "s.shops": {"city", "shop"}},
        ),
        (
            "select amount, city from s.sales left join s.shops using (shop)",
            {"amount": {"sales.amount"}, "city": {"shops.city"}},
            {"s.sales": {"amount", "shop"}, "s.shops": {"city", "shop"}},
        ),
        (
            "with big as (select * from s.sales where amount > 5), named as (select shop as place from big) "
            "select place, count(*) as n from named group by place",
            {"place": {"sales.shop"}, "n": set()},
            {"s.sales": {"id", "shop", "amount", "paid"}},
        ),
        (
            "select * exclude (area) from s.shops order by area",
            {"shop": {"shops.shop"}, "city": {"shops.city"}},
            {"s.shops": {"shop", "city", "area"}},
        ),
        (
            "select shop, (select max(area) from s.shops b where b.shop = a.shop) as area from s.sales a",
            {"shop": {"sales.shop"}, "area": {"shops.area"}},
            {"s.sales": {"shop"}, "s.shops": {"area", "shop"}},
        ),
        (
            "select shop from s.sales union all select shop from s.shops",
            {"shop": {"sales.shop", "shops.shop"}},
            {"s.sales": {"shop"}, "s.shops": {"shop"}},
        ),
        (
            "select sum(amount) over (partition by shop order by id) as running from s.sales qualify row_number() over (order by paid) = 1",
            {"running": {"sales.amount", "sales.id", "sales.shop"}},
            {"s.sales": {"amount", "shop", "id", "paid"}},
        ),
    ],
)
def test_columns_are_traced_through_sql(
    sql: str, origins: dict[str, set[str]], used: dict[str, set[str]]
) -> None:
    found = column_lineage(sql, UPSTREAM)
    assert {
        name: {f"{table.removeprefix('s.')}.{column}" for table, column in pairs}
        for name, pairs in found.origins.items()
    } == origins
    assert {table: set(columns) for table, columns in found.used.items()} == used


# --- the project of the flights ---------------------------------------------------------------


def test_the_sources_are_what_the_contracts_say() -> None:
    from assets import flights
    from lakeline.domain import load_domain

    load_domain(flights)
    contracts = {
        read.node.name: read.node.columns
        for node in nodes().values()
        if node.extras.get("project") == DBT
        for read in node.reads
        if "project" not in read.node.extras
    }
    assert (DBT / "models/flights/sources.yml").read_text() == source_yaml("flights", contracts)


@pytest.fixture
def by_hand(
    february: FlightsState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    """dbt as a person calls it, on the lake of a few days."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    monkeypatch.setenv("LAKELINE_CATALOG_URI", february.house.catalog_uri)
    monkeypatch.setenv("LAKELINE_WAREHOUSE", february.house.warehouse)
    where = [
        "--project-dir",
        str(DBT),
        "--profiles-dir",
        str(DBT),
        "--target-path",
        str(tmp_path),
        "--log-path",
        str(tmp_path),
    ]
    yield lambda *words: dbtRunner().invoke(["--quiet", *words, *where])
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def test_dbt_by_hand_reads_the_lake_and_publishes_nothing(
    february: FlightsState, by_hand: Any
) -> None:
    before = february.versions()
    snapshots = [
        february.house.lake.load(name).current_snapshot() for name in february.house.lake.tables()
    ]
    done = by_hand("build")
    statuses = {one.node.name: str(one.status) for one in done.result.results}
    assert done.success, [one.message for one in done.result.results]
    assert statuses["departures_clean"] == statuses["weather_clean"] == "success"
    assert statuses["known_destination_departures_clean_"] == "warn"
    assert february.versions() == before
    assert snapshots == [
        february.house.lake.load(name).current_snapshot() for name in february.house.lake.tables()
    ]


def test_dbt_by_hand_shows_rows(by_hand: Any) -> None:
    done = by_hand(
        "show", "--inline", "select count(*) as n from {{ source('flights', 'departures') }}"
    )
    assert done.success, done.exception
    assert done.result.results[0].agate_table.rows[0]["n"] == 4448


def test_a_project_that_does_not_parse_says_why(project: Path) -> None:
    (project / "models/shop/totals.sql").write_text(
        "select * from {{ source('shop', 'nothing') }}\n"
    )
    with pytest.raises(ProjectError, match=r"dbt project till/ does not parse: .*nothing"):
        parse(project)


def test_the_days_of_the_sales_are_what_the_tests_think() -> None:
    assert [one[0][:10] for one in SALES][:2] == [DAY, DAY]
