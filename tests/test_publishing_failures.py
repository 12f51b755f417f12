"""Publishing beside rivals and other engines, on full disks, and through crashes: all partitions or none."""

import datetime as dt
import errno
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakeline.errors import LedgerUnavailableError
from lakeline.lake import Lake
from lakeline.lake import commit as commit_module
from lakeline.lake.commit import BATCH, ForeignWriteError, TableSetBackError, batches_of, stamp
from lakeline.lake.files import StagedFilesGoneError, stored
from lakeline.lake.maintenance import compact, expire
from lakeline.lake.quarantine import quarantine_name
from lakeline.lake.stage import StorageFullError
from lakeline.ledger import Ledger
from lakeline.publishing import Provenance, publish
from lakeline.recording import ConcurrentBuildError, mend
from lakeline.window import Window
from tests.lakes import (
    DAYS,
    READINGS,
    WEEKEND,
    Store,
    append_elsewhere,
    assert_true_ledger,
    data_files,
    embedded,
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
    work = commit_module._commit

    def raced(*args: Any) -> Any:
        monkeypatch.setattr(commit_module, "_commit", work)
        append_elsewhere(lake, SUNDAY)
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
    monkeypatch.setattr(Ledger, "publish_together", failing(SystemExit("killed")))
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


def die_before_the_commit(
    lake: Lake, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, celsius: float
) -> None:
    """Publish a Friday with a reading that is rejected, killed when it is in quarantine."""
    with monkeypatch.context() as patched:
        patched.setattr("lakeline.recording._commit", failing(SystemExit("killed")))
        patched.setattr("lakeline.recording._settle", failing(SystemExit("killed")))
        rows = with_value(readings(FRIDAY, base=20), 0, celsius=celsius)
        with pytest.raises(SystemExit):
            publish(lake, ledger, READINGS, rows, window=Window.of_days(FRIDAY))


def rejected_days(lake: Lake) -> dict[str, str]:
    """The publish that rejected the rows of each day in quarantine."""
    rows = quarantined(lake)
    return dict(zip(rows["partition"], rows["batch"], strict=True))


def test_a_quarantine_is_taken_back_below_its_maintenance(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    name = quarantine_name(READINGS.table)
    for day in range(1, 11):
        window = Window.of_days(f"2024-03-{day:02}")
        rows = with_value(readings(*window.partitions), 0, celsius=99.0)
        publish(lake, ledger, READINGS, rows, window=window)
    before = rejected_days(lake)
    die_before_the_commit(lake, ledger, monkeypatch, 77.0)
    assert rejected_days(lake) != before
    assert compact(lake, name).manifests_after == 1
    stamp(lake.load(name), {BATCH: "maintenance-1"})
    expire(lake, name, older_than=dt.timedelta(), keep_last=1)
    mend(lake, ledger, READINGS.asset)
    assert rejected_days(lake) == before
    publish(lake, ledger, READINGS, readings(FRIDAY), window=Window.of_days(FRIDAY))
    assert rejected_days(lake) == {day: batch for day, batch in before.items() if day != FRIDAY}


def test_a_quarantine_that_was_the_first_is_taken_back_below_its_maintenance(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    die_before_the_commit(lake, ledger, monkeypatch, 77.0)
    stamp(lake.load(quarantine_name(READINGS.table)), {BATCH: "maintenance-1"})
    mend(lake, ledger, READINGS.asset)
    assert quarantined(lake).height == 0


def test_a_quarantine_whose_snapshot_before_is_gone_loses_the_killed_rows_alone(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    name = quarantine_name(READINGS.table)
    hot = with_value(with_value(readings(*DAYS), 0, celsius=99.0), 5, celsius=99.0)
    publish(lake, ledger, READINGS, hot, window=WEEKEND)
    before = rejected_days(lake)
    [first] = lake.load(name).metadata.snapshots
    die_before_the_commit(lake, ledger, monkeypatch, 77.0)
    lake.load(name).maintenance.expire_snapshots().by_id(first.snapshot_id).commit()
    mend(lake, ledger, READINGS.asset)
    assert rejected_days(lake) == {SATURDAY: before[SATURDAY]}


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
    work = SqlCatalog.commit_table

    def lost(*args: Any) -> Any:
        monkeypatch.setattr(SqlCatalog, "commit_table", work)
        work(*args)
        raise OperationalError("update", {}, Exception("server closed the connection"))

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
    monkeypatch.setattr(Ledger, "publish_together", failing(LedgerUnavailableError("u", "down")))
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
    monkeypatch.setattr(Ledger, "publish_together", failing(SystemExit("killed")))
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
    assert batches_of(head) == (done.batch,)
