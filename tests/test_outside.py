"""What went past lakeline is found at any later time: other engines, restored backups, dropped tables, a lost ledger."""

import datetime as dt
import shutil
import sqlite3
from pathlib import Path

import pytest

from lakeline.adopting import differences
from lakeline.freshness.outside import Watch
from lakeline.lake import Lake
from lakeline.lake.commit import TableSetBackError
from lakeline.lake.maintenance import compact
from lakeline.ledger import Input, Ledger
from lakeline.publishing import Provenance, Target, publish
from tests.lakes import (
    DAYS,
    READINGS,
    WEEKEND,
    Reading,
    append_elsewhere,
    embedded,
    publish_days,
    readings,
)

NOW = dt.datetime(2024, 3, 4, tzinfo=dt.UTC)
FRIDAY, SATURDAY, SUNDAY = DAYS
COPY = Target(asset="weather/copy", contract=Reading, daily=True)


def look(lake: Lake, ledger: Ledger) -> list[tuple[str, str]]:
    """What a process finds that sees the tables for the first time."""
    states = Watch([READINGS, COPY]).look(lake, ledger, NOW)
    return [(one.asset, one.state) for one in states]


def changed(ledger: Ledger) -> set[str]:
    """Days of the readings that changed since this was asked last."""
    found = ledger.changes()
    ledger.settle_agenda(seq=found.seq, add=(), remove=(), now=NOW)
    return {key for asset, key in found.pairs if asset == READINGS.asset}


@pytest.fixture
def both(tmp_path: Path) -> tuple[Lake, Ledger]:
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, *DAYS)
    current = ledger.current(READINGS.asset)

    def origin(day: str) -> Provenance:
        read = Input(asset=READINGS.asset, partition=day, version=current[day].version)
        return Provenance(inputs=(read,))

    publish(lake, ledger, COPY, readings(*DAYS), window=WEEKEND, provenance=origin)
    changed(ledger)
    return lake, ledger


def test_nothing_is_found_where_only_lakeline_wrote(both: tuple[Lake, Ledger]) -> None:
    lake, ledger = both
    assert look(lake, ledger) == []
    compact(lake, READINGS.table)
    assert look(lake, ledger) == []
    assert changed(ledger) == set()


def test_rows_of_another_engine_are_taken_up_and_mark_what_was_built_from_the_day(
    both: tuple[Lake, Ledger],
) -> None:
    lake, ledger = both
    append_elsewhere(lake, FRIDAY)
    assert look(lake, ledger) == [(READINGS.asset, "adopted")]
    assert changed(ledger) == {FRIDAY}
    assert ledger.marked_of(COPY.asset) == (FRIDAY,)
    assert look(lake, ledger) == []


def test_a_table_that_was_set_back_is_taken_as_it_is(both: tuple[Lake, Ledger]) -> None:
    lake, ledger = both
    before = lake.load(READINGS.table).current_snapshot()
    assert before is not None
    publish_days(lake, ledger, SUNDAY, base=30)
    changed(ledger)
    lake.load(READINGS.table).manage_snapshots().set_current_snapshot(before.snapshot_id).commit()
    assert look(lake, ledger) == [(READINGS.asset, "adopted")]
    assert changed(ledger) == {SUNDAY}
    assert differences(lake, ledger, READINGS) == ()


def test_a_ledger_restored_from_a_backup_learns_what_was_published_since(tmp_path: Path) -> None:
    store = embedded(tmp_path)
    publish_days(store.lake(), store.ledger(), *DAYS)
    first = store.ledger()
    first.close()
    for file in tmp_path.glob("ledger.db*"):
        shutil.copy(file, tmp_path / f"backup-{file.name}")
    publish_days(store.lake(), first, SUNDAY, base=30)
    first.close()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    for file in tmp_path.glob("backup-*"):
        shutil.move(file, tmp_path / file.name.removeprefix("backup-"))
    restored = store.ledger()
    changed(restored)
    assert look(store.lake(), restored) == [(READINGS.asset, "adopted")]
    assert changed(restored) == {SUNDAY}
    assert look(store.lake(), restored) == []


def test_a_lost_ledger_is_filled_from_the_lake(tmp_path: Path) -> None:
    store = embedded(tmp_path)
    publish_days(store.lake(), store.ledger(), *DAYS)
    empty = Ledger(f"sqlite:///{tmp_path / 'new.db'}")
    assert look(store.lake(), empty) == [(READINGS.asset, "adopted")]
    assert set(empty.versions(READINGS.asset)) == set(DAYS)


def test_a_dropped_table_is_forgotten_so_that_it_is_built_again(both: tuple[Lake, Ledger]) -> None:
    lake, ledger = both
    lake.catalog.drop_table(READINGS.table)
    assert look(lake, ledger) == [(READINGS.asset, "adopted")]
    assert ledger.versions(READINGS.asset) == {}
    assert changed(ledger) == set(DAYS)


def test_rows_that_break_the_contract_are_refused_and_said(both: tuple[Lake, Ledger]) -> None:
    lake, ledger = both
    bad = readings(FRIDAY).with_columns(level=-1).to_arrow()
    table = lake.load(READINGS.table)
    table.append(bad.cast(table.schema().as_arrow()))
    assert look(lake, ledger) == [(READINGS.asset, "refused")]
    (state,) = ledger.states(name="table", asset=READINGS.asset)
    assert "level.ge" in str(state.detail["said"])
    assert changed(ledger) == set()


def test_a_publish_that_was_killed_halfway_is_finished(
    both: tuple[Lake, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, ledger = both

    def killed(*_args: object, **_more: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Ledger, "publish_together", killed)
    with pytest.raises(SystemExit):
        publish_days(lake, ledger, SUNDAY, base=30)
    monkeypatch.undo()
    watch = Watch([READINGS])
    watch.look(lake, ledger, NOW, busy=[READINGS.asset])
    assert ledger.unfinished() == {READINGS.asset}
    watch.look(lake, ledger, NOW)
    assert ledger.unfinished() == set()
    assert changed(ledger) == {SUNDAY}


def test_days_of_a_dropped_table_are_written_again_whichever_is_built_first(
    both: tuple[Lake, Ledger],
) -> None:
    lake, ledger = both
    lake.catalog.drop_table(READINGS.table)
    assert publish_days(lake, ledger, FRIDAY).changed == (FRIDAY,)
    assert set(ledger.versions(READINGS.asset)) == {FRIDAY}
    assert ledger.marked_of(COPY.asset) == (SATURDAY, SUNDAY)
    assert publish_days(lake, ledger, SATURDAY, SUNDAY).changed == (SATURDAY, SUNDAY)
    assert differences(lake, ledger, READINGS) == ()
    assert look(lake, ledger) == []


@pytest.fixture
def set_back(tmp_path: Path) -> tuple[Lake, Ledger]:
    """A catalog restored from a backup: a day was corrected and another one added since."""
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY, SATURDAY)
    with sqlite3.connect(tmp_path / "catalog.db") as present:
        with sqlite3.connect(tmp_path / "backup.db") as backup:
            present.backup(backup)
        publish_days(lake, ledger, SATURDAY, base=30)
        publish_days(lake, ledger, SUNDAY)
        with sqlite3.connect(tmp_path / "backup.db") as backup:
            backup.backup(present)
    changed(ledger)
    return store.lake(), ledger


def test_a_catalog_restored_from_a_backup_is_the_truth(set_back: tuple[Lake, Ledger]) -> None:
    lake, ledger = set_back
    assert look(lake, ledger) == [(READINGS.asset, "adopted")]
    assert changed(ledger) == {SATURDAY, SUNDAY}
    assert differences(lake, ledger, READINGS) == ()
    assert look(lake, ledger) == []
    assert publish_days(lake, ledger, SATURDAY, base=30).changed == (SATURDAY,)


def test_nothing_is_published_on_top_of_a_restored_catalog(set_back: tuple[Lake, Ledger]) -> None:
    lake, ledger = set_back
    with pytest.raises(TableSetBackError, match="lakeline lake adopt weather/readings"):
        publish_days(lake, ledger, FRIDAY, base=40)


def test_a_ledger_restored_while_the_tables_are_watched_is_noticed(tmp_path: Path) -> None:
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, *DAYS)
    with sqlite3.connect(tmp_path / "ledger.db") as present:
        with sqlite3.connect(tmp_path / "backup.db") as backup:
            present.backup(backup)
        publish_days(lake, ledger, SUNDAY, base=30)
        watch = Watch([READINGS])
        assert watch.look(lake, ledger, NOW) == []
        with sqlite3.connect(tmp_path / "backup.db") as backup:
            backup.backup(present)
    (state,) = watch.look(lake, ledger, NOW)
    assert state.state == "adopted"
    assert differences(lake, ledger, READINGS) == ()
    assert watch.look(lake, ledger, NOW) == []
