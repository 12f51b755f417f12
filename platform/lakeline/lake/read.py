"""Reading a window of a table lazily: planned by Iceberg's metadata, then scanned by Polars, DuckDB or Arrow.

The metadata says which files a window needs and the engines read only those, by field id, so that a renamed, dropped
or re-added column means the same in every file. Files with row-level deletes, which only other engines write, reach DuckDB
through pyiceberg.

Polars has a reader of Iceberg tables that does all of this. Where a table lies on the disk and each name has always meant
the same column, files are given to its reader of Parquet files instead, by paths without a scheme, and whole days without
a filter: a month takes three quarters of the time, an aggregate over 100 days two thirds.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from lakeline.errors import LakeError
from lakeline.lake.partitions import event_time_column, window_filter
from lakeline.lake.plan import Plan, plan
from lakeline.lake.shape import Shape
from lakeline.window import Window

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa
    from polars.io.scan_options import ScanCastOptions
    from pyiceberg.io import FileIO
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.types import IcebergType

BATCH_ROWS = 200_000
"""Rows that a scan hands on at once: few enough to aggregate tables larger than memory, enough to cost nothing."""

OnRead = Callable[[Sequence[str]], None]
"""Told the columns that an engine really fetches, each time it does."""

DUCKDB_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "binary": "BLOB",
    "uuid": "UUID",
}
"""DuckDB's type for each of Iceberg's without parameters."""


class UnknownColumnError(LakeError):
    """A read asks for columns that the table does not have."""

    def __init__(self, table: str, missing: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"Table '{table}' has no column {', '.join(missing)}. It has {', '.join(known)}."
        )


def scan_polars(
    table: "Table",
    window: Window | None = None,
    *,
    columns: Sequence[str] | None = None,
    on_read: OnRead | None = None,
) -> "pl.LazyFrame":
    """The rows of a window as a lazy frame; files, row groups and columns that are not needed are not read.

    Args:
        table: Pinned as it is: later commits are not seen.
        window: Event time to read; None reads everything.
        columns: Columns to keep, in this order; None keeps all.
        on_read: Told which columns were fetched, when the frame is collected.

    Raises:
        UnknownColumnError: A column is not in the table.
    """
    from polars.io.plugins import register_io_source

    wanted = _checked(table, columns)
    lazy = _kept(_scan(table, window), wanted)
    if on_read is None:
        return lazy

    def fetch(
        with_columns: list[str] | None,
        predicate: "pl.Expr | None",
        n_rows: int | None,
        _batch: int | None,
    ) -> "Iterator[pl.DataFrame]":
        kept = wanted if with_columns is None else with_columns
        used = {*kept, *(predicate.meta.root_names() if predicate is not None else ())}
        on_read(sorted(used))
        found = lazy if predicate is None else lazy.filter(predicate)
        found = _kept(found, kept)
        found = found if n_rows is None else found.head(n_rows)
        return iter(found.collect_batches(chunk_size=BATCH_ROWS))

    return register_io_source(fetch, schema=lazy.collect_schema(), is_pure=True)


def _kept(rows: "pl.LazyFrame", columns: Sequence[str]) -> "pl.LazyFrame":
    """Some columns of rows. Polars asks for none where only the number of rows is used, which dropping keeps."""
    return rows.select(columns) if columns else rows.drop(rows.collect_schema().names())


def _scan(table: "Table", window: Window | None) -> "pl.LazyFrame":
    import polars as pl

    planned = plan(table, window)
    if planned is None or not _is_plain(table, planned):
        lazy, is_whole = pl.scan_iceberg(table, storage_options=storage_options(table)), False
    else:
        lazy, is_whole = _scan_files(table, planned), planned.is_whole
    column = event_time_column(table)
    if column is None or window is None or is_whole:
        return lazy
    return lazy.filter((pl.col(column) >= window.start) & (pl.col(column) < window.end))


def _scan_files(table: "Table", planned: Plan) -> "pl.LazyFrame":
    import polars as pl

    schema = _polars_schema(Shape.of(table))
    if not planned.files:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(
        [one.path.removeprefix("file://") for one in planned.files],
        schema=schema,
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=_casts(),
        hive_partitioning=False,
        glob=False,
    )


def _is_plain(table: "Table", planned: Plan) -> bool:
    """Whether the files can be read one by one, by names and without what else Iceberg knows of them."""
    is_local = not any("://" in one.path.removeprefix("file://") for one in planned.files)
    return is_local and not planned.has_deletes and _is_by_name(table)


def _is_by_name(table: "Table") -> bool:
    """Whether each name has always meant the same column, so that its files can be read by names."""
    ids: dict[str, int] = {}
    names: dict[int, str] = {}
    for schema in table.schemas().values():
        for field_id in schema.field_ids:
            name = schema.find_column_name(field_id) or ""
            if ids.setdefault(name, field_id) != field_id:
                return False
            if names.setdefault(field_id, name) != name:
                return False
    return table.name_mapping() is None


@lru_cache(maxsize=64)
def _polars_schema(shape: Shape) -> "pl.Schema":
    import polars as pl
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    empty = pl.from_arrow(schema_to_pyarrow(shape.schema).empty_table())
    assert isinstance(empty, pl.DataFrame)
    return empty.schema


@cache
def _casts() -> "ScanCastOptions":
    """What Iceberg lets the type of a column in a file be, where the table has since widened it or another engine wrote it."""
    from polars.io.scan_options import ScanCastOptions

    return ScanCastOptions(
        integer_cast="upcast",
        float_cast="upcast",
        datetime_cast=["nanosecond-downcast", "millisecond-upcast", "convert-timezone"],
    )


def scan_duckdb(
    table: "Table",
    connection: "duckdb.DuckDBPyConnection",
    window: Window | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> "duckdb.DuckDBPyRelation":
    """The rows of a window as a relation of ``connection``, which filters and columns are pushed into.

    Raises:
        UnknownColumnError: A column is not in the table.
    """
    connection.execute("set timezone='UTC'")
    planned = plan(table, window)
    # pyiceberg leaves names in the table where another engine's files carry no field ids; read by id, they are null.
    if planned is None or planned.has_deletes or table.name_mapping() is not None:
        wanted = tuple(_checked(table, columns))
        return connection.from_arrow(
            table.scan(window_filter(table, window), selected_fields=wanted).to_arrow()
        )
    paths = [one.path.removeprefix("file://") for one in planned.files]
    if paths and "://" in paths[0]:
        let_duckdb_read(connection, table.io, paths[0])
    cut = None if planned.is_whole else window
    return connection.sql(_query(table, paths, cut, _checked(table, columns)))


def read_arrow(
    table: "Table", window: Window | None = None, *, columns: Sequence[str] | None = None
) -> "pa.Table":
    """The rows of a window as an Arrow table, its text as ``large_string``.

    Read by Polars: DuckDB takes several times as long to hand over wide rows.

    Raises:
        UnknownColumnError: A column is not in the table.
    """
    return scan_polars(table, window, columns=columns).collect().to_arrow()


def column_names(table: "Table") -> list[str]:
    """Names of the table's columns, in order."""
    return [field.name for field in table.schema().fields]


def storage_options(table: "Table") -> dict[str, str] | None:
    """What Polars must know of a bucket; it translates Iceberg's names but does not look for them by itself."""
    stores = ("s3.", "gcs.", "adls.", "hf.")
    known = {key: value for key, value in table.io.properties.items() if key.startswith(stores)}
    if known.get("s3.endpoint", "").startswith("http://"):
        known["aws_allow_http"] = "true"
    return known or None


def _checked(table: "Table", columns: Sequence[str] | None) -> list[str]:
    known = column_names(table)
    missing = [name for name in columns or () if name not in known]
    if missing:
        raise UnknownColumnError(".".join(table.name()), missing, known)
    return list(columns) if columns is not None else known


def _query(
    table: "Table", paths: Sequence[str], window: Window | None, columns: Sequence[str]
) -> str:
    """SQL that reads the files; a window that cuts through files filters their rows too."""
    kept = ", ".join(f'"{name}"' for name in columns)
    if not paths:
        typed = ", ".join(
            f'null::{_duckdb_type(field.field_type)} as "{field.name}"'
            for field in table.schema().fields
        )
        return f"select {kept} from (select {typed}) where false"
    read = f"select {kept} from read_parquet({list(paths)!r}, schema=map {{{_field_map(table.schema())}}})"
    column = event_time_column(table)
    if column is None or window is None:
        return read
    start, end = window.start.isoformat(), window.end.isoformat()
    return (
        f"{read} where \"{column}\" >= timestamptz '{start}' and \"{column}\" < timestamptz '{end}'"
    )


def _field_map(schema: "Schema") -> str:
    """DuckDB's way to read Parquet by field id: columns that a file lacks are null."""
    return ", ".join(
        f"{field.field_id}: {{name: '{field.name}', type: '{_duckdb_type(field.field_type)}', default_value: null}}"
        for field in schema.fields
    )


def _duckdb_type(kind: "IcebergType") -> str:
    from pyiceberg.types import DecimalType

    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return DUCKDB_TYPES[str(kind)]


def let_duckdb_read(connection: "duckdb.DuckDBPyConnection", io: "FileIO", path: str) -> None:
    """DuckDB's wheel cannot read buckets without downloading an extension; pyarrow's file system can, so lend it."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyiceberg.io.pyarrow import PyArrowFileIO

    if not isinstance(io, PyArrowFileIO):
        raise LakeError(
            f"DuckDB reads {path} through pyarrow, but the lake uses {type(io).__name__}."
        )
    scheme, netloc, _ = PyArrowFileIO.parse_location(path)
    lent = type("LentFileSystem", (ArrowFSWrapper,), {"protocol": scheme})
    if not connection.filesystem_is_registered(scheme):
        connection.register_filesystem(lent(io.fs_by_scheme(scheme, netloc)))
