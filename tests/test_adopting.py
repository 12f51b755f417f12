"""What another engine wrote: taken as published, or undone."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from lakeline.adopting import NothingToRollBackToError, adopt, differences, rollback
from lakeline.contract.iceberg import iceberg_schema, partition_spec
from lakeline.errors import EvolutionError
from lakeline.lake import Lake
from lakeline.lake.catalog import TableMissingError
from lakeline.lake.commit import ForeignWriteError, TableSetBackError
from lakeline.lake.maintenance import compact, expire
from lakeline.lake.read import read_arrow
from lakeline.ledger import Input, Ledger
from lakeline.publish_errors import AuditFailedError
from lakeline.publishing import Provenance, Target, publish
from lakeline.window import Window
from tests.lakes import (
    DAYS,
    READINGS,
    WEEKEND,
    Reading,
    append_elsewhere,
    assert_true_ledger,
    failing,
    publish_days,
    readings,
    rows_of,
    snapshots_of,
)

Both = tuple[Lake, Ledger]
FRIDAY, SATURDAY, SUNDAY = DAYS
TABLE = READINGS.table
COPY = Target(asset="weather/copy", contract=Reading, daily=True)


def delete_elsewhere(lake: Lake, day: str) -> None:
    """Another engine deletes a day."""
    window = Window.of_days(day)
    start, end = window.start.isoformat(), window.end.isoformat()
    lake.load(TABLE).delete(f"event_ts >= '{start}' and event_ts < '{end}'")


def copy_of_readings(lake: Lake, ledger: Ledger) -> None:
    """A table made day by day from the readings."""
    current = ledger.current(READINGS.asset)

    def origin(day: str) -> Provenance:
        read = Input(asset=READINGS.asset, partition=day, version=current[day].version)
        return Provenance(inputs=(read,))

    publish(lake, ledger, COPY, readings(*DAYS), window=WEEKEND, provenance=origin)


def test_rows_of_another_engine_are_recorded_and_mark_what_was_built_from_them(
    lake_and_ledger: Both,
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    copy_of_readings(lake, ledger)
    append_elsewhere(lake, FRIDAY)
    assert differences(lake, ledger, READINGS) == (FRIDAY,)
    done = adopt(lake, ledger, READINGS, "by-hand")
    assert (done.changed, done.forgotten, done.unchanged) == ((FRIDAY,), (), 2)
    assert ledger.current(READINGS.asset)[FRIDAY].rows == 8
    assert ledger.current(READINGS.asset)[FRIDAY].run_id == "by-hand"
    assert [(one.asset, one.partition) for one in ledger.marked()] == [(COPY.asset, FRIDAY)]
    assert differences(lake, ledger, READINGS) == ()
    assert_true_ledger(lake, ledger)


def test_publishing_goes_on_after_adopting(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    adopt(lake, ledger, READINGS)
    assert publish_days(lake, ledger, SATURDAY, base=20).changed == (SATURDAY,)
    assert publish_days(lake, ledger, FRIDAY).changed == (FRIDAY,)
    assert_true_ledger(lake, ledger)


def test_adopting_twice_is_as_once(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    first = adopt(lake, ledger, READINGS)
    again = adopt(lake, ledger, READINGS)
    assert (again.changed, again.snapshot_id) == ((), first.snapshot_id)
    assert len(snapshots_of(lake)) == 3


def test_adopting_a_table_that_nobody_changed_does_nothing(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    before = snapshots_of(lake)
    assert adopt(lake, ledger, READINGS).changed == ()
    assert snapshots_of(lake) == before


def test_days_that_another_engine_deleted_are_forgotten(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    copy_of_readings(lake, ledger)
    delete_elsewhere(lake, SATURDAY)
    done = adopt(lake, ledger, READINGS)
    assert (done.changed, done.forgotten) == ((), (SATURDAY,))
    assert set(ledger.versions(READINGS.asset)) == {FRIDAY, SUNDAY}
    assert [(one.asset, one.partition) for one in ledger.marked()] == [(COPY.asset, SATURDAY)]
    assert publish_days(lake, ledger, SATURDAY).changed == (SATURDAY,)
    assert_true_ledger(lake, ledger)
    assert ledger.marked() == []


def test_rows_that_break_the_contract_are_not_adopted(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY, level=-1)
    with pytest.raises(AuditFailedError, match=r"level\.ge broken by 4"):
        adopt(lake, ledger, READINGS)
    with pytest.raises(ForeignWriteError):
        publish_days(lake, ledger, SATURDAY, base=20)
    assert ledger.current(READINGS.asset)[FRIDAY].rows == 4


def test_rows_that_a_rule_would_reject_are_adopted_and_named(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY, celsius=1048.0)
    assert [one.rule for one in adopt(lake, ledger, READINGS).violations] == ["celsius.le"]


def test_columns_that_another_engine_added_are_not_adopted(lake_and_ledger: Both):
    from pyiceberg.types import StringType

    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    with lake.load(TABLE).update_schema() as update:
        update.add_column("remark", StringType())
    with pytest.raises(EvolutionError, match="remark"):
        adopt(lake, ledger, READINGS)


def test_a_table_that_another_engine_made_can_be_adopted(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    lake.create_namespace_of(TABLE)
    schema = iceberg_schema(Reading)
    lake.catalog.create_table(
        TABLE, schema, partition_spec=partition_spec(Reading, schema, daily=True)
    )
    append_elsewhere(lake, *DAYS)
    assert adopt(lake, ledger, READINGS).changed == DAYS
    assert lake.load(TABLE).properties["commit.retry.num-retries"] == "0"
    publish_days(lake, ledger, SATURDAY)
    assert_true_ledger(lake, ledger)


def test_a_crash_while_adopting_is_mended_by_adopting_again(
    lake_and_ledger: Both, monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    monkeypatch.setattr(Ledger, "publish", failing(SystemExit("killed")))
    with pytest.raises(SystemExit):
        adopt(lake, ledger, READINGS)
    monkeypatch.undo()
    adopt(lake, ledger, READINGS)
    assert_true_ledger(lake, ledger)


def test_a_table_that_was_never_written_is_neither_adopted_nor_rolled_back(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    with pytest.raises(TableMissingError):
        adopt(lake, ledger, READINGS)
    with pytest.raises(TableMissingError):
        rollback(lake, ledger, READINGS)


def test_an_emptied_table_is_adopted_as_empty(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    lake.load(TABLE).delete()
    assert adopt(lake, ledger, READINGS).forgotten == DAYS
    assert ledger.versions(READINGS.asset) == {}
    publish_days(lake, ledger, *DAYS)
    assert_true_ledger(lake, ledger)


def test_rolling_back_undoes_what_another_engine_did(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    published = publish_days(lake, ledger, *DAYS).snapshot_id
    append_elsewhere(lake, FRIDAY)
    append_elsewhere(lake, SATURDAY)
    foreign = snapshots_of(lake)[1:]
    done = rollback(lake, ledger, READINGS)
    assert (done.snapshot_id, done.undone) == (published, tuple(reversed(foreign)))
    assert rows_of(lake).height == 12
    publish_days(lake, ledger, SATURDAY, base=20)
    assert_true_ledger(lake, ledger)


def test_what_was_rolled_back_expires_with_its_files(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    foreign = snapshots_of(lake)[1]
    rollback(lake, ledger, READINGS)
    assert expire(lake, TABLE, older_than=dt.timedelta(0)).snapshots == (foreign,)
    assert_true_ledger(lake, ledger)


def test_rolling_back_without_need_does_nothing(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    assert rollback(lake, ledger, READINGS).undone == ()


def test_a_table_that_was_set_back_is_brought_forward_again(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    first = publish_days(lake, ledger, *DAYS)
    publish_days(lake, ledger, SATURDAY, base=20)
    lake.load(TABLE).manage_snapshots().set_current_snapshot(first.snapshot_id).commit()
    rollback(lake, ledger, READINGS)
    assert rows_of(lake)["celsius"].max() == 23.0
    publish_days(lake, ledger, SUNDAY, base=20)
    assert_true_ledger(lake, ledger)


def test_a_table_that_was_set_back_can_be_kept_so(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    first = publish_days(lake, ledger, *DAYS)
    publish_days(lake, ledger, SATURDAY, base=20)
    lake.load(TABLE).manage_snapshots().set_current_snapshot(first.snapshot_id).commit()
    assert adopt(lake, ledger, READINGS).changed == (SATURDAY,)
    publish_days(lake, ledger, SUNDAY, base=20)
    assert_true_ledger(lake, ledger)


def test_a_table_set_back_before_a_compaction_is_adopted_as_it_was(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    append_elsewhere(lake, FRIDAY)
    crowded = adopt(lake, ledger, READINGS).snapshot_id
    assert crowded is not None
    compact(lake, TABLE, ledger=ledger)
    held = ledger.current(READINGS.asset, [SATURDAY])[SATURDAY]
    publish_days(lake, ledger, SATURDAY)  # unchanged: the ledger now points at the compaction
    lake.load(TABLE).manage_snapshots().set_current_snapshot(crowded).commit()
    with pytest.raises(TableSetBackError):
        publish_days(lake, ledger, SUNDAY, base=20)
    assert adopt(lake, ledger, READINGS).changed == ()
    publish_days(lake, ledger, SUNDAY, base=20)
    assert ledger.current(READINGS.asset)[SATURDAY].version == held.version
    assert_true_ledger(lake, ledger)


def test_a_table_without_a_snapshot_of_lakelines_cannot_be_rolled_back(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    lake.open(TABLE, Reading, daily=True)
    append_elsewhere(lake, FRIDAY)
    with pytest.raises(NothingToRollBackToError, match="no snapshot of lakeline's"):
        rollback(lake, ledger, READINGS)


def test_differences_are_found_by_reading_everything(lake_and_ledger: Both):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    assert differences(lake, ledger, READINGS) == ()
    delete_elsewhere(lake, SUNDAY)
    append_elsewhere(lake, FRIDAY)
    assert differences(lake, ledger, READINGS) == (FRIDAY, SUNDAY)


def test_files_without_field_ids_read_the_same_in_every_engine(
    lake_and_ledger: Both, tmp_path: Path
):
    lake, ledger = lake_and_ledger
    publish_days(lake, ledger, *DAYS)
    table = lake.load(TABLE)
    rows = readings("2024-03-09")
    rows.write_parquet(tmp_path / "plain.parquet")
    place = f"{table.location()}/data/plain.parquet"
    with table.io.new_output(place).create() as sink:
        sink.write((tmp_path / "plain.parquet").read_bytes())
    table.add_files([place])
    assert adopt(lake, ledger, READINGS).changed == ("2024-03-09",)
    day = Window.of_days("2024-03-09")
    by_arrow = pl.DataFrame(read_arrow(lake.load(TABLE), day)).sort("event_ts")
    assert by_arrow.equals(rows)
    assert_true_ledger(lake, ledger)
