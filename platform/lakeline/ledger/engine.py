"""The database behind the ledger: many readers, one writer at a time, in every thread and process alike."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, OperationalError

from lakeline.errors import LedgerSchemaError, LedgerUnavailableError, MissingExtraError
from lakeline.ledger import schema, upgrading

WAIT_S = 60
"""How long a writer waits for the one before it, in seconds."""

# Any number that nothing else in the database locks; this is "lakeline" in ASCII, halved to fit.
# The lock ends with its transaction.
_LOCK_ID = int.from_bytes(b"lakeline") >> 1
_POSTGRES_LOCK = f"SET LOCAL lock_timeout = '{WAIT_S}s'; SELECT pg_advisory_xact_lock({_LOCK_ID})"


class Database:
    """One database by its URL; the tables are made on first use.

    Opening costs nothing: the first statement connects. A forked child connects anew.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._mutex = threading.Lock()
        self._engine: sa.Engine | None = None
        self._pid = 0
        self._inherited: list[sa.Engine] = []

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and never waits for writers."""
        with self._translated(), self._ready().connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer of the ledger overlaps; rolled back if the block raises.

        Marks compare several rows with each other, so two overlapping publishes could each miss what the other moved.
        """
        with self._translated(), _writing(self._ready()) as connection:
            yield connection

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        if self._engine is not None and self._pid == os.getpid():
            self._engine.dispose()

    def _ready(self) -> sa.Engine:
        with self._mutex:
            if self._engine is None or self._pid != os.getpid():
                if self._engine is not None:
                    self._inherited.append(self._engine)  # closing them would close the parent's
                engine = _connect(self.url)
                _prepare(engine, self.safe_url)
                self._engine, self._pid = engine, os.getpid()
            return self._engine

    @property
    def safe_url(self) -> str:
        """The URL with its password hidden."""
        return sa.make_url(self.url).render_as_string(hide_password=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise LedgerUnavailableError(self.safe_url, str(error.orig)) from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:
                raise
            # What SQLite says of a file that is not a database.
            raise LedgerUnavailableError(self.safe_url, str(error.orig)) from error


@contextmanager
def _writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.execution_options(lakeline_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_POSTGRES_LOCK)
        yield connection


def _connect(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    try:
        # READ COMMITTED: a writer that waited must see what the one before it wrote.
        return sa.create_engine(
            parsed,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            executemany_mode="values_plus_batch",
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"A ledger on {parsed.get_backend_name()}", "postgres") from error


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": WAIT_S})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    # Python's own transactions begin late and never IMMEDIATE, so they are switched off.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = wal")
    cursor.execute("PRAGMA synchronous = normal")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another has written; IMMEDIATE waits.
    is_write = connection.get_execution_options().get("lakeline_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _prepare(engine: sa.Engine, safe_url: str) -> None:
    found = _schema_version(engine)
    if found is None or found in upgrading.UPGRADABLE:
        with _writing(engine) as connection:
            _create_or_upgrade(connection)
        found = _schema_version(engine)
    if found != schema.SCHEMA_VERSION:
        raise LedgerSchemaError(safe_url, found or 0, schema.SCHEMA_VERSION)


def _schema_version(engine: sa.Engine) -> int | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(schema.version.name):
            return None
        return int(connection.execute(sa.select(schema.version.c.schema_version)).scalar_one())


def _create_or_upgrade(connection: sa.Connection) -> None:
    if sa.inspect(connection).has_table(schema.version.name):
        upgrading.upgrade(connection)
        return
    schema.metadata.create_all(connection)
    connection.execute(sa.insert(schema.version).values(schema_version=schema.SCHEMA_VERSION))
