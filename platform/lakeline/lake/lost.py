"""Partitions whose rows are not there any more, though a snapshot or the ledger says they are: a file was deleted by hand."""

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from lakeline.lake.files import missing
from lakeline.lake.plan import plan

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakeline.window import Window


def lost_partitions(
    table: "Table", window: "Window | None", partitions: Collection[str]
) -> set[str]:
    """Those of the partitions of which the table has no file, or one that is gone.

    Args:
        table: As it is now.
        window: Event time that the partitions lie in.
        partitions: Keys of partitions that have rows.

    Returns:
        None of them where another engine parted the table, so that keys do not tell which files are theirs.
    """
    planned = plan(table, window)
    if planned is None:
        return set()
    files: dict[str, list[str]] = defaultdict(list)
    for file in planned.files:
        files[file.partition].append(file.path)
    gone = set(missing(table, [path for key in partitions for path in files.get(key, ())]))
    return {key for key in partitions if not files.get(key) or not gone.isdisjoint(files[key])}
