"""A real Redis on this machine, started on a free loopback port and ended by its process."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import HOST, ServiceMissingError, _running, _wait, free_ports


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisServer:
    """A running server."""

    port: int

    def url(self, database: int = 0) -> str:
        """The url of one of its databases."""
        return f"redis://{HOST}:{self.port}/{database}"

    def client(self, database: int = 0) -> Any:
        """A client of one of its databases."""
        import redis

        return redis.Redis(host=HOST, port=self.port, db=database)


@contextmanager
def redis_server(*settings: str, port: int | None = None) -> Iterator[RedisServer]:
    """A Redis server from the system's packages, which keeps nothing on disk.

    Args:
        settings: Further words of its command line, such as ``--maxmemory 4mb``.
        port: Where it listens; by default a free one.

    Raises:
        ServiceMissingError: Redis is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise ServiceMissingError("Redis is missing. Run: sudo apt-get install redis-server")
    server = RedisServer(port=port or free_ports(1)[0])
    with tempfile.TemporaryDirectory(prefix="lakeline-redis-") as folder:
        home = Path(folder)
        command = [program, "--port", str(server.port), "--bind", HOST, "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning", *settings]
        with _running(command, home) as process:
            _wait(server.client().ping, process, home)
            yield server
