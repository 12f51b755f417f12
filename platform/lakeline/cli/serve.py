"""Dagster's webserver and daemon as children of this process, which ends them and whatever they started."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lakeline.errors import SettingsError

HOST = "127.0.0.1"
READY_S = 180.0
STOP_S = 20.0


class PortTakenError(SettingsError):
    """Another process listens where a server is to be."""

    def __init__(self, port: int, what: str, way_out: str) -> None:
        super().__init__(
            f"Port {port} for {what} is taken by another process. End that one, or {way_out}."
        )


class ServerEndedError(SettingsError):
    """A server ended by itself."""

    def __init__(self, name: str, code: int | None, log: Path) -> None:
        super().__init__(f"The {name} ended with exit code {code}. Its last words are in {log}.")


class Servers:
    """Children, each in a process group of its own, so that the terminal's Ctrl-C reaches this process alone.

    Args:
        folder: Where each child's output goes, as ``<name>.log``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._is_stopping = threading.Event()

    def start(
        self, name: str, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        """Start a child."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("wb") as output:
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """File of a child's output."""
        return self._folder / f"{name}.log"

    def wait_ready(self, port: int) -> None:
        """Until the webserver answers, at most three minutes.

        Raises:
            ServerEndedError: A child ended instead, or nothing answers.
        """
        deadline = time.monotonic() + READY_S
        while not self._is_stopping.is_set() and not _answers(port):
            self._refuse_ended()
            if time.monotonic() > deadline:
                raise ServerEndedError("webserver", None, self.log("webserver"))
            self._is_stopping.wait(0.3)

    def wait(self) -> None:
        """Until a signal asks to stop.

        Raises:
            ServerEndedError: A child ended by itself.
        """
        while not self._is_stopping.wait(0.5):
            self._refuse_ended()

    def ask_to_stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """A signal handler: `wait` returns."""
        self._is_stopping.set()

    def stop(self) -> None:
        """End the children: asked first, then what is left of their groups, such as code servers and runs."""
        for child in self._children.values():
            _signal(child.pid, signal.SIGTERM, whole_group=False)
        deadline = time.monotonic() + STOP_S
        for child in self._children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
        for how in (signal.SIGTERM, signal.SIGKILL):
            left = [
                child
                for child in self._children.values()
                if _signal(child.pid, how, whole_group=True)
            ]
            if left and how is signal.SIGTERM:
                time.sleep(1)
        for child in self._children.values():
            child.wait()

    def _refuse_ended(self) -> None:
        for name, child in self._children.items():
            if (code := child.poll()) is not None:
                raise ServerEndedError(name, code, self.log(name))


@contextmanager
def stopped_by_signals(servers: Servers) -> Iterator[None]:
    """Inside, SIGINT and SIGTERM ask the servers to stop; on the way out they are ended, whatever happened.

    The handlers also give the children a working SIGINT where this process was started with it ignored, as a shell
    does for a job in the background.
    """
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, servers.ask_to_stop) for kind in kinds}
    try:
        yield
    finally:
        servers.stop()
        for kind, handler in before.items():
            signal.signal(kind, handler)


def dagster_commands(workspace: Sequence[str], port: int) -> dict[str, list[str]]:
    """The webserver and the daemon, by name.

    Args:
        workspace: Options that name the code location, such as ``-w workspace.yaml``.
        port: Of the webserver.
    """
    python = [sys.executable, "-m"]
    return {
        "webserver": [
            *python,
            "dagster_webserver",
            "-h",
            HOST,
            "-p",
            str(port),
            "--log-level",
            "warning",
            *workspace,
        ],
        "daemon": [*python, "dagster._daemon", "run", "--log-level", "warning", *workspace],
    }


def require_port(port: int, what: str, way_out: str) -> None:
    """Raise `PortTakenError` where another process listens."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTakenError(port, what, way_out) from error


@contextmanager
def pages(folder: Path, port: int) -> Iterator[None]:
    """Inside, the report pages are served by a thread of this process."""
    from lakeline.monitoring.page_server import page_server

    server = page_server(folder, host=HOST, port=port)
    thread = threading.Thread(target=server.serve_forever, name="report pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _signal(pid: int, kind: signal.Signals, *, whole_group: bool) -> bool:
    """Send a signal; False where nobody is left to get it."""
    send: Callable[[int, int], None] = os.killpg if whole_group else os.kill
    try:
        send(pid, kind)
    except ProcessLookupError:
        return False
    return True
