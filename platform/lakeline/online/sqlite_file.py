"""An SQLite file with a connection a thread, which never crosses a fork, and its errors as this package's.

The file keeps a write-ahead log, so that readers go on while it is written.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakeline.online.errors import StoreDownError, StoreFullError

BUSY_TIMEOUT_S = 30


class SqliteFile:
    """Opens the file, made with its folder and tables where there is none.

    Args:
        path: The file.
        schema: Makes the tables; may be run again.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path, self._schema = path, schema
        self._local = threading.local()
        self._opened: list[tuple[int, sqlite3.Connection]] = []

    @property
    def where(self) -> str:
        """The file's url."""
        return f"sqlite:///{self._path}"

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that writes, and commits at the end."""
        with self.told():
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection whose reads are all of one moment."""
        with self.told():
            connection = self.connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, opened anew after a fork."""
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if known is not None and known[0] == os.getpid():
            return known[1]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)  # fmt: skip
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(self._schema)
        self._local.held = (os.getpid(), connection)
        self._opened.append(self._local.held)
        return connection

    @contextmanager
    def told(self) -> Iterator[None]:
        """SQLite's errors, and those of the folder, as this package's."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "full" in str(error):
                raise StoreFullError(self.where, error) from error
            raise StoreDownError(self.where, error) from error
        except OSError as error:
            raise StoreDownError(self.where, error) from error

    def close(self) -> None:
        """Close every connection of this process; the next use opens its own again."""
        for process, connection in self._opened:
            if process == os.getpid():
                connection.close()
        self._opened.clear()
        self._local = threading.local()
