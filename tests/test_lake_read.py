"""Reading a table: the same rows from every engine, whatever the table went through, and no file that is not needed."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from lakeline.contract import Contract, Int32, column
from lakeline.lake import Lake
from lakeline.lake.read import UnknownColumnError, read_arrow, scan_duckdb, scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import Target, publish
from lakeline.window import Window

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")
ALL = Window.of_days(DAYS[0], DAYS[-1])
NOON = dt.datetime(2024, 3, 2, 12, tzinfo=dt.UTC)
HOURS = 24


class Sale(Contract, version="1.0"):
    """One row an hour."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    client: str = column("Who bought")
    pieces: Int32 | None = column("How many")
    note: str | None = column("Remark")


class SaleRenamed(Contract, version="1.1"):
    """``client`` is called ``buyer``, ``pieces`` is wide, ``country`` is new."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    buyer: str = column("Who bought", renamed_from="client")
    pieces: int | None = column("How many")
    note: str | None = column("Remark")
    country: str | None = column("Where")


class SaleWithoutNote(Contract, version="2.0"):
    """``note`` is gone."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    buyer: str = column("Who bought")
    pieces: int | None = column("How many")
    country: str | None = column("Where")


class SaleGrown(Contract, version="2.0"):
    """``pieces`` is wide, ``country`` is new, ``note`` is gone, and no name means another column than before."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    client: str = column("Who bought")
    pieces: int | None = column("How many")
    country: str | None = column("Where")


class SaleWithOtherNote(Contract, version="2.1"):
    """Another ``note``, which has nothing to do with the first, and a ``client`` again."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    buyer: str = column("Who bought")
    pieces: int | None = column("How many")
    country: str | None = column("Where")
    note: str | None = column("Remark of the shop")
    client: int | None = column("Number of the customer")


def by_polars(table: Any, window: Window | None = None, columns: Any = None) -> pl.DataFrame:
    return scan_polars(table, window, columns=columns).collect()


def by_handle(table: Any, window: Window | None = None, columns: Any = None) -> pl.DataFrame:
    return scan_polars(table, window, columns=columns, on_read=lambda _: None).collect()


def by_duckdb(table: Any, window: Window | None = None, columns: Any = None) -> pl.DataFrame:
    with duckdb.connect() as connection:
        rows = scan_duckdb(table, connection, window, columns=columns).to_arrow_table()
    return pl.DataFrame(rows)


def by_arrow(table: Any, window: Window | None = None, columns: Any = None) -> pl.DataFrame:
    return pl.DataFrame(read_arrow(table, window, columns=columns))


ENGINES = {"polars": by_polars, "handle": by_handle, "duckdb": by_duckdb, "arrow": by_arrow}
Read = Callable[..., pl.DataFrame]


@pytest.fixture(params=ENGINES)
def read(request: pytest.FixtureRequest) -> Read:
    return ENGINES[request.param]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.in_folder(tmp_path)


def sales(day: str, contract: type[Contract], **values: Any) -> pl.DataFrame:
    """An hour a row; ``values`` fill the columns they name, the others are null."""
    start = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    rows = pl.DataFrame({"event_ts": [start + dt.timedelta(hours=hour) for hour in range(HOURS)]})
    rest = [name for name in contract.columns if name != "event_ts"]
    return rows.with_columns(pl.lit(values.get(name)).alias(name) for name in rest)


def put(lake: Lake, day: str, contract: type[Contract], **values: Any) -> None:
    target = Target(asset="shop/sales", contract=contract, daily=True)
    ledger = Ledger(f"sqlite:///{lake.locks.parent / 'ledger.db'}")
    publish(lake, ledger, target, sales(day, contract, **values), window=Window.of_days(day))


def four_days(lake: Lake) -> Any:
    for number, day in enumerate(DAYS):
        put(lake, day, Sale, client=f"c{number}", pieces=number, note="old")
    return lake.load("shop.sales")


def test_a_window_reads_its_rows_alone(lake: Lake, read: Read):
    table = four_days(lake)
    found = read(table, Window.of_days(DAYS[1], DAYS[2])).sort("event_ts")
    expected = pl.concat(
        sales(day, Sale, client=f"c{n}", pieces=n, note="old").cast({"pieces": pl.Int32})
        for n, day in list(enumerate(DAYS))[1:3]
    )
    assert_frame_equal(found, expected)


def test_a_window_within_a_day_cuts_the_rows_of_its_file(lake: Lake, read: Read):
    table = four_days(lake)
    found = read(table, Window(start=NOON, end=NOON + dt.timedelta(hours=3)))
    hours = [NOON + dt.timedelta(hours=hour) for hour in range(3)]
    assert found["event_ts"].sort().to_list() == hours


def test_without_a_window_all_rows_are_read(lake: Lake, read: Read):
    assert read(four_days(lake)).height == len(DAYS) * HOURS


def test_only_the_files_of_the_window_are_planned(lake: Lake):
    from lakeline.lake.partitions import window_filter

    table = four_days(lake)
    for window, days in ((Window.of_days(DAYS[1]), 1), (Window.of_days(*DAYS[1:3]), 2), (ALL, 4)):
        assert len(list(table.scan(window_filter(table, window)).plan_files())) == days


def test_files_outside_the_window_need_not_even_be_there(lake: Lake, read: Read):
    table = four_days(lake)
    for file in Path(lake.warehouse).rglob("*.parquet"):
        if not file.name.startswith(DAYS[1]):
            file.unlink()
    assert read(table, Window.of_days(DAYS[1])).height == HOURS


def test_only_the_columns_asked_for_come_and_in_that_order(lake: Lake, read: Read):
    found = read(four_days(lake), Window.of_days(DAYS[0]), ["pieces", "client"])
    assert found.columns == ["pieces", "client"]
    assert found.unique().rows() == [(0, "c0")]


def test_a_column_that_is_not_there_is_named(lake: Lake, read: Read):
    with pytest.raises(UnknownColumnError, match=r"'shop\.sales' has no column price"):
        read(four_days(lake), None, ["price", "client"])


def test_a_reader_stays_at_its_snapshot(lake: Lake, read: Read):
    table = four_days(lake)
    put(lake, DAYS[0], Sale, client="late")
    assert read(table, None, ["client"])["client"].unique().sort().to_list() == [
        "c0",
        "c1",
        "c2",
        "c3",
    ]


def test_a_reader_stays_at_its_snapshot_when_the_metadata_file_is_gone(lake: Lake, read: Read):
    table = four_days(lake)
    Path(table.metadata_location.removeprefix("file://")).unlink()
    assert read(table, Window.of_days(DAYS[3]), ["client"])["client"].unique().to_list() == ["c3"]


def test_columns_mean_the_same_in_old_and_new_files(lake: Lake, read: Read):
    put(lake, DAYS[0], Sale, client="a", pieces=1, note="old")
    put(lake, DAYS[1], SaleRenamed, buyer="b", pieces=2**40, note="old", country="NL")
    put(lake, DAYS[2], SaleWithoutNote, buyer="c", pieces=3, country="BE")
    put(lake, DAYS[3], SaleWithOtherNote, buyer="d", note="new", client=7)
    found = read(lake.load("shop.sales"), ALL)
    kept = ["buyer", "pieces", "country", "note", "client"]
    assert found.columns == ["event_ts", *kept]
    assert found.select(kept).unique().sort("buyer").rows() == [
        ("a", 1, None, None, None),
        ("b", 2**40, "NL", None, None),
        ("c", 3, "BE", None, None),
        ("d", None, None, "new", 7),
    ]


def test_old_files_have_wide_and_new_columns_where_no_name_changed(lake: Lake, read: Read):
    four_days(lake)
    put(lake, DAYS[1], SaleGrown, client="b", pieces=2**40, country="EE")
    table = lake.load("shop.sales")
    found = read(table, Window.of_days(DAYS[0], DAYS[1])).sort("event_ts")
    assert found.columns == ["event_ts", "client", "pieces", "country"]
    assert found.schema["pieces"] == pl.Int64
    old, new = found.head(HOURS), found.tail(HOURS)
    assert old.drop("event_ts").unique().rows() == [("c0", 0, None)]
    assert new.drop("event_ts").unique().rows() == [("b", 2**40, "EE")]


def test_a_filter_on_a_renamed_column_finds_old_and_new_rows(lake: Lake):
    put(lake, DAYS[0], Sale, client="a", pieces=1)
    put(lake, DAYS[1], SaleRenamed, buyer="a", pieces=2)
    put(lake, DAYS[2], SaleRenamed, buyer="b", pieces=2)
    table = lake.load("shop.sales")
    assert scan_polars(table).filter(pl.col("buyer") == "a").collect().height == 2 * HOURS
    with duckdb.connect() as connection:
        assert len(scan_duckdb(table, connection).filter("buyer = 'a'").fetchall()) == 2 * HOURS


def test_a_column_that_no_file_has_yet_is_null(lake: Lake, read: Read):
    table = four_days(lake)
    with table.update_schema() as update:
        from pyiceberg.types import DoubleType

        update.add_column("price", DoubleType())
    found = read(table.refresh(), Window.of_days(DAYS[0]), ["price"])
    assert found.schema["price"] == pl.Float64
    assert found["price"].null_count() == HOURS


def test_times_are_utc_whatever_the_zone_of_the_reader(
    lake: Lake, read: Read, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TZ", "America/New_York")
    found = read(four_days(lake), Window.of_days(DAYS[0]), ["event_ts"])
    assert found.schema["event_ts"] == pl.Datetime("us", "UTC")
    assert found["event_ts"].min() == ALL.start


def test_an_empty_table_reads_as_its_columns_without_rows(lake: Lake, read: Read):
    table = lake.open("shop.sales", Sale, daily=True)
    for window in (None, ALL):
        found = read(table, window)
        assert found.height == 0
        assert found.columns == list(Sale.columns)
        assert found.dtypes == [pl.Datetime("us", "UTC"), pl.String, pl.Int32, pl.String]


def test_a_window_without_files_reads_no_rows(lake: Lake, read: Read):
    found = read(four_days(lake), Window.of_days("2025-01-01"), ["client", "pieces"])
    assert found.height == 0
    assert found.columns == ["client", "pieces"]


def test_an_unpartitioned_table_is_read_whatever_the_window(lake: Lake, read: Read):
    target = Target(asset="shop/sales", contract=Sale, daily=False)
    ledger = Ledger(f"sqlite:///{lake.locks.parent / 'ledger.db'}")
    publish(lake, ledger, target, sales(DAYS[0], Sale, client="a"), window=None)
    assert read(lake.load("shop.sales"), Window.of_days(DAYS[3])).height == HOURS


def test_rows_that_another_engine_deleted_are_not_read(
    lake: Lake, read: Read, monkeypatch: pytest.MonkeyPatch
):
    table = four_days(lake)
    delete_by_position(table, DAYS[1], [0, 5, 23], monkeypatch)
    table.refresh()
    found = read(table, Window.of_days(DAYS[1]))
    assert found.height == HOURS - 3
    assert not {0, 5, 23} & set(found["event_ts"].dt.hour())
    assert read(table, None, ["client"]).height == len(DAYS) * HOURS - 3


def delete_by_position(
    table: Any, day: str, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge-on-read delete, as Spark and DuckDB write them and pyiceberg cannot: its manifest is relabelled."""
    from pyiceberg.manifest import (
        DataFile,
        DataFileContent,
        FileFormat,
        ManifestContent,
        ManifestWriterV2,
    )

    target = next(
        task.file for task in table.scan().plan_files() if f"/{day}-" in task.file.file_path
    )
    ids = {"file_path": "2147483546", "pos": "2147483545"}  # reserved by Iceberg's specification
    schema = pa.schema(
        [
            pa.field(name, kind, nullable=False, metadata={"PARQUET:field_id": ids[name]})
            for name, kind in (("file_path", pa.string()), ("pos", pa.int64()))
        ]
    )
    path = f"{table.location()}/data/{day}-deletes.parquet"
    positions = pa.table([[target.file_path] * len(rows), rows], schema=schema)
    pq.write_table(positions, path.removeprefix("file://"))
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=target.partition,
        record_count=len(rows),
        file_size_in_bytes=Path(path.removeprefix("file://")).stat().st_size,
        spec_id=target.spec_id,
    )
    with monkeypatch.context() as patched:
        patched.setattr(ManifestWriterV2, "content", lambda _: ManifestContent.DELETES)
        with (
            table.transaction() as transaction,
            transaction.update_snapshot().fast_append() as append,
        ):
            append.append_data_file(deletes)


def columns_told(lake: Lake, use: Callable[[pl.LazyFrame], pl.LazyFrame]) -> list[list[str]]:
    told: list[list[str]] = []
    lazy = scan_polars(four_days(lake), ALL, on_read=lambda columns: told.append(list(columns)))
    assert told == []
    use(lazy).collect()
    return told


def test_exactly_the_columns_that_were_used_are_told(lake: Lake):
    assert columns_told(lake, lambda rows: rows.select("client")) == [["client"]]


def test_columns_of_a_filter_are_told(lake: Lake):
    told = columns_told(lake, lambda rows: rows.filter(pl.col("pieces") > 1).select("client"))
    assert told == [["client", "pieces"]]


def test_columns_of_an_aggregate_are_told(lake: Lake):
    told = columns_told(lake, lambda rows: rows.group_by("client").agg(pl.col("pieces").sum()))
    assert told == [["client", "pieces"]]


def test_all_columns_are_told_where_all_are_kept(lake: Lake):
    assert columns_told(lake, lambda rows: rows) == [sorted(Sale.columns)]


def test_no_columns_are_told_where_rows_are_only_numbered(lake: Lake):
    assert columns_told(lake, lambda rows: rows.with_row_index().select("index")) == [[]]


NUMBERED: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "row index": lambda rows: rows.with_row_index().select("index"),
    "range": lambda rows: rows.select(pl.int_range(pl.len())),
    "first rows": lambda rows: rows.head(7).with_row_index().select("index"),
    "last rows": lambda rows: rows.tail(7).select(pl.int_range(pl.len())),
    "filtered": lambda rows: rows.filter(pl.col("pieces") > 1).with_row_index().select("index"),
    "crossed": lambda rows: rows.select("client").join(
        rows.with_row_index().select("index"), how="cross"
    ),
}


@pytest.mark.parametrize("use", NUMBERED.values(), ids=NUMBERED)
@pytest.mark.parametrize("is_plain", [True, False], ids=["files", "iceberg"])
@pytest.mark.parametrize("on_read", [None, lambda _: None], ids=["polars", "handle"])
def test_rows_of_no_column_are_still_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, *, use: Any, is_plain: bool, on_read: Any
):
    table, cut = four_days(lake), Window(start=NOON, end=ALL.end)
    monkeypatch.setattr("lakeline.lake.read._is_plain", lambda *_: is_plain)
    for window in (None, ALL, cut):
        lazy = scan_polars(table, window, on_read=on_read)
        found, wanted = use(lazy).collect(), use(lazy.collect().lazy()).collect()
        assert found.shape == wanted.shape
        assert_frame_equal(found, wanted, check_row_order=False)


def test_a_read_of_no_column_has_all_rows(lake: Lake):
    table = four_days(lake)
    for on_read in (None, lambda _: None):
        lazy = scan_polars(table, ALL, columns=[], on_read=on_read)
        assert lazy.with_row_index().collect().height == len(DAYS) * HOURS
    assert read_arrow(table, ALL, columns=[]).num_rows == len(DAYS) * HOURS


def test_a_limited_read_keeps_its_filter(lake: Lake):
    table = four_days(lake)
    lazy = scan_polars(table, on_read=lambda _: None)
    found = lazy.filter(pl.col("client") == "c3").select("pieces").head(2).collect()
    assert found["pieces"].to_list() == [3, 3]
