"""A graph of any size, and the ledger of a deployment that has built all of it, written by bulk SQL.

Domains of twenty assets: a source, a raw table, its clean table, eight features of today and yesterday, five tables of
two features each, three marts, and one table that also reads the domain before. That is 1.8 inputs a partition. Nothing
is marked, nothing is on the agenda.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex

from lakeline.freshness.graph import Days, Edge, Graph, Kind, Vertex
from lakeline.freshness.mapping import DayWindow, SamePartition
from lakeline.ledger import Ledger
from lakeline.ledger.moments import micros
from lakeline.ledger.schema import PUBLISHED, build, current, reads

DOMAIN = 20
SOURCE, RAW, CLEAN, FEATURES, TABLES, MARTS, LAST = (
    0,
    1,
    2,
    range(3, 11),
    range(11, 16),
    range(16, 19),
    19,
)
FIRST_DAY = dt.date(2020, 1, 1)
CODE = "c0ffee"


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many assets, sources included, of how many days."""

    assets: int
    days: int

    @property
    def keys(self) -> list[str]:
        """The partitions of each asset."""
        return [(FIRST_DAY + dt.timedelta(days=day)).isoformat() for day in range(self.days)]

    @property
    def now(self) -> dt.datetime:
        """The midnight after the last day."""
        end = FIRST_DAY + dt.timedelta(days=self.days)
        return dt.datetime.combine(end, dt.time(), dt.UTC)

    @property
    def label(self) -> str:
        """A name for its files."""
        return f"{self.assets}x{self.days}"


def name_of(number: int) -> str:
    """Name of the asset with this number, from 0."""
    domain, place = divmod(number, DOMAIN)
    prefix = "source:" if place == SOURCE else ""
    return f"{prefix}domain_{domain:03}/asset_{place or RAW:02}"


def edges_of(number: int) -> Iterator[tuple[int, bool]]:
    """Numbers of the assets that one reads, each with whether it also reads the day before."""
    base, place = number - number % DOMAIN, number % DOMAIN
    if place in {RAW, CLEAN}:
        yield number - 1, False
    elif place in FEATURES:
        yield base + CLEAN, True
    elif place in TABLES:
        yield from ((base + FEATURES[place - TABLES[0] + shift], False) for shift in (0, 3))
    elif place in MARTS:
        yield from ((base + TABLES[place - MARTS[0] + shift], False) for shift in (0, 2))
    elif place == LAST:
        yield base + MARTS[0], False
        yield (base - DOMAIN if base else base) + CLEAN, False


def big_graph(size: Size) -> Graph:
    """The graph of that size."""
    days = Days(first=size.keys[0], until=f"{size.now:%Y-%m-%d}")
    return Graph.of(_vertex(number, days) for number in range(size.assets))


def fill(path: Path, size: Size) -> Path:
    """Write the ledger of that size, in which everything is built and consistent; nothing if the file is there."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    empty = Ledger(f"sqlite:///{draft}")
    empty.reach()
    empty.close()
    connection = sqlite3.connect(draft, isolation_level=None)
    for pragma in (
        "journal_mode = off",
        "synchronous = off",
        "cache_size = -500000",
        "temp_store = file",
    ):
        connection.execute(f"PRAGMA {pragma}")
    _fill(connection, size)
    connection.execute("PRAGMA journal_mode = wal")
    connection.close()
    return draft.rename(path)


def _vertex(number: int, days: Days) -> Vertex:
    edges = tuple(
        Edge(
            upstream=name_of(upstream),
            mapping=DayWindow(start=-1, first=days.first) if yesterday else SamePartition(),
        )
        for upstream, yesterday in edges_of(number)
    )
    kind: Kind = "source" if number % DOMAIN == SOURCE else "table"
    return Vertex(name=name_of(number), kind=kind, partitions=days, reads=edges, code_version=CODE)


def _fill(connection: sqlite3.Connection, size: Size) -> None:
    indexes = [index for table in (build, current, reads) for index in table.indexes]
    for index in indexes:  # made at the end, by one sort each
        connection.execute(f"DROP INDEX {index.name}")
    connection.execute("BEGIN")
    _fill_names(connection, size)
    for number in range(size.assets):
        connection.execute(_BUILDS, {"asset": number + 1, "days": size.days})
        for upstream, yesterday in edges_of(number):
            edge = {"asset": number + 1, "upstream": upstream + 1, "days": size.days}
            connection.execute(_INPUTS, {**edge, "back": int(yesterday)})
    connection.execute(_CURRENT)
    connection.execute("COMMIT")
    for index in indexes:
        connection.execute(str(CreateIndex(index).compile(dialect=sqlite.dialect())))


def _fill_names(connection: sqlite3.Connection, size: Size) -> None:
    """Words: the days by their numbers from 1, then code version, run and columns. One batch for each asset."""
    words = [*size.keys, CODE, "run", '["value"]']
    connection.executemany("INSERT INTO lakeline_word VALUES (?, ?)", enumerate(words, 1))
    ended_us = micros(size.now)
    for number in range(1, size.assets + 1):
        asset = (
            number,
            name_of(number - 1),
            number,
            number * size.days,
            size.days,
            size.days,
            ended_us,
        )
        connection.execute(_ASSET, asset)
        connection.execute(
            _BATCH,
            (number, f"batch-{number}", number, PUBLISHED, size.days, ended_us, ended_us, number),
        )
        if (number - 1) % DOMAIN == SOURCE:
            connection.execute(
                "INSERT INTO lakeline_source VALUES (?, ?, ?, ?)", (number, *[ended_us] * 3)
            )


# The version of a partition is 32 letters, as a real one.
_BUILDS = f"""
    INSERT INTO lakeline_build (id, batch_id, asset_id, part_id, version, watermark_us, code_id, run_id, rows, bytes)
    SELECT (:asset - 1) * :days + id, :asset, :asset, id, printf('%032x', :asset * 1000000 + id),
           {micros(dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC))} + id * 86400000000, :days + 1, :days + 2, 1000, 100000
    FROM lakeline_word WHERE id <= :days
"""
_INPUTS = """
    INSERT INTO lakeline_input (build_id, asset_id, part_id, version, snapshot_id, columns_id)
    SELECT (:asset - 1) * :days + word.id, :upstream, read.id, printf('%032x', :upstream * 1000000 + read.id),
           :upstream, :days + 3
    FROM lakeline_word AS word JOIN lakeline_word AS read ON read.id BETWEEN max(1, word.id - :back) AND word.id
    WHERE word.id <= :days
"""
_CURRENT = """
    INSERT INTO lakeline_current (asset_id, part_id, build_id, version, snapshot_id)
    SELECT asset_id, part_id, id, version, asset_id FROM lakeline_build ORDER BY id
"""
_ASSET = """
    INSERT INTO lakeline_asset (id, name, snapshot_id, build_id, partitions, newest_part_id, watermark_us)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_BATCH = """
    INSERT INTO lakeline_batch (id, name, asset_id, status, builds, started_us, ended_us, snapshot_id, cpu_s, gpu_s, peak_rss_bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)
"""
