"""Publishes that wait for one table go into one commit, each with its own record, and nobody else's error."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakeline import recording
from lakeline.handover import dumps, loads
from lakeline.lake import Lake
from lakeline.lake import commit as commit_module
from lakeline.lake.commit import batches_of, committed_batches
from lakeline.lake.files import StagedFilesGoneError
from lakeline.lake.lock import file_turn
from lakeline.ledger import Ledger
from lakeline.publishing import Publication, publish
from lakeline.recording import ConcurrentBuildError, mend
from lakeline.window import Window
from tests.lakes import (
    DAYS,
    READINGS,
    Store,
    assert_true_ledger,
    data_files,
    embedded,
    failing,
    publish_days,
    quarantined,
    readings,
    rows_of,
    snapshots_of,
    with_value,
)

FRIDAY, SATURDAY, SUNDAY = DAYS
MONDAY = "2024-03-04"
PATIENCE_S = 60


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Crowd:
    """Publishes that wait, each in a thread of its own, until the table's lock is let go."""

    def __init__(self, store: Store, pool: ThreadPoolExecutor) -> None:
        self.store, self.pool, self.ledger = store, pool, store.ledger()

    def join(self, day: str, base: float = 10.0, run_id: str = "run") -> "Future[Publication]":
        def run() -> Publication:
            return publish_days(
                self.store.lake(), self.store.ledger(), day, base=base, run_id=run_id
            )

        waiting = len(self.ledger.queued(READINGS.asset))
        future = self.pool.submit(run)
        wait_until(lambda: len(self.ledger.queued(READINGS.asset)) > waiting or future.done())
        return future


@contextmanager
def crowd(store: Store) -> Iterator[Crowd]:
    """A table with Friday in it, locked until the block ends."""
    lake = store.lake()
    publish_days(lake, store.ledger(), FRIDAY)
    with ThreadPoolExecutor(8) as pool, lake.lock(READINGS.table):
        yield Crowd(store, pool)


# --- together -------------------------------------------------------------------------------------


def test_those_that_wait_are_published_by_one_commit_that_names_them_all(store: Store):
    with crowd(store) as waiting:
        futures = [waiting.join(day) for day in (SATURDAY, SUNDAY, MONDAY)]
    done = [future.result() for future in futures]
    lake, ledger = store.lake(), store.ledger()
    head = lake.load(READINGS.table).current_snapshot()
    assert head is not None
    assert len(snapshots_of(lake)) == 2
    assert {one.snapshot_id for one in done} == {head.snapshot_id}
    assert sorted(batches_of(head)) == sorted(one.batch for one in done)
    assert rows_of(lake).height == 16
    assert_true_ledger(lake, ledger)


def test_each_of_them_has_a_record_and_a_cost_of_its_own(store: Store):
    with crowd(store) as waiting:
        futures = {day: waiting.join(day, run_id=f"run-{day}") for day in (SATURDAY, SUNDAY)}
    ledger = store.ledger()
    for day, future in futures.items():
        (record,) = ledger.history(READINGS.asset, day)
        assert (record.batch, record.run_id) == (future.result().batch, f"run-{day}")
        assert record.status == "published"
        assert record.cpu_s > 0
        assert record.ended_ts is not None
        assert record.started_ts < record.ended_ts
        assert record.placement == "in_process"
    assert ledger.queued(READINGS.asset) == {}


def test_a_commit_together_replaces_what_each_of_them_replaces(store: Store):
    publish_days(store.lake(), store.ledger(), *DAYS)
    with crowd(store) as waiting:
        futures = [waiting.join(SATURDAY, base=20), waiting.join(SUNDAY, base=30)]
    assert all(future.result().changed for future in futures)
    lake = store.lake()
    assert rows_of(lake).height == 12
    assert len(snapshots_of(lake)) == 2
    assert_true_ledger(lake, store.ledger())


def test_two_of_one_partition_never_go_together_and_the_first_one_wins(store: Store):
    with crowd(store) as waiting:
        first = waiting.join(SATURDAY, base=20, run_id="first")
        second = waiting.join(SATURDAY, base=30, run_id="second")
        other = waiting.join(SUNDAY)
    arrived = [future for future in (first, second) if future.exception() is None]
    assert len(arrived) == 1
    (lost,) = {first, second} - set(arrived)
    assert isinstance(lost.exception(), ConcurrentBuildError)
    assert other.exception() is None
    assert rows_of(store.lake()).height == 12
    assert_true_ledger(store.lake(), store.ledger())


def test_equal_rows_of_two_runs_that_wait_are_no_conflict(store: Store):
    with crowd(store) as waiting:
        futures = [waiting.join(SATURDAY), waiting.join(SATURDAY)]
    assert all(future.exception() is None for future in futures)
    assert rows_of(store.lake()).height == 8
    assert_true_ledger(store.lake(), store.ledger())


def test_a_publish_that_rejects_rows_commits_by_itself_and_still_takes_others_along(store: Store):
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY)
    with ThreadPoolExecutor(2) as pool, lake.lock(READINGS.table):
        rejecting = pool.submit(
            publish,
            store.lake(),
            store.ledger(),
            READINGS,
            with_value(readings(SATURDAY), 1, celsius=99.0),
            window=Window.of_days(SATURDAY),
        )
        clean = pool.submit(publish_days, store.lake(), store.ledger(), SUNDAY)
        wait_until(lambda: len(ledger.queued(READINGS.asset)) == 1)
    assert clean.result().changed == (SUNDAY,)
    assert quarantined(store.lake())["batch"].to_list() == [rejecting.result().batch]
    assert_true_ledger(lake, ledger)


# --- whose error it is ----------------------------------------------------------------------------


def test_files_that_are_gone_are_the_error_of_their_own_writer(store: Store):
    lake = store.lake()
    with crowd(store) as waiting:
        good = waiting.join(SUNDAY)
        before = data_files(lake)
        bad = waiting.join(SATURDAY)
        table = lake.load(READINGS.table)
        for name in data_files(lake) - before:
            table.io.delete(_location(table, name))
    assert good.exception() is None
    assert isinstance(bad.exception(), StagedFilesGoneError)
    assert_true_ledger(lake, store.ledger())


def _location(table: Any, path: str) -> str:
    scheme, separator, _ = table.location().partition("://")
    return f"{scheme}{separator}{path}" if separator else path


def test_a_commit_that_fails_fails_for_the_one_that_made_it_and_the_others_try_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    work = commit_module._commit
    failures: list[int] = []

    def fails_once(table: Any, staged: Any, *args: Any) -> Any:
        if not failures:
            failures.append(len(staged))
            raise OSError(5, "Input/output error")
        return work(table, staged, *args)

    with crowd(store) as waiting:
        monkeypatch.setattr(commit_module, "_commit", fails_once)
        futures = [waiting.join(day) for day in (SATURDAY, SUNDAY, MONDAY)]
    errors = [future.exception() for future in futures]
    assert failures == [3]
    assert [type(error) for error in errors if error is not None] == [OSError]
    assert rows_of(store.lake()).height == 12
    assert len(data_files(store.lake())) == 3
    assert_true_ledger(store.lake(), store.ledger())


def test_a_writer_that_is_stopped_while_it_waits_takes_its_work_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = embedded(tmp_path)
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY)
    files = data_files(lake)
    monkeypatch.setattr("lakeline.lake.lock._FileTurn.take", failing(KeyboardInterrupt()))
    with lake.lock(READINGS.table), pytest.raises(KeyboardInterrupt):
        publish_days(lake, ledger, SATURDAY)
    monkeypatch.undo()
    assert ledger.queued(READINGS.asset) == {}
    assert data_files(lake) == files
    publish_days(lake, ledger, SUNDAY)
    assert_true_ledger(lake, ledger)


# --- kill -9 --------------------------------------------------------------------------------------


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def publish_in_child(store: Store, day: str, base: float) -> None:
    """A process that publishes a day and waits if it must."""
    publish_days(store.lake(), store.ledger(), day, base=base)


def lead_and_die(store: Store, marker: Path, place: str) -> None:
    """A process that takes the lock, waits until two others are in the queue, and dies with their work in hand."""
    work: Any = vars(recording)["joining"]

    def late(*args: Any) -> Any:
        marker.touch()
        wait_until(lambda: len(store.ledger().queued(READINGS.asset)) == 2)
        found = work(*args)
        assert len(found) == 2
        return found

    recording.joining = late  # type: ignore[attr-defined,assignment]
    if place == "before the commit":
        recording.replace_partitions = die  # type: ignore[attr-defined]
    elif place == "after the commit":
        Ledger.publish_together = die  # type: ignore[method-assign]
    publish_days(store.lake(), store.ledger(), SATURDAY)


def start(target: Callable[..., None], *args: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    return process


@pytest.mark.parametrize("place", ["before the commit", "after the commit"])
def test_who_waits_is_published_once_though_the_one_that_had_its_work_was_killed(
    store: Store, tmp_path: Path, place: str
):
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY)
    marker = tmp_path / "leads"
    leader = start(lead_and_die, store, marker, place)
    wait_until(marker.exists)
    with ThreadPoolExecutor(2) as pool:
        futures = [
            pool.submit(publish_days, store.lake(), store.ledger(), day) for day in (SUNDAY, MONDAY)
        ]
        done = [future.result(timeout=PATIENCE_S) for future in futures]
    leader.join(PATIENCE_S)
    assert leader.exitcode == -signal.SIGKILL
    mend(lake, ledger, READINGS.asset)
    table = lake.load(READINGS.table)
    committed = committed_batches(table)
    assert all(committed[one.batch] == one.snapshot_id for one in done)
    days = rows_of(lake)["event_ts"].dt.date().cast(pl.String).unique().to_list()
    assert (SATURDAY in days) == (place == "after the commit")
    assert rows_of(lake).height == 4 * len(days)
    assert_true_ledger(lake, ledger)


def test_work_of_a_writer_that_was_killed_while_it_waited_is_not_published_later(store: Store):
    lake, ledger = store.lake(), store.ledger()
    publish_days(lake, ledger, FRIDAY)
    with lake.lock(READINGS.table):
        child = start(publish_in_child, store, SATURDAY, 20.0)
        wait_until(lambda: len(ledger.queued(READINGS.asset)) == 1)
        child.kill()
        child.join(PATIENCE_S)
    publish_days(lake, ledger, SUNDAY)
    assert set(ledger.versions(READINGS.asset)) == {FRIDAY, SUNDAY}
    assert ledger.queued(READINGS.asset) == {}
    publish_days(lake, ledger, SATURDAY, base=30)
    assert_true_ledger(lake, ledger)


# --- the parts ------------------------------------------------------------------------------------


def test_a_handover_comes_out_of_its_json_as_it_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = embedded(tmp_path)
    handed = []
    work = recording._commit

    def kept(table: Any, group: Any) -> Any:
        handed.extend(group)
        return work(table, group)

    monkeypatch.setattr(recording, "_commit", kept)
    publish_days(store.lake(), store.ledger(), *DAYS)
    (before,) = handed
    after = loads(dumps(before))
    assert after.cost == before.cost
    assert [one.file for one in after.staged] == [one.file for one in before.staged]
    assert [one.file._data for one in after.staged] == [one.file._data for one in before.staged]
    assert [one.file.spec_id for one in after.staged] == [0, 0, 0]
    assert (after.versions, after.seen) == (before.versions, before.seen)
    assert after.window is not None
    assert before.window is not None
    assert (after.window.start, after.window.end) == (before.window.start, before.window.end)


def test_who_waits_is_seen_until_it_leaves(tmp_path: Path):
    path = tmp_path / "locks" / "a.b.lock"
    with file_turn(path, "one") as holder:
        assert holder.try_take()
        with file_turn(path, "two") as other:
            assert not other.try_take()
            assert holder.waiting(["two"]) == set()
            other.announce()
            assert holder.waiting(["two", "three"]) == {"two"}
        assert holder.waiting(["two"]) == set()
    assert [file.name for file in path.parent.iterdir()] == ["a.b.lock"]


def test_a_database_lock_shows_who_waits(store: Store):
    lake: Lake = store.lake()
    with lake.turn("a.b", "one") as holder:
        assert holder.try_take()
        with lake.turn("a.b", "two") as other:
            assert not other.try_take()
            other.announce()
            assert holder.waiting(["two", "three"]) == {"two"}
        wait_until(lambda: holder.waiting(["two"]) == set())
