"""Online rows in an SQLite file: a table a view and layout, with a row an entity.

Each method that writes is one transaction.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakeline.online.errors import LayoutChangedError
from lakeline.online.keys import HEADER
from lakeline.online.rows import Batch, event_of, micros, moment, origin_of
from lakeline.online.sqlite_file import SqliteFile
from lakeline.online.store import NO_WATERMARK, Found, Held, ViewState, other_layout
from lakeline.online.view import NO_TIME, Layout, View, layout_from

CHUNK = 10_000
"""Keys a query; SQLite takes 32,766 parameters, and 500 queries joined."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS views (
    prefix TEXT, view TEXT, digest TEXT, layout TEXT, PRIMARY KEY (prefix, view, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
    prefix TEXT, view TEXT, digest TEXT, partition TEXT, origin INTEGER, version TEXT, newest_us INTEGER,
    PRIMARY KEY (prefix, view, digest, partition)
) WITHOUT ROWID;
"""
ROWS = """
CREATE TABLE IF NOT EXISTS {rows} (
    key BLOB PRIMARY KEY, event INTEGER, origin INTEGER, row BLOB, created INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS {index} ON {rows} (origin) WHERE origin > 0;
"""
PUT = """
INSERT INTO {rows} (key, event, origin, row, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET event = excluded.event, origin = excluded.origin, row = excluded.row, created = excluded.created
WHERE excluded.event > event OR (excluded.event = event AND coalesce(excluded.created >= created, TRUE))
"""


class SqliteStore:
    """An `OnlineStore` in one file, made with its folder when something is first written.

    Args:
        path: The file.
        prefix: Keeps views of several users of the file apart.
    """

    def __init__(self, path: str, *, prefix: str) -> None:
        self._file, self._prefix = SqliteFile(Path(path), SCHEMA), prefix

    @property
    def where(self) -> str:
        """The file's url."""
        return self._file.where

    def write(self, view: View, batch: Batch) -> None:
        """Push rows; see `OnlineStore`."""
        with self._file.transaction() as connection:
            if self._header(connection, view) is None:
                self._admit(view, connection)
            self._upsert(connection, view, batch)

    def fill(self, view: View, batch: Batch) -> None:
        """Write rows of a materialisation; see `OnlineStore`."""
        with self._file.transaction() as connection:
            self._create(connection, view)
            self._upsert(connection, view, batch)

    def restate(self, view: View, batch: Batch, *, origin: int) -> None:
        """Replace rows of a partition; see `OnlineStore`."""
        given_up = [(key, origin) for key in batch.keys]
        with self._file.transaction() as connection:
            self._create(connection, view)
            connection.executemany(
                f"DELETE FROM {self._rows(view)} WHERE key = ? AND origin = ?", given_up
            )
            self._upsert(connection, view, batch.take(i for i, row in enumerate(batch.rows) if row))

    def delete(self, view: View, keys: Sequence[bytes]) -> None:
        """Forget entities."""
        with self._file.transaction() as connection:
            if self._select(connection, "SELECT 1 FROM {rows} LIMIT 1", view):
                connection.executemany(
                    f"DELETE FROM {self._rows(view)} WHERE key = ?", [(key,) for key in keys]
                )

    def drop(self, name: str, *, keep: str | None = None) -> None:
        """Forget a view."""
        with self._file.transaction() as connection:
            for layout in self._catalogue(connection, name):
                if layout.digest != keep:
                    connection.execute(f"DROP TABLE IF EXISTS {self._table(name, layout.digest)}")
                    for table in ("partitions", "views"):
                        connection.execute(
                            f"DELETE FROM {table} WHERE prefix = ? AND view = ? AND digest = ?",
                            (self._prefix, name, layout.digest),
                        )

    def count(self, view: View) -> int:
        """Entities that have a row."""
        with self._file.told():
            query = "SELECT count(*) FROM {rows} WHERE key <> ?"
            found = self._select(self._file.connection(), query, view, HEADER)
        return int(found[0][0]) if found else 0

    def state(self, view: View) -> ViewState:
        """How far the view is."""
        with self._file.snapshot() as connection:
            header = self._header(connection, view)
            partitions = self._partitions(connection, view)
        us = int.from_bytes(header or NO_WATERMARK, "little", signed=True)
        return ViewState(
            is_readable=header is not None,
            watermark=None if us == NO_TIME else moment(us),
            partitions=partitions,
        )

    def members(self, view: View, origin: int) -> dict[bytes, int]:
        """Entities whose row came from a partition."""
        query = "SELECT key, event FROM {rows} WHERE origin = ? AND origin > 0"
        with self._file.told():
            return dict(self._select(self._file.connection(), query, view, origin))

    def begin(self, view: View, partitions: Sequence[str]) -> dict[str, int]:
        """Note that partitions are being written."""
        with self._file.transaction() as connection:
            self._create(connection, view)
            known = self._partitions(connection, view)
            last = max((held.origin for held in known.values()), default=0)
            new = [name for name in partitions if name not in known]
            origins = {name: last + 1 + place for place, name in enumerate(new)}
            origins |= {name: known[name].origin for name in partitions if name in known}
            self._note(connection, view, {name: Held(origin=n) for name, n in origins.items()})
        return origins

    def hold(self, view: View, partitions: Mapping[str, Held]) -> None:
        """Note that partitions are in."""
        with self._file.transaction() as connection:
            self._note(connection, view, partitions)

    def finish(self, view: View, *, gone: Sequence[str], watermark: dt.datetime | None) -> None:
        """End a materialisation."""
        header = NO_WATERMARK if watermark is None else micros(watermark).to_bytes(8, "little", signed=True)  # fmt: skip
        with self._file.transaction() as connection:
            self._create(connection, view)
            connection.executemany(
                "DELETE FROM partitions WHERE prefix = ? AND view = ? AND digest = ? AND partition = ?",
                [(*self._id(view), name) for name in gone],
            )
            self._set_header(connection, view, header)

    def layouts(self, name: str) -> list[tuple[Layout, bool]]:
        """Layouts that a view has rows in."""
        with self._file.told():
            connection = self._file.connection()
            found = self._catalogue(connection, name)
            return [(each, self._header(connection, each.as_view(name)) is not None) for each in found]  # fmt: skip

    def scan(self, view: View, size: int) -> Iterator[Batch]:
        """All rows of a view."""
        last = b""
        query = (
            "SELECT key, row, created FROM {rows} WHERE key >= ? AND key <> ? ORDER BY key LIMIT ?"
        )
        with self._file.transaction() as connection:
            if self._select(connection, "SELECT 1 FROM {rows} LIMIT 1", view):
                self._widen(connection, view)
        while True:
            with self._file.told():
                found = self._select(self._file.connection(), query, view, last, HEADER, size)
            if not found:
                return
            keys, rows, created = zip(*found, strict=True)
            yield Batch(
                keys=keys,
                rows=rows,
                created_us=[NO_TIME if us is None else us for us in created],
            )
            last = found[-1][0] + b"\0"  # the least key behind it

    def fetch(self, wanted: Sequence[tuple[View, Sequence[bytes]]]) -> list[Found]:
        """Rows of several views as of one moment."""
        if len(wanted) <= 500 and sum(len(keys) + 1 for _, keys in wanted) <= CHUNK:
            with self._file.told():
                found = self._at_once(self._file.connection(), wanted)
            if found is not None:
                return found
        with self._file.snapshot() as connection:
            return [self._found(connection, view, keys) for view, keys in wanted]

    async def fetch_async(self, wanted: Sequence[tuple[View, Sequence[bytes]]]) -> list[Found]:
        """`fetch`; a file answers sooner than a thread would start."""
        return self.fetch(wanted)

    def close(self) -> None:
        """Close every connection of this process."""
        self._file.close()

    async def close_async(self) -> None:
        """Nothing: an event loop reads over its thread's connection."""

    def _at_once(
        self, connection: sqlite3.Connection, wanted: Sequence[tuple[View, Sequence[bytes]]]
    ) -> list[Found] | None:
        """Rows of several views by one query, which takes half the time of several; None where one has no table."""
        terms, values = [], []
        for place, (view, keys) in enumerate(wanted):
            marks = ",?" * len(keys)
            terms.append(
                f"SELECT {place}, key, row FROM {self._rows(view)} WHERE key IN (?{marks})"
            )
            values += [HEADER, *keys]
        try:
            rows = connection.execute(" UNION ALL ".join(terms), values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return None
        found: list[dict[bytes, bytes]] = [{} for _ in wanted]
        for place, key, row in rows:
            found[place][key] = row
        return [(each.get(HEADER), list(map(each.get, keys))) for each, (_, keys) in zip(found, wanted, strict=True)]  # fmt: skip

    def _found(self, connection: sqlite3.Connection, view: View, keys: Sequence[bytes]) -> Found:
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys) or 1, CHUNK):
            part = (HEADER, *keys[start : start + CHUNK])
            query = f"SELECT key, row FROM {{rows}} WHERE key IN ({','.join('?' * len(part))})"
            found.update(self._select(connection, query, view, *part))
        return found.get(HEADER), list(map(found.get, keys))

    def _select(self, connection: sqlite3.Connection, query: str, view: View, *values: Any) -> list[Any]:  # fmt: skip
        """Answer to a query of a view's rows; nothing where nothing was ever written."""
        try:
            return connection.execute(query.format(rows=self._rows(view)), values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []

    def _upsert(self, connection: sqlite3.Connection, view: View, batch: Batch) -> None:
        self._widen(connection, view)
        rows = [
            (key, event_of(row), origin_of(row), row, created)
            for key, row, created in zip(batch.keys, batch.rows, batch.created(), strict=True)
        ]
        connection.executemany(PUT.format(rows=self._rows(view)), rows)

    def _widen(self, connection: sqlite3.Connection, view: View) -> None:
        """Give the table the time of creation, which those of former releases lack."""
        rows = self._rows(view)
        columns = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({rows})")}
        if "created" not in columns:
            connection.execute(f"ALTER TABLE {rows} ADD COLUMN created INTEGER")

    def _admit(self, view: View, connection: sqlite3.Connection) -> None:
        """Make a view readable that nothing was written to, unless its first materialisation is still to end.

        Raises:
            LayoutChangedError: It can be read in another layout.
        """
        other = other_layout(self, view)
        if other is not None:
            raise LayoutChangedError(view.name, self.where, view.layout.changes_to(other))
        self._create(connection, view)
        if not self._partitions(connection, view):
            self._set_header(connection, view, NO_WATERMARK)

    def _create(self, connection: sqlite3.Connection, view: View) -> None:
        if self._header(connection, view) is not None:
            return
        rows = self._rows(view)
        # Not executescript, which would commit what the transaction has done so far.
        for statement in ROWS.format(rows=rows, index=f'"of:{rows[1:]}').split(";")[:-1]:
            connection.execute(statement)
        connection.execute(
            "INSERT OR IGNORE INTO views VALUES (?, ?, ?, ?)",
            (*self._id(view), view.layout.to_json()),
        )

    def _header(self, connection: sqlite3.Connection, view: View) -> bytes | None:
        found = self._select(connection, "SELECT row FROM {rows} WHERE key = ?", view, HEADER)
        return found[0][0] if found else None

    def _set_header(self, connection: sqlite3.Connection, view: View, header: bytes) -> None:
        connection.execute(
            f"INSERT OR REPLACE INTO {self._rows(view)} (key, origin, row) VALUES (?, 0, ?)",
            (HEADER, header),
        )

    def _partitions(self, connection: sqlite3.Connection, view: View) -> dict[str, Held]:
        query = "SELECT partition, origin, version, newest_us FROM partitions WHERE prefix = ? AND view = ? AND digest = ?"
        return {
            name: Held(origin=origin, version=version, newest_us=newest_us)
            for name, origin, version, newest_us in connection.execute(query, self._id(view))
        }

    def _note(self, connection: sqlite3.Connection, view: View, partitions: Mapping[str, Held]) -> None:  # fmt: skip
        connection.executemany(
            "INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (*self._id(view), name, held.origin, held.version, held.newest_us)
                for name, held in partitions.items()
            ],
        )

    def _catalogue(self, connection: sqlite3.Connection, name: str) -> list[Layout]:
        query = "SELECT layout FROM views WHERE prefix = ? AND view = ?"
        return [layout_from(text) for (text,) in connection.execute(query, (self._prefix, name))]

    def _id(self, view: View) -> tuple[str, str, str]:
        return self._prefix, view.name, view.layout.digest

    def _rows(self, view: View) -> str:
        return self._table(view.name, view.layout.digest)

    def _table(self, name: str, digest: str) -> str:
        """Name of the table of rows, quoted."""
        text = f"rows:{self._prefix}:{name}:{digest}".replace('"', '""')
        return f'"{text}"'
