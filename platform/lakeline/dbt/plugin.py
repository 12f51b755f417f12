"""The dbt-duckdb plugin: shows Iceberg tables to dbt as views, and hands a model's rows to the run that asked for them.

Named in ``profiles.yml`` as ``module: lakeline.dbt.plugin``. In a run of an asset it shows the handles of that run,
pinned and limited to their windows. When a person runs dbt by hand it shows every table of the lake named in the
profile, whole, and publishes nothing: a model is then a table of that DuckDB session.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.adapters.duckdb.plugins import BasePlugin

from lakeline.lake.read import scan_duckdb

if TYPE_CHECKING:
    import pyarrow as pa
    from dbt.adapters.duckdb.utils import TargetConfig
    from duckdb import DuckDBPyConnection
    from pyiceberg.table import Table as IcebergTable

    from lakeline.window import Window


@dataclass(kw_only=True)
class Exchange:
    """What a run gives to dbt and gets back.

    Attributes:
        tables: The tables to show, by ``schema.name``, each with the window to show.
        rows: The rows of each model that dbt built, by ``schema.name``.
    """

    tables: "Mapping[str, tuple[IcebergTable, Window | None]]"
    rows: "dict[str, pa.Table]" = field(default_factory=dict)


_lock = threading.Lock()
_active: list[Exchange] = []


@contextmanager
def exchanging(exchange: Exchange) -> Iterator[None]:
    """dbt, invoked inside, sees the tables of ``exchange`` and leaves its rows there; one invocation at a time."""
    with _lock:
        _active.append(exchange)
        try:
            yield
        finally:
            _active.pop()


class Plugin(BasePlugin):
    """Loaded by dbt-duckdb by this name."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Remember where the lake is, for dbt run by hand."""
        self._config = plugin_config
        self._connection: DuckDBPyConnection | None = None

    def configure_connection(self, conn: "DuckDBPyConnection") -> None:
        """Make a view of each table; planning reads Iceberg's metadata, no data."""
        self._connection = conn
        tables = _active[-1].tables if _active else self._whole_lake()
        for name, (table, window) in tables.items():
            schema, _, identifier = name.partition(".")
            conn.execute(f'create schema if not exists "{schema}"')
            relation = scan_duckdb(table, conn, window)
            conn.register(f"lake_{schema}_{identifier}", relation)
            conn.execute(
                f'create or replace view "{schema}"."{identifier}" as {relation.sql_query()}'
            )

    def store(self, target_config: "TargetConfig") -> None:
        """Hand a model's rows to the run that asked for them."""
        if not _active or self._connection is None:
            return
        relation = target_config.relation
        rows = self._connection.cursor().sql(f"select * from {relation.render()}").to_arrow_table()
        _active[-1].rows[f"{relation.schema}.{relation.identifier}"] = rows

    def _whole_lake(self) -> "Mapping[str, tuple[IcebergTable, Window | None]]":
        from lakeline.lake import Lake

        folder = Path(self._config["folder"])
        embedded = Lake.in_folder(folder)
        lake = Lake(
            catalog_uri=self._config.get("catalog_uri") or embedded.catalog_uri,
            warehouse=self._config.get("warehouse") or embedded.warehouse,
            locks=embedded.locks,
            properties=self._config.get("properties", {}),
        )
        return {name: (lake.load(name), None) for name in lake.tables()}
