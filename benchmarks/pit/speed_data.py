"""The tables and entity frames whose joins are timed: one Parquet file a view, which every store reads."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.lake import Lake

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.table import Table

START_MICROS = 1_700_000_000_000_000
YEAR_S = 31_536_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large a join is.

    Attributes:
        name: For figures.
        entities: Entity rows.
        rows: Feature rows of each view.
        features: Features of each view.
        keys: Keys that rows and entity rows are drawn from.
    """

    name: str
    entities: int
    rows: tuple[int, ...]
    features: int
    keys: int


def make(folder: Path, size: Size) -> None:
    """Write the tables, the entity frame and a description for workers into a folder."""
    import duckdb

    lake = Lake.in_folder(folder / "lake")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'; SELECT setseed(0.5)")
        paths = [
            _view(lake, connection, size, f"speed.view_{number}", rows)
            for number, rows in enumerate(size.rows)
        ]
        connection.execute(
            f"COPY (SELECT floor(random() * {size.keys})::BIGINT AS k, {_moment()} AS event_timestamp "
            f"FROM range({size.entities})) TO '{folder / 'entities.parquet'}'"
        )
    (folder / "size.json").write_text(json.dumps({**asdict(size), "paths": paths}))


def _view(
    lake: Lake, connection: "duckdb.DuckDBPyConnection", size: Size, name: str, rows: int
) -> str:
    """Make one view's table from a file that DuckDB writes with the table's field ids; returns the file's path."""
    features = [f"f{number}" for number in range(size.features)]
    table = _table(lake, name, features)
    path = f"{table.location().removeprefix('file://')}/data/{uuid.uuid4().hex}.parquet"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    ids = ", ".join(f"{field.name}: {field.field_id}" for field in table.schema().fields)
    values = "".join(f", random() AS {feature}" for feature in features)
    connection.execute(
        f"COPY (SELECT floor(random() * {size.keys})::BIGINT AS k, event_ts, "
        f"event_ts + to_microseconds((random() * 7200000000)::BIGINT) AS known_ts{values} "
        f"FROM (SELECT {_moment()} AS event_ts FROM range({rows})) ORDER BY date_trunc('day', event_ts)) "
        f"TO '{path}' (FIELD_IDS {{{ids}}}, COMPRESSION lz4, ROW_GROUP_SIZE 122880)"
    )
    _add(table, path)
    return path


def _table(lake: Lake, name: str, features: Sequence[str]) -> "Table":
    import pyarrow as pa

    instant = pa.timestamp("us", "UTC")
    columns = [("k", pa.int64()), ("event_ts", instant), ("known_ts", instant)]
    schema = pa.schema([*columns, *((feature, pa.float64()) for feature in features)])
    lake.create_namespace_of(name)
    return lake.catalog.create_table(name, schema=schema)


def _add(table: "Table", path: str) -> None:
    from pyiceberg.io.pyarrow import parquet_file_to_data_file

    file = parquet_file_to_data_file(table.io, table.metadata, f"file://{path}")
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(file)


def _moment() -> str:
    return f"make_timestamptz({START_MICROS} + (random() * {YEAR_S} * 1000000)::BIGINT)"
