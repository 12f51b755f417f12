r"""Online rows in Redis: a hash a view and layout, with a field an entity.

============================  ==========  ==============================================================
key                           type        holds
============================  ==========  ==============================================================
``P:{VIEW}:DIGEST``           hash        a packed row an entity; under ``\\xff`` the watermark, once the
                                          view can be read
``P:{VIEW}:DIGEST:parts``     hash        a partition's number, version and latest event time, as JSON
``P:{VIEW}:DIGEST:of:N``      set         entities whose row came from partition number N
``P:{VIEW}:DIGEST:created``   hash        when an entity's row was created, int64 microseconds, where it was said
``P:{VIEW}:DIGEST:next``      string      the last number given to a partition
``P:views``                   hash        layout of each view and digest
============================  ==========  ==============================================================

P is the prefix. The braces keep all of a view on one node of a cluster. Rows are written by a script, which Redis runs
as one step: the comparison of times and the write cannot be torn apart by another writer.
"""

import asyncio
import datetime as dt
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from lakeline.errors import MissingExtraError
from lakeline.online.errors import LayoutChangedError, StoreDownError, StoreFullError
from lakeline.online.keys import HEADER
from lakeline.online.redis_line import Line, hmgets
from lakeline.online.redis_script import PUT
from lakeline.online.rows import Batch, event_of, micros, moment
from lakeline.online.store import NO_WATERMARK, Found, Held, ViewState, other_layout
from lakeline.online.view import NO_TIME, Layout, View, layout_from

CHUNK = 500
"""Rows a call of the script; Redis serves nobody else meanwhile, about a millisecond."""
_INT64 = struct.Struct("<q")


class RedisStore:
    """An `OnlineStore` in Redis.

    Args:
        url: As the client knows it.
        prefix: Begins every key.

    Raises:
        MissingExtraError: The client is not installed.
    """

    def __init__(self, url: str, *, prefix: str) -> None:
        try:
            from redis import Redis, exceptions
        except ImportError as error:
            raise MissingExtraError("The online store in Redis", "redis") from error
        self._errors = exceptions
        self._url, self._prefix = url, prefix
        self._client: Any = Redis.from_url(url)
        self._put = self._client.register_script(PUT)
        self._names: dict[tuple[str, str], bytes] = {}
        self._line = Line(self._client)
        self._loops: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    @property
    def where(self) -> str:
        """The url without its password."""
        scheme, _, rest = self._url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def write(self, view: View, batch: Batch) -> None:
        """Push rows; see `OnlineStore`."""
        for part in batch.parts(CHUNK):
            if not self._run(view, part, must_be_live=True):
                self._admit(view)
                self._run(view, part)
        if not len(batch):
            self._admit(view)

    def fill(self, view: View, batch: Batch) -> None:
        """Write rows of a materialisation; see `OnlineStore`."""
        for part in batch.parts(CHUNK):
            self._run(view, part)

    def restate(self, view: View, batch: Batch, *, origin: int) -> None:
        """Replace rows of a partition; see `OnlineStore`."""
        for part in batch.parts(CHUNK):
            self._run(view, part, expected=origin)

    def delete(self, view: View, keys: Sequence[bytes]) -> None:
        """Forget entities."""
        for part in Batch(keys=keys, rows=[b""] * len(keys)).parts(CHUNK):
            self._run(view, part, expected=-1)

    def drop(self, name: str, *, keep: str | None = None) -> None:
        """Forget a view."""
        with self._told():
            for layout, _ in self._catalogue(name):
                if layout.digest == keep:
                    continue
                rows = self._name(name, layout.digest)
                parts = [json.loads(each)[0] for each in self._client.hvals(rows + b":parts")]
                pipe = self._client.pipeline(transaction=True)
                pipe.unlink(rows, rows + b":created", rows + b":parts", rows + b":next", *(rows + b":of:%d" % n for n in parts))  # fmt: skip
                pipe.hdel(self._views, _field(name, layout.digest))
                pipe.execute()

    def count(self, view: View) -> int:
        """Entities that have a row."""
        rows = self._rows(view)
        with self._told():
            pipe = self._client.pipeline(transaction=True)
            pipe.hlen(rows)
            pipe.hexists(rows, HEADER)
            fields, has_header = pipe.execute()
        return int(fields) - int(has_header)

    def state(self, view: View) -> ViewState:
        """How far the view is."""
        rows = self._rows(view)
        with self._told():
            pipe = self._client.pipeline(transaction=True)
            pipe.hget(rows, HEADER)
            pipe.hgetall(rows + b":parts")
            header, parts = pipe.execute()
        us = int.from_bytes(header or NO_WATERMARK, "little", signed=True)
        return ViewState(
            is_readable=header is not None,
            watermark=None if us == NO_TIME else moment(us),
            partitions={name.decode(): _held(told) for name, told in parts.items()},
        )

    def members(self, view: View, origin: int) -> dict[bytes, int]:
        """Entities whose row came from a partition."""
        rows = self._rows(view)
        found: dict[bytes, int] = {}
        with self._told():
            keys = list(self._client.sscan_iter(rows + b":of:%d" % origin, count=1000))
            for start in range(0, len(keys), CHUNK):
                part = keys[start : start + CHUNK]
                values = zip(part, self._client.hmget(rows, part), strict=True)
                found |= {key: event_of(row) for key, row in values if row is not None}
        return found

    def begin(self, view: View, partitions: Sequence[str]) -> dict[str, int]:
        """Note that partitions are being written."""
        rows, known = self._rows(view), self.state(view).partitions
        new = [name for name in partitions if name not in known]
        with self._told():
            last = int(self._client.incrby(rows + b":next", len(new))) if new else 0
            origins = {name: last - place for place, name in enumerate(new)}
            origins |= {name: known[name].origin for name in partitions if name in known}
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(self._views, _field(view.name, view.layout.digest), view.layout.to_json())
            for name in partitions:
                pipe.hset(rows + b":parts", name, _told_of(Held(origin=origins[name])))
            pipe.execute()
        return origins

    def hold(self, view: View, partitions: Mapping[str, Held]) -> None:
        """Note that partitions are in."""
        if partitions:
            told = {name: _told_of(held) for name, held in partitions.items()}
            with self._told():
                self._client.hset(self._rows(view) + b":parts", mapping=told)

    def finish(self, view: View, *, gone: Sequence[str], watermark: dt.datetime | None) -> None:
        """End a materialisation."""
        rows, known = self._rows(view), self.state(view).partitions
        header = NO_WATERMARK if watermark is None else micros(watermark).to_bytes(8, "little", signed=True)  # fmt: skip
        with self._told():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(self._views, _field(view.name, view.layout.digest), view.layout.to_json())
            pipe.hset(rows, HEADER, header)
            for name in gone:
                pipe.hdel(rows + b":parts", name)
                pipe.unlink(rows + b":of:%d" % known[name].origin)
            pipe.execute()

    def layouts(self, name: str) -> list[tuple[Layout, bool]]:
        """Layouts that a view has rows in."""
        with self._told():
            return self._catalogue(name)

    def scan(self, view: View, size: int) -> Iterator[Batch]:
        """All rows of a view; those written meanwhile may be left out."""
        with self._told():
            cursor = -1
            while cursor:
                cursor, found = self._client.hscan(self._rows(view), max(cursor, 0), count=size)
                found.pop(HEADER, None)
                times = self._client.hmget(self._rows(view) + b":created", list(found)) if found else ()  # fmt: skip
                created = [NO_TIME if told is None else _INT64.unpack(told)[0] for told in times]
                yield Batch(keys=list(found), rows=list(found.values()), created_us=created)

    def fetch(self, wanted: Sequence[tuple[View, Sequence[bytes]]]) -> list[Found]:
        """Rows of several views, by one HMGET a view sent together."""
        sent = hmgets([(self._rows(view), keys) for view, keys in wanted])
        try:
            answers = self._line.ask(sent, len(wanted))
        except (self._errors.ConnectionError, OSError):  # from before the server was started anew
            with self._told():
                answers = self._line.ask(sent, len(wanted))
        except self._errors.RedisError as error:
            raise StoreDownError(self.where, error) from error
        return [(answer.pop(), answer) for answer in answers]

    async def fetch_async(self, wanted: Sequence[tuple[View, Sequence[bytes]]]) -> list[Found]:
        """`fetch` for an event loop."""
        try:
            pipe = self._async_client().pipeline(transaction=False)
            for view, keys in wanted:
                pipe.hmget(self._rows(view), [*keys, HEADER])
            answers = await pipe.execute()
        except (self._errors.RedisError, OSError) as error:
            raise StoreDownError(self.where, error) from error
        return [(answer.pop(), answer) for answer in answers]

    def close(self) -> None:
        """Close every connection but those of event loops."""
        self._line.close()
        self._client.close()

    async def close_async(self) -> None:
        """Close the connections of the event loop that runs."""
        client = self._loops.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    @property
    def _views(self) -> str:
        return f"{self._prefix}:views"

    def _rows(self, view: View) -> bytes:
        return self._name(view.name, view.layout.digest)

    def _name(self, name: str, digest: str) -> bytes:
        """Key of the rows of a view; remembered, because a request asks for it."""
        known = self._names.get((name, digest))
        if known is None:
            known = self._names[name, digest] = f"{self._prefix}:{{{name}}}:{digest}".encode()
        return known

    def _run(self, view: View, part: Batch, *, expected: int = 0, must_be_live: bool = False) -> bool:  # fmt: skip
        created = [b"" if us is None else _INT64.pack(us) for us in part.created()]
        told = [each for row in zip(part.keys, part.rows, created, strict=True) for each in row]
        with self._told():
            return bool(self._put(keys=[self._rows(view)], args=[expected, int(must_be_live), *told]))  # fmt: skip

    def _admit(self, view: View) -> None:
        """Make a view readable that nothing was written to, unless its first materialisation is still to end.

        Raises:
            LayoutChangedError: It can be read in another layout.
        """
        other = other_layout(self, view)
        if other is not None:
            raise LayoutChangedError(view.name, self.where, view.layout.changes_to(other))
        if self.state(view).partitions:
            return
        with self._told():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(self._views, _field(view.name, view.layout.digest), view.layout.to_json())
            pipe.hsetnx(self._rows(view), HEADER, NO_WATERMARK)
            pipe.execute()

    def _catalogue(self, name: str) -> list[tuple[Layout, bool]]:
        start = _field(name, "")
        told = self._client.hgetall(self._views)
        layouts = [layout_from(text) for field, text in told.items() if field.startswith(start)]
        return [(each, bool(self._client.hexists(self._name(name, each.digest), HEADER))) for each in layouts]  # fmt: skip

    def _async_client(self) -> Any:
        """One client an event loop: connections belong to the loop that opened them."""
        from redis.asyncio import Redis

        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops[loop] = Redis.from_url(self._url)
        return self._loops[loop]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The client's errors as this package's."""
        try:
            yield
        except (self._errors.ConnectionError, self._errors.TimeoutError, OSError) as error:
            raise StoreDownError(self.where, error) from error
        except self._errors.ResponseError as error:
            if "maxmemory" in str(error) or "OOM" in str(error):
                raise StoreFullError(self.where, error) from error
            raise


def _field(name: str, digest: str) -> bytes:
    return f"{name}\0{digest}".encode()


def _told_of(held: Held) -> str:
    return json.dumps([held.origin, held.version, held.newest_us])


def _held(told: bytes) -> Held:
    origin, version, newest_us = json.loads(told)
    return Held(origin=origin, version=version, newest_us=newest_us)
