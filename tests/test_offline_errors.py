"""What the offline store refuses, and what it says."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from lakeline.errors import ColumnsMissingError, FeatureClashError, KeyTypeError, NotAMomentError
from lakeline.features.offline.errors import (
    DateRangeError,
    EmptyViewError,
    EntityFrameError,
    SavedTableError,
    SnapshotMissingError,
    ViewColumnsError,
    ViewTableMissingError,
)
from lakeline.features.offline.history import history
from lakeline.features.offline.pins import TimeTravel
from lakeline.features.offline.request import ViewRead
from lakeline.features.offline.writing import append_rows, create_table, replace_table
from lakeline.lake import Lake
from tests.feature_tables import NOON, TABLE, asks, at, put, rows, view


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.in_folder(tmp_path)
    put(lake, rows((1, at(0), at(0), 7)))
    return lake


def result(lake: Lake, frame: Any, *views: ViewRead, **options: Any) -> pa.Table:
    return history(lake, frame, views or [view()], **options).table()


@pytest.mark.parametrize("kind", ["polars", "query"])
def test_an_entity_frame_needs_a_time_zone(lake: Lake, kind: str):
    frame: Any = asks((1, at(1))).with_columns(pl.col("event_timestamp").dt.replace_time_zone(None))
    if kind == "query":
        frame = "SELECT 1::BIGINT AS driver, TIMESTAMP '2024-03-01 13:00:00' AS event_timestamp"
    with pytest.raises(
        NotAMomentError, match=r"event_timestamp as timestamp.*time zone UTC"
    ) as told:
        result(lake, frame)
    assert "The entity frame" in str(told.value)


@pytest.mark.parametrize("kind", ["polars", "query"])
def test_a_key_of_another_type_is_refused(lake: Lake, kind: str):
    frame: Any = asks((1, at(1))).with_columns(pl.col("driver").cast(pl.String))
    if kind == "query":
        frame = f"SELECT 'one' AS driver, event_ts AS event_timestamp FROM {TABLE}"
    with pytest.raises(KeyTypeError, match="driver as integer, the entities have it as text"):
        result(lake, frame)


def test_a_float_that_is_no_integer_is_no_key(lake: Lake):
    frame = asks((1, at(1))).with_columns(driver=pl.lit(1.5))
    with pytest.raises(KeyTypeError, match="driver as integer, the entities have it as number"):
        result(lake, frame)


@pytest.mark.parametrize("kind", ["polars", "query"])
def test_a_frame_without_a_key_is_refused(lake: Lake, kind: str):
    frame: Any = asks((1, at(1))).rename({"driver": "drivers"})
    if kind == "query":
        frame = f"SELECT driver AS drivers, event_ts AS event_timestamp FROM {TABLE}"
    with pytest.raises(ColumnsMissingError, match="The entity frame has no column driver"):
        result(lake, frame)


def test_a_frame_without_a_moment_or_with_two_is_refused(lake: Lake):
    with pytest.raises(
        EntityFrameError, match="no column says when: it has driver and no timestamp"
    ):
        result(lake, asks((1, at(1))).select("driver"))
    two = asks((1, at(1))).with_columns(a="event_timestamp", b="event_timestamp")
    with pytest.raises(EntityFrameError, match="it has a, b and none is called event_timestamp"):
        result(lake, two.drop("event_timestamp"))


def test_what_is_no_frame_is_refused(lake: Lake):
    with pytest.raises(EntityFrameError, match="it is a list"):
        result(lake, [{"driver": 1}])


def test_a_query_that_fails_says_why(lake: Lake):
    with pytest.raises(
        EntityFrameError, match=r"its query fails .*elsewhere.*nothing.*does not exist"
    ):
        result(lake, "SELECT * FROM elsewhere.nothing")


def test_a_range_that_ends_before_it_starts_is_refused(lake: Lake):
    with pytest.raises(DateRangeError, match="Give a start before the end"):
        result(lake, (at(1), at(0)))


def test_a_view_without_data_is_told_by_name(lake: Lake):
    with pytest.raises(
        ViewTableMissingError, match=r"'stats' has no data: the lake has no table 'rides.none'"
    ):
        result(lake, asks((1, at(1))), view(table="rides.none"))
    lake.catalog.create_table("rides.empty", schema=rows().schema)
    with pytest.raises(EmptyViewError, match=r"nothing was ever published to table 'rides.empty'"):
        result(lake, asks((1, at(1))), view(table="rides.empty"))


def test_a_column_that_is_gone_is_told_with_the_nearest(lake: Lake):
    with lake.load(TABLE).update_schema() as change:
        change.rename_column("trips", "trip_s")
    with pytest.raises(
        ViewColumnsError, match=r"reads trips from table .*Did you mean trip_s\?"
    ) as told:
        result(lake, asks((1, at(1))))
    assert "Apply the view again" in str(told.value)


def test_a_time_that_is_no_time_is_refused(lake: Lake):
    with pytest.raises(NotAMomentError, match="'stats' has trips as long"):
        result(lake, asks((1, at(1))), view(event_time="trips", features={"n": "trips"}))


def test_two_columns_of_one_name_are_refused(lake: Lake):
    twice = [view(), view(name="other")]
    with pytest.raises(FeatureClashError, match="trips from view 'stats', view 'other'"):
        result(lake, asks((1, at(1))), *twice)
    frame = asks((1, at(1))).with_columns(trips=pl.lit(0))
    with pytest.raises(FeatureClashError, match="trips from the entity frame, view 'stats'"):
        result(lake, frame)
    query = f"SELECT driver, trips, event_ts AS event_timestamp FROM {TABLE}"
    with pytest.raises(FeatureClashError, match="trips from the entity frame, view 'stats'"):
        result(lake, query)


def test_a_snapshot_that_is_not_there_is_told_with_those_that_are(lake: Lake):
    known = lake.load(TABLE).metadata.snapshots[0].snapshot_id
    with pytest.raises(SnapshotMissingError, match=f"no snapshot 5. It has {known}"):
        result(lake, asks((1, at(1))), view(snapshot_id=5))
    past = TimeTravel(as_of=NOON - dt.timedelta(days=1))
    with pytest.raises(SnapshotMissingError, match=f"as old as 2024-02-29.*{known} of 20"):
        result(lake, asks((1, at(1))), travel=past)


def test_rows_that_do_not_fit_a_table_leave_it_as_it_was(lake: Lake):
    before = lake.load(TABLE).current_snapshot()
    with pytest.raises(SavedTableError, match="the rows lack trips and have nothing too many"):
        append_rows(lake, TABLE, rows((1, at(0), at(0), 7)).drop_columns(["trips"]))
    texts = (
        rows((1, at(0), at(0), 7)).drop_columns(["trips"]).append_column("trips", pa.array(["x"]))
    )
    with pytest.raises(SavedTableError, match="the rows do not fit its columns"):
        append_rows(lake, TABLE, texts)
    assert lake.load(TABLE).current_snapshot() == before


def test_a_write_that_breaks_off_shows_nothing(lake: Lake):
    schema = rows().schema

    def broken() -> Any:
        yield from rows((1, at(0), at(0), 8)).to_batches()
        raise OSError("the source is gone")

    def reader() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(schema, broken())

    before = lake.load(TABLE).current_snapshot()
    with pytest.raises(OSError, match="the source is gone"):
        create_table(lake, "rides.fresh", reader())
    assert lake.find("rides.fresh") is None
    with pytest.raises(OSError, match="the source is gone"):
        replace_table(lake, TABLE, reader())
    assert lake.load(TABLE).current_snapshot() == before
    with pytest.raises(SavedTableError, match="it exists already"):
        create_table(lake, TABLE, rows().to_reader())
