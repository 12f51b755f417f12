"""An audit finds what breaks a contract, names the rows, and parts them."""

import datetime as dt
import subprocess
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest
from pandera.errors import SchemaErrors, SchemaWarning

from lakeline.contract import Contract, Digits, Float32, Int32, column, resolve
from lakeline.contract.arrow import polars_schema
from lakeline.contract.audit import audit, conform
from lakeline.contract.pandera import attached_checks, pandera_schema
from lakeline.errors import CheckError, DeclarationError, ExtraColumns, MissingColumns, WrongType


def at(hour: int) -> dt.datetime:
    return dt.datetime(2013, 2, 12, tzinfo=dt.UTC) + dt.timedelta(hours=hour)


class Weather(Contract):
    """One row an hour and origin."""

    event_ts: dt.datetime = column("Hour", event_time=True, key=True)
    origin: str = column("Airport", key=True, isin=["EWR", "JFK", "LGA"])
    wind_mph: float | None = column("Wind", unit="mph", ge=0, le=200, on_fail="blank")
    temp_f: float = column("Temperature", unit="F", gt=-80, lt=140, on_fail="reject")
    humidity: float | None = column("Humidity", ge=0, le=100, on_fail="warn")
    station: str | None = column("Station", matches="[A-Z]{3}[0-9]+")
    readings: int = column("Readings", ge=1)


CLEAN = pl.DataFrame(
    {
        "event_ts": [at(0), at(0), at(1)],
        "origin": ["EWR", "JFK", "EWR"],
        "wind_mph": [3.0, None, 200.0],
        "temp_f": [30.0, 31.5, -79.0],
        "humidity": [50.0, 0.0, None],
        "station": ["ABC1", None, "XYZ22"],
        "readings": [1, 2, 3],
    },
    schema_overrides={"event_ts": pl.Datetime("us", "UTC")},
)


def with_value(name: str, value: object, row: int = 1) -> pl.DataFrame:
    """The clean frame with one value changed."""
    values = CLEAN[name].to_list()
    values[row] = value
    return CLEAN.with_columns(pl.Series(name, values, dtype=CLEAN.schema[name]))


# One broken value, the rule that finds it and what it does.
BROKEN = [
    ("event_ts", None, "event_ts.not_null", "fail"),
    ("origin", None, "origin.not_null", "fail"),
    ("origin", "BOS", "origin.isin", "fail"),
    ("wind_mph", 1048.36, "wind_mph.le", "blank"),
    ("wind_mph", -0.1, "wind_mph.ge", "blank"),
    ("wind_mph", float("nan"), "wind_mph.le", "blank"),
    ("temp_f", -80.0, "temp_f.gt", "reject"),
    ("temp_f", 140.0, "temp_f.lt", "reject"),
    ("temp_f", None, "temp_f.not_null", "reject"),
    ("humidity", 101.0, "humidity.le", "warn"),
    ("station", "abc1", "station.matches", "fail"),
    ("station", "ABC1 ", "station.matches", "fail"),
    ("readings", 0, "readings.ge", "fail"),
]


def pandera_accepts(contract: type[Contract], frame: pl.DataFrame) -> bool:
    """Whether the contract's Pandera schema accepts the frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SchemaWarning)
        try:
            pandera_schema(contract).validate(frame, lazy=True)
        except SchemaErrors:
            return False
    return True


def test_a_clean_frame_has_no_violations_and_pandera_agrees() -> None:
    report = audit(CLEAN, Weather)
    assert (report.rows, report.violations) == (3, ())
    published, rejected = report.split(CLEAN)
    assert published.equals(CLEAN)
    assert (rejected.columns, rejected.height) == ([*CLEAN.columns, "rule"], 0)
    assert pandera_accepts(Weather, CLEAN)


@pytest.mark.parametrize(("name", "value", "rule", "action"), BROKEN)
def test_a_broken_value_is_found_and_pandera_agrees(
    name: str, value: object, rule: str, action: str
) -> None:
    frame = with_value(name, value)
    (found,) = audit(frame, Weather).violations
    assert (found.rule, found.column, found.action) == (rule, name, action)
    assert (found.count, found.rows) == (1, (1,))
    assert pandera_accepts(Weather, frame) == (action == "warn")


def with_pattern(pattern: str) -> type[Contract]:
    class Named(Contract):
        """One row a name."""

        name: str = column("Name", matches=pattern)

    return Named


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "unclosed group"),
        ("a)|(b", "unopened group"),
        ("(?=a)", "look-around"),
        (r"(a)\1", "backreferences"),
        ("(?P<n>a)(?P=n)", "unrecognized flag"),
        (r"a\Z", "unrecognized escape sequence"),
        ("[a-z]{1,100000}", "size limit"),
        ("(?x)a # b", "unclosed group"),
    ],
)
def test_a_pattern_that_polars_cannot_match_is_refused_before_any_row_is_looked_at(
    pattern: str, why: str
) -> None:
    contract = with_pattern(pattern)
    for use in (
        lambda: audit(pl.DataFrame({"name": ["a"]}), contract),
        lambda: pandera_schema(contract),
    ):
        with pytest.raises(DeclarationError, match=f"column 'name' has matches=.*{why}.*Rust"):
            use()


@pytest.mark.parametrize("pattern", [r"\p{L}+", "[a-z&&[^b]]+", r"(?:a|\\1|[(?=])+"])
def test_a_pattern_of_rusts_is_taken_although_pythons_may_refuse_it(pattern: str) -> None:
    names = pl.DataFrame({"name": ["a", "1"]})
    (found,) = audit(names, with_pattern(pattern)).violations
    assert found.rows == (1,)


def test_nan_in_a_column_without_nulls_breaks_its_null_rule_as_in_pandera() -> None:
    frame = with_value("temp_f", float("nan"))
    rules = [found.rule for found in audit(frame, Weather).violations]
    assert rules == ["temp_f.not_null", "temp_f.lt"]
    assert not pandera_accepts(Weather, frame)


class Typed(Contract):
    """One row with a rule on each type."""

    price: Annotated[Decimal, Digits(8, 2)] = column("Price", ge=Decimal("0.5"), le=9)
    fee: Annotated[Decimal, Digits(8, 2)] = column("Fee", isin=[Decimal("1.00"), 2])
    day: dt.date = column("Day", ge=dt.date(2013, 1, 1), lt=dt.date(2014, 1, 1))
    ts: dt.datetime = column("Time", ge=at(0), lt=at(24))
    zone: dt.datetime = column("Time", isin=[at(0)])
    code: Int32 = column("Code", isin=range(20))
    share: Float32 = column("Share", le=0.1)
    size: float = column("Size", isin=[1, 2.5])
    is_on: bool = column("On", isin=[True])
    raw: bytes = column("Raw", isin=[b"a"])


TYPED: dict[str, list[Any]] = {
    "price": [Decimal("0.50"), Decimal("0.49"), Decimal("9.01")],
    "fee": [Decimal("2.00"), Decimal("2.01")],
    "day": [dt.date(2013, 12, 31), dt.date(2012, 12, 31), dt.date(2014, 1, 1)],
    "ts": [at(0), at(-1), at(24)],
    "zone": [at(0), at(1)],
    "code": [19, 20],
    "share": [0.1, 0.11],
    "size": [1.0, 2.0],
    "is_on": [True, False],
    "raw": [b"a", b"b"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in TYPED.items() for value in values]
)
def test_rules_work_on_every_type_as_in_pandera(name: str, value: object) -> None:
    row = {each: values[0] for each, values in TYPED.items()} | {name: value}
    frame = pl.DataFrame([row], schema=polars_schema(Typed))
    broken = {found.column for found in audit(frame, Typed).violations}
    assert broken == ({name} if value != TYPED[name][0] else set())
    assert pandera_accepts(Typed, frame) == (not broken)


def test_every_pandera_check_has_the_name_of_its_rule() -> None:
    schema = pandera_schema(Weather)
    found = {check.name for each in schema.columns.values() for check in each.checks}
    assert {"wind_mph.ge", "wind_mph.le", "origin.isin", "station.matches"} <= found
    assert pandera_schema(Weather) is schema


def test_a_sample_names_the_row_by_its_key() -> None:
    (found,) = audit(with_value("wind_mph", 1048.36), Weather).violations
    key = "event_ts=2013-02-12 00:00:00+00:00, origin=JFK"
    assert found.sample == (f"{key}: wind_mph=1048.36",)
    assert str(found) == f"wind_mph.le (<= 200): 1 row, e.g. {key}: wind_mph=1048.36"


def test_a_sample_holds_five_rows_and_hides_personal_values() -> None:
    class Customer(Contract):
        """One row a customer."""

        name: str = column("Full name", key=True, personal=True)
        age: int = column("Age", le=150)

    frame = pl.DataFrame({"name": [f"Person {i}" for i in range(9)], "age": [999] * 9})
    (found,) = audit(frame, Customer).violations
    assert (found.count, len(found.sample)) == (9, 5)
    assert found.sample[2] == "row 2: age=999"
    (repeated,) = audit(frame.with_columns(name=pl.lit("P"), age=1), Customer).violations
    assert repeated.sample[0] == "row 1"


def test_rejected_rows_leave_and_blanked_values_become_null() -> None:
    frame = with_value("wind_mph", 1048.36).with_columns(
        pl.Series("temp_f", [30.0, 31.5, 999.0]), humidity=pl.lit(101.0)
    )
    published, rejected = audit(frame, Weather).split(frame)
    assert published.schema == CLEAN.schema
    assert published["wind_mph"].to_list() == [3.0, None]
    assert published["temp_f"].to_list() == [30.0, 31.5]
    assert rejected["rule"].to_list() == ["wind_mph.le", "temp_f.lt"]
    assert rejected["wind_mph"].to_list() == ["1048.36", "200.0"]
    assert rejected["event_ts"][0] == "2013-02-12 00:00:00.000000+00:00"
    assert set(rejected.dtypes) == {pl.String}


def test_a_row_with_several_faults_goes_to_quarantine_once() -> None:
    frame = with_value("wind_mph", 1048.36).with_columns(pl.Series("temp_f", [30.0, 999.0, 1.0]))
    published, rejected = audit(frame, Weather).split(frame)
    assert published.height == 2
    assert rejected["rule"].to_list() == ["wind_mph.le, temp_f.lt"]


@pytest.mark.parametrize("action", ["fail", "reject", "warn"])
def test_a_repeated_key_does_what_the_contract_says(action: Any) -> None:
    class Hourly(Weather, duplicates=action):
        """One row an hour and origin."""

    frame = pl.concat([CLEAN, CLEAN[1:2], CLEAN[1:2]])
    report = audit(frame, Hourly)
    (found,) = report.violations
    assert (found.rule, found.column, found.action, found.rows) == (
        *("key.unique", None, action, (3, 4)),
    )
    published, rejected = report.split(frame)
    assert (published.height, rejected.height) == ((3, 2) if action == "reject" else (5, 0))
    assert pandera_accepts(Hourly, frame) == (action == "warn")


def test_a_rejected_row_repeats_nobodys_key() -> None:
    frame = pl.concat([CLEAN, with_value("temp_f", 999.0)[1:2]])
    assert [found.rule for found in audit(frame, Weather).violations] == ["temp_f.lt"]


def test_keys_without_the_event_time_are_unique_within_a_day() -> None:
    class Balance(Contract):
        """One row a day and account."""

        event_ts: dt.datetime = column("Closing", event_time=True)
        account: int = column("Account", key=True)

    frame = pl.DataFrame({"event_ts": [at(0), at(24)], "account": [1, 1]})
    assert not audit(frame, Balance, partition_by="event_ts").violations
    assert audit(frame, Balance).violations[0].rows == (1,)
    same_day = pl.DataFrame({"event_ts": [at(0), at(23)], "account": [1, 1]})
    assert audit(same_day, Balance, partition_by="event_ts").violations[0].rows == (1,)


def below(limit: int) -> Callable[[], pa.Check]:
    return lambda: pa.Check(
        lambda data: data.lazyframe.select(pl.col(data.key) < limit), name="below", error="small"
    )


def is_sorted() -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.collect()["amount"].is_sorted(), name="sorted")


def crashes() -> pa.Check:
    return pa.Check(lambda data: 1 / 0, name="crashes")


class Order(Contract):
    """One row an order."""

    amount: int = column("Amount", checks=[below(10), below(20)], on_fail="reject")
    discount: int | None = column("Discount", checks=[below(5)], on_fail="warn")
    table_checks = (is_sorted,)


def test_attached_checks_run_with_their_columns_action_and_distinct_names() -> None:
    names = [each.name for each in attached_checks(Order)]
    assert names == ["amount.below", "amount.below_2", "discount.below", "table.sorted"]
    frame = pl.DataFrame({"amount": [1, 15, 30], "discount": [9, None, 1]})
    report = audit(frame, Order)
    assert [(v.rule, v.action, v.rows) for v in report.violations] == [
        ("amount.below", "reject", (1, 2)),
        ("amount.below_2", "reject", (2,)),
        ("discount.below", "warn", (0,)),
    ]
    assert report.split(frame)[0]["amount"].to_list() == [1]
    assert not pandera_accepts(Order, frame)
    assert pandera_accepts(Order, frame[:1])


def test_a_check_of_the_frame_as_a_whole_fails_without_rows() -> None:
    frame = pl.DataFrame({"amount": [2, 1], "discount": [None, None]}).cast(pl.Int64)
    report = audit(frame, Order)
    (found,) = report.failed
    assert (found.rule, found.count, found.rows) == ("table.sorted", 2, ())
    assert not pandera_accepts(Order, frame)


def test_a_check_that_crashes_is_named() -> None:
    class Broken(Contract):
        """One row."""

        amount: int = column("Amount", checks=[crashes])

    with pytest.raises(CheckError, match=r"amount\.crashes' of Broken raised ZeroDivisionError"):
        audit(pl.DataFrame({"amount": [1]}), Broken)


def test_an_adapted_pandera_model_audits_with_all_its_checks() -> None:
    class Model(pa.DataFrameModel):
        amount: int = pa.Field(ge=0, in_range={"min_value": -5, "max_value": 9}, unique=True)

    contract = resolve(Model)
    frame = pl.DataFrame({"amount": [1, -1, 10, 1]})
    found = [(v.rule, v.rows) for v in audit(frame, contract).violations]
    assert found == [("amount.ge", (1,)), ("amount.in_range", (2,)), ("key.unique", (3,))]
    assert not pandera_accepts(contract, frame)
    assert pandera_accepts(contract, frame[:1])


def test_an_empty_frame_passes() -> None:
    for contract, frame in ((Weather, CLEAN.clear()), (Order, pl.DataFrame(schema=["a", "b"]))):
        named = frame.rename(dict(zip(frame.columns, contract.columns, strict=True)))
        assert audit(named, contract).violations == ()


def test_a_clean_audit_imports_neither_pandera_nor_pandas() -> None:
    code = """
import sys, polars as pl
from lakeline.contract import Contract, column
from lakeline.contract.audit import audit
class Order(Contract):
    "One row an order."
    amount: int = column("Amount", key=True, ge=0)
assert not audit(pl.DataFrame({"amount": [1, 2]}), Order).violations
print({"pandera", "pandas"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


class Narrow(Contract):
    """One row of each type."""

    big: int = column("int64")
    small: Int32 = column("int32")
    wide: float = column("float64")
    thin: Float32 = column("float32")
    text: str | None = column("string")
    ts: dt.datetime = column("timestamp")
    price: Annotated[Decimal, Digits(12, 2)] = column("decimal")


EXACT = pl.DataFrame(
    {
        "big": [1],
        "small": [1],
        "wide": [1.5],
        "thin": [1.5],
        "text": ["a"],
        "ts": [at(0)],
        "price": [Decimal("1.50")],
    },
    schema={
        "big": pl.Int64,
        "small": pl.Int32,
        "wide": pl.Float64,
        "thin": pl.Float32,
        "text": pl.String,
        "ts": pl.Datetime("us", "UTC"),
        "price": pl.Decimal(12, 2),
    },
)
LOSSLESS: dict[str, list[Any]] = {
    "big": [pl.Int8, pl.Int32, pl.UInt32, pl.UInt64],
    "small": [pl.Int16, pl.UInt8, pl.Int64],
    "wide": [pl.Float32, pl.Int64, pl.UInt64],
    "thin": [pl.Int16],
    "text": [pl.Categorical, pl.Null],
    "ts": [pl.Datetime("ns", "UTC"), pl.Datetime("ms", "America/New_York")],
    "price": [pl.Decimal(9, 1), pl.Null],
}
LOSSY: dict[str, list[Any]] = {
    "big": [pl.Float64, pl.String, pl.Boolean],
    "small": [pl.Float64],
    "wide": [pl.String, pl.Decimal(12, 2)],
    "thin": [pl.Float64, pl.Int32],
    "text": [pl.Int64, pl.Binary],
    "ts": [pl.Datetime("us"), pl.Date],
    "price": [pl.Decimal(14, 3), pl.Decimal(13, 2), pl.Float64, pl.Int64],
}


def recast(name: str, dtype: Any) -> pl.DataFrame:
    """The exact frame with one column of another type."""
    if dtype == pl.Null:
        return EXACT.with_columns(pl.lit(None).alias(name))
    if name == "ts" and dtype == pl.Datetime("us"):
        return EXACT.with_columns(pl.col(name).dt.replace_time_zone(None))
    return EXACT.with_columns(pl.col(name).cast(dtype, strict=False))


def test_conform_returns_a_frame_that_is_right_as_it_is() -> None:
    assert conform(EXACT, Narrow, "flights/x") is EXACT


def test_conform_orders_columns() -> None:
    shuffled = EXACT.select(reversed(EXACT.columns))
    assert conform(shuffled, Narrow, "flights/x").equals(EXACT)


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, found in LOSSLESS.items() for dtype in found]
)
def test_conform_casts_without_loss(name: str, dtype: Any) -> None:
    frame = recast(name, dtype)
    found = conform(frame, Narrow, "flights/x")
    assert found.schema == EXACT.schema
    assert found[name].to_list() == ([None] if dtype == pl.Null else EXACT[name].to_list()) or (
        name in {"wide", "thin"}  # 1.5 was cut before
    )


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, found in LOSSY.items() for dtype in found]
)
def test_conform_refuses_what_could_lose_a_value(name: str, dtype: Any) -> None:
    with pytest.raises(WrongType, match=f"Table 'flights/x': column {name} is ") as caught:
        conform(recast(name, dtype), Narrow, "flights/x")
    assert caught.value.wrong[0][0] == name
    assert "Narrow says" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("small", 2**31), ("small", -(2**31) - 1), ("wide", 2**53 + 1)]
)
def test_conform_refuses_integers_that_do_not_fit(name: str, value: int) -> None:
    frame = EXACT.with_columns(pl.Series(name, [value], dtype=pl.Int64))
    with pytest.raises(WrongType, match="some values do not fit"):
        conform(frame, Narrow, "flights/x")


def test_a_naive_time_is_refused_with_the_way_out() -> None:
    with pytest.raises(WrongType, match="replace_time_zone"):
        conform(recast("ts", pl.Datetime("us")), Narrow, "flights/x")


def test_missing_and_extra_columns_are_named() -> None:
    with pytest.raises(
        MissingColumns, match=r"no column text, price\. It has big, small"
    ) as missing:
        conform(EXACT.drop("text", "price"), Narrow, "flights/x")
    assert missing.value.missing == ("text", "price")
    with pytest.raises(ExtraColumns, match="column amont, which Narrow does not declare") as extra:
        conform(EXACT.with_columns(amont=1), Narrow, "flights/x")
    assert extra.value.extra == ("amont",)
