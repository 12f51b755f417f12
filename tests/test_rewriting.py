"""Rows that are written again though they are as they were: a column means something else now, or a file is gone."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.lake import Lake
from lakeline.lake.catalog import NotEvolvedError
from lakeline.lake.files import ASKED_TOGETHER, missing, remove, stored
from lakeline.ledger import Input, Ledger
from lakeline.publish_errors import AuditFailedError
from lakeline.publishing import Provenance, Publication, Target, publish
from lakeline.window import Window, day_start
from tests.lakes import (
    DAYS,
    READINGS,
    assert_true_ledger,
    embedded,
    publish_days,
    rows_of,
)

FRIDAY, SATURDAY, SUNDAY = DAYS
Both = tuple[Lake, Ledger]


class Minutes(Contract, version="1.0"):
    """One row a trip."""

    event_ts: dt.datetime = column("When it began", event_time=True, key=True)
    length: int = column("How long it took", unit="min")


class Seconds(Contract, version="2.0"):
    """One row a trip, its length in another unit."""

    event_ts: dt.datetime = column("When it began", event_time=True, key=True)
    length: int = column("How long it took", unit="s", ge=10)


class Text(Contract, version="2.0"):
    """One row a trip, its length in another type."""

    event_ts: dt.datetime = column("When it began", event_time=True, key=True)
    length: bytes = column("How long it took")


OLD, NEW, TYPED = (
    Target(asset="town/trips", contract=contract, daily=True)
    for contract in (Minutes, Seconds, Text)
)
COPY = Target(asset="town/copy", contract=Minutes, daily=True)


def trips(*days: str, length: object = 15) -> pl.DataFrame:
    frame = pl.DataFrame({"event_ts": [day_start(day) for day in days]})
    return frame.with_columns(length=pl.lit(length))


def put(both: Both, target: Target, *days: str, length: object = 15) -> Publication:
    lake, ledger = both
    window = Window.of_days(days[0], days[-1])
    return publish(lake, ledger, target, trips(*days, length=length), window=window)


def lengths(lake: Lake) -> list[object]:
    return rows_of(lake, OLD).sort("event_ts")["length"].to_list()


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """Two days of trips in minutes, and a copy of them."""
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    put((lake, ledger), OLD, FRIDAY, SATURDAY)
    versions = ledger.versions(OLD.asset)

    def origin(day: str) -> Provenance:
        return Provenance(inputs=(Input(asset=OLD.asset, partition=day, version=versions[day]),))

    window = Window.of_days(FRIDAY, SATURDAY)
    publish(lake, ledger, COPY, trips(FRIDAY, SATURDAY), window=window, provenance=origin)
    return lake, ledger


def test_the_same_numbers_in_another_unit_are_written(both: Both):
    lake, ledger = both
    assert put(both, NEW, FRIDAY).changed == (FRIDAY,)
    assert lengths(lake) == [15, None]
    # Saturday reads as null from now on, and whoever read it must look again.
    assert ledger.marked_of(COPY.asset) == (SATURDAY,)
    assert put(both, NEW, SATURDAY).changed == (SATURDAY,)
    assert lengths(lake) == [15, 15]
    assert_true_ledger(lake, ledger, NEW)


def test_the_same_values_of_another_type_are_written(both: Both):
    lake, _ = both
    put(both, TYPED, FRIDAY, SATURDAY, length=b"15")
    assert lengths(lake) == [b"15", b"15"]


def test_building_again_publishes_nothing(both: Both):
    lake, ledger = both
    put(both, NEW, FRIDAY, SATURDAY)
    before = ledger.versions(NEW.asset)
    assert put(both, NEW, FRIDAY, SATURDAY).changed == ()
    assert ledger.versions(NEW.asset) == before
    assert lengths(lake) == [15, 15]


def test_rows_that_fail_the_audit_leave_the_old_columns_as_they_were(both: Both):
    lake, ledger = both
    before = ledger.versions(OLD.asset)
    with pytest.raises(AuditFailedError, match="the table is as it was"):
        put(both, NEW, FRIDAY, length=5)
    assert lengths(lake) == [15, 15]
    assert ledger.versions(OLD.asset) == before
    assert ledger.marked_of(COPY.asset) == ()


def test_whoever_only_reads_a_table_does_not_replace_its_columns(both: Both):
    lake, _ = both
    with pytest.raises(NotEvolvedError) as raised:
        lake.open(NEW.table, Seconds, daily=True)
    assert str(raised.value) == (
        "'town/trips' was not built since its contract became 2.0, which replaces length. "
        "Build 'town/trips' first: its old values cannot be read as the new ones."
    )
    assert lengths(lake) == [15, 15]


def test_a_day_whose_file_is_gone_is_written_again_and_the_others_are_not(tmp_path: Path):
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, *DAYS)
    table = lake.load(READINGS.table)
    gone = [one.location for one in stored(table) if f"/{SATURDAY}-" in one.path]
    remove(table, gone)
    with pytest.raises(FileNotFoundError):
        rows_of(lake)
    assert publish_days(lake, ledger, *DAYS).changed == (SATURDAY,)
    assert rows_of(lake).height == 12
    assert_true_ledger(lake, ledger)
    assert publish_days(lake, ledger, *DAYS).changed == ()


def test_what_is_missing_of_very_many_files_is_found(tmp_path: Path):
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY)
    table = lake.load(READINGS.table)
    (held,) = (one.location for one in stored(table) if one.path.endswith(".parquet"))
    asked = [
        f"{table.location()}/data/{number}.parquet" for number in range(3 * ASKED_TOGETHER + 1)
    ]
    asked[50] = held
    assert missing(table, asked) == [one for one in asked if one != held]
