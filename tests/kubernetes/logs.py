"""The part of a kubelet's API that reading logs takes; the API server is the client."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.kubernetes.container import Container

Find = Callable[[str, str, str], Container | None]


@contextmanager
def log_server(find: Find, *, certificate: Path, key: Path) -> Iterator[int]:
    """The port of a server of logs.

    Args:
        find: Gives the container of a namespace, a pod's name and its own.
        certificate: What it shows, signed by anyone.
        key: The key of that.
    """
    handler = type("Handler", (_Handler,), {"find": staticmethod(find)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, name="logs", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    find: Find

    def do_GET(self) -> None:
        """Answer ``/containerLogs/<namespace>/<pod>/<container>``."""
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        what, *where = url.path.strip("/").split("/")
        container = self.find(*where) if (what, len(where)) == ("containerLogs", 3) else None
        if container is None:
            self._answer(404, f"no logs at {url.path}")
        elif "waiting" in container.state and not container.lines:
            reason = container.state["waiting"]["reason"]
            self._answer(400, f'container "{where[2]}" is waiting to start: {reason}')
        else:
            self._answer(200)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self._send(container, query)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""

    def _answer(self, code: int, text: str = "") -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def _send(self, container: Container, query: dict[str, str]) -> None:
        follow, stamps = query.get("follow") == "true", query.get("timestamps") == "true"
        since = _since(query)
        position = 0
        if "tailLines" in query:
            position = max(0, len(container.lines) - int(query["tailLines"]))
        while True:
            batch, has_ended = _after(container, position, wait_s=1.0 if follow else 0.0)
            for at, line in batch:
                if at.timestamp() >= since:
                    self.wfile.write(_stamp(at) + line if stamps else line)
            self.wfile.flush()
            position += len(batch)
            if not batch and (has_ended or not follow):
                return


def _after(
    container: Container, position: int, *, wait_s: float
) -> tuple[list[tuple[datetime, bytes]], bool]:
    """The lines from a position on, and whether none will follow."""
    with container.changed:
        if wait_s and container.is_running and len(container.lines) == position:
            container.changed.wait(wait_s)
        return container.lines[position:], not container.is_running


def _since(query: dict[str, str]) -> float:
    if "sinceTime" in query:
        return datetime.fromisoformat(query["sinceTime"]).timestamp()
    return time.time() - float(query["sinceSeconds"]) if "sinceSeconds" in query else 0.0


def _stamp(at: datetime) -> bytes:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()
