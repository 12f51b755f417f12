"""Historical features of entity rows, usable without Feast: settled when asked for, read when needed."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.features.offline.engine import EngineSettings, joined, loaded
from lakeline.features.offline.entities import Entities, FrameEntities, QueryEntities
from lakeline.features.offline.frames import entity_frame
from lakeline.features.offline.moments import moment_of
from lakeline.features.offline.pins import PinnedTable, TimeTravel, pin
from lakeline.features.offline.request import ViewRead, check_clashes, entity_keys
from lakeline.features.offline.scan import check_columns
from lakeline.features.offline.spine import RangeEntities

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeline.lake import Lake


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class History:
    """The features of entity rows; every table is pinned, so reading twice gives the same.

    Attributes:
        entities: Rows that need features.
        views: Where features come from.
        pins: Table of each view, by its name.
        settings: What the engine may use.
    """

    entities: Entities
    views: tuple[ViewRead, ...]
    pins: Mapping[str, PinnedTable]
    settings: EngineSettings

    @property
    def snapshots(self) -> dict[str, int]:
        """Snapshot of its table that each view is read at, by name of the view."""
        return {name: pinned.snapshot_id or 0 for name, pinned in self.pins.items()}

    @property
    def at(self) -> str | None:
        """Column of a frame in memory that says when; None where only running a query would tell."""
        return self.entities.frame.at if isinstance(self.entities, FrameEntities) else None

    def span(self) -> tuple[list[str], str, dt.datetime | None, dt.datetime | None]:
        """Columns of the entity rows, the one that says when, and their earliest and latest moment.

        Of a query it takes running the query once.
        """
        found, when = loaded(self.entities, self.views, self.pins, self.settings)
        held = self.entities.frame.columns if isinstance(self.entities, FrameEntities) else ()
        columns = [*held, *found.handed_out]
        if when is None:
            return columns, found.at, None, None
        return columns, found.at, moment_of(when.earliest), moment_of(when.latest)

    def table(self) -> "pa.Table":
        """Every entity row once and in order, with the features; held in memory."""
        import pyarrow as pa

        if not self.views:
            return _frame_rows(self.entities)
        with joined(self.entities, self.views, self.pins, self.settings) as reader:
            features = reader.read_all()
        if not isinstance(self.entities, FrameEntities):
            return features
        rows = self.entities.frame.rows
        fields = [*rows.schema, *features.schema]
        return pa.table([*rows.columns, *features.columns], schema=pa.schema(fields))

    @contextmanager
    def reader(self) -> "Iterator[pa.RecordBatchReader]":
        """The same in batches, for results larger than memory; closed with the context."""
        if not self.views:
            yield _frame_rows(self.entities).to_reader()
            return
        with joined(self.entities, self.views, self.pins, self.settings) as features:
            if isinstance(self.entities, FrameEntities):
                yield _beside(self.entities.frame.rows, features)
            else:
                yield features


def history(
    lake: "Lake",
    frame: Any,
    views: Sequence[ViewRead],
    *,
    travel: TimeTravel | None = None,
    settings: EngineSettings | None = None,
    at: str | None = None,
) -> History:
    """Settle what the features of entity rows are read from; nothing but metadata is read yet.

    Args:
        lake: Where the tables are.
        frame: pandas, Polars or Arrow frame; a query over tables of the lake; the name of a table; or a pair of moments,
            for every moment from the first to the second at which something became known.
        views: Where features come from.
        travel: Snapshots to read; without, the newest.
        settings: What the engine may use.
        at: Column of the frame that says when; without, `event_timestamp` or the only timestamp.

    Raises:
        ViewTableMissingError: A view's table is not in the lake.
        EmptyViewError: Nothing was ever published to it.
        ViewColumnsError: It lacks a column that the view names.
        SnapshotMissingError: It has no snapshot as asked for.
        EntityFrameError: The frame cannot be read.
        NotAMomentError: A time has no time zone or is no timestamp.
        FeatureClashError: Two columns of the result would have one name.
    """
    wanted = travel or TimeTravel()
    pins = {view.name: _pinned(lake, view, wanted) for view in views}
    entities: Entities
    if isinstance(frame, str):
        entities = QueryEntities.of(frame, lake, wanted, at=at)
        check_clashes(views, ())
    elif isinstance(frame, tuple):
        entities = RangeEntities(start=_utc(frame[0]), end=_utc(frame[1]), pins=pins)
        check_clashes(views, entity_keys(views))
    else:
        entities = FrameEntities(frame=entity_frame(frame, keys=entity_keys(views), at=at))
        check_clashes(views, entities.frame.columns)
    return History(
        entities=entities, views=tuple(views), pins=pins, settings=settings or EngineSettings()
    )


def _pinned(lake: "Lake", view: ViewRead, travel: TimeTravel) -> PinnedTable:
    pinned = pin(lake, view.table, view=view.name, snapshot_id=view.snapshot_id, travel=travel)
    check_columns(view, pinned)
    return pinned


def _frame_rows(entities: Entities) -> "pa.Table":
    assert isinstance(entities, FrameEntities), "without views there is only a frame to hand back"
    return entities.frame.rows


def _beside(rows: "pa.Table", features: "pa.RecordBatchReader") -> "pa.RecordBatchReader":
    """The rows with the features that come batch by batch in their order."""
    import pyarrow as pa

    schema = pa.schema([*rows.schema, *features.schema])

    def batches() -> "Iterator[pa.RecordBatch]":
        start = 0
        for batch in features:
            part = rows.slice(start, batch.num_rows)
            whole = pa.table([*part.columns, *batch.columns], schema=schema)
            start += batch.num_rows
            yield from whole.combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _utc(moment: dt.datetime) -> dt.datetime:
    """The moment in UTC; one without a zone is in UTC, as Feast means dates."""
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
