"""Brings the partitions of a view that changed into an online store, and nothing else.

What a store holds is compared with what there is: a partition is read when its version is not the one that is in. Each row
carries the number of its partition, so that a partition that is written anew, or gone, gives back exactly the entities
that it gave. Such an entity gets its newest row from the other partitions, which are looked through newest first and only
as far as a newer row, or one within the time to live, can be; without one it is deleted.

Every step may be repeated. A partition counts as in only once all that follows from it is written, so after a kill the
next call does again what was not finished and ends in the same rows. Two calls for one view at once are not foreseen,
and lakeline's asset lets one run at a time; pushes meanwhile are.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lakeline.online.errors import RowsError
from lakeline.online.rows import Batch, event_of, micros, newest, pack
from lakeline.online.store import Held, OnlineStore
from lakeline.online.view import NO_TIME, View

if TYPE_CHECKING:
    import polars as pl

Read = Callable[[str], Any]
"""Rows of a partition, as a Polars frame (lazy or not) or an Arrow table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Materialised:
    """What a materialisation did.

    Attributes:
        pushed: Partitions that were brought in, in order.
        gone: Partitions that are no more.
        rows: Rows that were offered to the store.
        restated: Entities that got a row of another partition, or an older one of the same.
        deleted: Entities that no partition has any more.
        watermark: Event time up to which the view is complete now.
    """

    pushed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    rows: int = 0
    restated: int = 0
    deleted: int = 0
    watermark: dt.datetime | None = None


def materialise(
    store: OnlineStore,
    view: View,
    present: Mapping[str, str],
    read: Read,
    *,
    watermark: dt.datetime | None = None,
) -> Materialised:
    """Make the store hold the newest row of each entity over all partitions, and move its watermark.

    Args:
        store: Where to.
        view: What.
        present: Version of every partition there is. A partition that is held and not here is taken out.
        read: Gives the rows of a partition: entities, event time and features as the view names them. An entity may come
            several times; its newest row counts, of equals the last.
        watermark: Event time up to which all of this is complete; None leaves the store's.

    Raises:
        RowsError: A partition's rows do not fit the view; earlier partitions are in, the watermark did not move.
        StoreFullError: The store took no more rows; likewise.
        StoreDownError: The store cannot be reached.
    """
    state = store.state(view)
    changed = sorted(name for name, version in present.items() if state.held.get(name) != version)
    gone = sorted(state.partitions.keys() - present.keys())
    reached = state.watermark if watermark is None else watermark
    if not changed and not gone and state.is_readable and reached == state.watermark:
        return Materialised(watermark=reached)
    # Also what is gone: were it back before this ends, it would have to be read again.
    origins = store.begin(view, [*changed, *gone])
    held = {name: each for name, each in state.partitions.items() if name in present}
    run = _Run(store=store, view=view, read=read, held=held)
    for name in changed:
        was_there = name in state.partitions
        run.push(name, Held(origin=origins[name], version=present[name]), was_there=was_there)
    for name in gone:
        run.give_back(state.partitions[name].origin)
    run.restate(_oldest_us(view, reached))
    store.finish(view, gone=gone, watermark=reached)
    store.drop(view.name, keep=view.layout.digest)
    return replace(run.done, pushed=tuple(changed), gone=tuple(gone), watermark=reached)


@dataclass(kw_only=True, slots=True, eq=False)
class _Run:
    """One materialisation under way.

    Attributes:
        held: Partitions that are in, or will be at the end.
        waiting: Partitions that are in once their lost entities are restated.
        lost: For each entity whose row its partition no longer has: that partition's number, and the row that it has
            instead (empty for none).
        done: What was done so far.
    """

    store: OnlineStore
    view: View
    read: Read
    held: dict[str, Held]
    waiting: dict[str, Held] = field(default_factory=dict)
    lost: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    done: Materialised = field(default_factory=Materialised)

    def push(self, name: str, held: Held, *, was_there: bool) -> None:
        """Write a partition's rows, but for those of entities that it now has only older rows of."""
        batch = self._rows(name, held.origin)
        events = {key: event_of(row) for key, row in zip(batch.keys, batch.rows, strict=True)}
        before = self.store.members(self.view, held.origin) if was_there else {}
        lost = {key for key, event in before.items() if events.get(key, NO_TIME) < event}
        own = {key: row for key, row in zip(batch.keys, batch.rows, strict=True) if key in lost}
        self.lost |= {key: (held.origin, own.get(key, b"")) for key in lost}
        kept = (
            batch
            if not lost
            else batch.take(i for i, key in enumerate(batch.keys) if key not in lost)
        )
        self.store.fill(self.view, kept)
        self.held[name] = replace(held, newest_us=max(events.values(), default=NO_TIME))
        if lost:
            self.waiting[name] = self.held[name]
        else:
            self.store.hold(self.view, {name: self.held[name]})
        self.done = replace(self.done, rows=self.done.rows + len(batch))

    def give_back(self, origin: int) -> None:
        """Take a partition's rows out."""
        self.lost |= dict.fromkeys(self.store.members(self.view, origin), (origin, b""))

    def restate(self, oldest_us: int) -> None:
        """Give each lost entity its newest row, or none."""
        rows = self._found(oldest_us)
        by_origin: dict[int, list[bytes]] = {}
        for key, (origin, _) in self.lost.items():
            by_origin.setdefault(origin, []).append(key)
        for origin, keys in by_origin.items():
            batch = Batch(keys=keys, rows=[rows[key] for key in keys])
            self.store.restate(self.view, batch, origin=origin)
        self.store.hold(self.view, self.waiting)
        deleted = sum(not row for row in rows.values())
        self.done = replace(self.done, deleted=deleted, restated=len(rows) - deleted)

    def _found(self, oldest_us: int) -> dict[bytes, bytes]:
        """For each lost entity the newest row of any partition, empty where there is none that can be used."""
        rows = {key: own for key, (_, own) in self.lost.items()}
        for name in sorted(
            self.held, key=lambda name: (self.held[name].newest_us, name), reverse=True
        ):
            held = self.held[name]
            if held.newest_us < oldest_us or held.newest_us == NO_TIME:
                break
            wanting = {
                key
                for key, (origin, _) in self.lost.items()
                if origin != held.origin and (not rows[key] or event_of(rows[key]) < held.newest_us)
            }
            if wanting:
                batch = self._rows(name, held.origin)
                for key, row in zip(batch.keys, batch.rows, strict=True):
                    if key in wanting and (not rows[key] or event_of(row) > event_of(rows[key])):
                        rows[key] = row
        return rows

    def _rows(self, name: str, origin: int) -> Batch:
        frame = _frame(self.read(name))
        missing = [c for c in (*self.view.entities, self.view.event_time) if c not in frame.columns]
        if missing:
            raise RowsError(
                self.view.name, f"partition {name!r} has no column {', '.join(missing)}"
            )
        return pack(self.view, newest(frame, self.view), origin=origin)


def _oldest_us(view: View, watermark: dt.datetime | None) -> int:
    """Event time before which no reader can use a row any more."""
    if view.ttl is None or watermark is None:
        return NO_TIME
    return micros(watermark - view.ttl)


def _frame(rows: Any) -> "pl.DataFrame":
    import polars as pl

    if isinstance(rows, pl.LazyFrame):
        rows = rows.collect()
    frame = rows if isinstance(rows, pl.DataFrame) else pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
