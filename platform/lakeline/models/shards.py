"""Which days of a snapshot may hold decisions of a window, and how they are cut into shards that are read one at a time.

A shard is whole days that hold some `SHARD_ROWS` rows together, so that a table with a file a day costs no plan a file: a
day at a time took five times as long.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lakeline.lake.partitions import partition_key
from lakeline.lake.past import schema_at
from lakeline.window import WHOLE, Window, day_start

if TYPE_CHECKING:
    from pyiceberg.table import Table

SHARD_ROWS = 65_536
DAY = dt.timedelta(days=1)


def days_of(
    table: "Table",
    snapshot_id: int,
    window: Window,
    *,
    at: str,
    start: dt.datetime,
    end: dt.datetime,
) -> dict[str, int]:
    """Rows of each day of a window that may hold decisions, by the day's key.

    A day counts whole however many files it has, so that a compaction moves no border between shards.

    Args:
        table: Loaded.
        snapshot_id: What is read.
        window: Event time that is read.
        at: Column with the time of each decision.
        start: Decisions from here, included.
        end: Up to here, excluded.

    Raises:
        UnknownSnapshotError: The table does not remember the snapshot.
    """
    schema_at(table, snapshot_id)
    rows: dict[str, int] = {}
    for task in table.scan(snapshot_id=snapshot_id).plan_files():
        key = partition_key(task.file)
        rows[key] = rows.get(key, 0) + task.file.record_count
    is_narrow = window.start < start or end < window.end
    maybe = _days_by_statistics(table, snapshot_id, at, start, end) if is_narrow else rows
    return {key: rows[key] for key in sorted(maybe) if key == WHOLE or _overlaps(key, window)}


def stretches(rows: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """First and last key of runs of days that hold `SHARD_ROWS` together."""
    first, held, last = "", 0, ""
    for key, count in rows.items():
        first, held, last = first or key, held + count, key
        if held >= SHARD_ROWS:
            yield first, last
            first, held = "", 0
    if first:
        yield first, last


def _days_by_statistics(
    table: "Table", snapshot_id: int, at: str, start: dt.datetime, end: dt.datetime
) -> set[str]:
    """Days with files whose statistics do not say that they hold no decision of the window."""
    from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan

    from_on: Any = GreaterThanOrEqual
    below: Any = LessThan
    is_within = And(from_on(at, start.isoformat()), below(at, end.isoformat()))
    found = table.scan(snapshot_id=snapshot_id, row_filter=is_within).plan_files()
    return {partition_key(one.file) for one in found}


def _overlaps(day: str, window: Window) -> bool:
    return window.start < day_start(day) + DAY and day_start(day) < window.end
