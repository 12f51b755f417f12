"""The losses of a training by epoch, as a picture for the UI, drawn as `lakeline.features.plots` draws features."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from lakeline.errors import ModelError

WIDTH_PX, HEIGHT_PX = 640, 190
LEFT_PX, RIGHT_PX, TOP_PX, LOWER_PX = 12, 150, 34, 150
LINES = (("train_loss", "trained on", "#2f5d8a"), ("held_loss", "held out", "#c0392b"))
TEXT, FAINT = "#223", "#667"

History = Sequence[Mapping[str, float]]


class NoHistoryError(ModelError):
    """A picture of a training of which nothing is known."""

    def __init__(self, title: str) -> None:
        super().__init__(
            f"There is no loss to draw of {title}: no epoch was reported. A model that was loaded has no history; "
            "draw it where it is trained."
        )


def loss_curve_svg(history: History, *, title: str) -> str:
    """The losses of each epoch as lines, the best epoch of the held-out rows marked.

    Args:
        history: Figures of each epoch, as `lakeline.neural.model.NetworkModel.history` has them.
        title: Above the picture.

    Raises:
        NoHistoryError: There are no epochs.
    """
    lines = [(told, color, _values(history, name)) for name, told, color in LINES]
    lines = [one for one in lines if one[2]]
    if not lines:
        raise NoHistoryError(title)
    every = [value for _, _, values in lines for value in values]
    low, high = min(every), max(every)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{HEIGHT_PX}" '
            f'viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="#ffffff"/>',
            _text(LEFT_PX, 18, title, fill=TEXT),
            *(part for line in lines for part in _line(*line, low=low, high=high)),
            _text(LEFT_PX, HEIGHT_PX - 12, "epoch 1"),
            _text(WIDTH_PX - RIGHT_PX, HEIGHT_PX - 12, f"epoch {len(history)}", anchor="end"),
            *_legend(lines, low, high),
            "</svg>",
        ]
    )


def loss_curve_markdown(history: History, *, title: str) -> str:
    """The picture as an image that a Markdown page carries within itself.

    Raises:
        NoHistoryError: There are no epochs.
    """
    picture = base64.b64encode(loss_curve_svg(history, title=title).encode()).decode()
    return f"![losses of {title}](data:image/svg+xml;base64,{picture})"


def _values(history: History, name: str) -> list[float]:
    return [one[name] for one in history if name in one]


def _line(told: str, color: str, values: list[float], *, low: float, high: float) -> Iterator[str]:
    points = [_point(place, len(values), value, low, high) for place, value in enumerate(values)]
    joined = " ".join(f"{x},{y}" for x, y in points)
    yield f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="1.6"><title>{escape(told)}</title></polyline>'
    best = values.index(min(values))
    x, y = points[best]
    yield f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>'


def _point(place: int, count: int, value: float, low: float, high: float) -> tuple[float, float]:
    width = WIDTH_PX - LEFT_PX - RIGHT_PX
    share = (value - low) / (high - low) if high > low else 0.5
    x = LEFT_PX + width * (place / (count - 1) if count > 1 else 0.5)
    return round(x, 1), round(LOWER_PX - share * (LOWER_PX - TOP_PX), 1)


def _legend(lines: list[tuple[str, str, list[float]]], low: float, high: float) -> Iterator[str]:
    right = WIDTH_PX - RIGHT_PX + 10
    yield _text(right, TOP_PX + 4, f"{high:.4g}")
    yield _text(right, LOWER_PX, f"{low:.4g}")
    for place, (told, color, values) in enumerate(lines):
        said = f"{told}: {min(values):.4f} at {values.index(min(values)) + 1}"
        yield _text(right, TOP_PX + 34 + 18 * place, said, fill=color)


def _text(x: float, y: float, said: str, *, anchor: str = "start", fill: str = FAINT) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}">{escape(said)}</text>'
