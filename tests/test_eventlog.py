"""The pooled event log keeps what the stock one keeps, across threads, forks, processes and kills."""

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import check_alembic_revision, get_alembic_config

from lakeline.eventlog import BATCHED_EVENTS, PooledSqliteEventLogStorage
from lakeline.instance import open_instance
from lakeline.sqlite_pool import OPEN_SHARDS

DAYS = dg.DailyPartitionsDefinition("2013-01-01", end_date="2013-01-09")
RANGE = {
    "dagster/asset_partition_range_start": "2013-01-01",
    "dagster/asset_partition_range_end": "2013-01-08",
}
RAW, CLEAN = dg.AssetKey(["flights", "raw"]), dg.AssetKey(["flights", "clean"])
TABLES = {
    "event_logs": "id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition",
    "asset_keys": "asset_key, last_materialization, last_run_id, last_materialization_timestamp",
    "asset_event_tags": "asset_key, event_id, key, value, event_timestamp",
    "asset_check_executions": "asset_key, check_name, partition, run_id, execution_status,"
    " evaluation_event, evaluation_event_storage_id, materialization_event_storage_id",
}


@dg.asset(key=RAW, partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def raw() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(value=None, data_version=dg.DataVersion("v1"))


@dg.asset(
    key=CLEAN,
    deps=[raw],
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("contract", asset=CLEAN)],
)
def clean(
    context: dg.AssetExecutionContext,
):
    for key in context.partition_keys:
        context.add_asset_metadata({"dagster/row_count": 7}, partition_key=key)
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


@cache
def recorded() -> tuple[EventLogEntry, ...]:
    """Every event of one run over eight days of two assets, a hundredth of a second after each other."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([raw, clean], instance=instance, tags=RANGE)
        events = instance.all_logs(result.run_id)
    began_s = events[0].timestamp
    return tuple(e._replace(timestamp=began_s + i / 100) for i, e in enumerate(events))


def materializations(count: int, run_id: str = "run") -> list[EventLogEntry]:
    """Some materializations, said to be of ``run_id``."""
    found = [
        e for e in recorded() if e.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
    ]
    return [found[i % len(found)]._replace(run_id=run_id) for i in range(count)]


def store_singly(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    for event in events:
        storage.store_event(event)


def store_in_batches(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    for is_batch, group in groupby(events, lambda e: e.dagster_event_type in BATCHED_EVENTS):
        store = (
            storage.store_event_batch if is_batch else lambda batch: store_singly(storage, batch)
        )
        store(list(group))


def rows(folder: Path, shard: str) -> dict[str, list[tuple[object, ...]]]:
    """What the tables of a shard hold."""
    with sqlite3.connect(folder / f"{shard}.db") as connection:
        return {
            table: connection.execute(f"select {columns} from {table} order by id").fetchall()
            for table, columns in TABLES.items()
        }


def count(folder: Path, shard: str) -> int:
    with sqlite3.connect(folder / f"{shard}.db") as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        return int(connection.execute("select count(*) from event_logs").fetchone()[0])


@pytest.fixture
def storage(tmp_path: Path):
    log = PooledSqliteEventLogStorage(str(tmp_path))
    yield log
    log.dispose()


@pytest.mark.parametrize("store", [store_singly, store_in_batches])
def test_the_files_hold_the_same_rows_as_those_of_the_stock_log(
    tmp_path: Path, store: Callable[..., None]
) -> None:
    stock = SqliteEventLogStorage(str(tmp_path / "stock"))
    pooled = PooledSqliteEventLogStorage(str(tmp_path / "pooled"))
    store_singly(stock, recorded())
    store(pooled, recorded())
    pooled.dispose()
    for shard in ("index", recorded()[0].run_id):
        assert rows(tmp_path / "pooled", shard) == rows(tmp_path / "stock", shard)
    assert len(rows(tmp_path / "pooled", "index")["asset_check_executions"]) >= 8


@pytest.mark.parametrize("store", [store_singly, store_in_batches])
def test_events_are_read_back_as_they_were_stored(
    storage: PooledSqliteEventLogStorage, store: Callable[..., None]
) -> None:
    store(storage, recorded())
    run_id = recorded()[0].run_id
    assert storage.get_logs_for_run(run_id) == list(recorded())
    assert storage.get_materialized_partitions(CLEAN) == set(DAYS.get_partition_keys())
    assert len(storage.fetch_materializations(RAW, limit=100).records) == 8


def test_materializations_of_one_moment_are_a_millisecond_apart(
    storage: PooledSqliteEventLogStorage,
) -> None:
    """Dagster's page of an asset shows one event a millisecond."""
    began_s = 1_700_000_000.25
    same = [event._replace(timestamp=began_s) for event in materializations(16)]
    later = same[-1]._replace(timestamp=began_s + 1)
    storage.store_event_batch([*same, later])
    held = [event.timestamp for event in storage.get_logs_for_run("run")]
    assert held == pytest.approx([*(began_s + i / 1000 for i in range(16)), began_s + 1])
    assert len({round(moment * 1000) for moment in held}) == 17


def test_the_stock_log_and_the_pooled_one_go_on_with_each_others_files(tmp_path: Path) -> None:
    for kind in (SqliteEventLogStorage, PooledSqliteEventLogStorage) * 2:
        log = kind(str(tmp_path))
        store_singly(log, materializations(3))
        log.dispose()
    assert count(tmp_path, "run") == count(tmp_path, "index") == 12


def test_a_batch_that_fails_leaves_nothing_behind(
    storage: PooledSqliteEventLogStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(storage, "_store_asset_event", fail)
    with pytest.raises(OSError, match="disk full"):
        storage.store_event_batch(materializations(4))
    assert count(tmp_path, "run") == count(tmp_path, "index") == 0


def test_a_batch_of_two_runs_goes_to_the_files_of_both(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    storage.store_event_batch(materializations(2, "one") + materializations(3, "two"))
    assert [count(tmp_path, name) for name in ("one", "two", "index")] == [2, 3, 5]


def test_open_connections_are_bounded_and_closed_in_the_end(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    def open_files() -> int:
        links = [fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.exists()]
        return sum(link.is_relative_to(tmp_path) for link in links)

    for i in range(OPEN_SHARDS + 4):
        storage.store_event(materializations(1, f"run-{i}")[0])
    # Database, log and shared memory of each; SQLite keeps a file or two more for reuse.
    assert OPEN_SHARDS <= open_files() <= 3 * OPEN_SHARDS + 4
    storage.dispose()
    assert open_files() == 0
    assert len(storage.get_logs_for_run("run-0")) == 1


def test_threads_take_turns(storage: PooledSqliteEventLogStorage, tmp_path: Path) -> None:
    def write() -> None:
        store_singly(storage, materializations(20))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(tmp_path, "run") == count(tmp_path, "index") == 80


def test_parent_and_forked_child_write_to_the_same_files(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    storage.store_event_batch(materializations(5))
    child = multiprocessing.get_context("fork").Process(
        target=_write_slowly, args=(storage, materializations(10))
    )
    child.start()
    store_singly(storage, materializations(10))
    storage.dispose()  # would take the child's log away, had the child not its own connection
    child.join(60)
    store_singly(storage, materializations(1))
    assert child.exitcode == 0
    assert count(tmp_path, "run") == count(tmp_path, "index") == 26


def _write_slowly(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    for event in events:
        storage.store_event(event)
        time.sleep(0.02)


def test_a_fork_while_another_thread_writes_leaves_a_child_that_can_write(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    stop = threading.Event()
    written = []

    def write() -> None:
        while not stop.is_set():
            storage.store_event(materializations(1)[0])
            written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    children = []
    for _ in range(5):
        child = multiprocessing.get_context("fork").Process(
            target=store_singly, args=(storage, materializations(2))
        )
        child.start()
        children.append(child)
    for child in children:
        child.join(60)
    stop.set()
    thread.join()
    assert [child.exitcode for child in children] == [0] * 5
    assert count(tmp_path, "run") == len(written) + 10


def _write_in_child(folder: str, events: int) -> None:
    log = PooledSqliteEventLogStorage(folder)
    store_singly(log, tuple(materializations(events)))
    log.dispose()


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=_write_in_child, args=(str(tmp_path), 40)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * 3
    assert count(tmp_path, "run") == count(tmp_path, "index") == 120


def test_a_killed_process_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    code = (
        "import os, signal, tests.test_eventlog as t;"
        f"log = t.PooledSqliteEventLogStorage({str(tmp_path)!r});"
        "log.store_event_batch(t.materializations(30)); t.store_singly(log, t.materializations(5));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert count(tmp_path, "run") == count(tmp_path, "index") == 35


def test_who_watches_a_run_sees_its_events_while_the_writer_stays_open(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    storage.store_event(materializations(1)[0])
    seen: list[EventLogEntry] = []
    watcher = PooledSqliteEventLogStorage(str(tmp_path))
    callback = lambda event, _cursor: seen.append(event)  # noqa: E731 - end_watch needs the same object
    watcher.watch("run", None, callback)
    try:
        store_singly(storage, materializations(3))
        deadline = time.monotonic() + 10
        while len(seen) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(seen) == 4
    finally:
        watcher.end_watch("run", callback)
        watcher.dispose()


def test_a_wipe_empties_the_log_which_then_goes_on(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    storage.store_event_batch(materializations(5))
    storage.wipe()
    assert storage.get_logs_for_run("run") == []
    storage.store_event_batch(materializations(2))
    assert count(tmp_path, "run") == count(tmp_path, "index") == 2


def test_a_wipe_by_another_process_is_noticed(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    storage.store_event_batch(materializations(5))
    other = SqliteEventLogStorage(str(tmp_path))
    other.wipe()
    other.dispose()
    storage.store_event_batch(materializations(2))
    assert count(tmp_path, "run") == count(tmp_path, "index") == 2


def test_the_schema_is_upgraded_from_an_older_one(
    storage: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    storage.store_event_batch(materializations(2))
    older = "16e3655b4d9b"  # the last but one revision that concerns this log
    with sqlite3.connect(tmp_path / "run.db") as connection:
        connection.execute("update alembic_version set version_num = ?", (older,))
    storage.upgrade()
    config = get_alembic_config(sys.modules[SqliteEventLogStorage.__module__].__file__ or "")
    with storage.run_connection("run") as connection:
        current, head = check_alembic_revision(config, connection)
    assert current == head
    assert storage.alembic_version() == (head, head)
    assert len(storage.get_logs_for_run("run")) == 2


def test_a_run_of_a_real_instance_is_recorded_listed_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    with open_instance(tmp_path) as instance:
        result = dg.materialize([raw, clean], instance=instance, tags=RANGE)
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        assert instance.get_materialized_partitions(CLEAN) == set(DAYS.get_partition_keys())
        newest = instance.get_latest_materialization_event(CLEAN)
        assert newest is not None
        assert newest.run_id == result.run_id
        check = dg.AssetCheckKey(CLEAN, "contract")
        history = instance.event_log_storage.get_asset_check_execution_history(check, limit=50)
        assert "SUCCEEDED" in {record.status.value for record in history}
        instance.delete_run(result.run_id)
        assert instance.all_logs(result.run_id) == []
        assert instance.get_materialized_partitions(CLEAN) == set()
