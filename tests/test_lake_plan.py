"""Which files a read is planned to touch, by days and from manifests that are read once."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.lake import Lake
from lakeline.lake.plan import Plan, plan
from lakeline.lake.read import scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import Target, publish
from lakeline.window import Window

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
NOON = dt.datetime(2024, 3, 2, 12, tzinfo=dt.UTC)


class Visit(Contract, version="1.0"):
    """One row a visit."""

    visit_ts: dt.datetime = column("When", event_time=True, key=True)
    page: str = column("Where")


def visits(*moments: dt.datetime) -> pl.DataFrame:
    times = pl.Series(moments, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"visit_ts": times}).with_columns(page=pl.lit("/"))


def midnight(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)


def put(lake: Lake, day: str, *, rows: int = 1) -> Any:
    target = Target(asset="shop/visits", contract=Visit, daily=True)
    ledger = Ledger(f"sqlite:///{lake.locks.parent / 'ledger.db'}")
    hours = [midnight(day) + dt.timedelta(hours=hour) for hour in range(rows)]
    publish(lake, ledger, target, visits(*hours), window=Window.of_days(day))
    return lake.load("shop.visits")


@pytest.fixture
def table(tmp_path: Path) -> Any:
    lake = Lake.in_folder(tmp_path)
    for day in reversed(DAYS):
        put(lake, day)
    return lake.load("shop.visits")


def planned(table: Any, window: Window | None = None, **given: Any) -> Plan:
    found = plan(table, window, **given)
    assert found is not None
    return found


def days(found: Plan) -> list[str]:
    return [file.partition for file in found.files]


def test_all_files_come_in_order_of_their_days(table: Any):
    found = planned(table)
    assert days(found) == list(DAYS)
    assert found.is_whole
    assert not found.has_deletes


def test_whole_days_need_no_look_at_their_rows(table: Any):
    found = planned(table, Window.of_days(DAYS[1], DAYS[2]))
    assert (days(found), found.is_whole) == ([DAYS[1], DAYS[2]], True)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (NOON, NOON + dt.timedelta(hours=1), [DAYS[1]]),
        (NOON, midnight(DAYS[2]), [DAYS[1]]),
        (NOON, midnight(DAYS[2]) + dt.timedelta(microseconds=1), [DAYS[1], DAYS[2]]),
        (midnight(DAYS[1]), NOON, [DAYS[1]]),
        (midnight(DAYS[0]) - dt.timedelta(days=9), NOON, [DAYS[0], DAYS[1]]),
    ],
)
def test_a_window_that_cuts_days_names_them_and_says_so(
    table: Any, start: dt.datetime, end: dt.datetime, expected: list[str]
):
    found = planned(table, Window(start=start, end=end))
    assert (days(found), found.is_whole) == (expected, False)


def test_a_window_without_files_plans_none(table: Any):
    assert planned(table, Window.of_days("2030-01-01")).files == ()


def test_a_pinned_table_keeps_its_files(table: Any, tmp_path: Path):
    before = planned(table)
    now = planned(put(Lake.in_folder(tmp_path), DAYS[0], rows=5))
    assert planned(table) == before
    assert days(now) == days(before)
    assert now.files[0] != before.files[0]
    assert now.files[1:] == before.files[1:]


def test_a_manifest_is_read_once(table: Any, monkeypatch: pytest.MonkeyPatch):
    from pyiceberg.manifest import ManifestFile

    first = planned(table)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a manifest was read again")

    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", refused)
    assert planned(table) == first


def test_another_partitioning_is_left_to_iceberg_and_reads_the_same(tmp_path: Path):
    table = foreign(tmp_path, transform="hour")
    table.append(visits(NOON, NOON + dt.timedelta(hours=1)).to_arrow())
    window = Window(start=NOON, end=NOON + dt.timedelta(hours=1))
    assert plan(table, window) is None
    assert scan_polars(table, window).collect().height == 1
    assert scan_polars(table).collect().height == 2


def test_rows_of_no_day_are_read_without_a_window_and_by_none(tmp_path: Path):
    table = foreign(tmp_path, transform="day")
    nowhere = pl.DataFrame({"visit_ts": [None], "page": ["/lost"]}, schema=visits().schema)
    table.append(pl.concat([visits(NOON), nowhere]).to_arrow())
    window = Window.of_days(DAYS[1])
    assert not planned(table, window).is_whole
    assert scan_polars(table, window).collect()["page"].to_list() == ["/"]
    assert sorted(scan_polars(table).collect()["page"]) == ["/", "/lost"]


def foreign(folder: Path, *, transform: str) -> Any:
    """A table that another engine made and parted."""
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import parse_transform

    from lakeline.contract.iceberg import iceberg_schema

    catalog = SqlCatalog("other", uri=f"sqlite:///{folder}/other.db", warehouse=f"file://{folder}")
    catalog.create_namespace("shop")
    parted = PartitionField(
        source_id=1, field_id=1000, transform=parse_transform(transform), name="at"
    )
    return catalog.create_table(
        "shop.visits", iceberg_schema(Visit), partition_spec=PartitionSpec(parted)
    )


def test_a_new_process_reads_only_the_manifests_of_the_days_it_asks_for(
    table: Any, monkeypatch: pytest.MonkeyPatch
):
    from pyiceberg.manifest import ManifestFile

    from lakeline.lake.plan import _files_of

    read: list[str] = []
    real = ManifestFile.fetch_manifest_entry

    def counted(self: ManifestFile, *given: Any, **named: Any) -> Any:
        read.append(self.manifest_path)
        return real(self, *given, **named)

    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", counted)
    _files_of.cache_clear()
    assert days(planned(table, Window.of_days(DAYS[1]))) == [DAYS[1]]
    assert len(read) == 1
    assert days(planned(table, Window(start=NOON, end=NOON + dt.timedelta(days=1)))) == [*DAYS[1:]]
    assert len(read) == 2
    assert days(planned(table)) == list(DAYS)
    assert len(read) == 3
