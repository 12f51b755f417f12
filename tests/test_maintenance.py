"""Maintenance: old snapshots, unknown files and many small files go; the rows, the ledger and pinned readers stay."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from lakeline.lake import Lake
from lakeline.lake.catalog import TableMissingError
from lakeline.lake.commit import BATCH, ForeignWriteError, stamp
from lakeline.lake.compaction import ContentDiffersError
from lakeline.lake.files import stored
from lakeline.lake.holds import TagError, UnknownSnapshotError, hold, release
from lakeline.lake.maintenance import compact, expire, remove_orphans
from lakeline.lake.quarantine import quarantine_name
from lakeline.lake.read import scan_polars
from lakeline.lake.stage import stage
from lakeline.ledger import Ledger
from lakeline.publishing import publish
from lakeline.recording import mend
from tests.lakes import (
    DAYS,
    READINGS,
    WEEKEND,
    append_elsewhere,
    assert_true_ledger,
    failing,
    publish_days,
    readings,
    rows_of,
    snapshots_of,
    versions_of,
)

Both = tuple[Lake, Ledger]
FRIDAY, SATURDAY, SUNDAY = DAYS
NOW = dt.timedelta(0)
HOUR = dt.timedelta(hours=1)
TABLE = READINGS.table


def paths(lake: Lake, suffix: str = "") -> set[str]:
    """Every file below the table."""
    return {one.location for one in stored(lake.load(TABLE)) if one.path.endswith(suffix)}


def publish_often(lake: Lake, ledger: Ledger, times: int = 4) -> list[int]:
    """Publish all days, then Saturday again and again; the snapshots, oldest first."""
    publish_days(lake, ledger, *DAYS)
    for number in range(1, times):
        publish_days(lake, ledger, SATURDAY, base=20 + number)
    return snapshots_of(lake)


def crowd(lake: Lake, ledger: Ledger) -> None:
    """A table whose Friday lies in two files, as another engine left it and lakeline adopted it."""
    from lakeline.adopting import adopt

    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    adopt(lake, ledger, READINGS)


# --- expiring -------------------------------------------------------------------------------------


def test_expiring_removes_the_files_that_only_old_snapshots_reached(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    old = publish_often(lake, ledger)
    versions, before = versions_of(lake), paths(lake, ".parquet")
    done = expire(lake, TABLE, older_than=NOW, keep_last=2)
    assert done.snapshots == tuple(old[:2])
    assert snapshots_of(lake) == old[2:]
    assert before - paths(lake, ".parquet") == {
        one for one in done.files if one.endswith(".parquet")
    }
    assert len(paths(lake, ".parquet")) == 4  # three days, and Saturday as it was before
    assert done.size_bytes > 0
    assert versions_of(lake) == versions
    assert_true_ledger(lake, ledger)


def test_what_is_left_after_expiring_has_no_orphans(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_often(lake, ledger)
    expire(lake, TABLE, older_than=NOW, keep_last=2)
    assert remove_orphans(lake, TABLE, grace=NOW).files == ()


def test_snapshots_that_are_kept_can_still_be_read(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    kept = publish_often(lake, ledger)[-2]
    before = lake.load(TABLE).scan(snapshot_id=kept).to_arrow().num_rows
    expire(lake, TABLE, older_than=NOW, keep_last=2)
    assert lake.load(TABLE).scan(snapshot_id=kept).to_arrow().num_rows == before == 12


def test_young_snapshots_stay_so_that_running_readers_finish(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    pinned = scan_polars(lake.load(TABLE))
    publish_days(lake, ledger, *DAYS, base=20)
    publish_days(lake, ledger, *DAYS, base=30)
    assert expire(lake, TABLE, older_than=HOUR, keep_last=1).snapshots == ()
    assert pinned.collect()["celsius"].max() == 13.0


def test_a_dry_run_says_what_would_go_and_removes_nothing(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    old, before = publish_often(lake, ledger), paths(lake)
    planned = expire(lake, TABLE, older_than=NOW, keep_last=2, dry_run=True)
    assert (snapshots_of(lake), paths(lake)) == (old, before)
    assert expire(lake, TABLE, older_than=NOW, keep_last=2) == planned


def test_the_present_and_the_one_before_it_never_expire(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    old = publish_often(lake, ledger)
    expire(lake, TABLE, older_than=NOW, keep_last=0)
    assert snapshots_of(lake) == old[-2:]


def test_a_held_snapshot_stays_until_it_is_released(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    old = publish_often(lake, ledger)
    hold(lake, TABLE, old[0], "model-1")
    hold(lake, TABLE, old[0], "model-1")
    expire(lake, TABLE, older_than=NOW, keep_last=2)
    assert snapshots_of(lake) == [old[0], *old[2:]]
    assert lake.load(TABLE).scan(snapshot_id=old[0]).to_arrow().num_rows == 12
    release(lake, TABLE, "model-1")
    assert expire(lake, TABLE, older_than=NOW, keep_last=2).snapshots == (old[0],)
    publish_days(lake, ledger, SATURDAY, base=40)
    assert_true_ledger(lake, ledger)


def test_tags_that_cannot_be_set_or_released_are_named(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    old = publish_often(lake, ledger, times=2)
    hold(lake, TABLE, old[0], "model-1")
    with pytest.raises(TagError, match=rf"'model-1'.*holds snapshot {old[0]}"):
        hold(lake, TABLE, old[1], "model-1")
    with pytest.raises(UnknownSnapshotError, match=r"has no snapshot 7\. Its newest are"):
        hold(lake, TABLE, 7, "model-2")
    with pytest.raises(TagError, match=r"'model-3'.*does not exist\. Its tags are model-1"):
        release(lake, TABLE, "model-3")


def test_a_table_that_was_never_written_is_named(lake_and_ledger: Both):
    lake, _ = lake_and_ledger
    for work in (
        lambda: expire(lake, TABLE, older_than=NOW),
        lambda: remove_orphans(lake, TABLE, grace=NOW),
        lambda: compact(lake, TABLE),
        lambda: hold(lake, TABLE, 1, "t"),
    ):
        with pytest.raises(TableMissingError, match=r"has no table 'weather\.readings'"):
            work()


def test_the_snapshot_of_a_publish_that_the_ledger_has_not_seen_stays(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)
    monkeypatch.setattr(Ledger, "publish_together", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, SATURDAY, base=20)
    monkeypatch.undo()
    crashed = snapshots_of(lake)[-1]
    for number in range(3):
        stamp(lake.load(TABLE), {BATCH: f"maintenance-{number}"})
    expire(lake, TABLE, older_than=NOW, keep_last=1)
    assert crashed in snapshots_of(lake)
    mend(lake, ledger, READINGS.asset)
    assert ledger.versions(READINGS.asset)[SATURDAY] == versions_of(lake)[SATURDAY]


# --- orphans --------------------------------------------------------------------------------------


def leave(lake: Lake, name: str) -> str:
    """A file that a crashed writer left below the table."""
    table = lake.load(TABLE)
    location = f"{table.location()}/{name}"
    with table.io.new_output(location).create() as sink:
        sink.write(b"left")
    return location


def test_files_that_nothing_refers_to_are_removed_after_the_grace(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_often(lake, ledger)
    before = paths(lake)
    left = {leave(lake, "data/2024-03-01-x.parquet"), leave(lake, "metadata/x-m0.avro")}
    assert remove_orphans(lake, TABLE, grace=HOUR).files == ()
    planned = remove_orphans(lake, TABLE, grace=NOW, dry_run=True)
    assert set(planned.files) == left
    assert planned.size_bytes == 8
    assert remove_orphans(lake, TABLE, grace=NOW) == planned
    assert paths(lake) == before
    assert_true_ledger(lake, ledger)


def test_what_a_crashed_run_staged_is_an_orphan(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    monkeypatch.setattr("lakeline.publishing.commit_and_record", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, *DAYS, base=20)
    assert len(remove_orphans(lake, TABLE, grace=NOW).files) == 3
    assert rows_of(lake).height == 12


def test_statistics_and_hints_are_no_orphans(lake_and_ledger: Both):
    from pyiceberg.table.statistics import StatisticsFile

    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    table = lake.load(TABLE)
    puffin, _ = leave(lake, "metadata/ndv.stats"), leave(lake, "metadata/version-hint.text")
    statistics = StatisticsFile.model_validate(
        {
            "snapshot-id": snapshots_of(lake)[0],
            "statistics-path": puffin,
            "file-size-in-bytes": 4,
            "file-footer-size-in-bytes": 1,
            "blob-metadata": [],
        }
    )
    with table.update_statistics() as update:
        update.set_statistics(statistics)
    assert remove_orphans(lake, TABLE, grace=NOW).files == ()


def test_older_metadata_that_the_table_remembers_stays(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_often(lake, ledger)
    remove_orphans(lake, TABLE, grace=NOW)
    table = lake.load(TABLE)
    known = {entry.metadata_file for entry in table.metadata.metadata_log}
    assert known | {table.metadata_location} <= {
        one if one.startswith(("file:", "s3:")) else f"file://{one}" for one in paths(lake)
    }


# --- compaction -----------------------------------------------------------------------------------


def test_a_partition_of_many_files_becomes_one_with_the_same_rows(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)
    versions = versions_of(lake)
    done = compact(lake, TABLE, ledger=ledger)
    assert done.partitions == (FRIDAY,)
    assert (done.files_before, done.files_after) == (2, 1)
    assert len(list(lake.load(TABLE).scan().plan_files())) == 3
    assert versions_of(lake) == versions
    assert_true_ledger(lake, ledger)


def test_publishing_goes_on_after_compaction(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)
    compact(lake, TABLE, ledger=ledger)
    assert publish_days(lake, ledger, FRIDAY, base=20).changed == (FRIDAY,)
    assert publish_days(lake, ledger, SATURDAY).changed == ()
    assert_true_ledger(lake, ledger)


def test_compacting_twice_rewrites_nothing(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)
    compact(lake, TABLE)
    before = snapshots_of(lake)
    assert compact(lake, TABLE).partitions == ()
    assert snapshots_of(lake) == before


def test_a_dry_compaction_rewrites_nothing(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)
    before = paths(lake)
    assert compact(lake, TABLE, dry_run=True).partitions == (FRIDAY,)
    assert paths(lake) == before


def test_partitions_too_large_for_memory_are_left_alone(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)
    assert compact(lake, TABLE, max_bytes=10).partitions == ()


def test_a_partition_published_during_compaction_is_left_alone(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    crowd(lake, ledger)

    def overtaken(*args: Any) -> Any:
        staged = stage(*args)
        publish_days(lake, ledger, FRIDAY, base=30)
        return staged

    monkeypatch.setattr("lakeline.lake.compaction.stage", overtaken)
    assert compact(lake, TABLE, ledger=ledger).partitions == ()
    assert rows_of(lake)["celsius"].max() == 33.0
    assert remove_orphans(lake, TABLE, grace=NOW).files == ()
    assert_true_ledger(lake, ledger)


def test_a_partition_that_is_not_what_the_ledger_says_is_not_compacted(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    with pytest.raises(
        ContentDiffersError, match=rf"{FRIDAY} of table 'weather\.readings' holds other"
    ):
        compact(lake, TABLE, ledger=ledger)
    with pytest.raises(ForeignWriteError):
        compact(lake, TABLE)
    assert remove_orphans(lake, TABLE, grace=NOW).files == ()


def test_many_manifests_become_few(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    for day in range(1, 11):
        publish_days(lake, ledger, f"2024-05-{day:02}")
    versions = versions_of(lake)
    done = compact(lake, TABLE)
    assert done.manifests_before == 10
    assert done.manifests_after == 1
    assert versions_of(lake) == versions
    publish_days(lake, ledger, "2024-05-03", base=20)
    expire(lake, TABLE, older_than=NOW, keep_last=2)
    assert_true_ledger(lake, ledger)


def test_a_quarantine_is_maintained_like_any_table(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    hot = pl.col("celsius") + 90
    for base in (1.0, 2.0, 3.0):
        frame = readings(*DAYS, base=base).with_columns(celsius=hot)
        publish(lake, ledger, READINGS, frame, window=WEEKEND)
    name = quarantine_name(TABLE)
    compact(lake, name)
    expire(lake, name, older_than=NOW, keep_last=2)
    remove_orphans(lake, name, grace=NOW)
    assert scan_polars(lake.load(name)).collect().height == 12
