"""Between keys of daily partitions and what Iceberg calls them."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakeline.window import WHOLE

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from lakeline.window import Window

_EPOCH = dt.date(1970, 1, 1)


def partition_key(file: "DataFile") -> str:
    """Key of the partition that a data file belongs to; `WHOLE` too for rows of no day, which only other engines write."""
    value = file.partition[0] if len(file.partition) else None
    if value is None:
        return WHOLE
    return value if isinstance(value, str) else day_key(value)


def day_key(days: int) -> str:
    """Key of the partition that Iceberg calls by the days since 1970.

    >>> day_key(19_783)
    '2024-03-01'
    """
    return (_EPOCH + dt.timedelta(days=days)).isoformat()


def event_time_column(table: "Table") -> str | None:
    """The column whose UTC day parts the table, or None for an unpartitioned one."""
    fields = table.spec().fields
    return table.schema().find_column_name(fields[0].source_id) if fields else None


def window_filter(table: "Table", window: "Window | None") -> "BooleanExpression":
    """Rows of a daily table with their event time in the window; every row without one."""
    return windows_filter(table, () if window is None else (window,))


def windows_filter(table: "Table", windows: "Sequence[Window]") -> "BooleanExpression":
    """Rows of a daily table with their event time in one of the windows; every row without any."""
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan, Or

    column = event_time_column(table)
    if not windows or column is None:
        return AlwaysTrue()
    # Their types are those of their JSON. Parsing text instead takes a millisecond a window.
    at_least: Any = GreaterThanOrEqual
    below: Any = LessThan
    within = [
        And(at_least(column, one.start.isoformat()), below(column, one.end.isoformat()))
        for one in windows
    ]
    return within[0] if len(within) == 1 else Or(*within)


def by_day(frame: "pl.DataFrame", event_time: str) -> "Mapping[str, pl.DataFrame]":
    """The rows of each UTC day, keyed by its partition; sorted input is sliced without a copy.

    Rows of a day keep their order, and the days of an unsorted frame are in order too.
    """
    import polars as pl

    if frame.height == 0:
        return {}
    if not frame[event_time].is_sorted():
        frame = frame.sort(event_time, maintain_order=True)
    first, last = (frame[event_time][row].date() for row in (0, -1))
    if first == last:  # the usual frame: counting its days would take longer than all else here
        return {first.isoformat(): frame}
    lengths = frame[event_time].dt.date().rle().struct.unnest().select("value", "len")
    parts: dict[str, pl.DataFrame] = {}
    start = 0
    for key, rows in lengths.iter_rows():
        parts[key.isoformat()] = frame.slice(start, rows)
        start += rows
    return parts


def cut_by_days(frame: "pl.DataFrame", event_time: str, rows: int) -> "Iterator[pl.DataFrame]":
    """Parts of a frame, whole days of at most ``rows`` together; a longer day is a part of its own.

    There is never a second copy of the whole frame. One whose times are partly null stays uncut: an audit refuses it.
    """
    times = frame[event_time]
    if frame.height <= rows or times.null_count():
        yield frame
        return
    is_sorted, start = times.is_sorted(), 0
    days = None if is_sorted else times.dt.date()
    for first, last, count in _day_groups(times, rows):
        # Comparing the days of all rows for each part costs less than sorting every column.
        yield (
            frame.slice(start, count)
            if days is None
            else frame.filter(days.is_between(first, last))
        )
        start += count


def _day_groups(times: "pl.Series", rows: int) -> Iterator[tuple[dt.date, dt.date, int]]:
    """First day, last day and rows of each group of days."""
    first = last = None
    total = 0
    for day, count in times.dt.date().alias("day").value_counts().sort("day").iter_rows():
        if first is not None and last is not None and total + count > rows:
            yield first, last, total
            first, total = None, 0
        first, last, total = first or day, day, total + count
    if first is not None and last is not None:
        yield first, last, total
