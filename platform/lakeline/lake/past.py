"""A table as it was: the rows of a snapshot that is no longer the present one, under the names that its columns had."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakeline.lake.holds import UnknownSnapshotError
from lakeline.lake.read import UnknownColumnError, storage_options
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


def scan_past(
    table: "Table", snapshot_id: int, window: Window | None, *, columns: Sequence[str]
) -> "pl.LazyFrame":
    """The rows of a snapshot as a lazy frame, whatever has happened to the table since.

    Args:
        table: As it is now.
        snapshot_id: One that it remembers.
        window: Event time to read; None reads everything.
        columns: Columns to keep, in this order. One that the table got between the snapshot and the next is null, as it
            was for whoever read the table then.

    Raises:
        UnknownSnapshotError: The table does not remember the snapshot.
        UnknownColumnError: The table never had a column.
    """
    import polars as pl

    schema = schema_at(table, snapshot_id)
    lazy = pl.scan_iceberg(
        table, snapshot_id=snapshot_id, storage_options=storage_options(table)
    ).with_columns(_added_later(table, schema, columns))
    fields = table.spec().fields
    name = schema.find_column_name(fields[0].source_id) if fields else None
    if name is not None and window is not None:
        lazy = lazy.filter((pl.col(name) >= window.start) & (pl.col(name) < window.end))
    return lazy.select(columns)


def schema_at(table: "Table", snapshot_id: int) -> "Schema":
    """The columns that a snapshot was written with.

    Raises:
        UnknownSnapshotError: The table does not remember the snapshot.
    """
    snapshot = table.metadata.snapshot_by_id(snapshot_id)
    if snapshot is None:
        newest = [one.snapshot_id for one in reversed(table.metadata.snapshots)]
        raise UnknownSnapshotError(".".join(table.name()), snapshot_id, newest)
    present = table.schema()
    number = present.schema_id if snapshot.schema_id is None else snapshot.schema_id  # 0 is one
    return table.schemas().get(number, present)


def _added_later(table: "Table", schema: "Schema", columns: Sequence[str]) -> "list[pl.Expr]":
    """Nulls for the columns that the snapshot was written without."""
    import polars as pl

    then = set(schema.column_names)
    present = pl.scan_iceberg(table, storage_options=storage_options(table)).collect_schema()
    ever = {name for one in table.schemas().values() for name in one.column_names}
    if strangers := [name for name in columns if name not in ever]:
        raise UnknownColumnError(".".join(table.name()), strangers, sorted(then))
    return [
        pl.lit(None, dtype=present.get(name, pl.Null)).alias(name)
        for name in columns
        if name not in then
    ]
