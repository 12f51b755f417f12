"""What a join of historical features asks for, in columns of tables and of the entity frame."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lakeline.errors import FeatureClashError


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewRead:
    """The features of one view, and from when on each row of its table may be used.

    Attributes:
        name: Name for messages and for the record of snapshots.
        table: ``namespace.table``.
        keys: Column of the entity frame for each key column of the table; empty for features that hold for everything.
        features: Column of the table for each column of the result.
        event_time: Moment that a row's values describe; rows without one are never used.
        knowledge_time: Moment from which on a row could be read, where the table says so; rows whose moment is null are
            not known yet and never used.
        created: Moment at which a row was written, which decides between rows of one event time.
        waits_for_created: Whether a row counts only once it was created.
        ttl: Age, against the event time, up to which a value may be used, this age included; None for any age.
        snapshot_id: Snapshot of the table to read, unless the run pins another.
    """

    name: str
    table: str
    keys: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str]
    event_time: str
    knowledge_time: str | None = None
    created: str | None = None
    waits_for_created: bool = False
    ttl: dt.timedelta | None = None
    snapshot_id: int | None = None

    @property
    def hidden_until(self) -> tuple[str, ...]:
        """Columns that hide a row until their moment, beside the event time."""
        created = self.created if self.waits_for_created else None
        return tuple(column for column in (self.knowledge_time, created) if column)

    @property
    def tie_break(self) -> str | None:
        """Column whose latest moment wins among rows of one event time."""
        return self.created or self.knowledge_time

    @property
    def times(self) -> tuple[str, ...]:
        """Every time column, each once."""
        found = (self.event_time, self.knowledge_time, self.created)
        return tuple(dict.fromkeys(column for column in found if column))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the table that is read, each once."""
        return tuple(dict.fromkeys((*self.keys, *self.times, *self.features.values())))

    def with_event_time(self) -> "ViewRead":
        """The same with the event time of its values as one more feature."""
        told = {event_time_of(self.name): self.event_time}
        return replace(self, features={**self.features, **told})


def event_time_of(view: str) -> str:
    """Column of a result with the event time of a view's values; no feature can be called so."""
    return f"{view}:event_time"


def entity_keys(views: Sequence[ViewRead]) -> tuple[str, ...]:
    """Key columns of the entity frame that some view needs, each once, in order."""
    return tuple(dict.fromkeys(column for view in views for column in view.keys.values()))


def check_clashes(views: Sequence[ViewRead], entity_columns: Sequence[str]) -> None:
    """Make sure that every column of the result comes from one place.

    Raises:
        FeatureClashError: Two views have a feature of one name, or a feature is called like a column of the frame.
    """
    origins: dict[str, list[str]] = {column: ["the entity frame"] for column in entity_columns}
    for view in views:
        for feature in view.features:
            origins.setdefault(feature, []).append(f"view '{view.name}'")
    clashes = {feature: found for feature, found in origins.items() if len(found) > 1}
    if clashes:
        raise FeatureClashError(clashes)
