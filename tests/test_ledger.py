"""What each partition was built from: the same promises on SQLite and on Postgres."""

import datetime as dt
import pickle
import random
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lakeline.errors import (
    EmptyBatchError,
    LedgerSchemaError,
    LedgerUnavailableError,
    MixedBatchError,
    NaiveTimeError,
    RepeatedBatchError,
    RepeatedPartitionError,
    UnknownBatchError,
)
from lakeline.ledger import ABSENT, Build, Cost, Input, Ledger, Mark

RAW, CLEAN, BACKLOG, PLANES = (
    "flights/departures",
    "flights/departures_clean",
    "flights/origin_backlog",
    "flights/planes",
)
Place = tuple[str, str]
DAY1, DAY2, DAY3 = "2013-01-01", "2013-01-02", "2013-01-03"
T0 = dt.datetime(2013, 2, 1, 6, tzinfo=dt.UTC)
COST = Cost(started_ts=T0, ended_ts=T0 + dt.timedelta(seconds=8), cpu_s=4.0, peak_rss_bytes=1000)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own for each test; a schema of its own on the Postgres server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    try:
        server = request.getfixturevalue("postgres_url")
    except pytest.FixtureLookupError:
        pytest.skip("needs the fixture postgres_url, which starts a Postgres server")
    schema, engine = f"ledger_{uuid.uuid4().hex[:8]}", sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield f"{server}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger(url)
    yield opened
    opened.close()


def read(
    asset: str, partition: str, version: str, columns: Sequence[str] = ("dep_delay_min",)
) -> Input:
    return Input(
        asset=asset, partition=partition, version=version, snapshot_id=7, columns=tuple(columns)
    )


def build(asset: str, partition: str, version: str, *inputs: Input, **values: Any) -> Build:
    return Build(asset=asset, partition=partition, version=version, inputs=tuple(inputs), **values)


def publish(ledger: Ledger, *builds: Build, snapshot_id: int | None = 1) -> str:
    batch = uuid.uuid4().hex
    ledger.begin(batch, builds, T0)
    ledger.publish(batch, snapshot_id, COST)
    return batch


def marked(ledger: Ledger) -> list[tuple[str, str]]:
    return [(mark.asset, mark.partition) for mark in ledger.marked()]


def chain(ledger: Ledger) -> None:
    """Three raw days, their clean days, and a feature that looks one day back."""
    days = (DAY1, DAY2, DAY3)
    publish(ledger, *(build(RAW, day, "r1") for day in days))
    publish(ledger, *(build(CLEAN, day, "c1", read(RAW, day, "r1")) for day in days))
    publish(
        ledger,
        build(BACKLOG, DAY1, "b1", read(CLEAN, DAY1, "c1")),
        build(BACKLOG, DAY2, "b1", read(CLEAN, DAY1, "c1"), read(CLEAN, DAY2, "c1")),
        build(BACKLOG, DAY3, "b1", read(CLEAN, DAY2, "c1"), read(CLEAN, DAY3, "c1")),
    )


# --- a publish ------------------------------------------------------------------------------------


def test_a_build_is_present_once_it_is_published_and_not_before(ledger: Ledger) -> None:
    ledger.begin("one", [build(RAW, DAY1, "r1")], T0)
    assert ledger.versions(RAW) == {}
    assert ledger.pending(RAW) == ["one"]
    ledger.publish("one", 11, COST)
    assert ledger.versions(RAW) == {DAY1: "r1"}
    assert ledger.pending(RAW) == []


def test_what_is_published_comes_back_as_it_went_in(ledger: Ledger) -> None:
    watermark = dt.datetime(2013, 1, 2, 0, 0, 0, 123456, tzinfo=dt.UTC)
    inputs = (read(RAW, DAY1, "r1", ()), read(PLANES, "", "p1", ("seats", "tailnum")))
    publish(
        ledger,
        build(
            CLEAN,
            DAY1,
            "c1",
            *inputs,
            watermark=watermark,
            code_version="abc",
            run_id="run-1",
            rows=842,
            bytes=2**40,
        ),
        snapshot_id=2**62,
    )
    found = ledger.current(CLEAN)[DAY1]
    assert (found.version, found.watermark, found.code_version) == ("c1", watermark, "abc")
    assert (found.run_id, found.rows, found.bytes) == ("run-1", 842, 2**40)
    assert found.snapshot_id == ledger.last_snapshot(CLEAN) == 2**62
    assert (found.started_ts, found.ended_ts) == (COST.started_ts, COST.ended_ts)
    assert ledger.inputs(CLEAN, DAY1) == ledger.inputs_of_build(found.build_id) == inputs


def test_a_time_of_another_zone_comes_back_as_the_same_moment_in_utc(ledger: Ledger) -> None:
    new_york = dt.timezone(dt.timedelta(hours=-5))
    publish(ledger, build(RAW, DAY1, "r1", watermark=dt.datetime(2013, 1, 1, 19, tzinfo=new_york)))
    found = ledger.current(RAW)[DAY1].watermark
    assert found == dt.datetime(2013, 1, 2, tzinfo=dt.UTC)
    assert found.tzinfo is dt.UTC


def test_publishing_twice_is_as_once(ledger: Ledger) -> None:
    chain(ledger)
    batch = publish(ledger, build(RAW, DAY1, "r2"), snapshot_id=5)
    publish(ledger, build(CLEAN, DAY1, "c1", read(RAW, DAY1, "r2")))
    publish(ledger, build(RAW, DAY1, "r3"), snapshot_id=6)
    before = (ledger.current(RAW), ledger.marked(), ledger.summary(), ledger.history(RAW))
    ledger.publish(batch, 5, COST)
    assert (ledger.current(RAW), ledger.marked(), ledger.summary(), ledger.history(RAW)) == before


def test_only_the_partitions_of_a_batch_change(ledger: Ledger) -> None:
    chain(ledger)
    before = ledger.current(RAW)
    publish(ledger, build(RAW, DAY2, "r2"), snapshot_id=9)
    after = ledger.current(RAW)
    assert after[DAY2].snapshot_id == 9
    assert {day: after[day] for day in (DAY1, DAY3)} == {day: before[day] for day in (DAY1, DAY3)}


def test_a_publish_without_a_commit_keeps_the_snapshot(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1"), snapshot_id=11)
    publish(ledger, build(RAW, DAY1, "r1", code_version="new"), snapshot_id=None)
    found = ledger.current(RAW)[DAY1]
    assert (found.code_version, found.snapshot_id) == ("new", 11)
    assert ledger.last_snapshot(RAW) == 11
    assert ledger.history(RAW)[0].snapshot_id is None


def test_an_abandoned_batch_changes_nothing_and_a_published_one_stays(ledger: Ledger) -> None:
    batch = publish(ledger, build(RAW, DAY1, "r1"))
    ledger.begin("two", [build(RAW, DAY1, "r2")], T0)
    ledger.abandon("two")
    ledger.abandon(batch)
    assert ledger.versions(RAW) == {DAY1: "r1"}
    assert ledger.pending(RAW) == []
    assert [record.status for record in ledger.history(RAW)] == ["abandoned", "published"]


# --- marks ----------------------------------------------------------------------------------------


def test_a_late_publish_of_an_input_marks_exactly_its_readers(ledger: Ledger) -> None:
    chain(ledger)
    assert ledger.marked() == []
    publish(ledger, build(RAW, DAY1, "r2"))
    assert ledger.marked() == [
        Mark(asset=CLEAN, partition=DAY1, because_asset=RAW, because_partition=DAY1)
    ]
    publish(ledger, build(CLEAN, DAY1, "c2", read(RAW, DAY1, "r2")))
    assert marked(ledger) == [(BACKLOG, DAY1), (BACKLOG, DAY2)]


def test_a_marked_partition_says_what_marked_it(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2"))
    found = ledger.current(CLEAN)
    assert (found[DAY1].marked, found[DAY1].marked_by) == (True, f"{RAW}[{DAY1}]")
    assert (found[DAY2].marked, found[DAY2].marked_by) == (False, None)


def test_equal_versions_mark_nobody(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, *(build(RAW, day, "r1", run_id="again") for day in (DAY1, DAY2, DAY3)))
    assert ledger.marked() == []


def test_an_unchanged_result_stops_the_propagation(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2"))
    publish(ledger, build(CLEAN, DAY1, "c1", read(RAW, DAY1, "r2")))
    assert ledger.marked() == []


def test_a_build_whose_input_moved_before_its_publish_is_marked_at_once(ledger: Ledger) -> None:
    chain(ledger)
    ledger.begin("slow", [build(CLEAN, DAY1, "c2", read(RAW, DAY1, "r1"))], T0)
    publish(ledger, build(RAW, DAY1, "r2"))
    ledger.publish("slow", 3, COST)
    assert (CLEAN, DAY1) in marked(ledger)
    assert not ledger.is_consistent(CLEAN, DAY1)


def test_a_first_build_whose_input_moved_before_its_publish_is_marked_at_once(
    ledger: Ledger,
) -> None:
    publish(ledger, build(RAW, DAY1, "r1"))
    ledger.begin("slow", [build(CLEAN, DAY1, "c1", read(RAW, DAY1, "r1"))], T0)
    publish(ledger, build(RAW, DAY1, "r2"))
    ledger.publish("slow", 3, COST)
    assert marked(ledger) == [(CLEAN, DAY1)]


def test_rebuilding_from_the_present_takes_the_mark_away(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY2, "r2"))
    publish(ledger, build(CLEAN, DAY2, "c1", read(RAW, DAY2, "r2")))
    assert ledger.is_consistent(CLEAN, DAY2)
    assert ledger.marked() == []


def test_a_version_that_comes_back_takes_its_marks_away(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2"))
    publish(ledger, build(RAW, DAY1, "r1"))
    assert ledger.marked() == []


def test_a_partition_with_two_moved_inputs_stays_marked_until_both_are_back(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(CLEAN, DAY1, "c2", read(RAW, DAY1, "r1")))
    publish(ledger, build(CLEAN, DAY2, "c2", read(RAW, DAY2, "r1")))
    publish(ledger, build(CLEAN, DAY1, "c1", read(RAW, DAY1, "r1")))
    assert ledger.current(BACKLOG)[DAY2].marked_by == f"{CLEAN}[{DAY2}]"
    publish(ledger, build(CLEAN, DAY2, "c1", read(RAW, DAY2, "r1")))
    assert ledger.marked() == []


def test_the_first_cause_of_a_mark_stands_while_it_holds(ledger: Ledger) -> None:
    chain(ledger)
    for day in (DAY2, DAY1):
        publish(ledger, build(CLEAN, day, "c2", read(RAW, day, "r1")))
    assert ledger.current(BACKLOG)[DAY2].marked_by == f"{CLEAN}[{DAY2}]"


def test_an_input_that_an_older_build_read_marks_no_more(ledger: Ledger) -> None:
    publish(ledger, build(PLANES, "", "p1"))
    publish(ledger, build(CLEAN, DAY1, "c1", read(PLANES, "", "p1")))
    publish(ledger, build(CLEAN, DAY1, "c2"))
    publish(ledger, build(PLANES, "", "p2"))
    assert ledger.marked() == []


def test_an_unpartitioned_input_marks_every_partition_that_read_it(ledger: Ledger) -> None:
    publish(ledger, build(PLANES, "", "p1"))
    publish(ledger, *(build(CLEAN, day, "c1", read(PLANES, "", "p1")) for day in (DAY1, DAY2)))
    publish(ledger, build(PLANES, "", "p2"))
    assert marked(ledger) == [(CLEAN, DAY1), (CLEAN, DAY2)]
    assert ledger.current(CLEAN)[DAY1].marked_by == PLANES


def test_the_first_publish_of_an_absent_input_marks_who_found_it_absent(ledger: Ledger) -> None:
    publish(
        ledger, build(BACKLOG, DAY2, "b1", read(CLEAN, DAY1, ABSENT), read(CLEAN, DAY2, ABSENT))
    )
    assert ledger.marked() == []
    publish(ledger, build(CLEAN, DAY1, "c1"))
    assert marked(ledger) == [(BACKLOG, DAY2)]


def test_forgetting_a_partition_marks_its_readers_until_it_is_back(ledger: Ledger) -> None:
    chain(ledger)
    ledger.forget(RAW, [DAY1, "2099-01-01"])
    assert ledger.versions(RAW) == {DAY2: "r1", DAY3: "r1"}
    assert marked(ledger) == [(CLEAN, DAY1)]
    assert len(ledger.history(RAW, DAY1)) == 1
    publish(ledger, build(RAW, DAY1, "r1"))
    assert ledger.marked() == []


def test_forgetting_what_the_ledger_never_saw_is_nothing(ledger: Ledger) -> None:
    ledger.forget("flights/nowhere", [DAY1])
    assert ledger.summary() == []


def test_a_running_total_is_not_marked_by_itself_but_by_the_day_before(ledger: Ledger) -> None:
    publish(ledger, build(BACKLOG, DAY1, "b1", read(BACKLOG, DAY1, ABSENT)))
    publish(ledger, build(BACKLOG, DAY2, "b1", read(BACKLOG, DAY1, "b1")))
    publish(ledger, build(BACKLOG, DAY1, "b2", read(BACKLOG, DAY1, "b1")))
    assert marked(ledger) == [(BACKLOG, DAY2)]
    assert ledger.is_consistent(BACKLOG, DAY1)


def test_one_partition_read_twice_is_one_input_with_the_columns_of_both(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1"))
    publish(
        ledger,
        build(CLEAN, DAY1, "c1", read(RAW, DAY1, "r1", ["b"]), read(RAW, DAY1, "r1", ["a", "b"])),
    )
    assert ledger.inputs(CLEAN, DAY1) == (read(RAW, DAY1, "r1", ("a", "b")),)


def test_one_partition_read_in_two_versions_marks_the_reader(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r2"))
    publish(ledger, build(CLEAN, DAY1, "c1", read(RAW, DAY1, "r1"), read(RAW, DAY1, "r2")))
    assert marked(ledger) == [(CLEAN, DAY1)]


def test_a_partition_that_was_never_published_is_not_consistent(ledger: Ledger) -> None:
    assert not ledger.is_consistent(RAW, DAY1)
    assert ledger.inputs(RAW, DAY1) == ()
    assert ledger.last_snapshot(RAW) is None


@pytest.mark.parametrize("seed", range(3))
def test_marks_equal_a_comparison_of_all_inputs_after_any_sequence_of_publishes(
    ledger: Ledger, seed: int
) -> None:
    """Publishes, late ones, equal ones, abandoned ones and deletions in random order, against a plain model."""
    choose = random.Random(seed)  # noqa: S311
    assets, days = [f"d/a{i}" for i in range(4)], ["", DAY1, DAY2, DAY3]
    present: dict[Place, str] = {}
    inputs: dict[Place, dict[Place, str]] = {}
    waiting: dict[str, tuple[dict[Place, str], dict[Place, str]]] = {}
    for step in range(80):
        kind = choose.random()
        if kind < 0.55 or (kind < 0.9 and not waiting):
            asset = choose.choice(assets)
            sources = {
                (choose.choice(assets), choose.choice(days)) for _ in range(choose.randint(0, 4))
            }
            seen = {source: present.get(source, ABSENT) for source in sources}
            parts = choose.sample(days, choose.randint(1, 3))
            versions = {(asset, part): choose.choice("xyz") for part in parts}
            ledger.begin(
                str(step),
                [
                    build(a, p, version, *(read(*source, v) for source, v in seen.items()))
                    for (a, p), version in versions.items()
                ],
                T0,
            )
            waiting[str(step)] = (versions, seen)
        elif kind < 0.9:
            batch = choose.choice(list(waiting))
            versions, seen = waiting.pop(batch)
            ledger.publish(batch, step, COST)
            present |= versions
            inputs |= dict.fromkeys(versions, seen)
        elif kind < 0.95 and waiting:
            batch = choose.choice(list(waiting))
            del waiting[batch]
            ledger.abandon(batch)
        else:
            asset, part = choose.choice(assets), choose.choice(days)
            ledger.forget(asset, [part])
            present.pop((asset, part), None)
        moved = {
            here: {s for s, v in inputs[here].items() if s != here and present.get(s, ABSENT) != v}
            for here in present
        }
        marks = {
            (m.asset, m.partition): (m.because_asset, m.because_partition) for m in ledger.marked()
        }
        assert set(marks) == {here for here, because in moved.items() if because}
        assert all(because in moved[here] for here, because in marks.items())
        assert ledger.inconsistent() == set(marks)


# --- questions ------------------------------------------------------------------------------------


def test_cost_is_shared_evenly_by_the_partitions_of_a_batch(ledger: Ledger) -> None:
    ledger.begin("two", [build(RAW, DAY1, "r1"), build(RAW, DAY2, "r1")], T0)
    ledger.publish(
        "two",
        1,
        Cost(
            started_ts=T0,
            ended_ts=T0 + dt.timedelta(seconds=8),
            cpu_s=4.0,
            peak_rss_bytes=1000,
            gpu_s=6.0,
            placement="kubernetes",
        ),
    )
    record = ledger.history(RAW, DAY2)[0]
    assert (record.wall_s, record.cpu_s, record.gpu_s) == (4.0, 2.0, 3.0)
    assert (record.peak_rss_bytes, record.placement, record.batch) == (1000, "kubernetes", "two")


def test_history_is_newest_first_and_limited(ledger: Ledger) -> None:
    for number in range(4):
        publish(ledger, build(RAW, DAY1, f"r{number}"), build(RAW, DAY2, f"s{number}"))
    assert [record.version for record in ledger.history(RAW, DAY1, limit=3)] == ["r3", "r2", "r1"]
    assert [record.version for record in ledger.history(RAW, limit=3)] == ["s3", "r3", "s2"]
    ledger.begin("open", [build(RAW, DAY1, "r9")], T0)
    open_record = ledger.history(RAW, limit=1)[0]
    assert (open_record.status, open_record.ended_ts, open_record.wall_s) == ("pending", None, 0.0)


def test_the_summary_has_one_line_for_each_asset(ledger: Ledger) -> None:
    chain(ledger)
    day = dt.datetime(2013, 1, 4, tzinfo=dt.UTC)
    publish(ledger, build(RAW, DAY3, "r2", watermark=day, rows=10, bytes=100, run_id="last"))
    lines = {line.asset: line for line in ledger.summary()}
    raw = lines[RAW]
    assert list(lines) == [RAW, CLEAN, BACKLOG]
    assert (raw.partitions, raw.rows, raw.bytes, raw.watermark) == (3, 10, 100, day)
    assert (raw.last_version, raw.last_run_id, raw.last_ended_ts) == ("r2", "last", COST.ended_ts)
    assert (raw.cpu_s, raw.wall_s, raw.gpu_s, raw.marked) == (8.0, 16.0, 0.0, 0)
    assert (lines[CLEAN].watermark, lines[CLEAN].marked) == (None, 1)


def test_an_asset_whose_partitions_are_all_forgotten_keeps_its_line(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1", rows=5))
    ledger.forget(RAW, [DAY1])
    line = ledger.summary()[0]
    assert (line.partitions, line.rows, line.watermark, line.last_version) == (0, 0, None, "r1")


def test_consumers_tell_who_reads_a_partition_and_which_columns(ledger: Ledger) -> None:
    chain(ledger)
    found = ledger.consumers(CLEAN, DAY1)
    assert [(c.asset, c.partition, c.source_partition, c.version) for c in found] == [
        (BACKLOG, DAY1, DAY1, "c1"),
        (BACKLOG, DAY2, DAY1, "c1"),
    ]
    assert found[0].columns == ("dep_delay_min",)
    assert len(ledger.consumers(CLEAN)) == 5
    assert ledger.consumers("flights/nowhere") == []


def test_current_can_be_asked_for_some_partitions(ledger: Ledger) -> None:
    chain(ledger)
    assert set(ledger.current(RAW, [DAY1])) == {DAY1}
    assert set(ledger.current(RAW, [DAY1, DAY3, "2099-01-01"])) == {DAY1, DAY3}
    assert ledger.current(RAW, []) == {}


def test_a_thousand_partitions_in_one_batch_are_no_trouble(ledger: Ledger) -> None:
    days = [f"p{i:04}" for i in range(1200)]
    publish(ledger, *(build(RAW, day, "r1") for day in days))
    publish(ledger, *(build(CLEAN, day, "c1", read(RAW, day, "r1")) for day in days))
    publish(ledger, *(build(RAW, day, "r2") for day in days))
    assert len(ledger.marked()) == 1200
    publish(ledger, *(build(RAW, day, "r1") for day in days))
    assert ledger.marked() == []
    ledger.forget(RAW, days)
    assert len(ledger.marked()) == 1200


# --- bad input ------------------------------------------------------------------------------------

DAY1_BUILD = Build(asset=RAW, partition=DAY1, version="r1")


@pytest.mark.parametrize(
    ("builds", "error", "words"),
    [
        ([], EmptyBatchError, "'bad' has no builds"),
        ([DAY1_BUILD, build(CLEAN, DAY1, "c1")], MixedBatchError, f"{RAW}, {CLEAN}"),
        ([DAY1_BUILD, build(RAW, DAY1, "r2")], RepeatedPartitionError, DAY1),
        (
            [build(RAW, DAY1, "r1", watermark=dt.datetime(2013, 1, 1))],  # noqa: DTZ001
            NaiveTimeError,
            "2013-01-01 00:00:00 has no time zone",
        ),
    ],
)
def test_a_bad_batch_is_refused_whole(
    ledger: Ledger, builds: list[Build], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ledger.begin("bad", builds, T0)
    assert ledger.pending(RAW) == []
    assert ledger.history(RAW) == []


def test_a_batch_id_is_used_once(ledger: Ledger) -> None:
    ledger.begin("one", [DAY1_BUILD], T0)
    with pytest.raises(RepeatedBatchError, match="'one' is in the ledger already"):
        ledger.begin("one", [DAY1_BUILD], T0)
    assert ledger.pending(RAW) == ["one"]


def test_a_batch_that_never_began_cannot_be_published_or_abandoned(ledger: Ledger) -> None:
    with pytest.raises(UnknownBatchError, match="knows no batch 'lost'"):
        ledger.publish("lost", 1, COST)
    with pytest.raises(UnknownBatchError, match="knows no batch 'lost'"):
        ledger.abandon("lost")


def test_tables_of_another_release_are_refused(url: str) -> None:
    first = Ledger(url)
    first.summary()
    first.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lakeline_ledger SET schema_version = 99")
    engine.dispose()
    with pytest.raises(LedgerSchemaError, match="version 99"):
        Ledger(url).summary()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database, but long enough to be taken for a header" * 100)
    with pytest.raises(
        LedgerUnavailableError, match=r"ledger\.db cannot be used: .*not a database"
    ):
        Ledger(f"sqlite:///{path}").summary()


def test_a_full_database_fails_the_publish_and_leaves_the_present_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    publish(ledger, DAY1_BUILD)
    with ledger._database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    with ledger._database.write() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerUnavailableError, match="full"):
        ledger.begin("big", [build(RAW, f"p{i}", "r2") for i in range(5000)], T0)
    assert ledger.versions(RAW) == {DAY1: "r1"}
    assert ledger.pending(RAW) == []


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    ledger = Ledger("postgresql://me:secret@127.0.0.1:1/lake")
    with pytest.raises(LedgerUnavailableError, match=r"me:\*\*\*@127\.0\.0\.1:1/lake") as caught:
        ledger.summary()
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(ledger)


# --- many threads, many processes -----------------------------------------------------------------


def test_a_ledger_pickles_as_its_url(ledger: Ledger) -> None:
    publish(ledger, DAY1_BUILD)
    copy = pickle.loads(pickle.dumps(ledger))  # noqa: S301
    assert copy.url == ledger.url
    assert copy.versions(RAW) == {DAY1: "r1"}
    copy.close()


def test_a_sqlite_ledger_makes_its_folder(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/deep/down/ledger.db")
    assert not (tmp_path / "deep").exists()
    publish(ledger, DAY1_BUILD)
    assert (tmp_path / "deep/down/ledger.db").exists()
    mode = sqlite3.connect(tmp_path / "deep/down/ledger.db").execute("PRAGMA journal_mode")
    assert mode.fetchone() == ("wal",)


def test_naming_the_records_imports_no_sqlalchemy() -> None:
    code = "import sys, lakeline.ledger as l; l.Build, l.recover; assert 'sqlalchemy' not in sys.modules; l.Ledger"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for _ in range(5):
            publish(ledger, build(RAW, f"p{number}", uuid.uuid4().hex))
            ledger.marked()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(ledger.versions(RAW)) == 8
    assert len(ledger.history(RAW, limit=100)) == 40


RACE = """
import random, sys, uuid
from datetime import datetime, UTC
from lakeline.ledger import Build, Cost, Input, Ledger
url, number = sys.argv[1], int(sys.argv[2])
choose, ledger, now = random.Random(number), Ledger(url), datetime.now(UTC)
cost = Cost(started_ts=now, ended_ts=now, cpu_s=0.0, peak_rss_bytes=0)
for step in range(25):
    batch, part = uuid.uuid4().hex, f"p{choose.randrange(3)}"
    if number % 2:
        builds = [Build(asset="d/source", partition=part, version=choose.choice("xyz"))]
    else:
        seen = ledger.versions("d/source").get(part, "")
        inputs = (Input(asset="d/source", partition=part, version=seen),)
        builds = [Build(asset="d/reader", partition=part, version=batch, inputs=inputs)]
    ledger.begin(batch, builds, now)
    ledger.publish(batch, step, cost)
"""


def test_processes_that_race_on_a_new_ledger_lose_no_mark_and_no_build(url: str) -> None:
    """Sources and their readers publish the same partitions from four processes, from the first moment on."""
    racers = [subprocess.Popen([sys.executable, "-c", RACE, url, str(i)]) for i in range(4)]
    assert [racer.wait(timeout=120) for racer in racers] == [0] * 4
    ledger = Ledger(url)
    assert set(marked(ledger)) == ledger.inconsistent()
    assert len(ledger.history("d/source", limit=1000)) == 50
    assert len(ledger.history("d/reader", limit=1000)) == 50
    assert len(ledger.current("d/source")) <= 3
    newest: dict[str, str] = {}
    for record in ledger.history("d/reader", limit=1000):
        newest.setdefault(record.partition, record.version)
    assert set(newest) == set(ledger.versions("d/reader"))
    ledger.close()


def test_used_is_the_most_of_the_newest_builds_and_leaves_out_what_a_crash_took(
    ledger: Ledger,
) -> None:
    for number, (cpu_s, peak, busy) in enumerate(
        [(9.0, 900, None), (2.0, 300, 0.2), (4.0, 200, 0.6)]
    ):
        one = build(RAW, DAY1, f"v{number}")
        cost = Cost(
            started_ts=COST.started_ts, ended_ts=COST.started_ts + dt.timedelta(seconds=2), cpu_s=cpu_s, peak_rss_bytes=peak,
            gpu_s=2.0, gpu_busy=busy, peak_gpu_bytes=peak * 10, placement="subprocess",
        )  # fmt: skip
        ledger.record(f"batch{number}", [one], cost)
    ledger.begin("lost", [build(RAW, DAY2, "r")], COST.started_ts)
    ledger.publish("lost", 1, None)
    [all_of_them] = ledger.used()
    assert (all_of_them.batches, all_of_them.peak_rss_bytes, all_of_them.cores) == (3, 900, 4.5)
    [used] = ledger.used(newest=2)
    assert (used.asset, used.batches, used.placement) == (RAW, 2, "subprocess")
    assert (used.peak_rss_bytes, used.cores, used.wall_s, used.gpu_s) == (300, 2.0, 2.0, 2.0)
    assert used.gpu_busy == pytest.approx(0.4)
    assert used.peak_gpu_bytes == 3000
