"""A small web server of the report pages, for machines where no other serves their folder."""

import functools
import http.server
from pathlib import Path


def page_server(
    folder: Path, *, host: str = "127.0.0.1", port: int = 0
) -> http.server.ThreadingHTTPServer:
    """A server of the pages, not started yet: ``serve_forever()`` runs it, ``server_port`` is its port.

    Args:
        folder: Root of all pages.
        host: Address to listen on; the default is reachable from this machine alone.
        port: Port to listen on; 0 takes a free one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(_QuietHandler, directory=str(folder))
    return http.server.ThreadingHTTPServer((host, port), handler)


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no line for each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
