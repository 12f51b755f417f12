"""The version of a table's content: what it depends on, what it does not, and values that no upgrade may move."""

import datetime as dt
from decimal import Decimal

import polars as pl
import polars_hash as plh
import pytest

from lakeline.lake.content import EMPTY, content_version

NAN = float("nan")
MOMENT = dt.datetime(2024, 3, 1, 12, 30, 15, 123_456, tzinfo=dt.UTC)

COLUMNS: dict[str, pl.Series] = {
    "int32": pl.Series([1, None, -3], dtype=pl.Int32),
    "int64": pl.Series([2**62, None, -(2**62)], dtype=pl.Int64),
    "float32": pl.Series([0.5, None, -2.0], dtype=pl.Float32),
    "float64": pl.Series([0.1, None, 1e300], dtype=pl.Float64),
    "text": pl.Series(["", None, "Zoë, a name longer than twelve bytes"], dtype=pl.String),
    "bool": pl.Series([True, None, False], dtype=pl.Boolean),
    "date": pl.Series([dt.date(1969, 7, 20), None, dt.date(2024, 2, 29)], dtype=pl.Date),
    "time": pl.Series([MOMENT, None, MOMENT.replace(year=1950)], dtype=pl.Datetime("us", "UTC")),
    "bytes": pl.Series([b"\x00\xff", None, b""], dtype=pl.Binary),
    "decimal": pl.Series([Decimal("12.50"), None, Decimal("-0.01")], dtype=pl.Decimal(12, 2)),
}
GOLDEN = {
    "int32": "ea8f9932e66c1ecd724aa580f187b42c",
    "int64": "384d61ce313030367b730168d5591d83",
    "float32": "0f66077c08af4f2525e36ae3136c3554",
    "float64": "df68b6e76f13bc1f1d38840f9021acf0",
    "text": "3b02082f2cb1fa0d3a223e58f2cd4118",
    "bool": "4b1e16294f0560342a4d90d953c2b5ff",
    "date": "59ca72e44b49782712c11c8c3f3c4012",
    "time": "705899943019e2bcc24808dffa9c05a0",
    "bytes": "ebfd247bc5eaa0dbe9916327fd9e4d29",
    "decimal": "f44ee422da12245c91a07b0c506b4754",
}
EVERYTHING = "5d5ad5dba3e437a9c0d9d40c5ff8a339"

EVENTS = pl.DataFrame(
    {
        "user": ["a", "b", None],
        "amount": [1.5, None, 2.5],
        "n": pl.Series([1, 2, 3], dtype=pl.Int64),
    }
)


def version(*values: object, dtype: pl.DataType | type[pl.DataType] = pl.Float64) -> str:
    return content_version(pl.DataFrame({"x": pl.Series(values, dtype=dtype)}))


@pytest.mark.parametrize("name", COLUMNS)
def test_the_version_of_every_type_stays_over_upgrades(name: str):
    """Ledgers hold versions: if this fails, every partition everywhere would be taken for changed."""
    assert content_version(COLUMNS[name].alias("x").to_frame()) == GOLDEN[name]


def test_the_version_of_many_columns_stays_over_upgrades():
    assert content_version(pl.DataFrame(COLUMNS)) == EVERYTHING


def test_text_is_hashed_by_xxhash64_as_it_is_published():
    """The two values are those of the reference implementation with seed 0."""
    texts = pl.DataFrame({"x": ["", "abc"]})
    hashed = texts.select(plh.col("x").nchash.xxhash64()).to_series().to_list()
    assert hashed == [0xEF46DB3751D8E999, 0x44BC2CF5AD770999]


def test_no_rows_have_a_version_of_their_own():
    assert content_version(EVENTS.clear()) == EMPTY


def test_the_order_of_rows_does_not_matter():
    assert content_version(EVENTS.reverse()) == content_version(EVENTS)
    assert content_version(EVENTS.sample(fraction=1, shuffle=True, seed=1)) == content_version(
        EVENTS
    )


def test_the_order_of_columns_does_not_matter():
    assert content_version(EVENTS.select("n", "user", "amount")) == content_version(EVENTS)


def test_the_pieces_in_memory_do_not_matter():
    pieces = pl.concat([EVENTS.head(1), EVENTS.tail(2)], rechunk=False)
    assert content_version(pieces) == content_version(EVENTS)


@pytest.mark.parametrize("column", EVENTS.columns)
def test_a_changed_value_of_any_column_changes_the_version(column: str):
    other = {"user": "z", "amount": 9.0, "n": 9}[column]
    last = pl.int_range(pl.len()) == 2
    changed = EVENTS.with_columns(pl.when(last).then(pl.lit(other)).otherwise(column).alias(column))
    assert content_version(changed) != content_version(EVENTS)


def test_values_that_swap_rows_change_the_version():
    swapped = EVENTS.with_columns(pl.col("n").reverse())
    assert content_version(swapped) != content_version(EVENTS)


def test_values_that_swap_columns_change_the_version():
    pair = pl.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert content_version(pair) != content_version(pair.select(a="b", b="a"))


def test_a_renamed_column_changes_the_version():
    assert content_version(EVENTS.rename({"n": "m"})) != content_version(EVENTS)


def test_a_repeated_row_counts():
    assert content_version(pl.concat([EVENTS, EVENTS.head(1)])) != content_version(EVENTS)
    assert version(1.0, 1.0) != version(2.0, 2.0)
    assert version(1.0, 1.0, 2.0) != version(1.0, 2.0, 2.0)


def test_a_missing_row_counts():
    assert content_version(EVENTS.head(2)) != content_version(EVENTS)


def test_a_row_of_nulls_counts():
    assert version(1.0, None) != version(1.0)


def test_a_null_is_no_zero_and_no_empty_text():
    assert version(0.0) != version(None)
    assert version(0, dtype=pl.Int64) != version(None, dtype=pl.Int64)
    assert version("", dtype=pl.String) != version(None, dtype=pl.String)
    assert version(False, dtype=pl.Boolean) != version(None, dtype=pl.Boolean)


def test_the_zeros_are_one_value():
    assert version(-0.0) == version(0.0)


def test_every_nan_is_one_value_and_no_null():
    other_nan = pl.Series([0x7FF8_0000_0000_0001], dtype=pl.UInt64)
    bits = other_nan.to_numpy().view("float64")
    assert content_version(pl.DataFrame({"x": bits})) == version(NAN)
    assert version(NAN) == version(-NAN)
    assert version(NAN) not in {version(None), version(0.0)}


def test_neighbouring_floats_differ():
    assert version(0.1 + 0.2) != version(0.3)


@pytest.mark.parametrize(
    ("narrow", "wide"), [(pl.Int32, pl.Int64), (pl.Float32, pl.Float64), (pl.Int8, pl.Int32)]
)
def test_a_widened_column_keeps_the_version(narrow: type[pl.DataType], wide: type[pl.DataType]):
    assert version(1, None, -7, dtype=narrow) == version(1, None, -7, dtype=wide)


def test_a_new_column_without_values_keeps_the_version():
    for dtype in (pl.String, pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.Null):
        widened = EVENTS.with_columns(new=pl.lit(None, dtype=dtype))
        assert content_version(widened) == content_version(EVENTS)


def test_the_unit_of_a_time_does_not_matter_but_the_moment_does():
    micro = pl.DataFrame({"x": [MOMENT.replace(microsecond=5000)]})
    milli = micro.select(pl.col("x").cast(pl.Datetime("ms", "UTC")))
    assert content_version(milli) == content_version(micro)
    later = micro.select(pl.col("x").dt.offset_by("1us"))
    assert content_version(later) != content_version(micro)


def test_the_zone_of_a_time_does_not_matter():
    utc = pl.DataFrame({"x": [MOMENT]})
    local = utc.select(pl.col("x").dt.convert_time_zone("Asia/Tokyo"))
    assert content_version(local) == content_version(utc)


def test_categories_count_as_their_text():
    text = pl.DataFrame({"x": ["a", "b", None]})
    assert content_version(text.cast(pl.Categorical)) == content_version(text)
    assert content_version(text.cast(pl.Enum(["b", "a"]))) == content_version(text)


def test_many_different_single_changes_give_as_many_versions():
    frame = pl.DataFrame({"a": range(200), "b": [0.0] * 200})
    row = pl.int_range(pl.len())
    versions = {
        content_version(frame.with_columns(b=pl.when(row == n).then(m).otherwise("b")))
        for n in range(200)
        for m in (1.0, 2.0)
    }
    assert len(versions) == 400


def test_changes_of_the_highest_bits_in_two_columns_do_not_cancel_out():
    """Signs and powers of two move few bits, and the same ones in each column."""
    values = [sign * 2.0**power for sign in (1, -1) for power in range(-8, 8)]
    versions = {
        content_version(pl.DataFrame({"a": [one], "b": [other]}))
        for one in values
        for other in values
    }
    assert len(versions) == len(values) ** 2
