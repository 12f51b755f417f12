"""Entity rows inside DuckDB: a frame in memory keeps its columns in Arrow, a query's rows stay in the engine."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakeline.errors import ColumnsMissingError, KeyTypeError, NotAMomentError
from lakeline.features.offline.dialect import quoted
from lakeline.features.offline.errors import EntityFrameError
from lakeline.features.offline.frames import EntityFrame, moment_column
from lakeline.features.offline.pins import PinnedTable, TimeTravel, pin_any
from lakeline.features.offline.planner import ENTITIES, MOMENT, ROW
from lakeline.features.offline.request import ViewRead, entity_keys
from lakeline.features.offline.scan import source_of
from lakeline.features.offline.source import Bounds
from lakeline.features.offline.types import duckdb_type, key_kind

if TYPE_CHECKING:
    import duckdb

    from lakeline.lake import Lake

FRAME = "lakeline_frame"
TABLE_NAME = re.compile(r"\s*[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)+\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What entity rows are inside the engine.

    Attributes:
        handed_out: Columns that the engine itself must hand out, in order; none where they stay in memory.
        at: Column that says when.
    """

    handed_out: tuple[str, ...]
    at: str


class Entities(Protocol):
    """Rows that need features, which can put themselves into a connection."""

    def load(
        self,
        connection: "duckdb.DuckDBPyConnection",
        views: Sequence[ViewRead],
        kinds: Mapping[str, str],
    ) -> Loaded:
        """Make the table `ENTITIES`.

        Args:
            connection: Where.
            views: Views that will be joined.
            kinds: What each key column must be comparable with.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameEntities:
    """Entity rows in memory; the engine sees their keys and moments alone."""

    frame: EntityFrame

    def load(
        self,
        connection: "duckdb.DuckDBPyConnection",
        views: Sequence[ViewRead],
        kinds: Mapping[str, str],
    ) -> Loaded:
        """As `Entities.load`; hands out no column."""
        keyed = self.frame.keyed({name: kinds[name] for name in entity_keys(views)})
        connection.register("lakeline_rows", keyed)
        connection.execute(f"CREATE TEMP TABLE {ENTITIES} AS FROM lakeline_rows")
        connection.unregister("lakeline_rows")
        return Loaded(handed_out=(), at=self.frame.at)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class QueryEntities:
    """Entity rows from a query over tables of the lake, each visible as ``namespace.table``.

    Attributes:
        query: The query, or the name of a table.
        tables: Tables that it names.
        at: Column that says when; without one it is found.
    """

    query: str
    tables: tuple[PinnedTable, ...]
    at: str | None = None

    @classmethod
    def of(
        cls, query: str, lake: "Lake", travel: TimeTravel, *, at: str | None = None
    ) -> "QueryEntities":
        """The rows of a query, with every table that it names pinned; names count in quotes and without."""
        plain = query.replace('"', "")
        named = [one for one in lake.tables() if re.search(rf"\b{re.escape(one)}\b", plain)]
        tables = tuple(pin_any(lake, one, travel) for one in named)
        return cls(query=query, tables=tables, at=at)

    def load(
        self,
        connection: "duckdb.DuckDBPyConnection",
        views: Sequence[ViewRead],
        kinds: Mapping[str, str],
    ) -> Loaded:
        """As `Entities.load`; hands out every column of the query.

        Raises:
            EntityFrameError: The query fails.
        """
        import duckdb

        for table in self.tables:
            _show(connection, table)
        try:
            load_query(connection, self._sql)
        except duckdb.Error as error:
            raise EntityFrameError(f"its query fails ({error})") from error
        return split(connection, entity_keys(views), self.at)

    @property
    def _sql(self) -> str:
        if not TABLE_NAME.fullmatch(self.query):
            return self.query
        return "SELECT * FROM " + ".".join(quoted(part) for part in self.query.strip().split("."))


def load_query(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """Keep the rows of a query in `FRAME`, numbered in its order."""
    sql = sql.strip().rstrip(";")
    connection.execute(
        f"CREATE TEMP TABLE {FRAME} AS SELECT row_number() OVER () - 1 AS {ROW}, * FROM ({sql})"
    )


def split(connection: "duckdb.DuckDBPyConnection", keys: Sequence[str], at: str | None) -> Loaded:
    """Make `ENTITIES` from `FRAME`; every column of it is handed out.

    Raises:
        EntityFrameError: No single column says when.
        ColumnsMissingError: A key is missing.
        NotAMomentError: The column that says when has no time zone.
    """
    kinds = column_types(connection, FRAME)
    del kinds[ROW]
    moment = at or moment_column(kinds)
    missing = [name for name in (*keys, moment) if name not in kinds]
    if missing:
        raise ColumnsMissingError("The entity frame", missing, kinds)
    if kinds[moment] != "TIMESTAMP WITH TIME ZONE":
        raise NotAMomentError("The entity frame", moment, kinds[moment].lower())
    named = "".join(f", {quoted(key)}" for key in keys)
    connection.execute(
        f"CREATE TEMP TABLE {ENTITIES} AS SELECT {ROW}, epoch_us({quoted(moment)}) AS {MOMENT}{named} FROM {FRAME}"
    )
    return Loaded(handed_out=tuple(kinds), at=moment)


def column_types(connection: "duckdb.DuckDBPyConnection", table: str) -> dict[str, str]:
    """DuckDB type of each column of a table."""
    relation = connection.table(table)
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def bounds(connection: "duckdb.DuckDBPyConnection") -> Bounds:
    """The moments of the entity rows; where none has one, a range in which nothing lies."""
    ((earliest, latest),) = connection.sql(
        f"SELECT min({MOMENT}), max({MOMENT}) FROM {ENTITIES}"
    ).fetchall()
    return (
        Bounds(earliest=0, latest=-1)
        if latest is None
        else Bounds(earliest=earliest, latest=latest)
    )


def key_kinds(views: Sequence[ViewRead], pins: Mapping[str, PinnedTable]) -> dict[str, str]:
    """What each key column of the entity frame must be comparable with, as the first view that uses it says."""
    found: dict[str, str] = {}
    for view in views:
        for key, column in view.keys.items():
            found.setdefault(column, _kind_in_table(pins[view.name], key))
    return found


def check_keys(
    connection: "duckdb.DuckDBPyConnection",
    views: Sequence[ViewRead],
    pins: Mapping[str, PinnedTable],
) -> None:
    """Make sure that the keys of the entity rows can equal those of every view.

    Raises:
        KeyTypeError: They never could.
    """
    types = column_types(connection, ENTITIES)
    for view in views:
        for key, column in view.keys.items():
            in_table = _kind_in_table(pins[view.name], key)
            if in_table != key_kind(types[column]):
                raise KeyTypeError(
                    view.name, key, source_type=in_table, entity_type=key_kind(types[column])
                )


def _kind_in_table(pinned: PinnedTable, key: str) -> str:
    kind = pinned.fields[key].field_type
    return key_kind(duckdb_type(kind) or str(kind))


def _show(connection: "duckdb.DuckDBPyConnection", pinned: PinnedTable) -> None:
    """Make a table visible under its name."""
    source = source_of(connection, pinned, columns=pinned.columns, times=())
    namespace, _, table = pinned.name.rpartition(".")
    columns = ", ".join(quoted(column) for column in pinned.columns)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(namespace)}")
    connection.execute(
        f"CREATE OR REPLACE VIEW {quoted(namespace)}.{quoted(table)} AS SELECT {columns} FROM {source.reading(pinned.columns)}"
    )
