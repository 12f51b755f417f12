"""SQLite files of one folder, each with a connection that stays open and never crosses a fork."""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.event import listen
from sqlalchemy.pool import QueuePool

OPEN_SHARDS = 16
BUSY_TIMEOUT_S = 30


class ShardPool:
    """One open connection a shard, the least recently used closed beyond ``limit``.

    Safe with threads, which take turns. Before a fork every pool of the process is closed, because
    a child must never touch an SQLite connection of its parent, not even to close it.

    Args:
        folder: Where the shards lie, each ``<name>.db``.
        prepare: Makes the tables of a file that this pool opens for the first time.
        limit: Most connections kept open; each holds three file descriptors.
    """

    def __init__(
        self, folder: Path, prepare: Callable[[Engine], None], limit: int = OPEN_SHARDS
    ) -> None:
        self.lock = threading.RLock()
        self._folder = folder
        self._prepare = prepare
        self._limit = limit
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._in_use: dict[str, Connection] = {}
        self._inodes: dict[str, int] = {}
        _POOLS.add(self)

    def __len__(self) -> int:
        return len(self._engines)

    @contextmanager
    def transaction(self, shard: str) -> Iterator[Connection]:
        """A connection in a transaction that commits at the end.

        Inside another transaction of the same shard it is that one, and the outer commits.
        """
        with self.lock:
            if shard in self._in_use:
                yield self._in_use[shard]
                return
            with self._engine(shard).begin() as connection:
                self._in_use[shard] = connection
                try:
                    yield connection
                finally:
                    del self._in_use[shard]

    def close(self) -> None:
        """Close every idle connection; the next transaction opens its own again."""
        with self.lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()

    def _engine(self, shard: str) -> Engine:
        path = self._folder / f"{shard}.db"
        # Another process may have wiped the log: nobody reads what goes to the old file.
        is_known = self._inodes.get(shard) == _inode(path) is not None
        if not is_known and shard in self._engines:
            self._engines.pop(shard).dispose()
        if shard not in self._engines:
            self._engines[shard] = _open(path)
        if not is_known:
            self._prepare(self._engines[shard])
            self._inodes[shard] = _inode(path) or 0
        self._engines.move_to_end(shard)
        while len(self._engines) > self._limit:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]


def _open(path: Path) -> Engine:
    engine = sa.create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,  # Dagster prepares a file over a second connection
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    listen(engine, "connect", _relax_sync)
    return engine


def _relax_sync(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


_POOLS: weakref.WeakSet[ShardPool] = weakref.WeakSet()
_HELD: list[ShardPool] = []


def _before_fork() -> None:
    for pool in list(_POOLS):
        pool.lock.acquire()
        _HELD.append(pool)
        pool.close()


def _after_fork() -> None:
    while _HELD:
        _HELD.pop().lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
