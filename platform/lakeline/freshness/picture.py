"""A picture of watermarks over time: a band for each asset, all with the same scales, as SVG.

Written by hand: matplotlib is none of the packages that lakeline brings, and plotly draws only in a browser. A step line
needs neither.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH_PX, BAND_PX = 960, 34
LEFT_PX, RIGHT_PX = 230, 130
TOP_PX, BOTTOM_PX = 30, 34
PAD_PX = 6
"""Room above and below the line of a band."""

COLOURS = {"good": "#2f7d5d", "busy": "#b7791f", "bad": "#c0392b"}

Point = tuple[dt.datetime, dt.datetime]
"""When a publish ended, and the watermark from then on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One asset.

    Attributes:
        points: Oldest first.
        level: ``good``, ``busy`` or ``bad``; decides the colour.
    """

    name: str
    points: tuple[Point, ...]
    level: str = "good"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """Times on a stretch of pixels, from ``low`` at ``at_low`` to ``high`` at ``at_high``."""

    low: dt.datetime
    high: dt.datetime
    at_low: float
    at_high: float

    def __call__(self, moment: dt.datetime) -> float:
        span = (self.high - self.low).total_seconds()
        share = (moment - self.low).total_seconds() / span if span else 1.0
        return round(self.at_low + share * (self.at_high - self.at_low), 1)


def watermarks_svg(tracks: Sequence[Track], until: dt.datetime) -> str:
    """The picture of some assets up to a moment of the machine's clock; a note in place of lines where there are none.

    Args:
        tracks: The assets, from top to bottom.
        until: Right end of the picture.
    """
    shown = [one for one in tracks if one.points]
    height = TOP_PX + BAND_PX * max(1, len(shown)) + BOTTOM_PX
    body = [*_drawn(shown, until)] if shown else [_text(LEFT_PX, TOP_PX + 20, "nothing is published yet")]  # fmt: skip
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{height}" '
            f'viewBox="0 0 {WIDTH_PX} {height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH_PX}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>",
        ]
    )


def _drawn(tracks: Sequence[Track], until: dt.datetime) -> Iterator[str]:
    points = [point for one in tracks for point in one.points]
    first = min(when for when, _ in points)
    x = _Scale(low=first, high=until, at_low=LEFT_PX, at_high=WIDTH_PX - RIGHT_PX)
    marks = [mark for _, mark in points]
    yield _text(LEFT_PX, 18, f"watermarks, each band from {min(marks):%Y-%m-%d} to {max(marks):%Y-%m-%d}")  # fmt: skip
    for number, one in enumerate(tracks):
        top = TOP_PX + number * BAND_PX
        bottom = top + BAND_PX - PAD_PX
        y = _Scale(low=min(marks), high=max(marks), at_low=bottom, at_high=top + PAD_PX)
        yield from _band(one, x, y, bottom)
    foot = TOP_PX + BAND_PX * len(tracks) + 18
    yield _text(LEFT_PX, foot, f"{first:%Y-%m-%d %H:%M}", fill="#667")
    yield _text(WIDTH_PX - RIGHT_PX, foot, f"{until:%Y-%m-%d %H:%M} UTC", anchor="end", fill="#667")


def _band(track: Track, x: _Scale, y: _Scale, bottom: float) -> Iterator[str]:
    line = _steps(track.points, x, y)
    colour = COLOURS[track.level]
    right = WIDTH_PX - RIGHT_PX
    start = x(track.points[0][0])
    yield f'<path d="M{start},{bottom}H{right}" stroke="#dde" fill="none"/>'
    yield f'<path d="{line}H{right}V{bottom}H{start}Z" fill="{colour}" fill-opacity="0.12"/>'
    yield f'<path d="{line}H{right}" stroke="{colour}" stroke-width="1.6" fill="none"/>'
    yield _text(LEFT_PX - 10, bottom - 4, track.name, anchor="end")
    yield _text(right + 8, bottom - 4, f"{track.points[-1][1]:%Y-%m-%d %H:%M}", fill=colour)


def _steps(points: Sequence[Point], x: _Scale, y: _Scale) -> str:
    """The steps as a path, at most one a pixel."""
    at: dict[int, tuple[float, float]] = {}
    for when, mark in points:
        at[round(x(when))] = (x(when), y(mark))
    (x0, y0), *others = at.values()
    return f"M{x0},{y0}" + "".join(f"H{one}V{two}" for one, two in others)


def _text(x: float, y: float, said: str, *, anchor: str = "start", fill: str = "#223") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}">{escape(said)}</text>'
