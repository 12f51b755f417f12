"""A contract is declared as a light class and compiled to every engine."""

import datetime as dt
import re
import subprocess
import sys
from decimal import Decimal
from typing import Annotated, Any, cast

import dagster as dg
import pandera.polars as pa
import polars as pl
import pyarrow as arrow
import pytest
import yaml
from pyiceberg.partitioning import PartitionSpec

from lakeline.contract import Contract, ContractMeta, Digits, Float32, Int32, column, resolve
from lakeline.contract.arrow import arrow_schema, polars_schema
from lakeline.contract.dagster import column_schema
from lakeline.contract.dbt import model_yaml, source_yaml
from lakeline.contract.iceberg import iceberg_schema, partition_spec, table_properties
from lakeline.errors import ContractError, DeclarationError


class Payment(Contract, version="2.3", duplicates="reject"):
    """One row a card payment.

    Late payments arrive for up to three days.
    """

    event_ts: dt.datetime = column("When it was paid", event_time=True, key=True)
    card: str = column("Card number", key=True, personal=True)
    known_ts: dt.datetime | None = column("When it was known", knowledge_time=True)
    amount: Annotated[Decimal, Digits(12, 2)] = column("Amount", unit="EUR", ge=0)
    risk: Float32 | None = column("Score", ge=0, le=1, on_fail="blank", tags={"model": "risk"})
    items: Int32 = column("Items bought", gt=0, on_fail="reject")
    customer: int = column("Customer", renamed_from="client")
    currency: str = column("Currency", isin=["EUR", "USD"], on_fail="warn")
    country: str = column("Country", matches="[A-Z]{2}")
    is_online: bool = column("Paid online")
    booked_date: dt.date = column("Booking day")
    blob: bytes | None = column("Raw message")


class Airline(Contract):
    """One row an airline."""

    carrier: str = column("IATA code", key=True)


# Every engine's word for each type, in the order of the columns above.
POLARS_TYPES = [
    *(pl.Datetime("us", "UTC"), pl.String(), pl.Datetime("us", "UTC"), pl.Decimal(12, 2)),
    *(pl.Float32(), pl.Int32(), pl.Int64(), pl.String(), pl.String(), pl.Boolean(), pl.Date()),
    pl.Binary(),
]
ARROW_TYPES = [
    *(arrow.timestamp("us", "UTC"), arrow.string(), arrow.timestamp("us", "UTC")),
    *(arrow.decimal128(12, 2), arrow.float32(), arrow.int32(), arrow.int64(), arrow.string()),
    *(arrow.string(), arrow.bool_(), arrow.date32(), arrow.binary()),
]
ICEBERG_TYPES = (
    "timestamptz string timestamptz decimal(12,2) float int long string string boolean date binary"
)
DUCKDB_TYPES = [
    *("timestamp with time zone", "varchar", "timestamp with time zone", "decimal(12, 2)"),
    *("float", "integer", "bigint", "varchar", "varchar", "boolean", "date", "blob"),
]


def declare(name: str = "value", type_: Any = float, **options: Any) -> type[Contract]:
    """A contract with one column."""
    namespace = {"__annotations__": {name: type_}, name: column("A value", **options)}
    return cast("type[Contract]", ContractMeta("Sample", (Contract,), namespace))


def test_a_contract_knows_its_columns_keys_times_and_version() -> None:
    assert list(Payment.columns)[:3] == ["event_ts", "card", "known_ts"]
    assert Payment.keys == ("event_ts", "card")
    assert (Payment.event_time, Payment.knowledge_time) == ("event_ts", "known_ts")
    assert (Payment.version, Payment.duplicates) == ("2.3", "reject")
    assert Payment.doc.splitlines()[2] == "Late payments arrive for up to three days."
    assert (Airline.event_time, Airline.version, Airline.duplicates) == (None, "1.0", "fail")


def test_or_none_means_nullable() -> None:
    nullable = {name for name, each in Payment.columns.items() if each.nullable}
    assert nullable == {"known_ts", "risk", "blob"}


def test_columns_may_have_the_names_of_a_contracts_own_facts() -> None:
    class Release(Contract, version="4.1"):
        """One row a release."""

        version: str = column("Released version", key=True)
        doc: str = column("Notes")
        keys: int = column("Keys signed with")

    assert (Release.version, Release.keys) == ("4.1", ("version",))
    assert list(Release.columns) == ["version", "doc", "keys"]


def test_a_contract_inherits_columns() -> None:
    class Refund(Payment, version="1.0"):
        """One row a refund."""

        reason: str = column("Why")

    assert list(Refund.columns) == [*Payment.columns, "reason"]
    assert "reason" not in Payment.columns


def test_annotations_may_be_text() -> None:
    assert declare(type_="float | None").columns["value"].nullable


def test_importing_contracts_imports_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import lakeline.contract; "
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(tops - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['lakeline']"


BAD_COLUMNS = [
    ({"type_": dict}, "has the type dict"),
    ({"type_": int | str}, "more than one type"),
    ({"type_": Decimal}, "Annotated\\[Decimal, Digits"),
    ({"type_": "Missing"}, "does not know: name 'Missing'"),
    ({"on_fail": "blank"}, "Add `| None` or use 'reject'"),
    ({"on_fail": "explode"}, "Use one of: fail, reject, blank, warn"),
    ({"key": True, "type_": str | None}, "never null"),
    ({"event_time": True}, "its type is datetime, not float64"),
    ({"event_time": True, "type_": dt.datetime | None}, "never null"),
    (
        {"event_time": True, "type_": dt.datetime, "on_fail": "warn"},
        "has no day to be published in",
    ),
    ({"event_time": True, "type_": dt.datetime, "on_fail": "blank"}, "use 'reject' or 'fail'"),
    ({"ge": "low"}, "no bound for it"),
    ({"ge": 1, "type_": str}, "no bound for it"),
    ({"ge": dt.datetime(2013, 1, 1), "type_": dt.datetime}, "no bound for it"),  # noqa: DTZ001
    ({"ge": 5, "le": 1}, ">= 5 and <= 1"),
    ({"isin": ["a"]}, "allows no value"),
    ({"isin": []}, "allows no value"),
    ({"matches": "a"}, "is for text"),
    ({"matches": re.compile("a"), "type_": str}, "Give the pattern as text"),
    ({"renamed_from": "value"}, "still a column"),
    ({"name": "rule", "on_fail": "reject"}, "quarantine's own column"),
]


@pytest.mark.parametrize(("options", "message"), BAD_COLUMNS)
def test_a_bad_column_is_refused_when_its_class_is_made(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        declare(**options)
    assert "Contract Sample, column" in str(caught.value)


def test_a_bad_class_is_refused_when_it_is_made() -> None:
    body: dict[str, Any] = {"__annotations__": {"a": int, "b": int}}
    with pytest.raises(DeclarationError, match="column 'b' has a type and no column"):
        ContractMeta("Sample", (Contract,), body | {"a": column("A")})
    with pytest.raises(DeclarationError, match="column 'c' has no type"):
        ContractMeta("Sample", (Contract,), body | {"c": column("C")})
    with pytest.raises(DeclarationError, match="has no columns"):
        ContractMeta("Sample", (Contract,), {})
    good = body | {"a": column("A"), "b": column("B")}
    with pytest.raises(DeclarationError, match=r"version='1'. Write major.minor"):
        ContractMeta("Sample", (Contract,), good, version="1")
    with pytest.raises(DeclarationError, match="Use one of: fail, reject, warn"):
        ContractMeta("Sample", (Contract,), good, duplicates="ignore")  # type: ignore[arg-type]
    twins = {"__annotations__": {"a": int, "A": int}, "a": column("A"), "A": column("A")}
    with pytest.raises(DeclarationError, match="only by case"):
        ContractMeta("Sample", (Contract,), twins)
    two = {name: column("T", event_time=True) for name in ("a", "b")}
    times = {"__annotations__": dict.fromkeys("ab", dt.datetime)}
    with pytest.raises(DeclarationError, match="second event_time beside a"):
        ContractMeta("Sample", (Contract,), times | two)


def test_polars_and_arrow_schemas_keep_order_type_and_nullability() -> None:
    assert polars_schema(Payment) == pl.Schema(zip(Payment.columns, POLARS_TYPES, strict=True))
    schema = arrow_schema(Payment)
    assert schema.types == ARROW_TYPES
    assert [each.nullable for each in schema] == [c.nullable for c in Payment.columns.values()]
    assert schema.field("amount").metadata == {b"doc": b"Amount (EUR)"}


def test_the_iceberg_schema_has_optional_documented_fields() -> None:
    schema = iceberg_schema(Payment)
    assert " ".join(str(each.field_type) for each in schema.fields).replace(", ", ",") == (
        ICEBERG_TYPES
    )
    assert not [each for each in schema.fields if each.required]
    assert schema.find_field("amount").doc == "Amount (EUR)"


def test_daily_tables_are_partitioned_by_the_day_of_the_event_time() -> None:
    schema = iceberg_schema(Payment)
    (field,) = partition_spec(Payment, schema, daily=True).fields
    assert (field.source_id, field.name, str(field.transform)) == (1, "event_ts_day", "day")
    assert partition_spec(Payment, schema, daily=False) == PartitionSpec()
    with pytest.raises(DeclarationError, match="event_time=True"):
        partition_spec(Airline, iceberg_schema(Airline), daily=True)


def test_the_table_remembers_version_units_and_keeps_personal_values_out_of_metrics() -> None:
    assert table_properties(Payment) == {
        "lakeline.contract.version": "2.3",
        "lakeline.contract.event-time": "event_ts",
        "lakeline.unit.amount": "EUR",
        "write.metadata.metrics.column.card": "none",
    }


def test_dagster_shows_types_units_rules_and_tags() -> None:
    schema = column_schema(Payment)
    by_name = {each.name: each for each in schema.columns}
    assert by_name["event_ts"].type == "timestamp[us, UTC]"
    assert by_name["event_ts"].tags == {"key": "", "event_time": ""}
    assert by_name["card"].tags == {"key": "", "personal": ""}
    assert by_name["amount"].description == "Amount (EUR)"
    assert by_name["amount"].tags == {"unit": "EUR"}
    assert by_name["risk"].constraints == dg.TableColumnConstraints(
        nullable=True,
        other=[">= 0, else the value becomes null", "<= 1, else the value becomes null"],
    )
    assert "key: event_ts, card" in schema.constraints.other
    (carrier,) = column_schema(Airline).columns
    assert carrier.constraints == dg.TableColumnConstraints(nullable=False, unique=True)


def test_dbt_sources_and_models_carry_types_units_and_descriptions() -> None:
    text = source_yaml("payments", {"cards": Payment}, meta={"plugin": "lake"})
    (source,) = yaml.safe_load(text)["sources"]
    (table,) = source["tables"]
    assert (source["name"], source["config"]) == ("payments", {"meta": {"plugin": "lake"}})
    assert table["description"] == Payment.doc
    assert [each["data_type"] for each in table["columns"]] == DUCKDB_TYPES
    amount = next(each for each in table["columns"] if each["name"] == "amount")
    assert amount["config"]["meta"] == {"unit": "EUR"}
    (model,) = yaml.safe_load(model_yaml({"cards": Payment}))["models"]
    assert model == table


class Model(pa.DataFrameModel):
    """One row a sensor reading."""

    ts: pl.Datetime("us", "UTC") = pa.Field(  # type: ignore[valid-type]
        metadata={"lakeline": {"event_time": True}}
    )
    sensor: str = pa.Field(isin=["a", "b"], description="Serial number")
    level: float = pa.Field(
        ge=0, lt=10, nullable=True, metadata={"lakeline": {"unit": "m", "on_fail": "reject"}}
    )
    note: str = pa.Field(str_startswith="n", unique=True)
    count: pl.UInt16

    @pa.dataframe_check
    @classmethod
    def is_small(cls, data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col("count") < 100)

    class Config:
        name = "Reading"
        unique = ["ts", "sensor"]  # noqa: RUF012
        metadata = {"lakeline": {"version": "3.0", "duplicates": "reject"}}  # noqa: RUF012


def test_a_contract_stands_for_itself_or_comes_from_a_function() -> None:
    assert resolve(Payment) is Payment
    assert resolve(lambda: Payment) is Payment


@pytest.mark.parametrize("spec", [Model, lambda: Model])
def test_a_pandera_model_is_adapted(spec: Any) -> None:
    adapted = resolve(spec)
    assert adapted is resolve(Model)
    assert (adapted.__name__, adapted.doc) == ("Reading", "One row a sensor reading.")
    assert (adapted.version, adapted.duplicates) == ("3.0", "reject")
    assert (adapted.keys, adapted.event_time) == (("ts", "sensor"), "ts")
    level = adapted.columns["level"]
    assert (level.rules, level.unit, level.on_fail) == ({"ge": ">= 0", "lt": "< 10"}, "m", "reject")
    assert level.nullable
    assert adapted.columns["sensor"].isin == ("a", "b")
    assert len(adapted.columns["note"].checks) == 1
    assert str(adapted.columns["count"].dtype) == "int32"
    assert len(adapted.table_checks) == 2  # is_small, and note being unique


def test_a_pandera_schema_is_adapted() -> None:
    schema = pa.DataFrameSchema(
        {"a": pa.Column(pl.Int8, pa.Check.gt(0), unique=True)},
        drop_invalid_rows=True,
        metadata={"lakeline": {"version": "1.2"}},
    )
    adapted = resolve(lambda: schema)
    assert (adapted.version, adapted.keys) == ("1.2", ("a",))
    assert adapted.columns["a"].on_fail == "reject"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (pa.Column(pl.List(pl.Int64)), "no table holds"),
        (pa.Column(pl.Datetime("us")), "Times need a zone"),
        (pa.Column(pl.Int64, required=False), "Use nullable=True"),
        (pa.Column(pl.Int64, default=1), "has a default"),
    ],
)
def test_a_pandera_model_that_no_table_can_follow_is_refused(bad: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        resolve(lambda: pa.DataFrameSchema({"a": bad}, name="Bad"))


def test_what_is_no_contract_is_refused() -> None:
    with pytest.raises(ContractError, match="3 is no contract"):
        resolve(lambda: 3)
