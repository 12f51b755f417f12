"""A table follows its contract as far as no reader breaks, and says the way out where one would."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, cast

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField

from lakeline.contract import Contract, ContractMeta, Digits, Float32, Int32, column
from lakeline.contract.evolution import Evolution, apply_evolution, plan_evolution
from lakeline.contract.iceberg import iceberg_schema, partition_spec, table_properties
from lakeline.errors import EvolutionError

NAME = "flights/departures"


class First(Contract, version="1.0"):
    """One row a departure."""

    event_ts: dt.datetime = column("Scheduled departure", event_time=True, key=True)
    flight: Int32 = column("Flight number", key=True)
    delay: Float32 | None = column("Departure delay", unit="min")
    fare: Annotated[Decimal, Digits(8, 2)] | None = column("Fare", unit="USD")
    crew: str | None = column("Crew", personal=True)


ROW = {
    "event_ts": dt.datetime(2013, 1, 1, tzinfo=dt.UTC),
    "flight": 7,
    "delay": 1.5,
    "fare": Decimal("9.99"),
    "crew": "Ann",
}


def changed(version: str = "1.1", **changes: Any) -> type[Contract]:
    """The first contract with columns replaced, added, or (None) taken out; each is (type, column)."""
    first: dict[str, Any] = {
        "event_ts": (dt.datetime, column("Scheduled departure", event_time=True, key=True)),
        "flight": (Int32, column("Flight number", key=True)),
        "delay": (Float32 | None, column("Departure delay", unit="min")),
        "fare": (Annotated[Decimal, Digits(8, 2)] | None, column("Fare", unit="USD")),
        "crew": (str | None, column("Crew", personal=True)),
    }
    found = {name: each for name, each in (first | changes).items() if each}
    namespace = {name: each[1] for name, each in found.items()}
    namespace["__annotations__"] = {name: each[0] for name, each in found.items()}
    return cast("type[Contract]", ContractMeta("Next", (Contract,), namespace, version=version))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """The first contract's table with one row."""
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    catalog.create_namespace("flights")
    schema = iceberg_schema(First)
    made = catalog.create_table(
        "flights.departures",
        schema,
        partition_spec=partition_spec(First, schema, daily=True),
        properties=table_properties(First),
    )
    made.append(pa.Table.from_pylist([ROW], schema=schema_to_pyarrow(made.schema())))
    return made


def plan(table: Table, contract: type[Contract]) -> Evolution:
    return plan_evolution(NAME, table.schema(), table.properties, contract)


def follow(table: Table, contract: type[Contract]) -> dict[str, Any]:
    """Bring the table to the contract; its only row as then read."""
    apply_evolution(table, plan(table, contract))
    table.refresh()
    assert plan(table, contract).is_empty
    assert list(table.schema().column_names) == list(contract.columns)
    (row,) = table.scan().to_arrow().to_pylist()
    return dict(row)


def refusal(table: Table, contract: type[Contract]) -> EvolutionError:
    with pytest.raises(EvolutionError) as caught:
        plan(table, contract)
    return caught.value


def test_a_table_as_its_contract_says_needs_nothing(table: Table) -> None:
    assert plan(table, First).is_empty
    before = table.metadata_location
    apply_evolution(table, Evolution())
    assert table.metadata_location == before


def test_an_added_column_reads_as_null_and_stands_where_declared(table: Table) -> None:
    contract = changed(crew=None, origin=(str, column("Airport")), again=(int, column("Again")))
    row = follow(table, changed(gate=(str, column("Gate", unit="no"))))
    assert row == ROW | {"gate": None}
    assert table.properties["lakeline.unit.gate"] == "no"
    assert table.properties["lakeline.contract.version"] == "1.1"
    assert "crew" in refusal(table, contract).refused[0][0]


def test_a_new_column_may_stand_in_the_middle(table: Table) -> None:
    class Next(Contract, version="1.1"):
        """One row a departure."""

        event_ts: dt.datetime = column("Scheduled departure", event_time=True, key=True)
        carrier: str | None = column("Carrier")
        flight: Int32 = column("Flight number", key=True)
        crew: str | None = column("Crew", personal=True)
        delay: Float32 | None = column("Departure delay", unit="min")
        fare: Annotated[Decimal, Digits(8, 2)] | None = column("Fare", unit="USD")

    assert follow(table, Next) == ROW | {"carrier": None}


def test_columns_widen(table: Table) -> None:
    contract = changed(
        flight=(int, column("Flight number", key=True)),
        delay=(float | None, column("Departure delay", unit="min")),
        fare=(Annotated[Decimal, Digits(12, 2)] | None, column("Fare", unit="USD")),
    )
    widened = [each.name for each in plan(table, contract).widened]
    assert widened == ["flight", "delay", "fare"]
    assert follow(table, contract) == ROW


def test_a_renamed_column_keeps_its_values_unit_and_privacy(table: Table) -> None:
    contract = changed(
        delay=None,
        crew=None,
        dep_delay=(float | None, column("Delay", unit="min", renamed_from="delay")),
        staff=(str | None, column("Crew", personal=True, renamed_from="crew")),
    )
    assert plan(table, contract).renamed == (("delay", "dep_delay"), ("crew", "staff"))
    row = follow(table, contract)
    assert (row["dep_delay"], row["staff"]) == (1.5, "Ann")
    assert table.properties["lakeline.unit.dep_delay"] == "min"
    assert table.properties["write.metadata.metrics.column.staff"] == "none"
    assert not {"lakeline.unit.delay", "write.metadata.metrics.column.crew"} & set(table.properties)


def test_a_renamed_event_time_keeps_its_partitions(table: Table) -> None:
    contract = changed(
        event_ts=None,
        scheduled_ts=(
            dt.datetime,
            column("Scheduled", event_time=True, key=True, renamed_from="event_ts"),
        ),
    )
    assert follow(table, contract)["scheduled_ts"] == ROW["event_ts"]
    assert table.properties["lakeline.contract.event-time"] == "scheduled_ts"


def test_descriptions_follow(table: Table) -> None:
    contract = changed(delay=(Float32 | None, column("Minutes late", unit="min")))
    assert follow(table, contract) == ROW
    assert table.schema().find_field("delay").doc == "Minutes late (min)"


BREAKING = [
    ({"crew": None}, "column crew", "string", "not declared"),
    ({"flight": (str, column("Flight", key=True))}, "column flight", "int", "string"),
    (
        {"fare": (Annotated[Decimal, Digits(6, 2)] | None, column("Fare", unit="USD"))},
        *("column fare", "decimal(8, 2)", "decimal(6, 2)"),
    ),
    (
        {"delay": (Float32 | None, column("Departure delay", unit="s"))},
        *("column delay", "unit min", "unit s"),
    ),
    (
        {"delay": (Float32 | None, column("Departure delay"))},
        *("column delay", "unit min", "unit None"),
    ),
]


@pytest.mark.parametrize(("changes", "what", "old", "new"), BREAKING)
def test_a_breaking_change_names_column_old_new_and_the_way_out(
    table: Table, changes: dict[str, Any], what: str, old: str, new: str
) -> None:
    error = refusal(table, changed(**changes))
    assert [each[:3] for each in error.refused] == [(what, old, new)]
    assert f"Table '{NAME}' cannot follow Next 1.1: {what}: {old} -> {new}. " in str(error)
    assert "version to 2.0" in str(error)


def test_every_breaking_change_is_named_at_once(table: Table) -> None:
    error = refusal(table, changed(crew=None, delay=None))
    assert [each[0] for each in error.refused] == ["column delay", "column crew"]
    assert "renamed_from='delay'" in str(error)


@pytest.mark.parametrize(("changes", "what", "old", "new"), BREAKING)
def test_a_new_major_version_allows_it_and_never_reads_old_values_as_new_ones(
    table: Table, changes: dict[str, Any], what: str, old: str, new: str
) -> None:
    name = what.removeprefix("column ")
    row = follow(table, changed("2.0", **changes))
    assert row == {key: None if key == name else value for key, value in ROW.items()} or (
        new == "not declared" and row == {key: ROW[key] for key in ROW if key != name}
    )
    assert table.properties["lakeline.contract.version"] == "2.0"


def test_a_type_and_a_name_may_change_together_under_a_new_major_version(table: Table) -> None:
    contract = changed("2.0", delay=None, late=(str | None, column("Late", renamed_from="delay")))
    assert follow(table, contract)["late"] is None


def test_another_event_time_needs_another_table_whatever_the_version(table: Table) -> None:
    contract = changed(
        "2.0",
        event_ts=(dt.datetime, column("Scheduled departure", key=True)),
        landed_ts=(dt.datetime, column("Landed", event_time=True)),
    )
    error = refusal(table, contract)
    assert error.refused[0][:3] == ("event time event_ts", "event_ts", "landed_ts")
    assert "new table name" in str(error)


def test_code_of_an_older_major_version_is_refused(table: Table) -> None:
    follow(table, changed("2.0", crew=None))
    error = refusal(table, changed("1.9", crew=None))
    assert error.refused[0][:3] == ("version", "2.0", "1.9")


def test_code_of_an_older_minor_version_leaves_the_version(table: Table) -> None:
    follow(table, changed("1.7"))
    assert plan(table, changed("1.2")).is_empty


def test_a_table_of_another_writer_is_treated_as_of_the_same_version() -> None:
    schema = Schema(*iceberg_schema(First).fields, NestedField(9, "theirs", LongType()))
    with pytest.raises(EvolutionError, match="column theirs: long -> not declared"):
        plan_evolution(NAME, schema, {}, changed("5.0"))
