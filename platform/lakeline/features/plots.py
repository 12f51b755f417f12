"""Pictures of a feature over its partitions, as SVG: the median in its band, and below it the share of rows without a value.

Written by hand, as the picture of watermarks is: what the UI shows is a Markdown page, and a picture in it a data URI.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from lakeline.errors import ModelError
from lakeline.features.statistics import FeatureStatistics

WIDTH_PX, HEIGHT_PX = 640, 170
LEFT_PX, RIGHT_PX, TOP_PX = 12, 96, 28
BAND_PX, NULLS_PX, GAP_PX = 86, 22, 10
LINE, BAND, NULLS = "#2f5d8a", "#2f5d8a", "#c0392b"
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95
MOST_POINTS = WIDTH_PX // 2
"""Partitions drawn at most: with more, neighbours share a pixel, and every n-th is taken."""


class NothingToDrawError(ModelError):
    """A picture of no partitions."""

    def __init__(self, feature: str) -> None:
        self.feature = feature
        super().__init__(
            f"There is nothing to draw of feature {feature}: none of its partitions is measured. "
            "Build some of its feature view first."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """One partition: where it stands, its band, and its share of nulls."""

    x: float
    low: float | None
    middle: float | None
    high: float | None
    nulls: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """Heights of values; one value alone lies in the middle."""

    smallest: float
    largest: float

    def __call__(self, value: float) -> float:
        span = self.largest - self.smallest
        share = (value - self.smallest) / span if span else 0.5
        return round(TOP_PX + BAND_PX * (1 - share), 1)


def feature_svg(feature: str, partitions: Mapping[str, FeatureStatistics]) -> str:
    """The picture of one feature.

    Args:
        feature: Its name, for the title.
        partitions: Statistics by partition, in the order in which they are drawn, from left to right.

    Raises:
        NothingToDrawError: There are no partitions.
    """
    if not partitions:
        raise NothingToDrawError(feature)
    points = _points(list(partitions.values()))
    keys = list(partitions)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{HEIGHT_PX}" '
            f'viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="#ffffff"/>',
            _text(LEFT_PX, 18, feature),
            *_values(points),
            *_nulls(points),
            _text(LEFT_PX, HEIGHT_PX - 8, keys[0], fill="#667"),
            _text(WIDTH_PX - RIGHT_PX, HEIGHT_PX - 8, keys[-1], anchor="end", fill="#667"),
            "</svg>",
        ]
    )


def feature_markdown(feature: str, partitions: Mapping[str, FeatureStatistics]) -> str:
    """The picture of one feature as an image that a Markdown page carries within itself.

    Raises:
        NothingToDrawError: There are no partitions.
    """
    picture = base64.b64encode(feature_svg(feature, partitions).encode()).decode()
    return f"![{feature} over time](data:image/svg+xml;base64,{picture})"


def _points(statistics: Sequence[FeatureStatistics]) -> list[_Point]:
    """At most `MOST_POINTS` of the partitions, evenly spread, the last among them."""
    stride = -(-len(statistics) // MOST_POINTS)
    shown = statistics[::-1][::stride][::-1]
    width = WIDTH_PX - LEFT_PX - RIGHT_PX
    step = width / max(1, len(shown) - 1)
    found = []
    for place, one in enumerate(shown):
        has_band = one.mean is not None
        low, middle, high = one.quantile(LOW, MIDDLE, HIGH) if has_band else (None, None, None)
        found.append(
            _Point(
                x=round(LEFT_PX + place * step, 1),
                low=low,
                middle=middle,
                high=high,
                nulls=one.null_share,
            )
        )
    return found


def _values(points: Sequence[_Point]) -> Iterator[str]:
    lows = [one.low for one in points if one.low is not None]
    highs = [one.high for one in points if one.high is not None]
    if not lows:
        yield _text(LEFT_PX, TOP_PX + BAND_PX / 2, "no numbers to draw", fill="#667")
        return
    scale = _Scale(smallest=min(lows), largest=max(highs))
    for stretch in _stretches(points):
        yield from _stretch(stretch, scale)
    right = WIDTH_PX - RIGHT_PX + 8
    yield _text(right, TOP_PX + 8, f"{scale.largest:.4g}", fill="#667")
    yield _text(right, TOP_PX + BAND_PX, f"{scale.smallest:.4g}", fill="#667")


def _stretches(points: Sequence[_Point]) -> list[list[_Point]]:
    """Runs of partitions that have values; a partition of nulls leaves a gap."""
    found: list[list[_Point]] = [[]]
    for one in points:
        if one.middle is None:
            found.append([])
        else:
            found[-1].append(one)
    return [stretch for stretch in found if stretch]


def _stretch(points: Sequence[_Point], scale: _Scale) -> Iterator[str]:
    upper = [f"{one.x},{scale(one.high)}" for one in points if one.high is not None]
    lower = [f"{one.x},{scale(one.low)}" for one in points if one.low is not None]
    middle = [f"{one.x},{scale(one.middle)}" for one in points if one.middle is not None]
    if len(points) == 1:
        x, y = middle[0].split(",")
        ends = f'y1="{upper[0].split(",")[1]}" y2="{lower[0].split(",")[1]}"'
        yield f'<line x1="{x}" x2="{x}" {ends} stroke="{BAND}" stroke-opacity="0.4" stroke-width="3"/>'
        yield f'<circle cx="{x}" cy="{y}" r="2" fill="{LINE}"/>'
        return
    outline = " ".join([*upper, *reversed(lower)])
    yield f'<polygon points="{outline}" fill="{BAND}" fill-opacity="0.15"/>'
    yield f'<polyline points="{" ".join(middle)}" fill="none" stroke="{LINE}" stroke-width="1.6"/>'


def _nulls(points: Sequence[_Point]) -> Iterator[str]:
    """A bar a partition, as high as its share of nulls."""
    bottom = TOP_PX + BAND_PX + GAP_PX + NULLS_PX
    width = max(1.0, round((WIDTH_PX - LEFT_PX - RIGHT_PX) / len(points) - 0.5, 1))
    yield f'<path d="M{LEFT_PX},{bottom}H{WIDTH_PX - RIGHT_PX}" stroke="#dde" fill="none"/>'
    for one in points:
        if one.nulls:
            tall = round(max(1.0, one.nulls * NULLS_PX), 1)
            left = round(min(one.x, WIDTH_PX - RIGHT_PX - width), 1)
            yield f'<rect x="{left}" y="{round(bottom - tall, 1)}" width="{width}" height="{tall}" fill="{NULLS}"/>'
    worst = max(one.nulls for one in points)
    yield _text(WIDTH_PX - RIGHT_PX + 8, bottom, f"null ≤ {worst:.1%}", fill="#667")


def _text(x: float, y: float, said: str, *, anchor: str = "start", fill: str = "#223") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}">{escape(said)}</text>'
