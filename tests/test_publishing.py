"""Publishing: all partitions of a window or none, whatever breaks on the way."""

import datetime as dt
import errno
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.errors import ExtraColumns, LedgerUnavailableError, MissingColumns, WrongType
from lakeline.lake import Lake
from lakeline.lake import commit as commit_module
from lakeline.lake.commit import BATCH, ForeignWriteError, TableSetBackError, batch_of, stamp
from lakeline.lake.files import StagedFilesGoneError, stored
from lakeline.lake.quarantine import quarantine_name
from lakeline.lake.read import read_arrow, scan_polars
from lakeline.lake.stage import StorageFullError
from lakeline.ledger import Input, Ledger
from lakeline.publishing import (
    AuditFailedError,
    EmptyPartitionError,
    OutsideWindowError,
    Provenance,
    SplitPartitionError,
    Target,
    WindowMissingError,
    publish,
)
from lakeline.recording import ConcurrentBuildError, mend
from lakeline.window import Window
from tests.lakes import (
    DAYS,
    READINGS,
    SENSORS,
    WEEKEND,
    Reading,
    Store,
    assert_true_ledger,
    embedded,
    publish_days,
    readings,
    rows_of,
    snapshots_of,
    versions_of,
)

Both = tuple[Lake, Ledger]
FRIDAY, SATURDAY, SUNDAY = DAYS


def with_value(frame: pl.DataFrame, row: int, **values: Any) -> pl.DataFrame:
    """The frame with other values in one row."""
    index = pl.int_range(pl.len()) == row
    return frame.with_columns(
        pl.when(index).then(pl.lit(value, dtype=frame.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


def quarantined(lake: Lake) -> pl.DataFrame:
    return scan_polars(lake.load(quarantine_name(READINGS.table))).collect()


def data_files(lake: Lake) -> set[str]:
    """Names of the Parquet files below the table, in the table or not."""
    table = lake.load(READINGS.table)
    return {one.path for one in stored(table) if one.path.endswith(".parquet")}


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


def test_a_frame_larger_than_a_chunk_is_cut_between_days(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    monkeypatch.setattr("lakeline.publishing.CHUNK_ROWS", 5)
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


# --- others at the same time ----------------------------------------------------------------------


def test_a_run_that_another_one_overtook_publishes_nothing(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    seen = ledger.current(READINGS.asset)
    publish_days(lake, ledger, SATURDAY, base=20, run_id="rival")
    files = data_files(lake)
    with pytest.raises(
        ConcurrentBuildError, match=rf"{SATURDAY} .* published by run rival"
    ) as caught:
        publish(lake, ledger, READINGS, readings(*DAYS, base=30), window=WEEKEND, seen=seen)
    assert caught.value.can_retry
    assert data_files(lake) == files
    assert_true_ledger(lake, ledger)


def test_a_run_that_made_the_same_rows_as_its_rival_is_content(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    seen = ledger.current(READINGS.asset)
    publish_days(lake, ledger, *DAYS, run_id="rival")
    publish(lake, ledger, READINGS, readings(*DAYS), window=WEEKEND, seen=seen)
    assert_true_ledger(lake, ledger)


def test_a_partition_that_was_removed_meanwhile_is_not_taken_for_unchanged(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    seen = ledger.current(READINGS.asset)
    ledger.forget(READINGS.asset, [SATURDAY])
    with pytest.raises(
        ConcurrentBuildError, match=rf"{SATURDAY} of 'weather/readings' was removed"
    ):
        publish(lake, ledger, READINGS, readings(*DAYS, base=20), window=WEEKEND, seen=seen)


def test_many_runs_of_different_days_all_arrive(store: Store):
    days = [f"2024-04-{day:02}" for day in range(1, 9)]
    publish_days(store.lake(), store.ledger(), FRIDAY)

    def run(day: str) -> None:
        publish_days(store.lake(), store.ledger(), day)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, days))
    lake = store.lake()
    assert rows_of(lake).height == 4 * 9
    assert_true_ledger(lake, store.ledger())


def test_first_runs_at_once_make_the_namespace_and_the_table_once(store: Store):
    def run(day: str) -> None:
        publish_days(store.lake(), store.ledger(), day)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, [f"2024-04-{day:02}" for day in range(1, 5)]))
    assert_true_ledger(store.lake(), store.ledger())


def test_many_runs_of_one_day_leave_the_rows_of_exactly_one(store: Store):
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY)

    def run(base: int) -> bool:
        try:
            publish_days(store.lake(), store.ledger(), FRIDAY, base=base)
        except ConcurrentBuildError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        arrived = sum(pool.map(run, range(20, 26)))
    assert arrived >= 1
    assert rows_of(lake).height == 4
    assert_true_ledger(lake, ledger)


def append_elsewhere(lake: Lake, *days: str) -> None:
    """What another engine does: rows appended without lakeline."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    table = lake.load(READINGS.table)
    rows = readings(*days, base=-20).with_columns(sensor=pl.lit("other"))
    table.append(rows.to_arrow().cast(schema_to_pyarrow(table.schema())))


def test_a_table_that_another_engine_changed_is_not_published_to(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    files = data_files(lake)
    with pytest.raises(ForeignWriteError, match=r"changed by another writer.*adopt.*rollback"):
        publish_days(lake, ledger, SATURDAY, base=20)
    assert data_files(lake) == files
    assert ledger.pending(READINGS.asset) == []


def test_another_engine_that_commits_at_the_last_moment_is_noticed(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    work, calls = commit_module._commit, []

    def raced(*args: Any) -> Any:
        if not calls:
            calls.append(append_elsewhere(lake, SUNDAY))
        return work(*args)

    monkeypatch.setattr(commit_module, "_commit", raced)
    with pytest.raises(ForeignWriteError):
        publish_days(lake, ledger, SATURDAY, base=20)
    assert rows_of(lake).filter(pl.col("sensor") == "other").height == 4
    assert ledger.pending(READINGS.asset) == []


def test_a_table_that_was_set_back_is_not_published_to(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    first = publish_days(lake, ledger, *DAYS)
    publish_days(lake, ledger, SATURDAY, base=20)
    lake.load(READINGS.table).manage_snapshots().set_current_snapshot(first.snapshot_id).commit()
    with pytest.raises(TableSetBackError, match="was set back"):
        publish_days(lake, ledger, SUNDAY, base=20)


def test_a_table_that_was_deleted_is_built_anew(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    lake.catalog.drop_table(READINGS.table)
    done = publish_days(lake, ledger, *DAYS)
    assert done.changed == DAYS
    assert_true_ledger(lake, ledger)


# --- what breaks ----------------------------------------------------------------------------------


def failing(error: BaseException) -> Any:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


def test_a_full_disk_while_files_are_written_leaves_the_table_as_it_was(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    files, versions = data_files(lake), versions_of(lake)
    monkeypatch.setattr(
        "lakeline.lake.stage._write", failing(OSError(errno.ENOSPC, "No space left"))
    )
    with pytest.raises(StorageFullError, match=r"No space left for table 'weather\.readings'"):
        publish_days(lake, ledger, *DAYS, base=20)
    monkeypatch.undo()
    assert (data_files(lake), versions_of(lake)) == (files, versions)
    assert_true_ledger(lake, ledger)


def test_a_full_disk_at_the_commit_leaves_no_files_behind(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    from pyiceberg.catalog.sql import SqlCatalog

    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    before = {one.path for one in stored(lake.load(READINGS.table))}
    monkeypatch.setattr(
        SqlCatalog, "_write_metadata", failing(OSError(errno.ENOSPC, "No space left"))
    )
    with pytest.raises(StorageFullError):
        publish_days(lake, ledger, *DAYS, base=20)
    monkeypatch.undo()
    assert {one.path for one in stored(lake.load(READINGS.table))} == before
    assert_true_ledger(lake, ledger)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_disk_that_is_really_full_leaves_the_table_as_it_was(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        store = embedded(tmp_path)
        lake, ledger = (
            Lake(catalog_uri=store.catalog_uri, warehouse=str(disk / "lake"), locks=store.locks),
            store.ledger(),
        )
        publish_days(lake, ledger, *DAYS)
        files, versions = data_files(lake), versions_of(lake)
        many = pl.concat([readings(*DAYS, rows=24)] * 80)
        many = many.with_columns(
            sensor=pl.Series([os.urandom(200).hex() for _ in range(many.height)])
        )
        with pytest.raises(StorageFullError):
            publish(lake, ledger, READINGS, many, window=WEEKEND)
        assert (data_files(lake), versions_of(lake)) == (files, versions)
        assert_true_ledger(lake, ledger)
        publish_days(lake, ledger, *DAYS, base=20)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_crash_between_commit_and_record_is_mended_by_the_next_publish(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    monkeypatch.setattr(Ledger, "publish", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    assert len(ledger.pending(READINGS.asset)) == 1
    again = publish_days(lake, ledger, SATURDAY, base=20)
    assert again.changed == ()  # it was published already
    assert_true_ledger(lake, ledger)


def test_a_crash_before_the_commit_is_abandoned_by_the_next_publish(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    monkeypatch.setattr("lakeline.recording.quarantine", failing(SystemExit("killed")))
    monkeypatch.setattr("lakeline.recording._settle", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    assert len(ledger.pending(READINGS.asset)) == 1
    publish_days(lake, ledger, SUNDAY, base=20)
    assert_true_ledger(lake, ledger)


def test_a_crash_before_the_table_existed_is_mended(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    monkeypatch.setattr("lakeline.recording._settle", failing(SystemExit("killed")))
    monkeypatch.setattr("lakeline.recording._commit", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    lake.catalog.drop_table(READINGS.table)
    mend(lake, ledger, READINGS.asset)
    assert ledger.pending(READINGS.asset) == []


def test_a_quarantine_whose_publish_was_killed_is_taken_back_at_the_next(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    done = publish(
        lake, ledger, READINGS, with_value(readings(*DAYS), 5, celsius=99.0), window=WEEKEND
    )
    monkeypatch.setattr("lakeline.recording._commit", failing(SystemExit("killed")))
    monkeypatch.setattr("lakeline.recording._settle", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish(
            lake,
            ledger,
            READINGS,
            with_value(readings(*DAYS, base=20), 6, celsius=77.0),
            window=WEEKEND,
        )
    monkeypatch.undo()
    assert "77" in quarantined(lake)["row"][0]
    mend(lake, ledger, READINGS.asset)
    assert quarantined(lake)["batch"].to_list() == [done.batch]


def test_a_commit_that_raised_but_happened_keeps_its_files(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    from pyiceberg.catalog.sql import SqlCatalog

    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    work = SqlCatalog.commit_table

    def lost(*args: Any) -> Any:
        work(*args)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(SqlCatalog, "commit_table", lost)
    with pytest.raises(ConnectionError):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    assert_true_ledger(lake, ledger)
    assert rows_of(lake)["celsius"].max() == 23.0


def test_a_commit_whose_answer_the_database_lost_is_not_made_twice(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy.exc import OperationalError

    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    work, calls = SqlCatalog.commit_table, []

    def lost(*args: Any) -> Any:
        done = work(*args)
        if not calls:
            calls.append(1)
            raise OperationalError("update", {}, Exception("server closed the connection"))
        return done

    monkeypatch.setattr(SqlCatalog, "commit_table", lost)
    done = publish_days(lake, ledger, SATURDAY, base=20)
    assert len(snapshots_of(lake)) == 2
    assert done.snapshot_id == snapshots_of(lake)[-1]
    assert_true_ledger(lake, ledger)


def test_files_stay_where_nobody_can_tell_whether_the_commit_happened(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    work, refresh = SqlCatalog.commit_table, Table.refresh

    def lost(*args: Any) -> Any:
        work(*args)
        monkeypatch.setattr(Table, "refresh", failing(ConnectionError("no catalog")))
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(SqlCatalog, "commit_table", lost)
    with pytest.raises(ConnectionError):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    assert Table.refresh is refresh
    mend(lake, ledger, READINGS.asset)
    assert rows_of(lake)["celsius"].max() == 23.0
    assert_true_ledger(lake, ledger)


def test_a_ledger_that_is_gone_before_the_commit_stops_the_publish(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    files = data_files(lake)
    monkeypatch.setattr(Ledger, "begin", failing(LedgerUnavailableError("u", "down")))
    with pytest.raises(LedgerUnavailableError):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    assert data_files(lake) == files
    assert_true_ledger(lake, ledger)


def test_a_ledger_that_is_gone_after_the_commit_learns_of_it_later(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    monkeypatch.setattr(Ledger, "publish", failing(LedgerUnavailableError("u", "down")))
    with pytest.raises(LedgerUnavailableError):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    mend(lake, ledger, READINGS.asset)
    assert_true_ledger(lake, ledger)


def test_staged_files_that_somebody_removed_are_not_published(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    table = lake.load(READINGS.table)

    def removed(partition: str) -> Provenance:
        kept = {task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()}
        for one in stored(table):
            if one.path.endswith(".parquet") and one.location not in kept and one.path not in kept:
                table.io.delete(one.location)
        return Provenance()

    with pytest.raises(StagedFilesGoneError, match="are gone before they were published"):
        publish(
            lake, ledger, READINGS, readings(*DAYS, base=20), window=WEEKEND, provenance=removed
        )
    assert_true_ledger(lake, ledger)


def test_a_publish_above_maintenance_still_finds_what_a_crash_left_below(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    monkeypatch.setattr(Ledger, "publish", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    crashed = snapshots_of(lake)[-1]
    stamp(lake.load(READINGS.table), {BATCH: "maintenance-1"})
    mend(lake, ledger, READINGS.asset)
    assert_true_ledger(lake, ledger)
    assert ledger.last_snapshot(READINGS.asset) == crashed


def test_a_snapshot_says_which_publish_made_it(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    done = publish_days(lake, ledger, *DAYS)
    head = lake.load(READINGS.table).current_snapshot()
    assert head is not None
    assert batch_of(head) == done.batch
