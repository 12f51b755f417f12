"""What lands is seen once, whatever restarts; what cannot be seen changes nothing; the clock and the order of things do no harm."""

import datetime as dt
import importlib
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, HourTransform, IdentityTransform, MonthTransform
from pyiceberg.types import DateType, LongType, NestedField, TimestamptzType

from lakeline.domain.node import node_of
from lakeline.errors import LedgerUnavailableError, MissingExtraError, SourceError
from lakeline.freshness.declared import graph_of
from lakeline.freshness.file_names import FileNames, PatternError
from lakeline.freshness.files import AHEAD, Files, TooManyFilesError
from lakeline.freshness.iceberg_source import NoDaysError, NoSuchTimeError
from lakeline.freshness.landing import (
    IcebergSource,
    Observation,
    Observer,
    Query,
    bucket,
    folder,
    landing_sensor,
)
from lakeline.freshness.observing import (
    BACKWARDS,
    LANDING,
    ObservationError,
    SourceUnreachableError,
    SourceVanishedError,
)
from lakeline.freshness.query import QueryResultError
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.sources import source_of
from lakeline.ledger import Build, Cost, Input, Ledger
from lakeline.resource import Lakehouse
from tests.services import S3, s3_client

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ORDERS = "shop/orders"
SOURCE = source_of(ORDERS)
PATTERN = "orders-%Y-%m-%d.csv"
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    made.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def day(number: int) -> str:
    return f"2026-01-{number:02}"


def end_of(number: int) -> dt.datetime:
    return dt.datetime(2026, 1, number, tzinfo=dt.UTC) + DAY


def land(inbox: Path, name: str, text: str = "x", written: dt.datetime = NOW - DAY) -> Path:
    """A file that was written at a time, an hour for its neighbours' sake."""
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (written.timestamp(), written.timestamp()))
    return path


def watching(inbox: Path, pattern: Any = PATTERN, *, wall: dt.datetime = NOW, **more: Any) -> Files:
    return folder(ORDERS, inbox, pattern, wall=lambda: wall, **more)


# --- files in a folder ------------------------------------------------------------------------


def test_new_changed_and_deleted_files_change_their_days(inbox, ledger):
    for number in (1, 2, 3):
        land(inbox, f"orders-{day(number)}.csv")
    first = watching(inbox).observe(ledger, NOW)
    assert first == Observation(changed=(day(1), day(2), day(3)), watermark=end_of(3))
    assert ledger.sources()[SOURCE].watermark == end_of(3)
    land(inbox, f"orders-{day(2)}.csv", "other")
    (inbox / f"orders-{day(1)}.csv").unlink()
    land(inbox, f"orders-{day(4)}.csv")
    assert watching(inbox).observe(ledger, NOW).changed == (day(1), day(2), day(4))
    assert sorted(ledger.versions(SOURCE)) == [day(2), day(3), day(4)]


def test_a_second_look_and_a_restart_find_nothing(inbox, ledger):
    land(inbox, f"orders-{day(1)}.csv")
    watching(inbox).observe(ledger, NOW)
    before = ledger.changes()
    again = Ledger(ledger.url)
    assert watching(inbox).observe(again, NOW + DAY).changed == ()
    assert again.changes() == before
    assert again.sources()[SOURCE].observed_ts == NOW + DAY
    again.close()


def test_a_restated_file_marks_what_was_read_from_it(inbox, ledger):
    land(inbox, f"orders-{day(1)}.csv")
    watching(inbox).observe(ledger, NOW)
    version = ledger.versions(SOURCE)[day(1)]
    read = Input(asset=SOURCE, partition=day(1), version=version)
    ledger.begin("b", [Build(asset=ORDERS, partition=day(1), version="1", inputs=(read,))], NOW)
    ledger.publish("b", None, Cost(started_ts=NOW, ended_ts=NOW, cpu_s=0, peak_rss_bytes=0))
    assert ledger.marked() == []
    land(inbox, f"orders-{day(1)}.csv", "other")
    watching(inbox).observe(ledger, NOW)
    assert [(one.asset, one.because_asset) for one in ledger.marked()] == [(ORDERS, SOURCE)]


def test_files_of_other_names_are_no_matter(inbox, ledger):
    for name in ("orders-2026-01-01.csv.tmp", "readme.md", f"old/orders-{day(1)}.csv"):
        land(inbox, name)
    assert watching(inbox).observe(ledger, NOW) == Observation(changed=(), watermark=None)


def test_a_day_that_never_was_is_told_of(inbox, ledger):
    land(inbox, "orders-2026-02-30.csv")
    (note,) = watching(inbox).observe(ledger, NOW).notes
    assert note == f"'{SOURCE}' has files of days that never were: orders-2026-02-30.csv."


def test_a_day_of_several_files_waits_for_all_and_changes_with_each(inbox, ledger):
    observer = watching(inbox, "%Y/%m/%d/part-*.csv", files_a_day=2)
    land(inbox, "2026/01/01/part-a.csv")
    found = observer.observe(ledger, NOW)
    assert found.changed == ()
    assert found.notes == (f"'{SOURCE}' waits for {day(1)}: 1 of 2 files are there.",)
    land(inbox, "2026/01/01/part-b.csv")
    assert observer.observe(ledger, NOW).changed == (day(1),)
    land(inbox, "2026/01/01/part-b.csv", "other")
    assert observer.observe(ledger, NOW).changed == (day(1),)


def test_a_file_without_a_day_is_the_one_partition(inbox, ledger):
    land(inbox, "planes.csv")
    found = watching(inbox, "planes.csv").observe(ledger, NOW)
    assert found == Observation(changed=("",), watermark=None)
    assert watching(inbox, re.compile(r"planes\.csv")).observe(ledger, NOW).changed == ()


def test_a_day_that_is_not_over_waits_so_that_a_name_from_the_future_promises_nothing(
    inbox, ledger
):
    for name in (day(9), day(10), "2099-01-01"):
        land(inbox, f"orders-{name}.csv")
    found = watching(inbox).observe(ledger, NOW)
    assert found.changed == (day(9),)
    assert found.watermark == end_of(9)
    assert found.notes == (f"'{SOURCE}' waits with {day(10)}, 2099-01-01: not over yet.",)
    assert watching(inbox).observe(ledger, NOW + DAY).changed == (day(10),)


def test_in_order_a_day_waits_until_none_before_it_is_missing(inbox, ledger):
    observer = watching(inbox, in_order=True)
    for number in (1, 2, 4, 5):
        land(inbox, f"orders-{day(number)}.csv")
    found = observer.observe(ledger, NOW)
    assert found.changed == (day(1), day(2))
    assert found.watermark == end_of(2)
    assert found.notes == (f"'{SOURCE}' waits with {day(4)}, {day(5)}: {day(3)} is missing.",)
    land(inbox, f"orders-{day(3)}.csv")
    found = observer.observe(ledger, NOW)
    assert (found.changed, found.watermark) == ((day(3), day(4), day(5)), end_of(5))


def test_looking_back_some_days_leaves_the_earlier_ones_as_they_are(inbox, ledger):
    for number in (1, 8, 9):
        land(inbox, f"orders-{day(number)}.csv")
    watching(inbox).observe(ledger, NOW)
    for number in (1, 8, 9):
        land(inbox, f"orders-{day(number)}.csv", "other")
    observer = watching(inbox, look_back_days=2)
    assert observer.observe(ledger, NOW).changed == (day(9),)
    (inbox / f"orders-{day(9)}.csv").unlink()
    found = observer.observe(ledger, NOW)
    assert (found.changed, found.watermark) == ((day(9),), end_of(8))


def test_looking_back_lists_only_the_folders_of_those_days(inbox, ledger):
    for number in range(1, 10):
        land(inbox, f"2026/01/{number:02}/part.csv")
    observer = watching(inbox, "%Y/%m/%d/part.csv", look_back_days=3, limit=2)
    assert observer.observe(ledger, NOW).changed == (day(8), day(9))


def test_more_files_than_a_tick_should_look_at_are_an_error(inbox, ledger):
    for number in range(1, 4):
        land(inbox, f"orders-{day(number)}.csv")
    with pytest.raises(
        TooManyFilesError, match=r"has more than 2 files to look at\. Look back fewer"
    ):
        watching(inbox, limit=2).observe(ledger, NOW)
    assert ledger.versions(SOURCE) == {}


# --- files that are still being written, and clocks -------------------------------------------


def test_a_young_file_waits_until_it_was_left_alone(inbox, ledger):
    name = f"orders-{day(1)}.csv"
    land(inbox, name, "half", written=NOW - dt.timedelta(seconds=20))
    found = watching(inbox).observe(ledger, NOW)
    assert found.changed == ()
    assert found.notes == (f"'{SOURCE}' waits for {day(1)}: a file may still be written.",)
    land(inbox, name, "half and more", written=NOW + dt.timedelta(seconds=5))
    later = NOW + dt.timedelta(seconds=30)
    assert watching(inbox, wall=later).observe(ledger, NOW).changed == ()
    assert watching(inbox, wall=later + dt.timedelta(seconds=5)).observe(ledger, NOW).changed == (
        day(1),
    )


def test_a_file_that_is_written_anew_leaves_its_day_as_it_was_for_so_long(inbox, ledger):
    name = f"orders-{day(1)}.csv"
    land(inbox, name)
    watching(inbox).observe(ledger, NOW)
    before = ledger.versions(SOURCE)
    land(inbox, name, "half", written=NOW)
    assert watching(inbox).observe(ledger, NOW).changed == ()
    assert ledger.versions(SOURCE) == before
    settled = NOW + dt.timedelta(seconds=30)
    assert watching(inbox, wall=settled).observe(ledger, NOW).changed == (day(1),)


def test_a_file_dated_ahead_waits_until_this_machine_has_seen_it_unchanged(inbox, ledger):
    name = f"orders-{day(1)}.csv"
    ahead = NOW + dt.timedelta(hours=3)
    land(inbox, name, "half", written=ahead)
    found = watching(inbox).observe(ledger, NOW)
    assert found.changed == ()
    assert (
        f"has files dated ahead of this machine's clock by up to 3:00:00: {name}" in found.notes[1]
    )
    land(inbox, name, "all of it", written=ahead)
    seconds = dt.timedelta(seconds=1)
    # It has grown: its thirty seconds begin anew, and a restart does not lose count of them.
    assert watching(inbox, wall=NOW + 31 * seconds).observe(ledger, NOW).changed == ()
    assert watching(inbox, wall=NOW + 60 * seconds).observe(ledger, NOW).changed == ()
    assert watching(inbox, wall=NOW + 61 * seconds).observe(ledger, NOW).changed == (day(1),)
    assert watching(inbox, wall=NOW + 62 * seconds).observe(ledger, NOW).changed == ()
    assert [one.state for one in ledger.states(name=AHEAD)] == ["ahead"]
    assert watching(inbox, wall=ahead + DAY).observe(ledger, NOW).notes == ()
    assert [one.state for one in ledger.states(name=AHEAD)] == ["none"]


def test_a_clock_that_was_set_back_makes_a_file_wait_again_and_not_forever(inbox, ledger):
    land(inbox, f"orders-{day(1)}.csv", written=NOW + 30 * DAY)
    watching(inbox, wall=NOW).observe(ledger, NOW)
    back = NOW - DAY
    assert watching(inbox, wall=back).observe(ledger, NOW).changed == ()
    again = back + dt.timedelta(seconds=30)
    assert watching(inbox, wall=again).observe(ledger, NOW).changed == (day(1),)


def test_a_growing_file_from_a_clock_behind_is_seen_again_when_it_is_whole(inbox, ledger):
    name = f"orders-{day(1)}.csv"
    land(inbox, name, "half", written=NOW - dt.timedelta(hours=1))
    assert watching(inbox).observe(ledger, NOW).changed == (day(1),)
    land(inbox, name, "all of it", written=NOW - dt.timedelta(minutes=59))
    assert watching(inbox).observe(ledger, NOW).changed == (day(1),)


# --- what goes wrong --------------------------------------------------------------------------


def test_a_folder_that_is_not_there_changes_nothing_and_is_named(inbox, ledger):
    land(inbox, f"orders-{day(1)}.csv")
    watching(inbox).observe(ledger, NOW)
    inbox.rename(inbox.with_name("elsewhere"))
    with pytest.raises(SourceUnreachableError) as caught:
        watching(inbox, look_back_days=3).observe(ledger, NOW)
    assert str(caught.value) == (
        f"'{SOURCE}' at {inbox} cannot be looked at: [Errno 2] No such file or directory: '{inbox}'. Check that the "
        "folder is there, mounted, and can be read. What the ledger knows of it is left as it was, and the next tick looks again."
    )
    assert set(ledger.versions(SOURCE)) == {day(1)}


def test_a_folder_that_was_emptied_is_no_news_of_deletion(inbox, ledger):
    path = land(inbox, f"orders-{day(1)}.csv")
    watching(inbox).observe(ledger, NOW)
    path.unlink()
    with pytest.raises(
        SourceVanishedError, match=rf"is empty, and it had 1 partitions \({day(1)}\)"
    ):
        watching(inbox).observe(ledger, NOW)
    assert set(ledger.versions(SOURCE)) == {day(1)}
    ledger.forget(SOURCE, [day(1)])
    assert watching(inbox).observe(ledger, NOW).changed == ()


def test_a_watermark_that_goes_backwards_is_stored_and_stated_until_it_is_back(inbox, ledger):
    for number in (1, 2, 3):
        land(inbox, f"orders-{day(number)}.csv")
    watching(inbox).observe(ledger, NOW)
    assert ledger.states(name=BACKWARDS) == []
    (inbox / f"orders-{day(3)}.csv").unlink()
    for _ in range(2):
        found = watching(inbox).observe(ledger, NOW)
        assert found.notes == (
            f"'{SOURCE}' reaches 2026-01-03 00:00 UTC, and reached 2026-01-04 00:00 UTC before.",
        )
    known = ledger.sources()[SOURCE]
    assert (known.watermark, known.highest) == (end_of(2), end_of(3))
    (state,) = ledger.states(name=BACKWARDS)
    assert (state.asset, state.state) == (SOURCE, "backwards")
    land(inbox, f"orders-{day(3)}.csv")
    assert watching(inbox).observe(ledger, NOW).notes == ()
    assert [one.state for one in ledger.states(name=BACKWARDS)] == ["forwards"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("orders-%Y-%m.csv", "says year and month, which is no whole day"),
        ("orders-%Y-%j.csv", "has %j, which means nothing here"),
        (re.compile(r"(?P<day>\d\d)\.csv"), "says day, which is no whole day"),
    ],
)
def test_a_pattern_with_part_of_a_day_is_refused(pattern, problem):
    with pytest.raises(PatternError, match=problem):
        folder(ORDERS, "/nowhere", pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("%Y/%m/orders-%Y%m%d*.csv", "2026/01/orders-20260105-b.csv", day(5)),
        ("%Y/%m/orders-%Y%m%d*.csv", "2025/01/orders-20260105.csv", None),
        ("**/%Y-%m-%d.csv", "a/b/2026-01-05.csv", day(5)),
        ("*/%Y-%m-%d.csv", "a/b/2026-01-05.csv", None),
        ("%Y-%m-%dT%H%M%S.?sv", "2026-01-05T120000.tsv", day(5)),
        ("a.b/100%%-%Y-%m-%d", "a.b/100%-2026-01-05", day(5)),
        ("a.b-%Y-%m-%d", "aXb-2026-01-05", None),
        (re.compile(r"(?P<year>\d+)_(?P<day>\d+)_(?P<month>\d+)"), "2026_5_1", day(5)),
    ],
)
def test_names_say_their_day(pattern, name, expected):
    assert FileNames(pattern).day_of(name) == expected


# --- an Iceberg table of another engine -------------------------------------------------------

EVENTS = Schema(
    NestedField(1, "event_ts", TimestamptzType()),
    NestedField(2, "amount", LongType()),
    NestedField(3, "booked", DateType()),
)


@dataclass(kw_only=True)
class Engine:
    """Another engine, with a catalog of its own."""

    catalog: SqlCatalog

    def make(self, *parts: PartitionField) -> Table:
        return self.catalog.create_table(
            "shop.events", EVENTS, partition_spec=PartitionSpec(*parts)
        )

    def append(self, *moments: str) -> None:
        times = [dt.datetime.fromisoformat(one).replace(tzinfo=dt.UTC) for one in moments]
        rows = pa.table(
            {
                "event_ts": pa.array(times, pa.timestamp("us", "UTC")),
                "amount": pa.array(range(len(times)), pa.int64()),
                "booked": pa.array([one.date() for one in times], pa.date32()),
            }
        )
        self.table().append(rows)

    def table(self) -> Table:
        return self.catalog.load_table("shop.events")

    def source(self, **more: Any) -> IcebergSource:
        return IcebergSource(asset=ORDERS, table=self.table, where="shop.events", **more)


BY_DAY = PartitionField(1, 1000, DayTransform(), "event_day")
BY_HOUR = PartitionField(1, 1000, HourTransform(), "event_hour")
BY_DATE = PartitionField(3, 1000, IdentityTransform(), "booked")
BY_MONTH = PartitionField(1, 1000, MonthTransform(), "event_month")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    catalog = SqlCatalog(
        "other", uri=f"sqlite:///{tmp_path / 'other.db'}", warehouse=f"file://{tmp_path / 'other'}"
    )
    catalog.create_namespace("shop")
    yield Engine(catalog=catalog)
    catalog.close()


@pytest.mark.parametrize("part", [BY_DAY, BY_HOUR, BY_DATE], ids=["day", "hour", "date"])
def test_a_commit_changes_the_days_that_it_touches(engine, ledger, part):
    engine.make(part)
    engine.append("2026-01-01T10:00", "2026-01-02T10:00", "2026-01-02T11:00")
    found = engine.source().observe(ledger, NOW)
    assert found == Observation(changed=(day(1), day(2)), watermark=end_of(2))
    engine.append("2026-01-02T12:00", "2026-01-03T10:00")
    found = engine.source().observe(ledger, NOW)
    assert found == Observation(changed=(day(2), day(3)), watermark=end_of(3))
    engine.table().delete("booked == '2026-01-01'")
    assert engine.source().observe(ledger, NOW).changed == (day(1),)


def test_rows_that_are_deleted_from_a_day_change_it(engine, ledger):
    engine.make(BY_DAY)
    engine.append("2026-01-01T10:00", "2026-01-01T11:00")
    engine.append("2026-01-02T10:00")
    engine.source().observe(ledger, NOW)
    engine.table().delete("event_ts < '2026-01-01T10:30:00+00:00'")
    assert engine.source().observe(ledger, NOW).changed == (day(1),)


def test_a_snapshot_is_read_once(engine, ledger, monkeypatch):
    engine.make(BY_DAY)
    engine.append("2026-01-01T10:00", "2026-01-10T10:00")
    assert engine.source().observe(ledger, NOW).changed == (day(1),)
    with monkeypatch.context() as patched:
        patched.setattr(IcebergSource, "_read", lambda *_: pytest.fail("read again"))
        assert engine.source().observe(ledger, NOW).changed == ()
        # The tenth is over meanwhile, and is known of without another look.
        assert engine.source().observe(ledger, NOW + DAY).changed == (day(10),)
        ledger.forget(SOURCE, [day(1)])
        assert engine.source().observe(ledger, NOW + DAY).changed == (day(1),)


def test_the_greatest_event_time_is_the_watermark_and_takes_the_day_under_way(engine, ledger):
    engine.make(BY_DAY)
    engine.append("2026-01-09T10:00", "2026-01-10T08:30", "2026-01-12T00:00")
    source = engine.source(event_time="event_ts")
    found = source.observe(ledger, NOW)
    assert found.changed == (day(9), day(10))
    assert found.watermark == NOW  # never ahead of the clock
    assert found.notes == (f"'{SOURCE}' waits with {day(12)}: not begun yet.",)
    assert source.observe(ledger, NOW).watermark == NOW


@pytest.mark.parametrize("parts", [(), (BY_MONTH,)], ids=["not parted", "by month"])
def test_the_statistics_tell_the_days_of_a_table_that_is_parted_otherwise(engine, ledger, parts):
    engine.make(*parts)
    engine.append("2026-01-01T10:00", "2026-01-03T10:00")
    source = engine.source(event_time="event_ts")
    found = source.observe(ledger, NOW)
    assert found.changed == (day(1), day(2), day(3))
    assert found.watermark == dt.datetime(2026, 1, 3, 10, tzinfo=dt.UTC)
    engine.append("2026-01-03T12:00")
    assert source.observe(ledger, NOW).changed == (day(3),)


def test_without_days_a_table_is_refused_or_one_partition(engine, ledger):
    engine.make()
    engine.append("2026-01-01T10:00")
    with pytest.raises(
        NoDaysError, match=r"does not say of which day .* or declare is_daily=False"
    ):
        engine.source().observe(ledger, NOW)
    whole = engine.source(is_daily=False)
    assert whole.observe(ledger, NOW) == Observation(changed=("",), watermark=None)
    assert whole.observe(ledger, NOW).changed == ()
    engine.append("2026-01-01T11:00")
    assert whole.observe(ledger, NOW).changed == ("",)


@pytest.mark.parametrize(
    ("column", "problem"), [("when", "it does not have"), ("amount", "is long")]
)
def test_a_column_that_is_no_time_is_refused(engine, ledger, column, problem):
    engine.make(BY_DAY)
    engine.append("2026-01-01T10:00")
    with pytest.raises(NoSuchTimeError, match=f"as far as its column {column}, which {problem}"):
        engine.source(event_time=column).observe(ledger, NOW)


def test_a_table_without_rows_has_no_days_yet(engine, ledger):
    engine.make(BY_DAY)
    assert engine.source().observe(ledger, NOW) == Observation(changed=(), watermark=None)


def test_a_table_that_is_not_there_is_named(engine, ledger):
    with pytest.raises(
        SourceUnreachableError, match=r"at shop\.events cannot be looked at: .*Check its name"
    ):
        engine.source().observe(ledger, NOW)


def test_files_that_are_gone_are_an_error_that_names_the_table(engine, ledger, tmp_path):
    engine.make(BY_DAY)
    engine.append("2026-01-01T10:00")
    (tmp_path / "other").rename(tmp_path / "moved")
    with pytest.raises(SourceUnreachableError, match="Check that its catalog answers"):
        engine.source().observe(ledger, NOW)


# --- a query ----------------------------------------------------------------------------------

SQL = "select date(at), count(*), max(updated) from orders group by 1"


@dataclass(kw_only=True)
class Shop:
    """A database of its own."""

    path: Path

    def run(self, sql: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.executescript(sql)
        connection.close()

    def add(self, at: str, updated: str = "2026-01-10 10:00") -> None:
        self.run(f"insert into orders values ('{at}', '{updated}')")

    def source(self, sql: str = SQL, **more: Any) -> Query:
        return Query(asset=ORDERS, url=f"sqlite:///{self.path}", sql=sql, **more)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(path=tmp_path / "shop.db")
    made.run("create table orders (at text, updated text)")
    return made


def test_a_row_more_or_a_later_change_changes_its_day(shop, ledger):
    for at in ("2026-01-01 10:00", "2026-01-02 10:00", "2026-01-10 10:00"):
        shop.add(at)
    found = shop.source().observe(ledger, NOW)
    assert (found.changed, found.watermark) == ((day(1), day(2)), end_of(2))
    assert ledger.versions(SOURCE)[day(1)] == "1|2026-01-10 10:00"
    shop.add("2026-01-02 11:00")
    shop.run("update orders set updated = '2026-01-10 11:00' where at like '2026-01-01%'")
    assert shop.source().observe(ledger, NOW).changed == (day(1), day(2))
    shop.run("delete from orders where at like '2026-01-01%'")
    assert shop.source().observe(ledger, NOW).changed == (day(1),)
    assert shop.source().observe(ledger, NOW).changed == ()


def test_a_watermark_of_its_own_takes_the_day_under_way(shop, ledger):
    shop.add("2026-01-10 10:00")
    for said in ("2026-01-10 11:00", "2026-01-10T12:00+01:00"):
        source = shop.source(watermark_sql=f"select '{said}'")
        assert source.observe(ledger, NOW).watermark == NOW - dt.timedelta(hours=1)
    assert set(ledger.versions(SOURCE)) == {day(10)}
    assert shop.source(watermark_sql="select '2026-02-01'").observe(ledger, NOW).watermark == NOW
    assert shop.source(watermark_sql="select null").observe(ledger, NOW).watermark is None


def test_a_query_looks_back_some_days_and_leaves_the_others(shop, ledger):
    for number in (1, 8, 9):
        shop.add(f"{day(number)} 10:00")
    shop.source().observe(ledger, NOW)
    shop.run("update orders set updated = 'x'")
    recent = "select date(at), count(*), max(updated) from orders where at >= :since group by 1"
    assert shop.source(recent, look_back_days=3).observe(ledger, NOW).changed == (day(8), day(9))
    assert shop.source(recent).observe(ledger, NOW).changed == (day(1),)


def test_a_query_without_days_is_one_partition(shop, ledger):
    source = shop.source("select count(*), max(updated) from orders", is_daily=False)
    assert source.observe(ledger, NOW) == Observation(changed=("",), watermark=None)
    assert source.observe(ledger, NOW).changed == ()
    shop.add("2026-01-01")
    assert source.observe(ledger, NOW).changed == ("",)
    assert ledger.versions(SOURCE) == {"": "1|2026-01-10 10:00"}


@pytest.mark.parametrize(
    ("sql", "more", "problem"),
    [
        ("select date(at) from orders", {}, "gives days without a version"),
        ("select date(at), at from orders", {}, "gives 2026-01-01 twice"),
        ("select updated || 'x', 1 from orders limit 1", {}, ""),
        ("select null, 1", {}, "gives None for a day"),
        ("select 'monday', 1", {}, "gives 'monday' for a day"),
        ("select at, 1 from orders", {"limit": 1}, "gives more than 1 rows"),
        ("select 1 from orders", {"is_daily": False}, "gives 2 rows, and is not daily"),
        (SQL, {"watermark_sql": "select 'soon'"}, "gives 'soon' for a watermark"),
    ],
)
def test_another_result_is_refused(shop, ledger, sql, more, problem):
    shop.add("2026-01-01 10:00")
    shop.add("2026-01-01 11:00")
    if not problem:
        shop.source(sql, **more).observe(ledger, NOW)  # text after a date is no matter
        return
    with pytest.raises(QueryResultError, match=f"The query of '{SOURCE}' {problem}"):
        shop.source(sql, **more).observe(ledger, NOW)
    assert ledger.versions(SOURCE) == {}


def test_a_query_that_the_database_refuses_is_told_in_its_words(shop, ledger):
    with pytest.raises(
        SourceUnreachableError, match=r"cannot be looked at: no such table: absent\."
    ):
        shop.source("select at, 1 from absent").observe(ledger, NOW)


def test_a_database_without_its_driver_names_the_extra(ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    query = Query(asset=ORDERS, url="postgresql://me:secret@nowhere/db", sql="select 1")
    with pytest.raises(MissingExtraError, match=r"lakeline\[postgres\]"):
        query.observe(ledger, NOW)
    assert "secret" not in repr(query)


# --- the sensor -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Scripted:
    """An observer that does what it is told."""

    source: str
    does: Callable[[], Observation]

    def observe(self, ledger: Ledger, now: dt.datetime) -> Observation:
        ledger.observe(self.source, {day(1): "1"}, watermark=None, observed_ts=now)
        return self.does()


def fails(error: Exception) -> Callable[[], Observation]:
    def raise_it() -> Observation:
        raise error

    return raise_it


def house(tmp_path: Path) -> Lakehouse:
    return Lakehouse(
        catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}",
        warehouse=str(tmp_path / "warehouse"),
        locks=str(tmp_path / "locks"),
        ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}",
        models="",
        reports="",
        reports_url="",
    )


def tick(tmp_path: Path, *observers: Observer, **more: Any) -> str:
    sensor = landing_sensor("landing", observers, **more)
    with dg.build_sensor_context(resources={"lakehouse": house(tmp_path)}) as context:
        done = sensor.evaluate_tick(context)
    assert not done.run_requests
    assert done.cursor is None
    return str(done.skip_message)


def test_a_tick_says_what_changed_and_launches_nothing(inbox, tmp_path, ledger):
    land(inbox, f"orders-{day(1)}.csv")
    assert tick(tmp_path, watching(inbox)) == f"'{SOURCE}': 1 changed ({day(1)})."
    assert tick(tmp_path, watching(inbox)) == "Nothing has changed."
    assert ledger.changes().pairs == ((SOURCE, day(1)),)
    assert [(one.asset, one.state) for one in ledger.states(name=LANDING)] == [(SOURCE, "seen")]


def test_a_watermark_that_went_back_is_said_in_the_tick(inbox, tmp_path):
    for number in (1, 2):
        land(inbox, f"orders-{day(number)}.csv")
    tick(tmp_path, watching(inbox))
    (inbox / f"orders-{day(2)}.csv").unlink()
    assert tick(tmp_path, watching(inbox)) == (
        f"'{SOURCE}': 1 changed ({day(2)}). '{SOURCE}' reaches 2026-01-02 00:00 UTC, and reached 2026-01-03 00:00 UTC before."
    )


def test_one_source_that_fails_fails_the_tick_after_the_others_were_seen(inbox, tmp_path, ledger):
    land(inbox, f"orders-{day(1)}.csv")
    gone = folder("shop/returns", inbox / "gone", PATTERN)
    odd = Scripted(source="source:shop/odd", does=fails(KeyError("x")))
    with pytest.raises(ObservationError) as caught:
        tick(tmp_path, gone, odd, watching(inbox))
    assert "'source:shop/returns' at" in str(caught.value)
    assert "'source:shop/odd' at its place cannot be looked at: KeyError: 'x'." in str(caught.value)
    assert set(ledger.versions(SOURCE)) == {day(1)}
    states = {one.asset: one.state for one in ledger.states(name=LANDING)}
    assert states == {
        SOURCE: "seen",
        "source:shop/returns": "blocked",
        "source:shop/odd": "blocked",
    }


def test_a_source_that_hangs_does_not_keep_a_tick_from_the_others(inbox, tmp_path, ledger):
    tick(tmp_path, watching(inbox))  # what is loaded and made on first use is there now
    land(inbox, f"orders-{day(1)}.csv")
    end = threading.Event()

    def hang() -> Observation:
        end.wait(60)
        return Observation(changed=(), watermark=None)

    hanging = Scripted(source="source:shop/hangs", does=hang)
    with pytest.raises(ObservationError, match=r"'source:shop/hangs' .*: no answer within 3 s\."):
        tick(tmp_path, hanging, watching(inbox), within_s=3)
    end.set()
    assert set(ledger.versions(SOURCE)) == {day(1)}


def test_people_are_told_once_that_a_source_is_out_of_reach_and_once_that_it_is_back(
    inbox, tmp_path
):
    told: list[tuple[str, str]] = []

    class Channel:
        name = "list"

        def send(self, alert: Any) -> None:
            told.append((alert.kind, alert.asset))

    land(inbox, f"orders-{day(1)}.csv")
    away = inbox.rename(inbox.with_name("away"))
    for _ in range(3):
        with pytest.raises(ObservationError):
            tick(tmp_path, watching(inbox), channels=[Channel()])
    away.rename(inbox)
    for _ in range(2):
        tick(tmp_path, watching(inbox), channels=[Channel()])
    assert told == [("blocked", SOURCE), ("recovered", SOURCE)]


def test_a_ledger_out_of_reach_is_named_and_nothing_else(inbox, tmp_path):
    (tmp_path / "ledger.db").write_text("no database at all, and long enough to be read as one")
    with pytest.raises(LedgerUnavailableError):
        tick(tmp_path, watching(inbox))


def test_every_error_of_an_observer_is_a_source_error():
    for kind in (NoDaysError, NoSuchTimeError, PatternError, QueryResultError, TooManyFilesError):
        assert issubclass(kind, SourceError)


# --- real servers -----------------------------------------------------------------------------


def connection(s3: S3) -> dict[str, Any]:
    return {
        "endpoint_url": s3.endpoint,
        "aws_access_key_id": s3.key,
        "aws_secret_access_key": s3.secret,
        "region_name": s3.region,
    }


@pytest.mark.services
def test_objects_of_a_bucket_change_their_days(s3: S3, ledger):
    client = s3_client(s3)

    def put(number: int, text: str) -> None:
        client.put_object(Bucket=s3.bucket, Key=f"in/2026/01/{number:02}/a.csv", Body=text.encode())

    for number in (7, 8, 9):
        put(number, "x")
    client.put_object(Bucket=s3.bucket, Key="out/2026/01/01/a.csv", Body=b"x")
    observer = bucket(ORDERS, s3.bucket, "%Y/%m/%d/*.csv", prefix="in/", connection=connection(s3))
    found = observer.observe(ledger, NOW)
    assert found == Observation(changed=(day(7), day(8), day(9)), watermark=end_of(9))
    put(8, "x")  # the same again
    assert observer.observe(ledger, NOW).changed == ()
    put(8, "y")
    client.delete_object(Bucket=s3.bucket, Key="in/2026/01/07/a.csv")
    assert observer.observe(ledger, NOW).changed == (day(7), day(8))
    put(9, "z")
    put(8, "z")
    recent = bucket(
        ORDERS,
        s3.bucket,
        "%Y/%m/%d/*.csv",
        prefix="in/",
        connection=connection(s3),
        look_back_days=2,
        limit=1,
    )
    assert recent.observe(ledger, NOW).changed == (day(9),)


@pytest.mark.services
def test_a_bucket_that_refuses_changes_nothing_and_shows_no_secret(s3: S3, ledger):
    wrong = {**connection(s3), "aws_secret_access_key": "wrong-secret"}
    observer = bucket(ORDERS, s3.bucket, "%Y-%m-%d", connection=wrong)
    with pytest.raises(SourceUnreachableError, match=rf"at s3://{s3.bucket}/ cannot be") as caught:
        observer.observe(ledger, NOW)
    assert "wrong-secret" not in f"{caught.value} {observer!r}"


@pytest.mark.services
def test_a_bucket_that_is_not_there_is_named(s3: S3, ledger):
    observer = bucket(ORDERS, "no-such-bucket", "%Y-%m-%d", connection=connection(s3))
    with pytest.raises(SourceUnreachableError, match="at s3://no-such-bucket/ cannot be"):
        observer.observe(ledger, NOW)


@pytest.mark.services
def test_a_query_on_postgres_gives_days_with_their_zone(postgres_url: str, ledger):
    import sqlalchemy as sa

    engine = sa.create_engine(postgres_url)
    with engine.begin() as connected:
        connected.execute(sa.text("create table orders (at timestamptz, updated timestamptz)"))
        connected.execute(
            sa.text("insert into orders values ('2026-01-02 01:00+02:00', '2026-01-03 00:00Z')")
        )
    engine.dispose()
    sql = "select date_trunc('day', at at time zone 'UTC'), count(*), max(updated) from orders group by 1"
    query = Query(
        asset=ORDERS, url=postgres_url, sql=sql, watermark_sql="select max(updated) from orders"
    )
    found = query.observe(ledger, NOW)
    assert found == Observation(changed=(day(1),), watermark=end_of(2))
    assert query.observe(ledger, NOW).changed == ()


@pytest.mark.services
def test_a_password_that_postgres_refuses_is_not_shown(postgres_url: str, ledger):
    import sqlalchemy as sa

    url = sa.make_url(postgres_url).set(password="wrong-secret")
    query = Query(asset=ORDERS, url=url.render_as_string(hide_password=False), sql="select 1, 2")
    with pytest.raises(SourceUnreachableError, match="password authentication failed") as caught:
        query.observe(ledger, NOW)
    assert "wrong-secret" not in f"{caught.value} {query!r}"


def test_a_bucket_without_dagster_aws_names_the_extra(ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "dagster_aws.s3", None)
    with pytest.raises(MissingExtraError, match=r"lakeline\[aws\]"):
        bucket(ORDERS, "b", "%Y-%m-%d").observe(ledger, NOW)


# --- the page ---------------------------------------------------------------------------------


def test_the_domain_of_the_page_builds_what_lands_and_builds_again_what_is_restated(
    tmp_path, monkeypatch
):
    page = (Path(__file__).parents[1] / "docs/landing.md").read_text()
    source = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert source is not None
    (tmp_path / "landing_page.py").write_text(source[1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "landing_page", raising=False)
    monkeypatch.chdir(tmp_path)
    told = importlib.import_module("landing_page")
    lakehouse = house(tmp_path)
    reconciler = Reconciler(graph_of([node_of(told.orders)]), lakehouse.ledger)

    def deliver(number: int, amount: int) -> None:
        row = f"event_ts,amount_cents\n{day(number)}T10:00:00Z,{amount}\n"
        written = NOW - DAY + dt.timedelta(seconds=amount)
        land(tmp_path / "inbox", f"orders-{day(number)}.csv", row, written)

    def build() -> list[str]:
        context = dg.build_sensor_context(resources={"lakehouse": lakehouse})
        assert told.landing.evaluate_tick(context).skip_message
        days = [key for run in reconciler.tick(NOW).runs for key in run.steps["bazaar/orders"]]
        if days:
            tags = dict(zip(RANGE, (min(days), max(days)), strict=True))
            given = {"lakehouse": lakehouse, "inbox": told.Inbox()}
            assert dg.materialize([told.orders], resources=given, tags=tags).success
        return days

    deliver(1, 100)
    deliver(2, 200)
    assert build() == [day(1), day(2)]
    assert build() == []
    assert lakehouse.ledger.reach()["bazaar/orders"].watermark == end_of(2)
    deliver(1, 150)
    assert build() == [day(1)]
    assert lakehouse.lake.load("bazaar.orders").scan().to_arrow()["amount_cents"].to_pylist() in (
        [150, 200],
        [200, 150],
    )
    deliver(3, 300)
    assert build() == [day(3)]
    assert lakehouse.ledger.reach()["bazaar/orders"].watermark == end_of(3)
    assert build() == []
