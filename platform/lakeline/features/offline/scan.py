"""A pinned table as a source of DuckDB: only files that the time range needs, read by field id.

Files are taken in the order of their commits, so that a later file's rows are later in the table. What DuckDB cannot read
by field id (row-level deletes, files of engines that write no ids, maps) is streamed through pyiceberg into a temporary
table, which DuckDB spills to disk where it is large.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakeline.errors import NotAMomentError
from lakeline.features.offline.dialect import quoted
from lakeline.features.offline.errors import ViewColumnsError, did_you_mean
from lakeline.features.offline.moments import iso_text
from lakeline.features.offline.pins import PinnedTable
from lakeline.features.offline.request import ViewRead
from lakeline.features.offline.source import COLUMNS, Source
from lakeline.features.offline.types import MOMENTS, duckdb_type
from lakeline.lake.read import let_duckdb_read

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import DataScan

PLACE = "__place"


def check_columns(view: ViewRead, pinned: PinnedTable) -> None:
    """Make sure that the table still has what the view names, and that its times are times.

    Raises:
        ViewColumnsError: A column is missing.
        NotAMomentError: A time column holds something else.
    """
    has = pinned.columns
    missing = [column for column in view.columns if column not in has]
    if missing:
        hint = did_you_mean(missing[0], has)
        raise ViewColumnsError(view.name, pinned.name, missing, has, hint)
    kinds = time_kinds(pinned, view.times)
    for column, kind in kinds.items():
        if kind not in MOMENTS:
            raise NotAMomentError(f"Feature view '{view.name}'", column, kind)


def time_kinds(pinned: PinnedTable, columns: Sequence[str]) -> dict[str, str]:
    """Iceberg type of each of the columns."""
    fields = pinned.fields
    return {column: str(fields[column].field_type) for column in columns}


def source_of(
    connection: "duckdb.DuckDBPyConnection",
    pinned: PinnedTable,
    *,
    columns: Sequence[str],
    times: Sequence[str],
    within: "BooleanExpression | None" = None,
) -> Source:
    """The rows of a pinned table, of the files that ``within`` leaves.

    Args:
        connection: Where they will be read.
        pinned: The table.
        columns: Columns that will be asked for.
        times: Those of them that are times.
        within: Condition that files and row groups are pruned by; rows outside may remain.
    """
    scan = _scan(pinned, columns, within)
    files, has_deletes = _planned(scan)
    kinds = time_kinds(pinned, times)
    known = pinned.fields
    wanted = [known[column] for column in columns]
    types = {field.name: duckdb_type(field.field_type) for field in wanted}
    # pyiceberg leaves names in the table where another engine's files carry no field ids; read by id, they are null.
    by_name = pinned.table.name_mapping() is not None
    if by_name or has_deletes or None in types.values():
        return _streamed(connection, scan, columns=columns, kinds=kinds)
    if not files:
        return Source(relation=_nothing(types), position=PLACE, places=1, kinds=kinds)
    paths = [file.file_path.removeprefix("file://") for file in files]
    if "://" in paths[0]:
        let_duckdb_read(connection, pinned.table.io, paths[0])
    longest = max(file.record_count for file in files) + 1
    entries = {
        field.name: f"{field.field_id}: {{name: {text(field.name)}, type: {text(types[field.name] or '')}, default_value: null}}"
        for field in wanted
    }
    listed = ", ".join(text(path) for path in paths)
    return Source(
        relation=f"read_parquet([{listed}], schema=map {{{COLUMNS}}})",
        entries=entries,
        position=f"(file_index::BIGINT * {longest} + file_row_number)",
        places=longest * len(paths),
        kinds=kinds,
    )


def between(
    pinned: PinnedTable, column: str, earliest: int | None, latest: int | None
) -> "BooleanExpression":
    """The condition that a time column lies between two moments, both included, as Iceberg prunes files by it."""
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThanOrEqual

    # Their types are those of their JSON.
    at_least: Any = GreaterThanOrEqual
    at_most: Any = LessThanOrEqual
    found: BooleanExpression = AlwaysTrue()
    if column not in {one.name for one in pinned.table.schema().fields}:
        return found  # dropped since the snapshot, and so unknown to the filter
    kind = str(pinned.fields[column].field_type)
    if earliest is not None:
        found = And(found, at_least(column, iso_text(earliest, kind)))
    if latest is not None:
        found = And(found, at_most(column, iso_text(latest, kind)))
    return found


def text(value: str) -> str:
    """A text as SQL writes it.

    >>> text("it's")
    "'it''s'"
    """
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _scan(
    pinned: PinnedTable, columns: Sequence[str], within: "BooleanExpression | None"
) -> "DataScan":
    from pyiceberg.expressions import AlwaysTrue

    return pinned.table.scan(
        row_filter=within if within is not None else AlwaysTrue(),
        selected_fields=tuple(columns),
        snapshot_id=pinned.snapshot_id,
    )


def _planned(scan: "DataScan") -> "tuple[list[DataFile], bool]":
    """The data files, oldest commit first and by path within one, and whether some of their rows are deleted."""
    from itertools import chain

    from pyiceberg.manifest import DataFileContent

    if scan._should_use_server_side_planning():
        tasks = list(scan.plan_files())
        files = sorted((task.file for task in tasks), key=lambda file: file.file_path)
        return files, any(task.delete_files for task in tasks)
    # Not plan_files, which forgets when a file was added.
    entries = list(chain.from_iterable(scan._plan_manifest_entries()))
    data = [entry for entry in entries if entry.data_file.content == DataFileContent.DATA]
    data.sort(key=lambda entry: (entry.sequence_number or 0, entry.data_file.file_path))
    return [entry.data_file for entry in data], len(data) < len(entries)


def _streamed(
    connection: "duckdb.DuckDBPyConnection",
    scan: "DataScan",
    *,
    columns: Sequence[str],
    kinds: dict[str, str],
) -> Source:
    """The rows through pyiceberg in a temporary table, named after how many there are already."""
    (count,) = connection.sql("SELECT count(*) FROM duckdb_tables()").fetchall()[0]
    name, rows = f"lakeline_streamed_{count}", scan.to_arrow_batch_reader()
    connection.register("lakeline_stream", rows)
    kept = ", ".join(quoted(column) for column in columns)
    connection.execute(
        f"CREATE TEMP TABLE {name} AS SELECT {kept}, row_number() OVER () AS {PLACE} FROM lakeline_stream"
    )
    connection.unregister("lakeline_stream")
    (total,) = connection.sql(f"SELECT count(*) FROM {name}").fetchall()[0]
    return Source(relation=name, position=PLACE, places=total + 1, kinds=kinds)


def _nothing(types: "dict[str, str | None]") -> str:
    typed = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in types.items())
    return f"(SELECT {typed}, 0::BIGINT AS {PLACE} WHERE false)"
