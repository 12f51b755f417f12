"""A real MLflow server on this machine, from its own environment, with its database and its files where a test wants them."""

import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import HOST, S3, ServiceMissingError, free_ports

PROGRAM = Path(__file__).parents[1] / ".mlflow-server/bin/mlflow"
READY_S = 180.0


@dataclass
class MlflowServer:
    """A server that can be ended and started again at the same address.

    Attributes:
        backend: SQLAlchemy URL of its database.
        store: Where its files are.
    """

    backend: str
    store: S3
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def start(self, home: Path) -> None:
        """Start it, and return when it answers."""
        keys = {
            "AWS_ACCESS_KEY_ID": self.store.key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret,
            "AWS_DEFAULT_REGION": self.store.region,
            "MLFLOW_S3_ENDPOINT_URL": self.store.endpoint,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command: list[str | Path] = [
            PROGRAM,
            "server",
            f"--backend-store-uri={self.backend}",
            f"--artifacts-destination=s3://{self.store.bucket}/models",
            f"--host={HOST}",
            f"--port={self.port}",
            "--workers=1",
        ]
        with (home / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=home, env={**os.environ, **keys}, stdout=log, stderr=log, start_new_session=True
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while not self._is_healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MLflow's server: {(home / 'log').read_text()[-2000:]}")
            time.sleep(0.2)

    def end(self) -> None:
        """End it and its workers; nothing where it does not run."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _is_healthy(self) -> bool:
        try:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False


@contextmanager
def mlflow_server(backend: str, store: S3) -> Iterator[MlflowServer]:
    """A server that runs while the block lasts.

    Raises:
        ServiceMissingError: It is not installed.
    """
    if not PROGRAM.exists():
        raise ServiceMissingError("MLflow's server is missing. Run: make mlflow-server")
    with tempfile.TemporaryDirectory(prefix="lakeline-mlflow-") as folder:
        server = MlflowServer(backend, store)
        try:
            server.start(Path(folder))
            yield server
        finally:
            server.end()
