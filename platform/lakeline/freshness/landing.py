"""The landing sensor: looks at sources at each tick, and leaves what follows from that to the reconciler.

It launches nothing and keeps no cursor: what was seen is the ledger's, so that a restart, a lost tick or a second sensor
changes nothing.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from lakeline.clock import Clock, SystemClock
from lakeline.errors import names
from lakeline.freshness.alerts import announce
from lakeline.freshness.channels import Channel
from lakeline.freshness.files import bucket, folder
from lakeline.freshness.iceberg_source import IcebergSource
from lakeline.freshness.observing import (
    Observation,
    ObservationError,
    Observer,
    landing_states,
    look_at,
)
from lakeline.freshness.patience import Patience
from lakeline.freshness.query import Query
from lakeline.resource import Lakehouse

__all__ = [
    "IcebergSource",
    "Observation",
    "Observer",
    "Query",
    "bucket",
    "folder",
    "landing_sensor",
]

WITHIN_S = 40.0
"""How long a tick waits for its sources, in seconds; Dagster ends a tick after 60."""


def landing_sensor(
    name: str,
    observers: Sequence[Observer],
    *,
    clock: Clock | None = None,
    channels: Sequence[Channel] = (),
    interval_s: int = 30,
    within_s: float = WITHIN_S,
    is_running: bool = True,
) -> dg.SensorDefinition:
    """The sensor that looks at some sources.

    A source that cannot be looked at fails the tick with an error that names it, after the others were looked at.

    Args:
        name: Of the sensor.
        observers: One for each source.
        clock: What time it is for the data; None for the machine's clock.
        channels: Where alerts go when a source cannot be looked at, and when it can again.
        interval_s: Shortest time between two ticks, in seconds.
        within_s: How long a tick waits for all sources together, in seconds.
        is_running: Whether it runs unless a person stops it.
    """
    patience: Patience[Observation] = Patience(within_s=within_s)
    present = clock or SystemClock()

    @dg.sensor(
        name=name,
        default_status=dg.DefaultSensorStatus.RUNNING
        if is_running
        else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=interval_s,
        description="Looks at what has landed: " + names(one.source for one in observers),
    )
    def sensor(lakehouse: Lakehouse) -> dg.SkipReason:
        ledger, now = lakehouse.ledger, present.now()
        found, failed = look_at(observers, ledger, now=now, patience=patience)
        announce(ledger, landing_states(found, failed), channels, now=now)
        if failed:
            raise ObservationError(failed)
        return dg.SkipReason(said(found))

    return sensor


def said(found: Mapping[str, Observation]) -> str:
    """What a tick says of its observations, for the UI."""
    changed = {source: one.changed for source, one in found.items() if one.changed}
    parts = [
        f"'{source}': {len(keys)} changed ({names((key or 'all of it' for key in keys), 3)})."
        for source, keys in changed.items()
    ]
    notes = [note for one in found.values() for note in one.notes]
    return " ".join([*(parts or ["Nothing has changed."]), *notes])
