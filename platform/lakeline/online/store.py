"""What every online store can do, and opening one by its url."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from lakeline.online.errors import (
    HalfWrittenError,
    LayoutChangedError,
    NotMaterialisedError,
    OnlineUrlError,
)
from lakeline.online.rows import Batch
from lakeline.online.view import NO_TIME, Layout, View

__all__ = ["Batch", "Held", "OnlineStore", "ViewState", "open_store"]

PREFIX = "lakeline"
Found: TypeAlias = "tuple[bytes | None, list[bytes | None]]"
"""State of a view as stored, None where it cannot be read, and the packed row of each key."""
NO_WATERMARK = NO_TIME.to_bytes(8, "little", signed=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a store knows of a partition that it was given.

    Attributes:
        origin: Number that rows of this partition carry.
        version: Version that is in; None while it is being written.
        newest_us: Latest event time of its rows in microseconds; `NO_TIME` of a partition without rows.
    """

    origin: int
    version: str | None = None
    newest_us: int = NO_TIME


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewState:
    """How far a view is.

    Attributes:
        is_readable: Whether readers get its rows: something was pushed, or a materialisation ended.
        watermark: Event time up to which it is complete; None before a materialisation said so.
        partitions: Every partition that is in or being written.
    """

    is_readable: bool
    watermark: dt.datetime | None
    partitions: Mapping[str, Held]

    @property
    def held(self) -> dict[str, str]:
        """Version of each partition that is in."""
        return {
            name: held.version for name, held in self.partitions.items() if held.version is not None
        }

    @property
    def pending(self) -> list[str]:
        """Partitions of a materialisation that has not ended, in order."""
        return sorted(name for name, held in self.partitions.items() if held.version is None)


class OnlineStore(Protocol):
    """Packed rows of views, one an entity; safe with several writers at once, and each method may be repeated."""

    @property
    def where(self) -> str:
        """The store, for messages; without its password."""
        ...

    def write(self, view: View, batch: Batch) -> None:
        """Push rows and make the view readable.

        Of an entity the newest event wins, of equals the one created later; where not both say when, or both the same,
        the one written later.

        Raises:
            LayoutChangedError: The view's rows have another layout.
            StoreFullError: There is no room; a batch beyond 500 rows may be in by part.
            StoreDownError: The store cannot be reached.
        """
        ...

    def fill(self, view: View, batch: Batch) -> None:
        """Write rows as `write` does, without making the view readable."""
        ...

    def restate(self, view: View, batch: Batch, *, origin: int) -> None:
        """Replace rows that came from ``origin``, even by older ones; an empty row deletes. Others are written as by `fill`."""
        ...

    def delete(self, view: View, keys: Sequence[bytes]) -> None:
        """Forget entities."""
        ...

    def drop(self, name: str, *, keep: str | None = None) -> None:
        """Forget a view: rows, partitions and watermark, of every layout but that with the digest ``keep``."""
        ...

    def count(self, view: View) -> int:
        """Entities that have a row."""
        ...

    def state(self, view: View) -> ViewState:
        """How far the view is, in its present layout."""
        ...

    def members(self, view: View, origin: int) -> dict[bytes, int]:
        """Entities whose row came from a partition, with its event time in microseconds."""
        ...

    def begin(self, view: View, partitions: Sequence[str]) -> dict[str, int]:
        """Note that partitions are being written; returns the number that rows of each carry."""
        ...

    def hold(self, view: View, partitions: Mapping[str, Held]) -> None:
        """Note that partitions are in."""
        ...

    def finish(self, view: View, *, gone: Sequence[str], watermark: dt.datetime | None) -> None:
        """End a materialisation in one step: forget partitions, set the watermark, make the view readable."""
        ...

    def layouts(self, name: str) -> list[tuple[Layout, bool]]:
        """Layouts that a view has rows in, and whether each can be read."""
        ...

    def scan(self, view: View, size: int) -> Iterator[Batch]:
        """All rows of a view, about ``size`` at a time."""
        ...

    def fetch(self, wanted: Sequence[tuple[View, Sequence[bytes]]]) -> list[Found]:
        """Rows of several views in one round trip."""
        ...

    async def fetch_async(self, wanted: Sequence[tuple[View, Sequence[bytes]]]) -> list[Found]:
        """`fetch` for an event loop."""
        ...

    def close(self) -> None:
        """Close every connection but those of event loops; the next call opens its own again."""
        ...

    async def close_async(self) -> None:
        """Close the connections of the event loop that runs."""
        ...


def open_store(url: str, *, prefix: str = PREFIX) -> OnlineStore:
    """The store at ``sqlite:///path`` or ``redis://host:port/db``; nothing is connected before it is used.

    Args:
        url: Where it is; also ``rediss://`` and ``unix://`` as the Redis client knows them.
        prefix: Keeps the views of several users of one store apart.

    Raises:
        OnlineUrlError: The url names neither.
        MissingExtraError: The client for Redis is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest not in ("/", "/:memory:"):
        from lakeline.online.sqlite_store import SqliteStore

        return SqliteStore(rest[1:], prefix=prefix)
    if scheme in ("redis", "rediss", "unix"):
        from lakeline.online.redis_store import RedisStore

        return RedisStore(url, prefix=prefix)
    raise OnlineUrlError(url)


def explain_unreadable(store: OnlineStore, view: View) -> NotMaterialisedError | LayoutChangedError:
    """Why a view gives nothing to readers."""
    others = [layout for layout, is_live in store.layouts(view.name) if is_live]
    if others:
        return LayoutChangedError(view.name, store.where, view.layout.changes_to(others[0]))
    state = store.state(view)
    if state.partitions:
        held, pending = len(state.held), len(state.pending)
        return HalfWrittenError(view.name, store.where, held=held, pending=pending)
    return NotMaterialisedError(view.name, store.where)


def other_layout(store: OnlineStore, view: View) -> Layout | None:
    """The layout in which the view can be read, if it is another than the view's present one."""
    live = [layout for layout, is_live in store.layouts(view.name) if is_live]
    return next((layout for layout in live if layout.digest != view.layout.digest), None)
