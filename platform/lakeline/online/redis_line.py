"""Requests to Redis as bytes, over one connection a thread: the client's own pipeline takes several times as long to build."""

import os
import threading
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from lakeline.online.keys import HEADER


def hmgets(wanted: Sequence[tuple[bytes, Sequence[bytes]]]) -> bytes:
    r"""An HMGET of fields, and of `HEADER` behind them, for each key, in Redis's protocol.

    Views of the same entities share the list of fields, which is so written once. The protocol is described at
    https://redis.io/docs/latest/develop/reference/protocol-spec.

    >>> hmgets([(b"k", [b"JFK"])])
    b'*4\r\n$5\r\nHMGET\r\n$1\r\nk\r\n$3\r\nJFK\r\n$1\r\n\xff\r\n'
    """
    written: dict[int, bytes] = {}
    sent = []
    for key, fields in wanted:
        body = written.get(id(fields))
        if body is None:
            body = b"".join([b"$%d\r\n%b\r\n" % (len(field), field) for field in fields])
            written[id(fields)] = body
        head = b"*%d\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n" % (len(fields) + 3, len(key), key)
        sent += [head, body, b"$1\r\n", HEADER, b"\r\n"]
    return b"".join(sent)


class Line:
    """Connections of the client's making, one a thread and process, and none of its pool.

    The pool asks the system before each request whether something was left on the line; here a connection on which an
    answer was not read to its end is closed instead.

    Args:
        client: A ``redis.Redis``.
    """

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._local = threading.local()
        self._opened: WeakSet[Any] = WeakSet()

    def ask(self, sent: bytes, count: int) -> list[list[bytes | None]]:
        """Answers to ``count`` commands sent at once."""
        connection = self.connection()
        try:
            connection.send_packed_command([sent], check_health=False)
            return [connection.read_response(disable_decoding=True) for _ in range(count)]
        except BaseException:
            connection.disconnect()
            raise

    def connection(self) -> Any:
        """This thread's connection, made anew after a fork."""
        known: tuple[int, Any] | None = getattr(self._local, "held", None)
        if known is None or known[0] != os.getpid():
            known = self._local.held = (os.getpid(), self._pool.make_connection())
            self._opened.add(known[1])
        return known[1]

    def close(self) -> None:
        """Close every connection; the next request opens its thread's again."""
        for connection in list(self._opened):
            connection.disconnect()
