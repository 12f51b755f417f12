"""Writing rows to a table of the lake in one commit: all of them are seen at once, or none."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lakeline.features.offline.errors import SavedTableError
from lakeline.lake.catalog import CODEC, TABLE_PROPERTIES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table, Transaction

    from lakeline.lake import Lake


def create_table(
    lake: "Lake",
    name: str,
    rows: "pa.RecordBatchReader",
    *,
    properties: Mapping[str, str] | None = None,
) -> int:
    """Make a table of the rows; returns the id of its snapshot.

    Args:
        lake: Where.
        name: ``namespace.table``, which does not exist yet.
        rows: Streamed; never held as a whole.
        properties: More properties of the table.

    Raises:
        SavedTableError: The table exists.
    """
    rows = storable(rows)
    given = TABLE_PROPERTIES | {CODEC: lake.codec} | dict(properties or {})
    with lake.lock(name):
        if lake.find(name) is not None:
            raise SavedTableError(name, "it exists already. Allow it to be overwritten")
        lake.create_namespace_of(name)
        made = lake.catalog.create_table_transaction(name, schema=rows.schema, properties=given)
        with made as transaction:
            transaction.append(rows)
    return _snapshot(lake.load(name))


def replace_table(
    lake: "Lake",
    name: str,
    rows: "pa.RecordBatchReader",
    *,
    properties: Mapping[str, str] | None = None,
) -> int:
    """Let a table have these rows and columns instead of its own; returns the id of its snapshot.

    What it held stays readable at its older snapshots.
    """
    rows = storable(rows)
    with lake.lock(name):
        table = lake.load(name)
        with table.transaction() as transaction:
            _reshape(transaction, table, rows.schema)
            if properties:
                transaction.set_properties(dict(properties))
            if table.current_snapshot() is not None:
                transaction.delete("true")
            transaction.append(rows)
    return _snapshot(lake.load(name))


def append_rows(lake: "Lake", name: str, rows: "pa.Table") -> int:
    """Add rows to a table that exists; returns the id of its snapshot.

    Args:
        lake: Where.
        name: ``namespace.table``.
        rows: Every column of the table, in any order.

    Raises:
        SavedTableError: Columns are missing, too many, or of another type.
    """
    with lake.lock(name):
        table = lake.load(name)
        table.append(_fitted(rows, table, name))
    return _snapshot(lake.load(name))


def storable(rows: "pa.RecordBatchReader") -> "pa.RecordBatchReader":
    """The rows in types that Iceberg has: microseconds in UTC, plain texts, signed integers."""
    import pyarrow as pa

    schema = pa.schema([pa.field(one.name, _storable(one.type)) for one in rows.schema])
    if schema.equals(rows.schema):
        return rows

    def batches() -> "Iterator[pa.RecordBatch]":
        for batch in rows:
            columns = [
                column.cast(one.type, safe=False)
                for column, one in zip(batch.columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _storable(kind: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type)
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_integer(kind):
        return pa.int32() if kind.bit_width < 32 or kind == pa.int32() else pa.int64()
    return kind


def _reshape(transaction: "Transaction", table: "Table", schema: "pa.Schema") -> None:
    """Give a table the columns of a schema; those of another type become new columns of that name."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    has = schema_to_pyarrow(table.schema(), include_field_ids=False)
    kept = {one.name for one in has if one.name in schema.names and _same(has, schema, one.name)}
    with transaction.update_schema(allow_incompatible_changes=True) as update:
        for name in has.names:
            if name not in kept:
                update.delete_column(name)
    with transaction.update_schema() as update:
        update.union_by_name(schema)


def _same(one: "pa.Schema", other: "pa.Schema", name: str) -> bool:
    import pyarrow as pa

    left, right = one.field(name).type, other.field(name).type
    texts = {pa.string(), pa.large_string()}
    return bool(left == right or {left, right} <= texts)


def _fitted(rows: "pa.Table", table: "Table", name: str) -> "pa.Table":
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    schema = schema_to_pyarrow(table.schema())
    missing = [one for one in schema.names if one not in rows.column_names]
    extra = [one for one in rows.column_names if one not in schema.names]
    if missing or extra:
        raise SavedTableError(
            name,
            f"the rows lack {', '.join(missing) or 'nothing'} and have {', '.join(extra) or 'nothing'} too many. "
            f"Give its columns: {', '.join(schema.names)}",
        )
    plain = storable(rows.select(schema.names).to_reader()).read_all()
    try:
        return plain.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise SavedTableError(name, f"the rows do not fit its columns ({error})") from error


def _snapshot(table: "Table") -> int:
    current = table.current_snapshot()
    return current.snapshot_id if current is not None else 0
