"""Publishing: all partitions of a window or none, whatever breaks on the way."""

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.contract.iceberg import iceberg_schema
from lakeline.errors import EvolutionError, ExtraColumns, MissingColumns, WrongType
from lakeline.lake import Lake
from lakeline.lake.quarantine import quarantine_name
from lakeline.lake.read import read_arrow, scan_polars
from lakeline.lake.stage import StorageFullError
from lakeline.ledger import Input, Ledger
from lakeline.publish_errors import (
    AuditFailedError,
    EmptyPartitionError,
    NoDaysError,
    OutsideWindowError,
    SplitPartitionError,
    WindowMissingError,
)
from lakeline.publishing import Provenance, Target, publish
from lakeline.window import Window, day_start
from tests.lakes import (
    DAYS,
    READINGS,
    SENSORS,
    WEEKEND,
    Reading,
    append_elsewhere,
    assert_true_ledger,
    data_files,
    failing,
    publish_days,
    quarantined,
    readings,
    rows_of,
    snapshots_of,
    versions_of,
    with_value,
)

Both = tuple[Lake, Ledger]
FRIDAY, SATURDAY, SUNDAY = DAYS


# --- what is published ----------------------------------------------------------------------------


def test_a_window_is_published_by_one_commit_and_recorded_by_partition(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    done = publish_days(lake, ledger, *DAYS)
    assert done.changed == DAYS
    assert dict(done.rows) == dict.fromkeys(DAYS, 4)
    assert snapshots_of(lake) == [done.snapshot_id]
    assert {key: one.rows for key, one in ledger.current(READINGS.asset).items()} == done.rows
    assert_true_ledger(lake, ledger)


def test_every_engine_reads_what_was_published(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    table, day = lake.load(READINGS.table), Window.of_days(SATURDAY)
    by_polars = scan_polars(table, day, columns=["event_ts", "celsius"]).collect()
    by_arrow = pl.DataFrame(read_arrow(table, day, columns=["event_ts", "celsius"]))
    assert by_polars.sort("event_ts").equals(by_arrow.sort("event_ts"))
    assert by_polars.sort("event_ts").equals(readings(SATURDAY).select("event_ts", "celsius"))


def test_identical_content_publishes_nothing_and_makes_no_snapshot(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    first = publish_days(lake, ledger, *DAYS)
    files = data_files(lake)
    shuffled = readings(*DAYS).sample(fraction=1, shuffle=True, seed=1)
    again = publish(lake, ledger, READINGS, shuffled, window=WEEKEND)
    assert again.changed == ()
    assert again.snapshot_id == first.snapshot_id
    assert snapshots_of(lake) == [first.snapshot_id]
    assert data_files(lake) == files


def test_a_partial_change_replaces_only_the_changed_partitions_in_one_commit(
    lake_and_ledger: Both,
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    before = data_files(lake)
    changed = pl.concat([readings(FRIDAY), readings(SATURDAY, base=30), readings(SUNDAY, base=31)])
    done = publish(lake, ledger, READINGS, changed, window=WEEKEND)
    assert done.changed == (SATURDAY, SUNDAY)
    assert len(snapshots_of(lake)) == 2
    assert len(data_files(lake) - before) == 2
    assert_true_ledger(lake, ledger)


def test_frames_of_an_iterator_are_published_together(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish(lake, ledger, READINGS, (readings(day) for day in DAYS), window=WEEKEND)
    assert len(snapshots_of(lake)) == 1
    assert_true_ledger(lake, ledger)


@pytest.mark.parametrize(("cores", "writers"), [(1, 2), (2, 2), (3, 3), (64, 4)])
def test_as_many_threads_write_as_there_are_cores_within_bounds(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch, cores: int, writers: int
):
    monkeypatch.setattr(pl, "thread_pool_size", lambda: cores)
    pools: list[int] = []

    class Seen(ThreadPoolExecutor):
        def __init__(self, threads: int, **named: Any) -> None:
            pools.append(threads)
            super().__init__(threads, **named)

    monkeypatch.setattr("lakeline.lake.stage.ThreadPoolExecutor", Seen)
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    assert pools == [writers]
    assert_true_ledger(lake, ledger)


def test_a_frame_larger_than_a_chunk_is_cut_between_days(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    monkeypatch.setattr("lakeline.preparing.CHUNK_ROWS", 5)
    shuffled = readings(*DAYS).sample(fraction=1, shuffle=True, seed=2)
    done = publish(lake, ledger, READINGS, shuffled, window=WEEKEND)
    assert dict(done.rows) == dict.fromkeys(DAYS, 4)
    assert_true_ledger(lake, ledger)


def test_an_unpartitioned_table_is_replaced_as_a_whole(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    two = pl.DataFrame({"sensor": ["a", "b"], "height": [1, 2]})
    publish(lake, ledger, SENSORS, two, window=None)
    publish(
        lake,
        ledger,
        SENSORS,
        iter([two.head(1), two.head(1).with_columns(sensor=pl.lit("c"))]),
        window=None,
    )
    assert rows_of(lake, SENSORS)["sensor"].to_list() == ["a", "c"]
    assert_true_ledger(lake, ledger, SENSORS)


def test_an_unpartitioned_table_without_frames_becomes_empty(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish(lake, ledger, SENSORS, pl.DataFrame({"sensor": ["a"], "height": [1]}), window=None)
    done = publish(lake, ledger, SENSORS, iter([]), window=None)
    assert dict(done.rows) == {"": 0}
    assert rows_of(lake, SENSORS).is_empty()


def test_inputs_and_watermarks_are_asked_for_each_partition(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger

    def origin(partition: str) -> Provenance:
        read = Input(asset="weather/sensors", partition="", version="v1", columns=("sensor",))
        return Provenance(inputs=(read,), watermark=Window.of_days(partition).end)

    publish(lake, ledger, READINGS, readings(*DAYS), window=WEEKEND, provenance=origin, run_id="r1")
    held = ledger.current(READINGS.asset)
    assert held[SUNDAY].watermark == Window.of_days(SUNDAY).end
    assert held[SUNDAY].run_id == "r1"
    assert ledger.inputs(READINGS.asset, FRIDAY)[0].columns == ("sensor",)


# --- bad rows -------------------------------------------------------------------------------------


def test_a_broken_rule_that_fails_leaves_the_table_and_the_folder_as_they_were(
    lake_and_ledger: Both,
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    files, versions = data_files(lake), versions_of(lake)
    wrong = with_value(readings(*DAYS, base=20), 5, level=-1)
    with pytest.raises(
        AuditFailedError, match=r"'weather/readings' breaks its contract: level\.ge"
    ) as caught:
        publish(lake, ledger, READINGS, wrong, window=WEEKEND)
    assert "Nothing was published" in str(caught.value)
    assert caught.value.violations[0].count == 1
    assert (data_files(lake), versions_of(lake)) == (files, versions)
    assert_true_ledger(lake, ledger)


def test_frames_before_a_broken_one_are_removed_again(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    frames = [readings(FRIDAY), readings(SATURDAY), with_value(readings(SUNDAY), 0, level=-1)]
    with pytest.raises(AuditFailedError):
        publish(lake, ledger, READINGS, iter(frames), window=WEEKEND)
    assert data_files(lake) == set()
    assert ledger.current(READINGS.asset) == {}


def test_a_function_that_raises_midway_leaves_nothing_behind(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger

    def broken() -> Iterator[pl.DataFrame]:
        yield readings(FRIDAY)
        raise RuntimeError("source gone")

    with pytest.raises(RuntimeError, match="source gone"):
        publish(lake, ledger, READINGS, broken(), window=WEEKEND)
    assert data_files(lake) == set()


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda f: f.drop("level"), MissingColumns, "has no column level"),
        (lambda f: f.with_columns(extra=1), ExtraColumns, "has the column extra"),
        (lambda f: f.with_columns(level=pl.lit("deep")), WrongType, "column level is"),
    ],
)
def test_columns_that_are_not_the_contracts_are_refused(
    lake_and_ledger: Both, wrong: Any, error: type[Exception], words: str
):
    lake, ledger = lake_and_ledger
    with pytest.raises(error, match=words):
        publish(lake, ledger, READINGS, wrong(readings(*DAYS)), window=WEEKEND)
    assert snapshots_of(lake) == []


@pytest.mark.parametrize("name", ["event_ts", "sensor"])
def test_a_null_key_is_refused(lake_and_ledger: Both, name: str):
    lake, ledger = lake_and_ledger
    with pytest.raises(AuditFailedError, match=name):
        publish(
            lake, ledger, READINGS, with_value(readings(*DAYS), 2, **{name: None}), window=WEEKEND
        )


def test_a_repeated_key_is_refused(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    twice = pl.concat([readings(FRIDAY), readings(FRIDAY).head(1)])
    with pytest.raises(AuditFailedError, match=r"key\.unique"):
        publish(lake, ledger, READINGS, twice, window=Window.of_days(FRIDAY))


def test_rejected_rows_go_to_quarantine_and_the_rest_is_published(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    hot = with_value(readings(*DAYS), 5, celsius=1048.0)
    done = publish(lake, ledger, READINGS, hot, window=WEEKEND)
    assert dict(done.rows) == {FRIDAY: 4, SATURDAY: 3, SUNDAY: 4}
    assert [one.rule for one in done.violations] == ["celsius.le"]
    held = quarantined(lake)
    assert held["partition"].to_list() == [SATURDAY]
    assert held["rule"].to_list() == ["celsius.le"]
    assert "1048" in held["row"][0]
    assert held["batch"].to_list() == [done.batch]
    assert_true_ledger(lake, ledger)


def test_no_value_of_a_rejected_row_is_in_the_metadata_of_quarantine(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    bad = with_value(readings(FRIDAY), 1, celsius=99.0)
    publish(lake, ledger, READINGS, bad, window=Window.of_days(FRIDAY))
    table = lake.load(quarantine_name(READINGS.table))
    (field,) = [one.field_id for one in table.schema().fields if one.name == "row"]
    (task,) = table.scan().plan_files()
    assert field not in (task.file.lower_bounds or {})
    assert field not in (task.file.upper_bounds or {})


class Visit(Contract, version="1.0"):
    """One row a visit; some of its columns are called as the quarantine might call its own."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    day: str = column("Name of the day")
    partition: int = column("Of the shop", ge=0, on_fail="reject")


def test_a_rejected_row_keeps_all_its_columns_whatever_they_are_called(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    row = {"event_ts": day_start(FRIDAY), "day": "Friday", "partition": -1}
    target = Target(asset="shop/visits", contract=Visit, daily=True)
    publish(lake, ledger, target, pl.DataFrame([row]), window=Window.of_days(FRIDAY))
    held = scan_polars(lake.load(quarantine_name(target.table))).collect()
    assert json.loads(held["row"][0]) == {
        "event_ts": f"{FRIDAY} 00:00:00.000000+00:00",
        "day": "Friday",
        "partition": "-1",
    }
    assert held["partition"].to_list() == [FRIDAY]


def test_a_blanked_value_becomes_null_and_its_row_is_kept_in_quarantine(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    done = publish(
        lake, ledger, READINGS, with_value(readings(*DAYS), 1, volts=9.0), window=WEEKEND
    )
    assert done.rows[FRIDAY] == 4
    assert rows_of(lake)["volts"].null_count() == 1
    assert quarantined(lake)["rule"].to_list() == ["volts.le"]


def test_building_a_partition_again_replaces_what_it_had_rejected(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    hot = with_value(with_value(readings(*DAYS), 1, celsius=99.0), 5, celsius=99.0)
    publish(lake, ledger, READINGS, hot, window=WEEKEND)
    publish_days(lake, ledger, FRIDAY)
    assert quarantined(lake)["partition"].to_list() == [SATURDAY]


def test_rejecting_the_same_rows_again_makes_no_snapshot_in_quarantine(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    hot = with_value(readings(*DAYS), 5, celsius=99.0)
    publish(lake, ledger, READINGS, hot, window=WEEKEND)
    publish(lake, ledger, READINGS, hot, window=WEEKEND)
    assert len(lake.load(quarantine_name(READINGS.table)).metadata.snapshots) == 1


def test_rejected_rows_of_a_wild_day_stay_with_the_run_that_met_them(lake_and_ledger: Both):
    class Dated(Contract, version="1.0", duplicates="fail"):
        """One row a moment."""

        event_ts: dt.datetime = column(
            "When",
            event_time=True,
            key=True,
            ge=dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
            on_fail="reject",
        )

    lake, ledger = lake_and_ledger
    target = Target(asset="weather/readings", contract=Dated, daily=True)
    wild = readings(*DAYS).select("event_ts")
    wild = with_value(wild, 7, event_ts=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    frames = [wild.slice(0, 4), wild.slice(4)]
    publish(lake, ledger, target, iter(frames), window=WEEKEND)
    assert quarantined(lake)["partition"].to_list() == [FRIDAY]


def test_a_quarantine_of_a_publish_that_fails_is_taken_back(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    first = with_value(readings(*DAYS), 5, celsius=99.0)
    done = publish(lake, ledger, READINGS, first, window=WEEKEND)
    monkeypatch.setattr(
        "lakeline.recording.replace_partitions", failing(StorageFullError("t", "p"))
    )
    second = with_value(readings(*DAYS, base=20), 2, celsius=77.0)
    with pytest.raises(StorageFullError):
        publish(lake, ledger, READINGS, second, window=WEEKEND)
    assert quarantined(lake)["batch"].to_list() == [done.batch]
    assert_true_ledger(lake, ledger)


def test_the_first_quarantine_of_a_publish_that_fails_is_emptied(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    monkeypatch.setattr(
        "lakeline.recording.replace_partitions", failing(StorageFullError("t", "p"))
    )
    with pytest.raises(StorageFullError):
        publish(
            lake, ledger, READINGS, with_value(readings(*DAYS), 5, celsius=99.0), window=WEEKEND
        )
    assert quarantined(lake).is_empty()


# --- days -----------------------------------------------------------------------------------------


def test_an_empty_day_is_published_as_empty_where_that_is_allowed(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    done = publish(lake, ledger, READINGS, readings(FRIDAY, SUNDAY), window=WEEKEND)
    assert done.changed == (SATURDAY,)
    assert rows_of(lake)["event_ts"].dt.date().n_unique() == 2
    assert ledger.versions(READINGS.asset)[SATURDAY] == "empty"


def test_an_empty_day_is_flagged_where_the_asset_warns_of_it(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    target = Target(asset="weather/readings", contract=Reading, daily=True, empty="warn")
    done = publish(lake, ledger, target, readings(FRIDAY), window=WEEKEND)
    assert [(one.rule, one.count, one.sample) for one in done.violations] == [
        ("rows.min", 2, (SATURDAY, SUNDAY))
    ]


def test_an_empty_day_is_refused_where_the_asset_promises_rows(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    target = Target(asset="weather/readings", contract=Reading, daily=True, empty="fail")
    with pytest.raises(EmptyPartitionError, match=rf"got no rows for {SUNDAY}.*empty='warn'"):
        publish(lake, ledger, target, readings(FRIDAY, SATURDAY), window=WEEKEND)
    assert data_files(lake) == set()


def test_rows_outside_the_window_are_refused(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    with pytest.raises(OutsideWindowError, match=rf"returned rows of {SUNDAY}, outside its window"):
        publish(lake, ledger, READINGS, readings(*DAYS), window=Window.of_days(FRIDAY, SATURDAY))
    assert data_files(lake) == set()


def test_a_day_in_two_frames_is_refused(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    frames = [readings(FRIDAY).head(2), readings(FRIDAY).tail(2)]
    with pytest.raises(SplitPartitionError, match=rf"rows of {FRIDAY} in more than one frame"):
        publish(lake, ledger, READINGS, iter(frames), window=WEEKEND)
    assert data_files(lake) == set()


def test_a_daily_table_needs_a_window(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    with pytest.raises(WindowMissingError, match="'weather/readings' is parted by day"):
        publish(lake, ledger, READINGS, readings(FRIDAY), window=None)


@pytest.mark.parametrize(
    "window",
    [
        Window(start=day_start(FRIDAY), end=day_start(FRIDAY)),
        Window(start=day_start(FRIDAY), end=day_start(SUNDAY)),
        Window.of_days(SUNDAY, FRIDAY),
    ],
)
def test_a_daily_table_needs_days(lake_and_ledger: Both, window: Window):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    with pytest.raises(NoDaysError, match=r"'weather/readings'.* names no day\..*Window\.of_days"):
        publish(lake, ledger, READINGS, readings(FRIDAY).clear(), window=window)
    assert rows_of(lake).height == 12
    assert_true_ledger(lake, ledger)


# --- partitions -----------------------------------------------------------------------------------

WHOLE_READINGS = replace(READINGS, daily=False)


def test_an_unpartitioned_table_does_not_become_a_daily_one(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish(lake, ledger, WHOLE_READINGS, readings(FRIDAY), window=None)
    with pytest.raises(EvolutionError) as caught:
        publish_days(lake, ledger, FRIDAY, base=20)
    assert str(caught.value) == (
        "Table 'weather.readings' cannot follow Reading 1.0: partitions: none -> by UTC day (daily=True). "
        "What is there would stay beside what is built, and its rows be counted twice. "
        "Go back to daily=False, or give the asset another name and so a new table."
    )
    publish(lake, ledger, WHOLE_READINGS, readings(FRIDAY, base=30), window=None)
    assert rows_of(lake).height == 4
    assert_true_ledger(lake, ledger, WHOLE_READINGS)


def test_a_daily_table_does_not_become_an_unpartitioned_one(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, FRIDAY)
    with pytest.raises(EvolutionError, match=r"partitions: by UTC day -> none \(daily=False\)"):
        publish(lake, ledger, WHOLE_READINGS, readings(FRIDAY, base=20), window=None)
    publish_days(lake, ledger, FRIDAY, base=30)
    assert rows_of(lake).height == 4
    assert_true_ledger(lake, ledger)


def test_a_table_that_another_engine_parts_by_more_is_left_to_it(lake_and_ledger: Both):
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    lake, ledger = lake_and_ledger
    schema = iceberg_schema(Reading)
    by_sensor = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "sensor"))
    lake.create_namespace_of(READINGS.table)
    lake.catalog.create_table(READINGS.table, schema, partition_spec=by_sensor)
    append_elsewhere(lake, *DAYS)
    for daily in (True, False):
        table = lake.open(READINGS.table, Reading, daily=daily)
        assert scan_polars(table).collect().height == 12
    publish(lake, ledger, SENSORS, pl.DataFrame({"sensor": ["a"], "height": [1]}), window=None)
    with lake.load(SENSORS.table).update_spec() as update:
        update.add_field("sensor", IdentityTransform())
    lake.open(SENSORS.table, SENSORS.contract, daily=False)
