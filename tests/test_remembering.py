"""The catalog that remembers metadata: it reads a file once, and sees at once what others commit."""

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.serializers import FromInputFile

from lakeline.lake import remembering
from lakeline.lake.remembering import RememberingCatalog
from tests.lakes import DAYS, READINGS, SENSORS, Store, embedded, publish_days, rows_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A folder with two days of readings."""
    found = embedded(tmp_path)
    publish_days(found.lake(), found.ledger(), *DAYS[:2])
    return found


@pytest.fixture
def read(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Locations of the metadata files that are read from then on."""
    found: list[str] = []
    real = FromInputFile.table_metadata

    def counted(file: Any, *rest: Any, **more: Any) -> Any:
        found.append(file.location)
        return real(file, *rest, **more)

    monkeypatch.setattr(FromInputFile, "table_metadata", counted)
    return found


def test_metadata_is_read_once_and_never_after_an_own_commit(store: Store, read: list[str]) -> None:
    lake, ledger = store.lake(), store.ledger()
    assert isinstance(lake.catalog, RememberingCatalog)
    lake.load(READINGS.table)
    lake.load(READINGS.table).refresh()
    assert len(read) == 1
    publish_days(lake, ledger, DAYS[2])
    assert rows_of(lake).height == 12
    assert len(read) == 1


def test_what_another_process_commits_is_seen_at_once(store: Store, read: list[str]) -> None:
    mine, theirs = store.lake(), store.lake()
    table = mine.load(READINGS.table)
    publish_days(theirs, store.ledger(), DAYS[2])
    assert mine.load(READINGS.table).metadata_location != table.metadata_location
    assert rows_of(mine).height == rows_of(theirs).height == 12
    assert len(set(read)) == 2


def test_a_table_that_was_made_anew_is_another_one(store: Store) -> None:
    mine, theirs = store.lake(), store.lake()
    before = mine.load(READINGS.table)
    theirs.catalog.drop_table(READINGS.table)
    made = theirs.open(READINGS.table, READINGS.contract, daily=True)
    assert mine.load(READINGS.table).metadata == made.metadata
    assert made.metadata.table_uuid != before.metadata.table_uuid


def test_no_more_tables_are_kept_than_said(
    store: Store, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "MOST", 1)
    lake = store.lake()
    lake.open(SENSORS.table, SENSORS.contract, daily=False)
    for _ in range(2):
        lake.load(READINGS.table)
        lake.load(SENSORS.table)
    assert len(read) >= 4
