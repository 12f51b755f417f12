"""The direct reader: typed columns, what is missing, what is too old, and every wrong request."""

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakeline.online import OnlineStore, Reader, View
from lakeline.online.errors import (
    CorruptRowError,
    EntityLengthError,
    EntityMissingError,
    EntityTypeError,
    FeatureNameClashError,
    RowsError,
    UnknownFeatureError,
    ViewError,
)
from lakeline.online.keys import HEADER, NOBODY, keys_of
from lakeline.online.rows import Batch, pack
from lakeline.online.view import VERSION, layout_from

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
EVERY = View(
    name="every",
    entities={"origin": "string"},
    features={
        "f8": "float64",
        "i8": "int64",
        "at": "timestamp",
        "f4": "float32",
        "i4": "int32",
        "text": "string",
        "raw": "binary",
        "value": "proto",
        "yes": "bool",
    },
    ttl=6 * HOUR,
)
VALUES: dict[str, Any] = {
    "f8": 0.1,
    "i8": -(2**63),
    "at": NOON - HOUR,
    "f4": 1.5,
    "i4": 2**31 - 1,
    "text": "Zürich",
    "raw": b"\x00\xff",
    "value": b"any",
    "yes": True,
}
DTYPES = {
    "f8": "float64",
    "i8": "int64",
    "at": "datetime64[us]",
    "f4": "float32",
    "i4": "int32",
    "text": "object",
    "raw": "object",
    "value": "object",
    "yes": "bool",
}
SCHEMA: dict[str, Any] = {
    "f8": pl.Float64,
    "i8": pl.Int64,
    "at": pl.Datetime("us", "UTC"),
    "f4": pl.Float32,
    "i4": pl.Int32,
    "text": pl.String,
    "raw": pl.Binary,
    "value": pl.Binary,
    "yes": pl.Boolean,
}
ROUTE = View(
    name="route", entities={"origin": "string", "number": "int64"}, features={"late": "float32"}
)


def row(origin: str, event_ts: dt.datetime, **values: Any) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {name: [values.get(name)] for name in SCHEMA}
    return pl.DataFrame(columns, schema=SCHEMA).with_columns(
        origin=pl.lit(origin), event_ts=pl.lit(event_ts)
    )


def write(store: OnlineStore, *rows: pl.DataFrame, view: View = EVERY) -> None:
    store.write(view, pack(view, pl.concat(rows)))


def test_each_type_comes_back_as_itself(online: OnlineStore) -> None:
    write(online, row("JFK", NOON, **VALUES))
    answer = Reader([(EVERY, None)], online).read({"origin": ["JFK", "LGA"]}, NOON)
    assert {name: str(column.dtype) for name, column in answer.columns.items()} == DTYPES
    found = {name: column[0] for name, column in answer.columns.items()}
    assert found.pop("at") == np.datetime64("2024-03-01T11:00:00", "us")
    assert found == {name: value for name, value in VALUES.items() if name != "at"}
    assert [mask.tolist() for mask in answer.missing.values()] == [[False, True]] * 9
    assert not np.any(list(answer.expired.values()))


def test_what_is_missing_or_null_has_a_blank_of_its_type(online: OnlineStore) -> None:
    write(online, row("JFK", NOON), row("EWR", NOON, **VALUES))
    answer = Reader([(EVERY, None)], online).read({"origin": ["JFK", "LGA"]}, NOON)
    for place in (0, 1):
        found = {name: column[place] for name, column in answer.columns.items()}
        assert math.isnan(found.pop("f8"))
        assert math.isnan(found.pop("f4"))
        assert np.isnat(found.pop("at"))
        assert found == {"i8": 0, "i4": 0, "text": None, "raw": None, "value": None, "yes": False}
    assert np.all(list(answer.missing.values()))
    assert [np.isnat(event) for event in answer.events["every"]] == [False, True]


def test_a_row_exactly_as_old_as_its_time_to_live_is_used_and_an_older_one_is_not(online: OnlineStore) -> None:  # fmt: skip
    write(online, row("JFK", NOON, **VALUES), row("LGA", NOON))
    reader = Reader([(EVERY, ["text", "f4", "i8"])], online)
    at = {"origin": ["JFK", "LGA", "EWR"]}
    used = reader.read(at, NOON + 6 * HOUR)
    assert used.columns["text"].tolist() == ["Zürich", None, None]
    old = reader.read(at, NOON + 6 * HOUR + dt.timedelta(microseconds=1))
    assert old.expired["text"].tolist() == [True, True, False]
    assert old.missing["text"].tolist() == [False, False, True]
    assert old.columns["text"].tolist() == [None, None, None]
    assert np.isnan(old.columns["f4"]).all()
    assert old.columns["i8"].tolist() == [0, 0, 0]
    assert old.events["every"][0] == np.datetime64("2024-03-01T12:00:00", "us")


def test_the_clock_of_the_system_is_the_default(online: OnlineStore) -> None:
    now = dt.datetime.now(dt.UTC)
    write(online, row("JFK", now - 5 * HOUR, f4=1), row("LGA", now - 7 * HOUR, f4=2))
    answer = Reader([(EVERY, ["f4"])], online).read({"origin": ["JFK", "LGA"]})
    assert answer.expired["f4"].tolist() == [False, True]


def test_features_come_in_the_order_asked_for(online: OnlineStore) -> None:
    write(online, row("JFK", NOON, **VALUES))
    reader = Reader([(EVERY, ["text", "i4", "f8", "yes"])], online)
    answer = reader.read({"origin": ["JFK"]}, NOON)
    assert tuple(answer.columns) == tuple(answer.missing) == tuple(answer.expired) == reader.names
    assert [column[0] for column in answer.columns.values()] == ["Zürich", 2**31 - 1, 0.1, True]


def test_several_views_and_keys_are_one_answer(online: OnlineStore) -> None:
    everywhere = View(name="everywhere", entities={}, features={"wind": "float64"})
    write(online, row("JFK", NOON, f4=1.5), row("LGA", NOON, f4=2.5))
    routes = pl.DataFrame({"number": [7, 8], "origin": ["JFK", "LGA"], "event_ts": [NOON] * 2, "late": [1, 2]})  # fmt: skip
    online.write(ROUTE, pack(ROUTE, routes))
    online.write(everywhere, pack(everywhere, pl.DataFrame({"event_ts": [NOON], "wind": [9.5]})))
    reader = Reader([(EVERY, ["f4"]), (ROUTE, ["late"]), (everywhere, ["wind"])], online)
    answer = reader.read({"origin": ["LGA", "JFK", "LGA"], "number": [8, 7, 7]}, NOON)
    assert answer.columns["f4"].tolist() == [2.5, 1.5, 2.5]
    assert answer.columns["late"][:2].tolist() == [2.0, 1.0]
    assert answer.missing["late"].tolist() == [False, False, True]
    assert answer.columns["wind"].tolist() == [9.5] * 3
    assert len(answer) == 3


def test_a_matrix_has_nan_where_there_is_no_value(online: OnlineStore) -> None:
    write(online, row("JFK", NOON, i4=3, f8=0.5, yes=True), row("LGA", NOON - 7 * HOUR, i4=4))
    reader = Reader([(EVERY, ["i4", "f8", "yes"])], online)
    matrix = reader.read({"origin": ["JFK", "LGA", "EWR"]}, NOON).matrix()
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [[3, 0.5, 1], [np.nan] * 3, [np.nan] * 3])
    write(online, row("JFK", NOON, text="x"))
    texts = Reader([(EVERY, ["text"])], online).read({"origin": ["JFK"]}, NOON)
    with pytest.raises(ValueError, match="could not convert string to float"):
        texts.matrix()


def test_no_rows_are_no_rows(online: OnlineStore) -> None:
    write(online, row("JFK", NOON, **VALUES))
    answer = Reader([(EVERY, None)], online).read({"origin": []})
    assert {name: str(column.dtype) for name, column in answer.columns.items()} == DTYPES
    assert [len(column) for column in (*answer.columns.values(), *answer.missing.values())] == [0] * 18  # fmt: skip


@pytest.mark.parametrize(
    "make", [list, tuple, np.array, pl.Series, pa.array, lambda each: np.array(each, object)]
)
def test_entities_come_in_any_kind_of_column(make: Any) -> None:
    text = View(name="t", entities={"e": "string"}, features={"x": "int64"})
    whole = View(name="i", entities={"e": "int64"}, features={"x": "int64"})
    assert keys_of(text, {"e": make(["a", "é"])}) == [b"a", "é".encode()]
    assert keys_of(whole, {"e": make([1, -1])}) == [b"\1" + bytes(7), b"\xff" * 8]


def test_a_null_entity_has_no_row() -> None:
    assert keys_of(EVERY, {"origin": [None, "JFK"]}) == [NOBODY, b"JFK"]
    assert keys_of(ROUTE, {"origin": ["JFK", None], "number": [None, 3]}) == [NOBODY, NOBODY]
    assert keys_of(EVERY, {"origin": [None]}) == [NOBODY]


ENTITY = st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.binary())
KINDS: dict[type, Any] = {str: "string", int: "int64", bytes: "binary"}


@given(one=st.tuples(ENTITY, ENTITY), other=st.tuples(ENTITY, ENTITY))
def test_two_entities_share_a_key_only_if_they_are_equal(
    one: tuple[Any, Any], other: tuple[Any, Any]
) -> None:
    kinds = [{name: KINDS[type(value)] for name, value in zip("ab", each, strict=True)} for each in (one, other)]  # fmt: skip
    keys = []
    for each, kind in zip((one, other), kinds, strict=True):
        view = View(name="v", entities=kind, features={"x": "int64"})
        keys += keys_of(view, {name: [value] for name, value in zip("ab", each, strict=True)})
    assert HEADER not in keys
    assert NOBODY not in keys
    if kinds[0] == kinds[1]:
        assert (keys[0] == keys[1]) == (one == other)


FLOATS = st.floats(width=32)
TABLE = st.lists(
    st.fixed_dictionaries(
        {
            "f8": st.none() | st.floats(),
            "i8": st.none() | st.integers(-(2**63), 2**63 - 1),
            "at": st.none()
            | st.datetimes(timezones=st.just(dt.UTC)).map(lambda at: at.replace(fold=0)),
            "f4": st.none() | st.floats(width=32),
            "i4": st.none() | st.integers(-(2**31), 2**31 - 1),
            "text": st.none() | st.text(),
            "raw": st.none() | st.binary(),
            "value": st.none() | st.binary(),
            "yes": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(table=TABLE)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_survives_the_way(online: OnlineStore, table: list[dict[str, Any]]) -> None:
    online.drop("every")
    origins = [f"A{n}" for n in range(len(table))]
    write(online, *(row(origin, NOON, **values) for origin, values in zip(origins, table, strict=True)))  # fmt: skip
    answer = Reader([(EVERY, None)], online).read({"origin": origins}, NOON)
    for name in SCHEMA:
        expected = [values[name] for values in table]
        found = [None if gone else value for gone, value in zip(answer.missing[name], answer.columns[name].tolist(), strict=True)]  # fmt: skip
        if name == "at":
            found = [each if each is None else each.replace(tzinfo=dt.UTC) for each in found]
        assert repr(found) == repr(expected)  # tells NaN and the sign of zero


# --- wrong requests ---------------------------------------------------------------------------


def test_an_unknown_feature_is_told_with_the_one_that_was_meant(online: OnlineStore) -> None:
    with pytest.raises(
        UnknownFeatureError, match=r"'every' has no feature txet. Did you mean text"
    ):
        Reader([(EVERY, ["txet"])], online)


def test_two_features_of_one_name_need_full_names(online: OnlineStore) -> None:
    other = View(name="other", entities={"origin": "string"}, features={"f4": "float32"})
    with pytest.raises(FeatureNameClashError, match=r"f4 is in the views every, other.*full_names"):
        Reader([(EVERY, ["f4"]), (other, ["f4"])], online)
    reader = Reader([(EVERY, ["f4"]), (other, ["f4"])], online, full_names=True)
    assert reader.names == ("every__f4", "other__f4")


@pytest.mark.parametrize("given", [["JFK", 3], [3], np.array([3]), pl.Series([1.5]), [b"JFK"]])
def test_a_text_entity_is_no_other_type(online: OnlineStore, given: Any) -> None:
    with pytest.raises(EntityTypeError, match=r"'every' has the entity origin as string, and was given (3|1.5|b'JFK') "):  # fmt: skip
        Reader([(EVERY, None)], online).read({"origin": given})


@pytest.mark.parametrize("given", [["3"], [3.0], [True], [2**63], np.array([3.0]), [1, "x"]])
def test_an_integer_entity_is_no_other_type(online: OnlineStore, given: Any) -> None:
    rows = len(given)
    with pytest.raises(EntityTypeError, match="'route' has the entity number as int64, and was given"):  # fmt: skip
        Reader([(ROUTE, None)], online).read({"origin": ["JFK"] * rows, "number": given})


def test_an_entity_left_out_is_told(online: OnlineStore) -> None:
    with pytest.raises(EntityMissingError, match=r"'every' is read by origin. The request has air"):
        Reader([(EVERY, None)], online).read({"airport": ["JFK"]})


def test_entities_of_different_lengths_are_told(online: OnlineStore) -> None:
    with pytest.raises(EntityLengthError, match="equally many rows: number has 2, origin has 1"):
        Reader([(ROUTE, None)], online).read({"origin": ["JFK"], "number": [1, 2]})
    carrier = View(name="carrier", entities={"carrier": "string"}, features={"late": "float32"})
    reader = Reader([(EVERY, ["f4"]), (carrier, None)], online)
    with pytest.raises(EntityLengthError, match="origin has 1, carrier has 2"):
        reader.read({"origin": ["JFK"], "carrier": ["AA", "UA"]})


def test_a_row_of_another_length_is_not_read_as_numbers(online: OnlineStore) -> None:
    online.write(ROUTE, Batch(keys=[], rows=[]))
    key = keys_of(ROUTE, {"origin": ["JFK"], "number": [1]})
    online.write(ROUTE, Batch(keys=key, rows=[bytes(17)]))
    with pytest.raises(CorruptRowError, match=r"'route' has a row of 17 bytes.* takes 24"):
        Reader([(ROUTE, None)], online).read({"origin": ["JFK"], "number": [1]})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"f4": pl.lit("x")}, "f4 is String, and the view says float32"),
        ({"i4": pl.lit(1.5)}, "i4 is Float64, and the view says int32"),
        ({"i4": pl.lit(2**40)}, "i4 is Int64 and does not fit int32"),
        ({"text": pl.lit(1)}, "text is Int32, and the view says string"),
        ({"at": pl.lit(1)}, "at is Int32, and the view says timestamp"),
        ({"yes": pl.lit(1)}, "yes is Int32, and the view says bool"),
        ({"event_ts": pl.lit(None, pl.Datetime("us"))}, "1 rows have no event_ts"),
        ({"event_ts": pl.lit("2024")}, "event_ts is String, no timestamp"),
        ({"origin": pl.lit(None, pl.String)}, "an entity is null"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, pl.Expr], told: str) -> None:
    with pytest.raises(RowsError, match=f"Rows for view 'every' cannot be written: {told}"):
        pack(EVERY, row("JFK", NOON, **VALUES).with_columns(**change))


def test_a_column_left_out_is_told() -> None:
    with pytest.raises(RowsError, match=r"the frame has no column f8, text. It has i8, at"):
        pack(EVERY, row("JFK", NOON).drop("f8", "text"))
    with pytest.raises(EntityTypeError, match="origin as string, and was given 3"):
        pack(EVERY, row("JFK", NOON).with_columns(origin=pl.lit(3)))


def test_a_view_says_what_it_can_hold() -> None:
    with pytest.raises(ViewError, match="View 'v' has no features"):
        View(name="v", entities={}, features={})
    with pytest.raises(ViewError, match="View 'v' has x as decimal; the types are float64, int64"):
        View(name="v", entities={}, features={"x": "decimal"})  # type: ignore[dict-item]


def test_a_layout_depends_on_names_and_types_alone() -> None:
    turned = View(name="w", entities=EVERY.entities, features=dict(sorted(EVERY.features.items(), reverse=True)))  # fmt: skip
    assert turned.layout.digest == EVERY.layout.digest
    assert layout_from(EVERY.layout.to_json()).digest == EVERY.layout.digest
    other = View(name="w", entities=EVERY.entities, features={**EVERY.features, "f4": "float64"})
    assert other.layout.digest != EVERY.layout.digest


def test_the_bytes_of_version_1_stay_what_they_are() -> None:
    """Stores in the field hold them: another layout needs another `VERSION`."""
    assert VERSION == 1
    assert EVERY.layout.digest == "c1c5e60e79f42b2b"
    (packed,) = pack(EVERY, row("JFK", NOON, **VALUES), origin=3).rows
    assert (
        packed.hex()
        == "0050871d9812060003000000000000009a9999999999b93f000000000000008000acf346971206000000c03fffffff7f02000000090000000c0000000100000000ff5ac3bc72696368616e79"
    )
