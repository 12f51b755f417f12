"""The cause that moments are read by another clock: shifts by hours, the same all year or as summer time comes and goes."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lakeline.features.evidence import Evidence
from lakeline.features.guess import Guess, alive, values_of
from lakeline.features.replaying import MOMENT

if TYPE_CHECKING:
    import polars as pl

WHOLE_HOURS = tuple(range(1, 15))
BROKEN_HOURS = (2.5, 3.5, 4.5, 5.5, 5.75, 6.5, 9.5, 10.5)
HOURS = tuple(sign * hours for hours in (*WHOLE_HOURS, *BROKEN_HOURS) for sign in (-1, 1))
"""Shifts that a wrong time zone can make, either way; among equals the first is named, so that whole hours come first."""

ZONES = (
    "America/Halifax",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Pacific/Auckland",
)
"""One zone for each rule of summer time that many people live by."""

Shifted = Mapping[dt.timedelta, "pl.DataFrame"]
"""What would be served of a view by how far its clock is wrong."""


class TimeZone:
    """Moments are read as local time, so that hours lie between the two paths."""

    name = "time zone"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """The features hours earlier or later, all year or by a zone's summer time; a time that is a feature, moved."""
        import polars as pl

        shifts = [dt.timedelta(hours=hours) for hours in HOURS]
        found = evidence.answers_around(replace(evidence.source, ttl=None), shifts)
        for served in _served(evidence, dict(zip(shifts, found, strict=True))):
            for shift, values in served.items():
                detail = f"values are those of {_hours(shift)}"
                yield Guess(detail=detail, values=values_of(values, evidence))
            yield from _by_zone(evidence, served)
        times = [name for name in evidence.features if evidence.offline[name].dtype == pl.Datetime]
        for shift in shifts if times else ():
            moved = {name: evidence.offline[name] + shift for name in times}
            yield Guess(detail=f"times are those of {_hours(shift)}", values=moved)


def _served(evidence: Evidence, found: Shifted) -> Iterator[Shifted]:
    """What is young enough: by the clock that is right, and by the one that is wrong."""
    ttl, asked = evidence.source.ttl, evidence.wanted[MOMENT]
    yield {shift: alive(values, asked, ttl) for shift, values in found.items()}
    if ttl is not None:
        yield {shift: alive(values, asked + shift, ttl) for shift, values in found.items()}


def _by_zone(evidence: Evidence, served: Shifted) -> Iterator[Guess]:
    """The features moved by what each zone's clock is off at that moment, where that changes within the sample."""
    for zone in ZONES:
        ahead = _ahead(evidence.wanted[MOMENT], zone)
        offsets = ahead.drop_nulls().unique().to_list()
        for sign, word in ((-1, "behind"), (1, "ahead")):
            moves = {one: served.get(sign * one) for one in offsets if one}
            known = {one: values for one, values in moves.items() if values is not None}
            if len(offsets) > 1 and len(known) == len(moves):
                values = _picked(evidence, ahead, known)
                detail = f"moments are taken by the clock of {zone}, {word} by what it is off UTC"
                yield Guess(detail=detail, values=values)


def _ahead(moments: "pl.Series", zone: str) -> "pl.Series":
    """How far the clock of a zone is ahead of UTC at each moment; below 0 in the west."""
    local = moments.dt.convert_time_zone(zone)
    return local.dt.base_utc_offset() + local.dt.dst_offset()


def _picked(
    evidence: Evidence, ahead: "pl.Series", by_offset: "Mapping[dt.timedelta, pl.DataFrame]"
) -> "dict[str, pl.Series]":
    """Of each read the value that belongs to its offset; the offline one where the clock is right."""
    import polars as pl

    found = {name: evidence.offline[name] for name in evidence.features}
    for offset, values in by_offset.items():
        for name, before in found.items():
            chosen = pl.when(ahead == offset).then(values[name]).otherwise(before)
            found[name] = pl.select(chosen.alias(name)).to_series()
    return found


def _hours(shift: dt.timedelta) -> str:
    hours = shift / dt.timedelta(hours=1)
    return f"{abs(hours):g} h {'later' if hours > 0 else 'earlier'}"
