"""Sources in the ledger: what a raw table is read from, with a version for each partition and a watermark.

A source is observed, never built. What its class tells decides how closely: ``published_until`` alone makes a partition
known once it is published; ``versions`` as well makes a restated one known, so that its readers become inconsistent.
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lakeline.errors import SourceError
from lakeline.window import DAY, WHOLE, Window, day_start

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.ledger import Ledger

PREFIX = "source:"
READABLE = "source"
"""Name of the ledger's state that says whether an asset's source could be observed: ``read`` or ``unread``."""
PUBLISHED = "published"
"""Version of a partition whose source tells no version."""


class SourceTimeError(SourceError):
    """A source says by something else than a moment how far it reaches."""

    def __init__(self, asset: str, source: object, found: object) -> None:
        said = f"{found}, which has no time zone" if isinstance(found, dt.datetime) else f"{found!r}, which is no moment"  # fmt: skip
        super().__init__(
            f"'{asset}': {type(source).__name__}.published_until() returned {said}. Return the moment up to which the "
            "source is complete as an aware datetime, such as dt.datetime(2026, 1, 2, tzinfo=dt.UTC), or None where it has nothing."
        )


@runtime_checkable
class Versioned(Protocol):
    """A source that knows when it has restated something."""

    def versions(self, table: str) -> Mapping[str, str]:
        """Present version of each published partition of a table (``""`` for one without partitions): any text that changes when the rows do."""
        ...


@runtime_checkable
class Awaited(Protocol):
    """A source that may be asked for days that have not come: a replay goes there, and otherwise they are refused."""

    def require_published(self, window: Window, what: str) -> None:
        """Nothing where the window is published."""
        ...


def source_of(asset: str) -> str:
    """Name under which the ledger keeps what an asset is read from.

    >>> source_of("flights/departures")
    'source:flights/departures'
    """
    return PREFIX + asset


def observe(ledger: "Ledger", node: "Node", source: Any) -> tuple[str, ...]:
    """Take in what a source has at present; returns its partitions that changed.

    A source of neither ``published_until`` nor ``versions`` is not observed: its tables are built by people alone.

    Raises:
        SourceTimeError: How far it reaches is no moment.
    """
    until = _published_until(node.asset, source)
    versions = _versions(node, source, until)
    if versions is None:
        return ()
    return ledger.observe(
        source_of(node.asset),
        versions,
        watermark=until,
        observed_ts=dt.datetime.now(dt.UTC),
        is_complete=True,
    )


def _published_until(asset: str, source: Any) -> dt.datetime | None:
    """Up to when a source is complete, in UTC whatever zone it says it in: days are UTC's."""
    until = source.published_until() if hasattr(source, "published_until") else None
    if until is None:
        return None
    if isinstance(until, dt.datetime) and until.utcoffset() is not None:
        return until.astimezone(dt.UTC)
    raise SourceTimeError(asset, source, until)


def unread(ledger: "Ledger", domain: str = "") -> list[str]:
    """What went wrong with each source that could not be observed when it was looked at last, and since when.

    Args:
        ledger: Only read.
        domain: Name of the domain whose assets' sources are meant; empty for all.
    """
    return [
        f"{one.detail.get('said', one.asset)} (since {one.since_ts:%Y-%m-%d %H:%M})"
        for one in ledger.states(name=READABLE)
        if one.state == "unread" and one.asset.startswith(f"{domain}/" if domain else "")
    ]


def _versions(node: "Node", source: Any, until: dt.datetime | None) -> Mapping[str, str] | None:
    if isinstance(source, Versioned):
        return source.versions(node.name)
    if until is None:
        return None
    if not node.daily:
        return {WHOLE: PUBLISHED}
    return _published_days(str(node.first_partition), until)


def _published_days(first: str, until: dt.datetime) -> dict[str, str]:
    """Each day that has begun by ``until``; one that is not over has a version that moves with it."""
    if until <= day_start(first):
        return {}
    days = Window.of_days(first, f"{until - dt.timedelta(microseconds=1):%Y-%m-%d}").partitions
    return {day: PUBLISHED if day_start(day) + DAY <= until else until.isoformat() for day in days}
