"""The SQL catalog, tuned so that many processes can commit to one SQLite file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

SQLITE_BUSY_TIMEOUT_S = 60


def open_sql_catalog(uri: str, warehouse: str, properties: Mapping[str, str]) -> "SqlCatalog":
    """The catalog at ``uri``; its tables and the folder of a SQLite file are made where they are missing."""
    from lakeline.lake.remembering import RememberingCatalog

    place = warehouse if "://" in warehouse else f"file://{warehouse}"
    if uri.startswith("sqlite"):
        _prepare_sqlite(Path(uri.removeprefix("sqlite:///")))
        uri = f"{uri}?timeout={SQLITE_BUSY_TIMEOUT_S}"
    return RememberingCatalog(
        "lake", **{"uri": uri, "warehouse": place, "pool_pre_ping": "true", **properties}
    )


def _prepare_sqlite(path: Path) -> None:
    """Let readers go on while one process writes; the mode stays with the file."""
    import sqlite3

    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path, timeout=SQLITE_BUSY_TIMEOUT_S) as connection:
        connection.execute("pragma journal_mode=wal")
    connection.close()
