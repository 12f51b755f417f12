"""An Iceberg table that another engine writes: each day's version is that of the data and delete files that hold it.

Where the table is parted by the day or hour of a time, or by a date, a commit changes the versions of the days that it
touches, and of no others. Where it is not, the statistics of the event time tell which days a file may hold. Rewriting
files without changing rows (compaction) gives new versions; the raw table is then built once more, finds the same rows,
and nothing downstream moves. A snapshot that was looked at before is not read again.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeline.errors import SourceError
from lakeline.freshness.observing import (
    Look,
    Observation,
    SourceUnreachableError,
    complete_days,
    record,
)
from lakeline.freshness.sources import source_of
from lakeline.ledger import State
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.types import NestedField

    from lakeline.ledger import Ledger

SEEN = "landing:snapshot"
"""Name of the ledger's state with the snapshot that was looked at last, and what was found in it."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class NoDaysError(SourceError):
    """A table that does not say of which days its files are."""

    def __init__(self, source: str, where: str, path: str) -> None:
        super().__init__(
            f"'{source}' at {where} does not say of which day its file {path} is. Name its time column in event_time=, "
            "whose statistics tell it, part it by day, or declare is_daily=False."
        )


class NoSuchTimeError(SourceError):
    """The column that is to say how far a table reaches cannot."""

    def __init__(self, source: str, column: str, problem: str) -> None:
        super().__init__(
            f"'{source}' is to reach as far as its column {column}, which {problem}. Name a timestamp column in "
            "event_time=, or leave it out to go by the days that are there."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class IcebergSource:
    """Observes an Iceberg table.

    Attributes:
        asset: The raw table that is read from it, as ``domain/name``.
        table: Loads it, such as ``lambda: catalog.load_table("shop.events")``; called at each look.
        where: Its name for errors.
        event_time: Column whose greatest value is the watermark, by the files' statistics: the day under way is taken
            too, again with each commit. None goes by the days, and takes each when it is over.
        is_daily: Whether the raw table is daily; else the source has one partition.
        in_order: Whether a day waits until no day before it is missing; else days may be missing for good.
    """

    asset: str
    table: "Callable[[], Table]"
    where: str
    event_time: str | None = None
    is_daily: bool = True
    in_order: bool = False

    @property
    def source(self) -> str:
        """Its name in the ledger."""
        return source_of(self.asset)

    def observe(self, ledger: "Ledger", now: dt.datetime) -> Observation:
        """Compare the table's present snapshot with what is known, file by file if it is another one.

        Raises:
            SourceUnreachableError: The catalog or the files cannot be read.
            NoSuchTimeError: ``event_time`` is no timestamp of the table.
            NoDaysError: A file does not say of which days it is.
            SourceVanishedError: It had rows, and has none.
        """
        from pyiceberg.exceptions import NoSuchTableError, RESTError

        try:
            table = self.table()
            return self._observe(table, ledger, now)
        except NoSuchTableError as error:
            advice = "Check its name, and that the other engine has made it."
            raise SourceUnreachableError(self.source, self.where, error, advice) from error
        except (OSError, RESTError, _sql_error()) as error:
            advice = "Check that its catalog answers and that its files can be read from here."
            raise SourceUnreachableError(self.source, self.where, error, advice) from error

    def _observe(self, table: "Table", ledger: "Ledger", now: dt.datetime) -> Observation:
        snapshot = table.current_snapshot()
        key = (
            f"{table.metadata.table_uuid} {snapshot.snapshot_id if snapshot else ''} {self._manner}"
        )
        seen = [one for one in ledger.states(name=SEEN, asset=self.source) if one.state == key]
        if seen:
            contents = _Contents.from_json(seen[0].detail)
        else:
            contents = self._read(table, snapshot) if snapshot is not None else _Contents()
        look = Look(
            where=self.where,
            versions=contents.versions,
            watermark=lambda days: self._watermark(days, contents.highest, now),
            is_in_order=self.in_order,
            takes_open_days=self.event_time is not None,
        )
        found = record(ledger, self.source, look, now=now)
        if not seen:
            detail = contents.as_json()
            ledger.set_states([State(asset=self.source, name=SEEN, state=key, detail=detail)], now)
        return found

    @property
    def _manner(self) -> str:
        """What decides how a snapshot is read."""
        return f"{self.event_time or ''} {'daily' if self.is_daily else 'whole'}"

    def _read(self, table: "Table", snapshot: "Snapshot") -> "_Contents":
        time = self._time_field(table)
        by_day: dict[str, set[str]] = {}
        everywhere: set[str] = set()
        highest: dt.datetime | None = None
        for spec, file in _files(table, snapshot):
            first, last = _bounds(time, file)
            highest = max((one for one in (highest, last) if one is not None), default=None)
            days = self._days(table, spec, file) or _days_between(first, last)
            for day in days:
                by_day.setdefault(day, set()).add(file.file_path)
            if not days and not file.content.value:
                raise NoDaysError(self.source, self.where, file.file_path)
            if not days:
                everywhere.add(file.file_path)  # deletes that may hold for any day
        versions = {day: _hash(paths | everywhere) for day, paths in by_day.items()}
        return _Contents(versions=versions, highest=highest)

    def _days(self, table: "Table", spec: "PartitionSpec", file: "DataFile") -> tuple[str, ...]:
        if not self.is_daily:
            return (WHOLE,)
        day = _day_of(table, spec, file)
        return () if day is None else (day,)

    def _time_field(self, table: "Table") -> "NestedField | None":
        if self.event_time is None:
            return None
        from pyiceberg.types import TimestampType, TimestamptzType

        try:
            field = table.schema().find_field(self.event_time)
        except ValueError as error:
            raise NoSuchTimeError(self.source, self.event_time, "it does not have") from error
        if not isinstance(field.field_type, TimestampType | TimestamptzType):
            raise NoSuchTimeError(self.source, self.event_time, f"is {field.field_type}")
        return field

    def _watermark(
        self, days: Collection[str], highest: dt.datetime | None, now: dt.datetime
    ) -> dt.datetime | None:
        if self.event_time is not None:
            return min(highest, now) if highest is not None else None
        return complete_days([day for day in days if day], now, is_in_order=self.in_order)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contents:
    """What a snapshot holds: a version for each day, and the greatest event time."""

    versions: Mapping[str, str] = field(default_factory=dict)
    highest: dt.datetime | None = None

    def as_json(self) -> dict[str, Any]:
        highest = self.highest.isoformat() if self.highest is not None else None
        return {"versions": dict(self.versions), "highest": highest}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "_Contents":
        highest = dt.datetime.fromisoformat(said["highest"]) if said["highest"] else None
        return cls(versions=said["versions"], highest=highest)


def _files(table: "Table", snapshot: "Snapshot") -> "Iterator[tuple[PartitionSpec, DataFile]]":
    """Every data and delete file of a snapshot, with the spec that it was written by."""
    specs = table.specs()
    for manifest in snapshot.manifests(table.io):
        spec = specs[manifest.partition_spec_id]
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            yield spec, entry.data_file


def _day_of(table: "Table", spec: "PartitionSpec", file: "DataFile") -> str | None:
    """The day that all rows of a file are of, by its partition; None where that does not say."""
    from pyiceberg.transforms import DayTransform, HourTransform, IdentityTransform
    from pyiceberg.types import DateType

    for position, part in enumerate(spec.fields):
        value: Any = file.partition[position]
        if value is None:
            continue
        if isinstance(part.transform, DayTransform):
            return _iso(dt.timedelta(days=value))
        if isinstance(part.transform, HourTransform):
            return _iso(dt.timedelta(hours=value))
        source_type = table.schema().find_type(part.source_id)
        if isinstance(part.transform, IdentityTransform) and isinstance(source_type, DateType):
            return _iso(dt.timedelta(days=value)) if isinstance(value, int) else value.isoformat()
    return None


def _iso(since: dt.timedelta) -> str:
    return (_EPOCH + since).date().isoformat()


def _bounds(
    time: "NestedField | None", file: "DataFile"
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Least and greatest event time of a file by its statistics, where it has them."""
    if time is None:
        return None, None
    from pyiceberg.conversions import from_bytes

    found: list[dt.datetime | None] = []
    for bounds in (file.lower_bounds or {}, file.upper_bounds or {}):
        raw = bounds.get(time.field_id)
        micros: Any = None if raw is None else from_bytes(time.field_type, raw)  # type: ignore[arg-type]
        found.append(None if micros is None else _EPOCH + dt.timedelta(microseconds=micros))
    return found[0], found[1]


def _days_between(first: dt.datetime | None, last: dt.datetime | None) -> tuple[str, ...]:
    if first is None or last is None:
        return ()
    return Window.of_days(f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}").partitions


def _hash(paths: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:32]


def _sql_error() -> type[Exception]:
    """What a SQL catalog raises where its database does not answer."""
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError
