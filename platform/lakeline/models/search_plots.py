"""Pictures of a search, as SVG: how good its trials were in order, and which settings mattered; and its table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakeline.models.evaluation_plots import BAD, LINE, QUIET, svg, text
from lakeline.models.evaluation_tables import Grid
from lakeline.models.metrics import metric_named
from lakeline.models.search import FINISHED, PRUNED

if TYPE_CHECKING:
    from lakeline.models.search import Found, Trialled

WIDTH_PX, HEIGHT_PX, PAD_PX, RIGHT_PX = 640, 220, 40, 90
BAR_PX, LABEL_PX = 22, 190
MOST_ROWS = 50
"""Trials in the table, the best."""


def history_svg(found: "Found") -> str:
    """Each trial's value in its order, and the best so far as a line; pruned trials are hollow, failed ones crosses."""
    shown = [one for one in found.trials if one.value is not None]
    values = [one.value or 0.0 for one in shown]
    low, high = min(values), max(values)
    bottom, span = HEIGHT_PX - PAD_PX, (high - low) or 1.0
    step = (WIDTH_PX - PAD_PX - RIGHT_PX) / max(1, len(found.trials) - 1)
    place = {one.number: round(PAD_PX + i * step, 1) for i, one in enumerate(found.trials)}

    def height(value: float) -> float:
        return round(bottom - (value - low) / span * (bottom - PAD_PX), 1)

    points = [(place[one.number], height(one.value or 0.0), one) for one in shown]
    parts = [
        text(
            8, 20, f"{found.metric} of {len(found.trials)} trials, the best {found.best.value:.4f}"
        ),
        *(_point(x, y, one) for x, y, one in points),
        *(_failed(place[one.number], bottom) for one in found.trials if one.value is None),
        _best_so_far(found, points),
        text(WIDTH_PX - RIGHT_PX + 10, PAD_PX + 4, f"{high:.4f}", fill=QUIET),
        text(WIDTH_PX - RIGHT_PX + 10, bottom + 4, f"{low:.4f}", fill=QUIET),
    ]
    return svg(WIDTH_PX, HEIGHT_PX, parts)


def importance_svg(found: "Found") -> str:
    """How much of the differences between trials each setting explains, the most first."""
    pairs = sorted(found.importance.items(), key=lambda one: -one[1])
    return svg(WIDTH_PX, 36 + BAR_PX * len(pairs), list(_bars(pairs)))


def trials_grid(found: "Found") -> Grid:
    """A trial a row, the best first, then those that were pruned and that failed."""
    sign = -1 if metric_named(found.metric).is_higher_better else 1
    names = sorted({name for one in found.trials for name in one.params})

    def order(one: "Trialled") -> tuple[int, float, int]:
        kind = {FINISHED: 0, PRUNED: 1}.get(one.state, 2)
        return kind, sign * (one.value or 0.0), one.number

    return Grid(
        heads=("trial", found.metric, "", *names, "seconds"),
        rows=tuple(
            (
                str(one.number),
                "-" if one.value is None else f"{one.value:.5f}",
                one.why or one.state,
                *(_shown(one.params.get(name)) for name in names),
                f"{one.wall_s:.1f}",
            )
            for one in sorted(found.trials, key=order)[:MOST_ROWS]
        ),
    )


def _point(x: float, y: float, one: "Trialled") -> str:
    fill = LINE if one.state == FINISHED else "#ffffff"
    return f'<circle cx="{x}" cy="{y}" r="3" fill="{fill}" stroke="{LINE}"/>'


def _failed(x: float, bottom: float) -> str:
    return text(x, bottom + 16, "x", anchor="middle", fill=BAD)


def _best_so_far(found: "Found", points: "list[tuple[float, float, Trialled]]") -> str:
    """Optuna's line: it only ever gets better, and pruned trials do not count."""
    is_up = metric_named(found.metric).is_higher_better
    corners: list[str] = []
    best: float | None = None
    for x, y, one in points:
        if one.state == FINISHED and (best is None or (y < best if is_up else y > best)):
            corners += [f"{x},{y if best is None else best}", f"{x},{y}"]
            best = y
    if best is not None:
        corners.append(f"{points[-1][0]},{best}")
    return f'<polyline points="{" ".join(corners)}" fill="none" stroke="{BAD}" stroke-width="1.4"/>'


def _bars(pairs: list[tuple[str, float]]) -> Iterator[str]:
    yield text(8, 20, "What each setting explains of the differences between trials")
    for i, (name, share) in enumerate(pairs):
        top = 30 + BAR_PX * i
        width = round(share * (WIDTH_PX - LABEL_PX - RIGHT_PX), 1)
        yield text(8, top + 14, name)
        yield f'<rect x="{LABEL_PX}" y="{top + 4}" width="{width}" height="{BAR_PX - 8}" fill="{LINE}"/>'
        yield text(LABEL_PX + width + 8, top + 14, f"{share:.0%}", fill=QUIET)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
