"""A small online store in plain Python, right by default, with eight ways to be wrong; and what it stores.

It shares nothing with the offline path: rows arrive one after another in the order in which they became known, and reads
happen between them.
"""

import datetime as dt
import heapq
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

START = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
TTL_MIN = 360
MINUTE_US = 60_000_000
STATES = ("calm", "fog", "gale", "hail", "rain", "snow", "storm", "sun")
FEATURES = ("temp_f", "reports", "state", "is_open")
BLANKS: dict[str, Any] = {"temp_f": 0.0, "reports": 0, "state": "", "is_open": False}
NOTHING: tuple[Any, ...] = (None,) * len(FEATURES)

Values = tuple[Any, ...]
"""One value a feature."""


class Store:
    """Keeps the newest event of each key, as it should.

    Attributes:
        lag_us: How long after it became known a row arrives.
        ttl_us: Age up to which values are served.
    """

    lag_us = 0
    ttl_us: float = TTL_MIN * MINUTE_US

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, Values]] = {}

    def put(self, key: int, event_us: int, known_us: int, values: Values) -> None:
        """Keep a row, unless a newer event is there."""
        kept = self.rows.get(key)
        if kept is None or event_us >= kept[0]:
            self.rows[key] = (event_us, values)

    def get(self, key: int, moment_us: int) -> tuple[str, Values]:
        """Status and values."""
        kept = self.rows.get(key)
        if kept is None:
            return "missing", NOTHING
        if moment_us - kept[0] > self.ttl_us:
            return "expired", NOTHING
        return "present", kept[1]


class LocalTime(Store):
    """Takes the clock of New York for UTC, and so runs five hours behind."""

    lag_us = 300 * MINUTE_US


class BlankForNull(Store):
    """Serves 0 and the like for a null."""

    def get(self, key: int, moment_us: int) -> tuple[str, Values]:
        """Status and values."""
        _, values = super().get(key, moment_us)
        pairs = zip(FEATURES, values, strict=True)
        return "present", tuple(BLANKS[name] if one is None else one for name, one in pairs)


class AfterTheEdge(Store):
    """Sees a row only after the moment at which it is known, not from that moment on."""

    lag_us = 1


class SingleWidth(Store):
    """Keeps floats in 32 bits."""

    def put(self, key: int, event_us: int, known_us: int, values: Values) -> None:
        """Keep a row, rounded."""
        rounded = tuple(
            struct.unpack("f", struct.pack("f", one))[0] if isinstance(one, float) else one
            for one in values
        )
        super().put(key, event_us, known_us, rounded)


class DropsLate(Store):
    """Looks for rows of the last hour only, and never sees one that comes later."""

    def put(self, key: int, event_us: int, known_us: int, values: Values) -> None:
        """Keep a row, if it is in time."""
        if known_us - event_us <= 60 * MINUTE_US:
            super().put(key, event_us, known_us, values)


class KeepsForever(Store):
    """Knows of no time to live."""

    ttl_us = float("inf")


class OtherCodes(Store):
    """Reads the codes of texts with another list of texts than they were written with."""

    def put(self, key: int, event_us: int, known_us: int, values: Values) -> None:
        """Keep a row, with codes mixed up."""
        coded = tuple(
            STATES[(STATES.index(one) + 3) % len(STATES)] if isinstance(one, str) else one
            for one in values
        )
        super().put(key, event_us, known_us, coded)


class LastWriteWins(Store):
    """Lets a late row overwrite a newer event."""

    def put(self, key: int, event_us: int, known_us: int, values: Values) -> None:
        """Keep a row, whatever is there."""
        self.rows[key] = (event_us, values)


BUGS: dict[str, type[Store]] = {
    "time zone": LocalTime,
    "default for null": BlankForNull,
    "window edge": AfterTheEdge,
    "float width": SingleWidth,
    "late event": DropsLate,
    "TTL": KeepsForever,
    "category code": OtherCodes,
    "order": LastWriteWins,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What happened at some weather stations, and who asked about them.

    Attributes:
        rows: One row a report: ``station``, ``event_ts``, ``known_ts``, and the features.
        asked: One row a read: ``read``, ``station``, ``at``.
    """

    rows: "pl.DataFrame"
    asked: "pl.DataFrame"

    def served_by(self, store: Store) -> "pl.DataFrame":
        """The log of the reads as a store answers them: with a status and a column a feature."""
        import polars as pl

        schema = {name: self.rows.schema[name] for name in FEATURES}
        stations, at_us = self.asked["station"].to_list(), map(_us, self.asked["at"].to_list())
        answers = _answers(store, self.rows.rows(), stations, list(at_us))
        status = pl.Series("status", [status for status, _ in answers])
        values = pl.DataFrame([values for _, values in answers], schema=schema, orient="row")
        return self.asked.with_columns(status, *values.get_columns())


def make_world(*, stations: int, days: int, reads: int, seed: int) -> World:
    """Reports about every 40 minutes: one in 30 hours late, one in 200 before a day's silence, one value in 20 null.

    A quarter of the reads fall on the very microsecond at which a report was known, and one in 50 asks of a station that
    never reports.
    """
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(seed)
    count = stations * days * 36
    station = np.sort(rng.integers(0, stations, count))
    gap_min = rng.integers(10, 70, count) + np.where(rng.random(count) < 0.005, 1440, 0)
    passed = np.cumsum(gap_min)
    first = passed[np.searchsorted(station, station)]
    event_us = (passed - first + rng.integers(0, 60, stations)[station]) * MINUTE_US
    delay_min = np.where(rng.random(count) < 1 / 30, rng.integers(90, 300, count), rng.integers(1, 9, count))  # fmt: skip
    known_us = event_us + delay_min * MINUTE_US
    rows = pl.DataFrame(
        {
            "station": station,
            "event_ts": _moments(event_us),
            "known_ts": _moments(known_us),
            "temp_f": _with_nulls(rng.normal(55, 17, count), rng),
            "reports": _with_nulls(rng.integers(1, 400, count), rng),
            "state": _with_nulls(np.array(STATES)[rng.integers(0, len(STATES), count)], rng),
            "is_open": _with_nulls(rng.random(count) < 0.6, rng),
        }
    )
    picked = rng.integers(0, count, reads)
    on_the_edge = rng.random(reads) < 0.25
    at = np.where(on_the_edge, known_us[picked], rng.integers(0, int(event_us.max()), reads))
    asked = np.where(rng.random(reads) < 0.02, stations + 1, station[picked])
    log = {"read": np.arange(reads), "station": asked, "at": _moments(at)}
    return World(rows=rows, asked=pl.DataFrame(log))


def _answers(
    store: Store, rows: Sequence[tuple[Any, ...]], stations: Sequence[int], at_us: Sequence[int]
) -> list[tuple[str, Values]]:
    """What a store says to each read, in their order; of what arrives at the moment of a read the store knows."""
    told: list[tuple[str, Values]] = [("", NOTHING)] * len(stations)
    arrive_us = [_us(row[2]) + store.lag_us for row in rows]
    writes = sorted((at, 0, place) for place, at in enumerate(arrive_us))
    reads = sorted((at, 1, place) for place, at in enumerate(at_us))
    for at, is_read, place in heapq.merge(writes, reads):
        if is_read:
            told[place] = store.get(stations[place], at)
        else:
            key, event_ts, known_ts, *values = rows[place]
            store.put(key, _us(event_ts), _us(known_ts), tuple(values))
    return told


def _us(moment: dt.datetime) -> int:
    return (moment - START) // dt.timedelta(microseconds=1)


def _moments(since_start_us: Any) -> "pl.Series":
    import polars as pl

    start_us = START.timestamp() * 1_000_000
    return pl.Series(since_start_us + int(start_us)).cast(pl.Datetime("us", "UTC"))


def _with_nulls(values: Any, rng: Any) -> "pl.Series":
    import polars as pl

    found = pl.Series("values", values)
    keep = pl.Series("keep", rng.random(len(values)) >= 0.05)
    return pl.select(pl.when(keep).then(found)).to_series()
