"""Dagster's SQLite event log with connections that stay open and batches that are one transaction.

The stock log opens an engine and a connection for every event, about four an event, and so
checkpoints the write-ahead log and syncs the disk each time. Here one connection a shard stays open
(a shard is one SQLite file: one a run, and one index across runs) with ``PRAGMA synchronous=NORMAL``:
a killed process loses nothing, a power cut can lose the last commits. The files stay those of the
stock log, and either class goes on where the other stopped.
"""

import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import Field, StringSource
from dagster._config import UserConfigSchema
from dagster._core.event_api import EventHandlerFn
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._serdes import ConfigurableClassData, serialize_value
from sqlalchemy.engine import Connection
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from lakeline.sqlite_pool import ShardPool

BATCH_SIZE = 1000
BATCH_SIZE_ENV = "DAGSTER_EVENT_BATCH_SIZE"
BATCHED_EVENTS = ASSET_EVENTS | ASSET_CHECK_EVENTS
MILLISECOND_S = 0.001


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock SQLite event log, several times faster.

    Named in ``dagster.yaml`` under ``event_log_storage``, it also turns on Dagster's event batches for
    its process: the materializations of all partitions of one step are then one transaction. They are
    held back for the moment in which Dagster makes them, so a process killed just then loses those of
    that step, and its run has failed.

    Args:
        base_dir: Folder of the shards; ``<home>/history/runs`` goes on with a stock log.
    """

    _obs: Any  # declared None by the stock class, which starts it with the first watch

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._columns_seen: set[str] = set()
        self._tables_seen: set[str] = set()
        # Before the stock constructor, which already reads and writes.
        self._pool = ShardPool(Path(base_dir).absolute(), self._initdb)
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What ``dagster.yaml`` may say."""
        size = Field(
            int,
            default_value=BATCH_SIZE,
            is_required=False,
            description=f"Most events of one transaction; 0 for no batches. {BATCH_SIZE_ENV} wins.",
        )
        return {"base_dir": StringSource, "batch_size": size}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledSqliteEventLogStorage":
        """The storage that ``dagster.yaml`` describes."""
        # Dagster looks for the size there alone, at every event.
        os.environ.setdefault(BATCH_SIZE_ENV, str(config_value["batch_size"]))
        return cls(config_value["base_dir"], inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._pool.transaction(shard) as connection:
            yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store asset and check events in one transaction a shard; other events one by one."""
        if any(event.dagster_event_type not in BATCHED_EVENTS for event in events):
            super().store_event_batch(events)
            return
        for run_id, batch in groupby(_told_apart(events), key=lambda event: event.run_id):
            self._store_run_batch(run_id, list(batch))

    def _store_run_batch(self, run_id: str, events: list[EventLogEntry]) -> None:
        insert = SqlEventLogStorageTable.insert()
        rows = [self._event_to_row(event) for event in events]
        with self._connect(run_id) as run, self._connect(INDEX_SHARD_NAME) as index:
            run.execute(insert, rows)
            index.execute(insert, rows)
            # This transaction alone writes, so its rows have the highest ids, in order.
            last_id = index.scalar(sa.select(sa.func.max(SqlEventLogStorageTable.c.id))) or 0
            self._store_index(index, events, range(last_id - len(rows) + 1, last_id + 1))

    def _store_index(
        self, index: Connection, events: Sequence[EventLogEntry], ids: Sequence[int]
    ) -> None:
        stored = list(zip(events, ids, strict=True))
        about_assets = [(e, i) for e, i in stored if e.dagster_event_type in ASSET_EVENTS]
        self._store_asset_event_tags(
            index, [e for e, _ in about_assets], [i for _, i in about_assets]
        )
        # The row of an asset holds its newest event, so of each kind only the last one matters.
        newest = {
            (e.get_dagster_event().asset_key, e.dagster_event_type): (e, i) for e, i in about_assets
        }
        for event, event_id in sorted(newest.values(), key=lambda pair: pair[1]):
            self._store_asset_event(index, event, event_id)
        for event, event_id in stored:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, event_id)

    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        # The stock log writes the event anew for each partition: half the time of a run with six
        # checks an asset over half a year.
        planned = event.get_dagster_event().asset_check_planned_data
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": _naive_utc(event.timestamp),
            "evaluation_event_storage_id": event_id,
        }
        subset = planned.partitions_subset
        partitions: Sequence[str | None] = list(subset.get_partition_keys()) if subset else [None]
        with self.index_connection() as index:
            if partitions:
                rows = [{**row, "partition": partition} for partition in partitions]
                index.execute(AssetCheckExecutionsTable.insert(), rows)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table; a yes is remembered, the stock log asks at every event."""
        if table_name not in self._tables_seen and super().has_table(table_name):
            self._tables_seen.add(table_name)
        return table_name in self._tables_seen

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._columns_seen and super()._has_asset_key_col_on_connection(
            conn, column_name
        ):
            self._columns_seen.add(column_name)
        return column_name in self._columns_seen

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back on every new event of a run, until ``end_watch`` or the run ends."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        handler = _Watchdog(self, run_id, callback, cursor)
        watch = self._obs.schedule(handler, self._base_dir, recursive=True)
        self._watchers[run_id][callback] = (handler, watch)

    def wipe(self) -> None:
        """Delete every event."""
        self._pool.close()
        super().wipe()

    def dispose(self) -> None:
        """Close every connection and stop watching."""
        self._pool.close()
        super().dispose()


def _told_apart(events: Iterable[EventLogEntry]) -> Iterator[EventLogEntry]:
    """The events, each materialization at least a millisecond after the one before.

    Dagster's page of an asset knows its events by their millisecond, and of those that share one it shows one.
    """
    earliest_s = 0.0
    for event in events:
        if event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION:
            earliest_s = max(event.timestamp, earliest_s + MILLISECOND_S)
            yield event._replace(timestamp=earliest_s)
        else:
            yield event


def _naive_utc(timestamp_s: float) -> dt.datetime:
    """How Dagster's tables keep a time."""
    return dt.datetime.fromtimestamp(timestamp_s, dt.UTC).replace(tzinfo=None)


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Sees what goes to the write-ahead log; the stock one waits for the checkpoint of a closed connection."""

    def __init__(
        self,
        storage: SqliteEventLogStorage,
        run_id: str,
        callback: EventHandlerFn,
        cursor: str | None,
    ) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        self._process_log()
