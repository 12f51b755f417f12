"""An Iceberg table that another engine writes: each day's version is that of the data and delete files that hold it.

Where the table is parted by the day or hour of a time, or by a date, a commit changes the versions of the days that it
touches, and of no others. A table parted otherwise, or of which some files are, has one version for all. Rewriting files
without changing rows (compaction) gives new versions; the raw table is then built once more, finds the same rows, and
nothing downstream moves.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeline.errors import SourceError
from lakeline.freshness.mapping import WHOLE
from lakeline.freshness.observing import (
    Look,
    Observation,
    SourceUnreachableError,
    complete_days,
    record,
)
from lakeline.freshness.sources import source_of
from lakeline.ledger import State

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from lakeline.ledger import Ledger

SEEN = "landing:snapshot"
"""Name of the ledger's state with the snapshot that was looked at last; one that is the same needs no second look."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


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
        event_time: Column whose greatest value is the watermark, by the files' statistics; None goes by the days.
        is_daily: Whether the raw table is daily; else the source has one partition.
        has_gaps: Whether days may be missing for good.
    """

    asset: str
    table: "Callable[[], Table]"
    where: str
    event_time: str | None = None
    is_daily: bool = True
    has_gaps: bool = False

    @property
    def source(self) -> str:
        """Its name in the ledger."""
        return source_of(self.asset)

    def observe(self, ledger: "Ledger", now: dt.datetime) -> Observation:
        """Compare the table's present snapshot with what is known, file by file if it is another one.

        Raises:
            SourceUnreachableError: The catalog or the files cannot be read.
            NoSuchTimeError: ``event_time`` is no timestamp of the table.
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
        key = f"{table.metadata.table_uuid} {snapshot.snapshot_id if snapshot else ''} {self.event_time} {self.is_daily}"
        seen = [one for one in ledger.states(name=SEEN, asset=self.source) if one.state == key]
        contents = _Contents() if seen or snapshot is None else self._read(table, snapshot)
        highest = _moment(seen[0].detail["highest"]) if seen else contents.highest
        look = Look(
            where=self.where,
            versions={} if seen else contents.versions,
            watermark=lambda days: self._watermark(days, highest, now),
            is_left=lambda _: bool(seen),
        )
        found = record(ledger, self.source, look, now=now)
        detail = {"highest": highest.isoformat() if highest else None}
        if not seen:
            ledger.set_states([State(asset=self.source, name=SEEN, state=key, detail=detail)], now)
        return found

    def _read(self, table: "Table", snapshot: "Snapshot") -> "_Contents":
        field_id = self._time_field(table)
        days: dict[str, set[str]] = {}
        everywhere: set[str] = set()
        highest: dt.datetime | None = None
        is_parted = self.is_daily
        for spec, file in _files(table, snapshot):
            day = _day_of(table, spec, file)
            if day is None and file.content.value and not spec.fields:
                everywhere.add(file.file_path)  # deletes that hold for every partition
            else:
                is_parted = is_parted and day is not None
                days.setdefault(day or WHOLE, set()).add(file.file_path)
            if field_id is not None and (bound := file.upper_bounds.get(field_id)):
                at = _timestamp(table, field_id, bound)
                highest = at if highest is None else max(highest, at)
        if not is_parted:
            days = {WHOLE: {path for paths in days.values() for path in paths}} if days else {}
        versions = {day: _hash(paths | everywhere) for day, paths in days.items()}
        return _Contents(versions=versions, highest=highest)

    def _time_field(self, table: "Table") -> int | None:
        if self.event_time is None:
            return None
        from pyiceberg.types import TimestampType, TimestamptzType

        try:
            field = table.schema().find_field(self.event_time)
        except ValueError as error:
            raise NoSuchTimeError(self.source, self.event_time, "it does not have") from error
        if not isinstance(field.field_type, TimestampType | TimestamptzType):
            raise NoSuchTimeError(self.source, self.event_time, f"is {field.field_type}")
        return int(field.field_id)

    def _watermark(
        self, days: Collection[str], highest: dt.datetime | None, now: dt.datetime
    ) -> dt.datetime | None:
        if self.event_time is not None:
            return min(highest, now) if highest is not None else None
        return complete_days([day for day in days if day], now, has_gaps=self.has_gaps)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contents:
    """What a snapshot holds: a version for each day, and the greatest event time."""

    versions: Mapping[str, str] = field(default_factory=dict)
    highest: dt.datetime | None = None


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

    for position, field in enumerate(spec.fields):
        value: Any = file.partition[position]
        if value is None:
            continue
        if isinstance(field.transform, DayTransform):
            return _iso(dt.timedelta(days=value))
        if isinstance(field.transform, HourTransform):
            return _iso(dt.timedelta(hours=value))
        source_type = table.schema().find_type(field.source_id)
        if isinstance(field.transform, IdentityTransform) and isinstance(source_type, DateType):
            return _iso(dt.timedelta(days=value)) if isinstance(value, int) else value.isoformat()
    return None


def _iso(since: dt.timedelta) -> str:
    return (_EPOCH + since).date().isoformat()


def _timestamp(table: "Table", field_id: int, bound: bytes) -> dt.datetime:
    from pyiceberg.conversions import from_bytes

    micros: int = from_bytes(table.schema().find_type(field_id), bound)
    return _EPOCH + dt.timedelta(microseconds=micros)


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _hash(paths: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:32]


def _sql_error() -> type[Exception]:
    """What a SQL catalog raises where its database does not answer."""
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError
