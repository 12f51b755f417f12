"""Files that land in a folder or a bucket: each day's version is that of its files together.

A file that was written a moment ago may still be growing, so it waits until it has been left alone for ``settle_s``
seconds. Its age is the time between its date and this machine's clock. If a file is dated ahead of that clock, its age
says nothing, and it waits until this machine has itself seen it unchanged for as long. If the other clock is behind, a
growing file may be taken too early; it then has another version when it is finished, and what was built from it is built
again. So clocks that differ cost time or a second build, and no rows.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.errors import SourceError, names
from lakeline.freshness.file_names import FileNames
from lakeline.freshness.observing import Look, Observation, complete_days, record
from lakeline.freshness.places import BucketPlace, FolderPlace, LandedFile, Place
from lakeline.freshness.sources import source_of
from lakeline.ledger import State
from lakeline.window import DAY, WHOLE

if TYPE_CHECKING:
    import re

    from lakeline.ledger import Ledger

AHEAD = "landing:ahead"
"""Name of the ledger's state with the files of a source that are dated ahead of this machine's clock."""
_TOLERANCE_S = 1.0
_LIMIT = 100_000


class TooManyFilesError(SourceError):
    """A place has more files than a tick should look at."""

    def __init__(self, source: str, where: str, limit: int) -> None:
        super().__init__(
            f"'{source}' at {where} has more than {limit:,} files to look at. Look back fewer days with look_back_days=, "
            "narrow the pattern or the prefix, or raise limit=."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Observes files; made by `folder` and `bucket`.

    Attributes:
        source: As `sources.source_of` names it.
        settle_s: Seconds that a file must have been left alone.
        files_a_day: How many files make a day complete; a day with fewer waits.
        in_order: Whether a day waits until no day before it is missing; else days may have no files for good.
        look_back_days: How many days are looked at, today included; what is known of earlier ones stays. None: all.
        limit: Files looked at, at most.
        wall: This machine's clock, which the dates of files are held against.
    """

    source: str
    place: Place
    names: FileNames
    settle_s: float
    files_a_day: int = 1
    in_order: bool = False
    look_back_days: int | None = None
    limit: int = _LIMIT
    wall: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def observe(self, ledger: "Ledger", now: dt.datetime) -> Observation:
        """List the files and tell the ledger the version of each day.

        Raises:
            SourceUnreachableError: The place cannot be listed.
            TooManyFilesError: It has too many files.
            SourceVanishedError: It had files, and has none.
            MissingExtraError: Packages that it takes are not installed.
        """
        listed = self._listed(now)
        ahead = _Ahead.of(ledger, self.source, self.wall(), self.settle_s)
        by_day: dict[str, list[LandedFile]] = {}
        waiting: dict[str, str] = {}
        for one in listed:
            day = self.names.day_of(one.name)
            if day is None:
                continue
            by_day.setdefault(day, []).append(one)
            if self.settle_s > 0 and not ahead.is_settled(one):
                waiting[day] = "a file may still be written"
        waiting |= {
            day: f"{len(some)} of {self.files_a_day} files are there"
            for day, some in by_day.items()
            if len(some) < self.files_a_day
        }
        found = record(ledger, self.source, self._look(by_day, waiting, now), now=now)
        ahead.remember(ledger, now)
        notes = (*found.notes, *ahead.notes, *self._strange(listed))
        return replace(found, notes=notes)

    def _listed(self, now: dt.datetime) -> list[LandedFile]:
        beginnings: list[str] | None = None
        if self.look_back_days is not None:
            days = [(now - n * DAY).date() for n in range(self.look_back_days)]
            beginnings = self.names.beginnings(days)
        found: dict[str, LandedFile] = {}
        for beginning in beginnings if beginnings is not None else [""]:
            for one in self.place.files(self.source, beginning, self.names.depth):
                found[one.name] = one
                if len(found) > self.limit:
                    raise TooManyFilesError(self.source, str(self.place), self.limit)
        return sorted(found.values(), key=lambda one: one.name)

    def _look(
        self, by_day: Mapping[str, list[LandedFile]], waiting: Mapping[str, str], now: dt.datetime
    ) -> Look:
        first = self._first_looked_at(now)
        watermark = lambda days: complete_days(days, now, is_in_order=self.in_order)  # noqa: E731
        return Look(
            where=str(self.place),
            versions={
                day: _version(some)
                for day, some in by_day.items()
                if day not in waiting and day >= first
            },
            is_left=lambda day: day in waiting or day < first,
            watermark=watermark if self.names.is_daily else lambda _: None,
            is_in_order=self.in_order,
            notes=tuple(
                f"'{self.source}' waits for {day or 'its files'}: {why}."
                for day, why in sorted(waiting.items())
            ),
        )

    def _first_looked_at(self, now: dt.datetime) -> str:
        if self.look_back_days is None or not self.names.is_daily:
            return WHOLE
        return f"{now - (self.look_back_days - 1) * DAY:%Y-%m-%d}"

    def _strange(self, listed: Collection[LandedFile]) -> tuple[str, ...]:
        strange = [one.name for one in listed if self.names.names_no_day(one.name)]
        if not strange:
            return ()
        return (f"'{self.source}' has files of days that never were: {names(strange, 3)}.",)


@dataclass(kw_only=True)
class _Ahead:
    """Files dated ahead of this machine's clock, with when it first saw each as it is.

    Attributes:
        held: By name, the version and when it was first seen, as the ledger keeps them.
        seen: The same for the files of this look.
    """

    source: str
    wall: dt.datetime
    settle: dt.timedelta
    held: Mapping[str, list[str]]
    seen: dict[str, list[str]] = field(default_factory=dict)
    furthest: dt.timedelta = dt.timedelta()

    @classmethod
    def of(cls, ledger: "Ledger", source: str, wall: dt.datetime, settle_s: float) -> "_Ahead":
        rows = [one for one in ledger.states(name=AHEAD, asset=source) if one.state == "ahead"]
        held = rows[0].detail["files"] if rows else {}
        return cls(source=source, wall=wall, settle=dt.timedelta(seconds=settle_s), held=held)

    def is_settled(self, one: LandedFile) -> bool:
        """Whether a file has been left alone for long enough."""
        age = self.wall - one.written_ts
        if age >= -dt.timedelta(seconds=_TOLERANCE_S):
            return age >= self.settle
        self.furthest = max(self.furthest, -age)
        version, since = self.held.get(one.name, ["", ""])
        # A clock that was set back in between would make it wait for as long again and more.
        first = dt.datetime.fromisoformat(since) if version == one.version else self.wall
        first = min(first, self.wall)
        self.seen[one.name] = [one.version, first.isoformat()]
        return self.wall - first >= self.settle

    def remember(self, ledger: "Ledger", now: dt.datetime) -> None:
        """Keep what was seen for the next look."""
        if self.seen or self.held:
            state = "ahead" if self.seen else "none"
            detail = {"files": self.seen}
            ledger.set_states(
                [State(asset=self.source, name=AHEAD, state=state, detail=detail)], now
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the clocks."""
        if not self.seen:
            return ()
        by = dt.timedelta(seconds=round(self.furthest.total_seconds()))
        return (
            f"'{self.source}' has files dated ahead of this machine's clock by up to {by}: {names(self.seen, 3)}. "
            "Each waits until it was seen unchanged for a while; set the clocks right.",
        )


def folder(
    asset: str,
    path: str | Path,
    pattern: "str | re.Pattern[str]",
    *,
    settle_s: float = 30.0,
    **more: Any,
) -> Files:
    """Observes files below a folder of this machine, or of a mount.

    Args:
        asset: The raw table that reads them, as ``domain/name``.
        path: The folder.
        pattern: As `FileNames` takes it, such as ``%Y/orders-%Y-%m-%d.csv``.
        settle_s: Seconds that a file must have been left alone.
        more: files_a_day, in_order, look_back_days, limit, as `Files` has them.

    Raises:
        PatternError: The pattern says part of a day.
    """
    place = FolderPlace(folder=Path(path))
    return Files(
        source=source_of(asset), place=place, names=FileNames(pattern), settle_s=settle_s, **more
    )


def bucket(
    asset: str,
    name: str,
    pattern: "str | re.Pattern[str]",
    *,
    prefix: str = "",
    connection: Mapping[str, Any] | None = None,
    settle_s: float = 0.0,
    **more: Any,
) -> Files:
    """Observes objects of an S3 bucket. Takes the extra ``aws``.

    Args:
        asset: The raw table that reads them, as ``domain/name``.
        name: Of the bucket.
        pattern: As `FileNames` takes it, of what follows the prefix.
        prefix: Of the keys, ending in ``/`` where it is a folder.
        connection: What dagster-aws's ``S3Resource`` is made with, such as ``endpoint_url``, where it is not the machine's own.
        settle_s: Seconds that an object must have been left alone; an object is never seen half written.
        more: files_a_day, in_order, look_back_days, limit, as `Files` has them.

    Raises:
        PatternError: The pattern says part of a day.
    """
    place = BucketPlace(bucket=name, prefix=prefix, connection=connection or {})
    return Files(
        source=source_of(asset), place=place, names=FileNames(pattern), settle_s=settle_s, **more
    )


def _version(some: Collection[LandedFile]) -> str:
    lines = sorted(f"{one.name}\n{one.version}" for one in some)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
