"""Pictures of an evaluation, as SVG: the calibration curve, and what is gained over the baselines in each slice.

Written by hand, as the pictures of features are (`lakeline.features.plots`): no plotting library, a few kilobytes each.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lakeline.models.calibration import Calibration
from lakeline.models.slices import Slice

SIDE_PX, PAD_PX = 300, 44
WIDTH_PX, ROW_PX, LABEL_PX, NUMBER_PX, TOP_PX = 640, 20, 190, 90, 40
LINE, BAD, QUIET = "#2f5d8a", "#c0392b", "#667"
MOST_ROWS = 24
"""Slices drawn at most, the worst."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
    """Places of numbers along one side of a picture."""

    lowest: float
    highest: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        span = (self.highest - self.lowest) or 1.0
        held = min(max(value, self.lowest), self.highest)
        share = (held - self.lowest) / span
        return round(self.start_px + share * (self.end_px - self.start_px), 1)


def calibration_svg(calibration: Calibration) -> str:
    """What scores promised against what came true, a point a bin with its interval; red where the two surely differ."""
    highest = max(
        (max(one.score, one.share.value, _known(one.share.high)) for one in calibration.bins),
        default=1.0,
    )
    top = min(1.0, math.ceil(highest * 20) / 20) or 0.05
    x = _Axis(lowest=0, highest=top, start_px=PAD_PX, end_px=PAD_PX + SIDE_PX)
    y = _Axis(lowest=0, highest=top, start_px=TOP_PX + SIDE_PX, end_px=TOP_PX)
    height = TOP_PX + SIDE_PX + PAD_PX
    return svg(
        SIDE_PX + 2 * PAD_PX,
        height,
        [
            text(
                PAD_PX,
                20,
                f"Calibration: mean distance {calibration.error:.3f} over bins of scores",
            ),
            *_frame(x, y, top),
            *_points(calibration, x, y),
            text(PAD_PX + SIDE_PX / 2, height - 8, "mean score", anchor="middle", fill=QUIET),
        ],
    )


def slices_svg(slices: Sequence[Slice], *, most: int = MOST_ROWS) -> str:
    """What each slice gains over its best baseline, in Brier score with the interval; red where it surely loses.

    Args:
        slices: In the order in which they are drawn, from above.
        most: How many are drawn; the rest is counted.
    """
    shown = slices[:most]
    ends = [
        end
        for one in shown
        for end in (one.gain.low, one.gain.high, one.gain.value)
        if not math.isnan(end)
    ]
    axis = _Axis(
        lowest=min([0.0, *ends]),
        highest=max([0.0, *ends]),
        start_px=LABEL_PX,
        end_px=WIDTH_PX - NUMBER_PX,
    )
    height = TOP_PX + ROW_PX * (len(shown) + 1)
    zero = axis(0)
    parts = [
        text(8, 20, "Gain over the best baseline, Brier score"),
        f'<path d="M{zero},{TOP_PX - 8}V{height - ROW_PX}" stroke="#99a" stroke-dasharray="3 3"/>',
        *(part for place, one in enumerate(shown) for part in _whisker(one, axis, place)),
    ]
    if left := len(slices) - len(shown):
        parts.append(text(8, height - 6, f"and {left} more, which gain more", fill=QUIET))
    return svg(WIDTH_PX, height, parts)


def as_markdown(title: str, svg: str) -> str:
    """A picture as an image that a Markdown page carries within itself."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _frame(x: _Axis, y: _Axis, top: float) -> Iterator[str]:
    yield f'<path d="M{x(0)},{y(0)}H{x(top)}V{y(top)}H{x(0)}Z" fill="none" stroke="#dde"/>'
    yield f'<path d="M{x(0)},{y(0)}L{x(top)},{y(top)}" stroke="#99a" stroke-dasharray="3 3"/>'
    for share in (0.0, top / 2, top):
        yield text(x(share), y(0) + 15, f"{share:.2g}", anchor="middle", fill=QUIET)
        yield text(x(0) - 6, y(share) + 4, f"{share:.2g}", anchor="end", fill=QUIET)


def _points(calibration: Calibration, x: _Axis, y: _Axis) -> Iterator[str]:
    curve = " ".join(f"{x(one.score)},{y(one.share.value)}" for one in calibration.bins)
    yield f'<polyline points="{curve}" fill="none" stroke="{LINE}" stroke-opacity="0.4"/>'
    for one in calibration.bins:
        color, place = (BAD if one.is_off else LINE), x(one.score)
        if not math.isnan(one.share.low):
            ends = f"M{place},{y(one.share.low)}V{y(one.share.high)}"
            yield f'<path d="{ends}" stroke="{color}" stroke-width="1.6"/>'
        yield f'<circle cx="{place}" cy="{y(one.share.value)}" r="3" fill="{color}"/>'


def _whisker(one: Slice, axis: _Axis, place: int) -> Iterator[str]:
    middle = TOP_PX + ROW_PX * place
    color = BAD if one.is_worse else LINE
    yield text(8, middle + 4, f"{one} ({one.rows:,})")
    if not math.isnan(one.gain.low):
        ends = f"M{axis(one.gain.low)},{middle}H{axis(one.gain.high)}"
        yield f'<path d="{ends}" stroke="{color}" stroke-width="1.6"/>'
    if not math.isnan(one.gain.value):
        yield f'<circle cx="{axis(one.gain.value)}" cy="{middle}" r="3" fill="{color}"/>'
    yield text(WIDTH_PX - NUMBER_PX + 10, middle + 4, f"{one.gain.value:+.4f}", fill=QUIET)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def svg(width: int, height: int, parts: Sequence[str]) -> str:
    """A picture of its parts on white."""
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *parts,
            "</svg>",
        ]
    )


def text(x: float, y: float, said: str, *, anchor: str = "start", fill: str = "#223") -> str:
    """Words at a place."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}">{escape(said)}</text>'
