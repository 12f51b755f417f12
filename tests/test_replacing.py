"""Commits to a table that lives long: few manifests, nothing lost, each commit still tells what it removed."""

import copy
import datetime as dt
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl
import pytest

from lakeline.lake import Lake, replacing
from lakeline.lake.read import scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import publish
from lakeline.window import Window
from tests.lakes import (
    READINGS,
    append_elsewhere,
    assert_true_ledger,
    publish_days,
    readings,
    rows_of,
    snapshots_of,
)

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestEntry, ManifestFile

Both = tuple[Lake, Ledger]


def days(count: int) -> list[str]:
    first = dt.date(2024, 3, 1)
    return [(first + dt.timedelta(number)).isoformat() for number in range(count)]


def manifests(lake: Lake) -> "list[ManifestFile]":
    table = lake.load(READINGS.table)
    head = table.current_snapshot()
    assert head is not None
    return head.manifests(table.io)


def entries(lake: Lake) -> "Iterator[ManifestEntry]":
    """Of the files that the table has now."""
    table = lake.load(READINGS.table)
    for one in manifests(lake):
        yield from one.fetch_manifest_entry(table.io)


def files_of(manifest: "ManifestFile") -> int:
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def test_a_year_of_commits_and_corrections_leaves_few_manifests(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replacing, "MOST_SMALL", 5)
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, days(1)[0])
    for before, day in itertools.pairwise(days(30)):
        publish_days(lake, ledger, day)
        publish_days(lake, ledger, before, base=33)
    assert len(snapshots_of(lake)) == 59
    # Five small ones, and what the last commit itself made.
    assert len(manifests(lake)) <= 5 + 3
    wanted = pl.concat([readings(*days(30)[:-1], base=33), readings(days(30)[-1])])
    assert rows_of(lake).equals(wanted.sort("event_ts", "sensor"))
    by_pyiceberg = pl.DataFrame(lake.load(READINGS.table).scan().to_arrow())
    assert by_pyiceberg.sort("event_ts", "sensor").equals(rows_of(lake))
    assert_true_ledger(lake, ledger)


def test_every_older_snapshot_still_reads_as_it_was(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replacing, "MOST_SMALL", 2)
    lake, ledger = lake_and_ledger
    for number, day in enumerate(days(12), start=1):
        publish_days(lake, ledger, day)
        assert rows_of(lake).height == 4 * number
    table = lake.load(READINGS.table)
    heights = [
        table.scan(snapshot_id=snapshot).to_arrow().num_rows for snapshot in snapshots_of(lake)
    ]
    assert heights == [4 * number for number in range(1, 13)]


def test_files_written_into_another_manifest_keep_their_snapshot_and_sequence_number(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *days(4))
    publish_days(lake, ledger, days(5)[-1])
    before = {
        one.data_file.file_path: (one.snapshot_id, one.sequence_number, one.file_sequence_number)
        for one in entries(lake)
    }
    monkeypatch.setattr(replacing, "MOST_SMALL", 0)
    publish_days(lake, ledger, days(2)[1], base=33)
    after = {
        one.data_file.file_path: (one.snapshot_id, one.sequence_number, one.file_sequence_number)
        for one in entries(lake)
    }
    kept = before.keys() & after.keys()
    assert len(kept) == 4
    assert {path: after[path] for path in kept} == {path: before[path] for path in kept}


def test_a_commit_says_what_it_removed_and_the_next_one_forgets(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *days(2))
    publish_days(lake, ledger, days(1)[0], base=33)
    head = lake.load(READINGS.table).current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.operation.value == "overwrite"
    assert head.summary["deleted-data-files"] == "1"
    assert head.summary["total-records"] == "8"
    assert sum(one.deleted_files_count or 0 for one in manifests(lake)) == 1
    publish_days(lake, ledger, days(3)[-1])
    assert sum(one.deleted_files_count or 0 for one in manifests(lake)) == 0
    assert all(files_of(one) for one in manifests(lake))


def test_a_manifest_of_many_files_is_parted_by_days_when_it_is_touched(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replacing, "MOST_FILES", 4)
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *days(11))
    assert [files_of(one) for one in manifests(lake)] == [11]
    publish_days(lake, ledger, days(6)[-1], base=33)
    assert sorted(files_of(one) for one in manifests(lake)) == [0, 1, 3, 3, 4]
    table = lake.load(READINGS.table)
    spans = sorted(
        sorted(one.data_file.partition[0] for one in part.fetch_manifest_entry(table.io))
        for part in manifests(lake)
        if files_of(part) > 1
    )
    assert all(left[-1] < right[0] for left, right in itertools.pairwise(spans))
    assert_true_ledger(lake, ledger)


def test_only_manifests_that_may_hold_the_days_are_read(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    from pyiceberg.manifest import ManifestFile

    lake, ledger = lake_and_ledger
    for day in days(6):
        publish_days(lake, ledger, day)
    read: list[str] = []
    real = ManifestFile.fetch_manifest_entry

    def counted(self: ManifestFile, *given: object, **named: object) -> "list[ManifestEntry]":
        read.append(self.manifest_path)
        return real(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", counted)
    publish_days(lake, ledger, days(3)[-1], base=33)
    assert len(read) == 1


def test_appends_of_another_engine_are_merged_by_itself(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, days(1)[0])
    for _ in range(40):
        append_elsewhere(lake, days(2)[-1])
    assert len(manifests(lake)) < 32
    assert rows_of(lake).height == 4 + 40 * 4


def test_emptying_a_table_leaves_no_file_and_filling_it_again_works(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    window = Window.of_days(days(1)[0], days(3)[-1])
    publish_days(lake, ledger, *days(3))
    done = publish(lake, ledger, READINGS, readings(days(1)[0]).clear(), window=window)
    assert set(done.changed) == set(days(3))
    assert list(entries(lake)) == []
    assert scan_polars(lake.load(READINGS.table)).collect().height == 0
    publish_days(lake, ledger, *days(3))
    assert rows_of(lake).height == 12
    assert_true_ledger(lake, ledger)


def test_copies_of_the_metadata_share_its_snapshots(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, days(1)[0])
    publish_days(lake, ledger, days(2)[-1])
    metadata = lake.load(READINGS.table).metadata
    copied = copy.deepcopy(metadata)
    assert copied == metadata
    assert copied.model_dump_json() == metadata.model_dump_json()
    assert [id(one) for one in copied.snapshots] == [id(one) for one in metadata.snapshots]
    assert copied.schemas[0] is not metadata.schemas[0]
