"""Handles: how a function reads what it declared, pinned to one snapshot, with the reading itself recorded."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakeline.domain.node import Node
from lakeline.domain.reads import Read
from lakeline.errors import DomainError, names
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable

    from lakeline.contract import Contract
    from lakeline.features.point_in_time import FeatureSource
    from lakeline.lake import Lake
    from lakeline.ledger import Current, Input, Ledger


class MissingInputError(DomainError):
    """An upstream partition that a run needs was never built."""

    def __init__(self, reader: str, upstream: str, partitions: Sequence[str]) -> None:
        which = names(partitions) if any(partitions) else "it"
        super().__init__(
            f"'{reader}' needs '{upstream}', which has no data for {which} yet. "
            f"Materialize '{upstream}' first, or select both in one run."
        )


class NoSuchDayError(DomainError):
    """A run asks for days that an upstream asset does not have, because its domain begins later or ends earlier."""

    def __init__(self, reader: str, upstream: Node, partitions: Sequence[str]) -> None:
        ends = f" and end before {upstream.until}" if upstream.until else ""
        super().__init__(
            f"'{reader}' reads '{upstream.asset}' on the same days, and that cannot have {names(partitions)}: its days "
            f"begin on {upstream.first_partition}{ends}. Build '{reader}' for days that both have."
        )


class UndeclaredWindowError(DomainError):
    """A function reads event time that its asset did not declare."""

    def __init__(self, reader: str, upstream: str, asked: Window, declared: Window) -> None:
        days = max(1, (declared.start - asked.start).days)
        super().__init__(
            f"'{reader}' reads '{upstream}' from {asked.start:%Y-%m-%d %H:%M} to {asked.end:%Y-%m-%d %H:%M} UTC, but "
            f"declared {declared.start:%Y-%m-%d %H:%M} to {declared.end:%Y-%m-%d %H:%M}. Days before the window are "
            f"declared by reads=[past({upstream.rpartition('/')[2]}, days={days})]."
        )


@dataclass(kw_only=True)
class Table:
    """An upstream table, pinned to the snapshot it had when the run began.

    Attributes:
        node: The upstream asset.
        snapshot_id: The pinned snapshot; None for a table without rows.
        window: Event time that may be read; None for an unpartitioned table.
    """

    node: Node
    read_spec: Read
    reader: Node
    iceberg: "IcebergTable"
    current: "Mapping[str, Current]"
    window: Window | None
    fetched: set[str] = field(default_factory=set)
    is_read: bool = False

    @property
    def snapshot_id(self) -> int | None:
        """The pinned snapshot; None for a table without rows."""
        head = self.iceberg.current_snapshot()
        return head.snapshot_id if head is not None else None

    @property
    def contract(self) -> "type[Contract]":
        """What the table promises."""
        return self.node.columns

    def read(
        self, window: Window | None = None, columns: Sequence[str] | None = None
    ) -> "pl.LazyFrame":
        """The rows of a window as a lazy frame; only the columns that are used are read, and those are recorded.

        Args:
            window: Event time within the declared one; left out, all of the declared one.
            columns: Columns to keep; left out, all.

        Raises:
            UndeclaredWindowError: The window is wider than declared.
            UnknownColumnError: A column is not in the table.
        """
        from lakeline.lake.read import scan_polars

        return scan_polars(
            self.iceberg, self._allowed(window), columns=columns, on_read=self.record
        )

    def duckdb(
        self,
        connection: "duckdb.DuckDBPyConnection",
        window: Window | None = None,
        columns: Sequence[str] | None = None,
    ) -> "duckdb.DuckDBPyRelation":
        """The rows of a window as a relation of ``connection``; records ``columns``, or all where left out.

        Raises:
            UndeclaredWindowError: The window is wider than declared.
            UnknownColumnError: A column is not in the table.
        """
        from lakeline.lake.read import column_names, scan_duckdb

        relation = scan_duckdb(self.iceberg, connection, self._allowed(window), columns=columns)
        self.record(columns if columns is not None else column_names(self.iceberg))
        return relation

    def arrow(
        self, window: Window | None = None, columns: Sequence[str] | None = None
    ) -> "pa.Table":
        """The rows of a window as an Arrow table; records ``columns``, or all where left out.

        Raises:
            UndeclaredWindowError: The window is wider than declared.
            UnknownColumnError: A column is not in the table.
        """
        from lakeline.lake.read import read_arrow

        found = read_arrow(self.iceberg, self._allowed(window), columns=columns)
        self.record(found.column_names)
        return found

    def features(self, columns: Sequence[str] | None = None) -> "FeatureSource":
        """A feature view as the point-in-time join takes it: its declared window, times, keys and time to live.

        Args:
            columns: Features to take; left out, every column that is no key and no time.

        Raises:
            DomainError: The upstream asset is not a feature view.
        """
        from lakeline.features.point_in_time import FeatureSource

        if not self.node.entities:
            raise DomainError(
                f"'{self.node.asset}' is not a feature view: declare it with @domain.feature_view(entities=…)."
            )
        contract = self.contract
        event_time, known = contract.event_time, contract.knowledge_time
        rest = [
            name
            for name in contract.columns
            if name not in {*self.node.entities, event_time, known}
        ]
        taken = tuple(columns or rest)
        times = tuple(name for name in (event_time, known) if name is not None)
        return FeatureSource(
            name=self.node.name,
            frame=self.read(columns=[*self.node.entities, *times, *taken]),
            entities=self.node.entities,
            event_time=str(event_time),
            knowledge_time=known,
            ttl=dt.timedelta(seconds=self.node.ttl_s) if self.node.ttl_s is not None else None,
            features=taken,
        )

    def record(self, columns: Sequence[str]) -> None:
        """Note that columns were read; the handle does so by itself."""
        self.is_read = True
        self.fetched.update(columns)

    def inputs(self, partition: str) -> "tuple[Input, ...]":
        """What the ledger keeps of this dependency for one partition of the reader; nothing if it was not read."""
        from lakeline.ledger import ABSENT, Input

        if not self.is_read:
            return ()
        columns = tuple(sorted(self.fetched))
        return tuple(
            Input(
                asset=self.node.asset,
                partition=key,
                # An absent partition is recorded too, so that its coming is noticed.
                version=self.current[key].version if key in self.current else ABSENT,
                snapshot_id=self.snapshot_id,
                columns=columns,
            )
            for key in self.upstream(partition)
        )

    def upstream(self, partition: str) -> tuple[str, ...]:
        """Upstream partitions that a partition of the reader is made from."""
        return self.read_spec.upstream(
            partition, reader_is_daily=self.reader.daily, known=sorted(self.current)
        )

    def watermark(self, partition: str) -> dt.datetime | None:
        """Event time up to which the newest upstream partition is complete; None where it has no event time."""
        newest = self.upstream(partition)[-1:]
        held = self.current.get(newest[0]) if newest else None
        return held.watermark if held is not None else None

    def _allowed(self, window: Window | None) -> Window | None:
        if window is None or self.window is None:
            return self.window
        if window.start < self.window.start or window.end > self.window.end:
            raise UndeclaredWindowError(self.reader.asset, self.node.asset, window, self.window)
        return window


def open_table(
    lake: "Lake", ledger: "Ledger", read: Read, reader: Node, window: Window | None
) -> Table:
    """A handle on an upstream table for one run.

    Raises:
        MissingInputError: A partition that the run needs was never built.
        NoSuchDayError: It cannot be built either.
        ForeignWriteError, TableSetBackError: Another engine changed the table, so that the recorded versions are not
            what would be read.
    """
    iceberg, current = _of_one_moment(lake, ledger, read, reader, window)
    return Table(
        node=read.node,
        read_spec=read,
        reader=reader,
        iceberg=iceberg,
        current=current,
        window=_readable(read, reader, window, current),
    )


def _of_one_moment(
    lake: "Lake", ledger: "Ledger", read: Read, reader: Node, window: Window | None
) -> "tuple[IcebergTable, Mapping[str, Current]]":
    """A table as it is, and what the ledger says of exactly that.

    A publish in between, or one that was killed before its record, would let a reader record versions that it did not
    read; and should the old rows come back, nobody would ever notice.
    """
    from lakeline.lake.commit import newest_publish, refuse_foreign, refuse_set_back
    from lakeline.recording import repair

    node = read.node

    def said() -> "tuple[int | None, Mapping[str, Current]]":
        published, current = ledger.last_snapshot(node.asset), ledger.current(node.asset)
        _require(read, reader, window, current)
        return published, current

    # The ledger first, so that whatever is published meanwhile shows in the table and not in what was read before.
    published, current = said()
    iceberg = lake.open(node.table, node.columns, daily=node.daily)
    newest = newest_publish(iceberg, iceberg.current_snapshot())
    if newest is not None and newest.snapshot_id != published:
        with lake.lock(node.table):
            repair(lake, ledger, node.asset, iceberg.refresh())
            published, current = said()
    refuse_foreign(iceberg)
    refuse_set_back(iceberg, published)
    return iceberg, current


def _require(
    read: Read, reader: Node, window: Window | None, current: "Mapping[str, Current]"
) -> None:
    kind = read.mapping(reader.daily)
    needed: tuple[str, ...] = (WHOLE,)
    if kind == "days" and window is not None:
        needed = window.partitions
    if kind == "all":
        needed = () if current else (WHOLE,)
    missing = [key for key in needed if key not in current]
    if kind == "days" and (never := [day for day in missing if not read.node.has_day(day)]):
        raise NoSuchDayError(reader.asset, read.node, never)
    if missing:
        raise MissingInputError(reader.asset, read.node.asset, missing)


def _readable(
    read: Read, reader: Node, window: Window | None, current: "Mapping[str, Current]"
) -> Window | None:
    kind = read.mapping(reader.daily)
    if kind == "whole":
        return None
    if kind == "days" and window is not None:
        first = (
            window.back(read.back_days).partitions[0] if read.back_days else window.partitions[0]
        )
        return Window.of_days(max(first, read.node.first_partition or first), window.partitions[-1])
    keys = read.upstream(WHOLE, reader_is_daily=False, known=sorted(current))
    return Window.of_days(keys[0], keys[-1])


Opener = Callable[[Read], Table]
