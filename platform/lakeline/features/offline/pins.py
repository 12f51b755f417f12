"""Which snapshot of each table a run reads, settled before anything is read."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakeline.features.offline.errors import (
    EmptyViewError,
    SnapshotMissingError,
    ViewTableMissingError,
)

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.types import NestedField

    from lakeline.lake import Lake


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeTravel:
    """What a run pins; nothing reads the newest.

    Attributes:
        snapshots: Snapshot id by ``namespace.table``; it wins over a view's own pin.
        as_of: Tables without a pin are read at the newest snapshot that was committed by then.
    """

    snapshots: Mapping[str, int] = field(default_factory=dict)
    as_of: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedTable:
    """A table at one snapshot; later commits do not change what is read.

    Attributes:
        table: Its metadata as of now.
        name: ``namespace.table``.
        snapshot_id: The snapshot, None where the table has none.
    """

    table: "Table"
    name: str
    snapshot_id: int | None

    @property
    def fields(self) -> "dict[str, NestedField]":
        """Columns by name, as they are called today, and those that only the snapshot has.

        A definition of features is of today while a pinned snapshot is older: a column that was renamed since is
        found by its field id, one that was dropped since can still be read.
        """
        today = self.table.schema()
        found = {one.name: one for one in today.fields}
        snapshot = self.table.metadata.snapshot_by_id(self.snapshot_id or -1)
        # What was dropped is gone from the newest snapshot too, though its files may still hold it.
        if snapshot is None or self.snapshot_id == self.table.metadata.current_snapshot_id:
            return found
        ids = {one.field_id for one in today.fields}
        then = self.table.schemas().get(snapshot.schema_id or 0, today)
        dropped = {one.name: one for one in then.fields if one.field_id not in ids}
        return dropped | found

    @property
    def columns(self) -> list[str]:
        """Names of every column that can be read."""
        return list(self.fields)


def pin(
    lake: "Lake",
    name: str,
    *,
    view: str,
    snapshot_id: int | None = None,
    travel: TimeTravel | None = None,
) -> PinnedTable:
    """The table of a view at the snapshot that the run reads.

    Args:
        lake: Where the table is.
        name: ``namespace.table``.
        view: Name of the view, for messages.
        snapshot_id: The view's own pin.
        travel: What the run pins.

    Raises:
        ViewTableMissingError: There is no such table.
        EmptyViewError: Nothing was ever published to it.
        SnapshotMissingError: It has no such snapshot, or none as old as asked for.
    """
    wanted = travel or TimeTravel()
    table = lake.find(name)
    if table is None:
        raise ViewTableMissingError(view, name, lake.tables())
    pinned = wanted.snapshots.get(name, snapshot_id)
    if pinned is not None:
        return PinnedTable(table=table, name=name, snapshot_id=_existing(table, name, pinned))
    current = table.current_snapshot()
    if current is None:
        raise EmptyViewError(view, name)
    found = current.snapshot_id if wanted.as_of is None else _as_of(table, name, wanted.as_of)
    return PinnedTable(table=table, name=name, snapshot_id=found)


def pin_any(lake: "Lake", name: str, travel: TimeTravel) -> PinnedTable:
    """A table that exists, at the snapshot that the run reads; without one it has no rows.

    Raises:
        SnapshotMissingError: It has no such snapshot, or none as old as asked for.
    """
    table = lake.load(name)
    if table.current_snapshot() is None:
        return PinnedTable(table=table, name=name, snapshot_id=None)
    return pin(lake, name, view=name, travel=travel)


def _existing(table: "Table", name: str, snapshot_id: int) -> int:
    known = [one.snapshot_id for one in table.metadata.snapshots]
    if snapshot_id not in known:
        raise SnapshotMissingError(name, str(snapshot_id), known)
    return snapshot_id


def _as_of(table: "Table", name: str, moment: dt.datetime) -> int:
    """The newest snapshot of the table's history by then; what was written to other branches is not part of it."""
    limit_ms = moment.timestamp() * 1000
    history = table.history()
    past = [entry.snapshot_id for entry in history if entry.timestamp_ms <= limit_ms]
    if not past:
        since = [
            f"{entry.snapshot_id} of {dt.datetime.fromtimestamp(entry.timestamp_ms / 1000, dt.UTC).isoformat()}"
            for entry in history
        ]
        raise SnapshotMissingError(name, f"as old as {moment.isoformat()}", since)
    return past[-1]
