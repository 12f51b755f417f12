"""The tables of an evaluation as rows of text, for the Markdown of a model card and the HTML of a page alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeline.models.evaluation_report import EvaluationReport
    from lakeline.models.slices import Slice
    from lakeline.monitoring.performance import Interval

UNKNOWN = "-"
LABELS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss",
    "calibration_gap": "calibration gap",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table.

    Attributes:
        heads: Of its columns.
        rows: Cells, as many a row as heads.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a table of Markdown."""
        lines = [self.heads, ("---",) * len(self.heads), *self.rows]
        return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)

    def html(self) -> str:
        """As a table of HTML."""
        head = "".join(f"<th>{escape(one)}</th>" for one in self.heads)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def metrics_grid(report: "EvaluationReport") -> Grid:
    """Each metric with its interval, beside those of the baselines."""
    return Grid(
        heads=("metric", "value", f"{report.level:.0%} interval", *report.baselines),
        rows=tuple(
            (
                LABELS.get(name, name),
                number(one.value),
                span(one),
                *(number(float(getattr(other, name))) for other in report.baselines.values()),
            )
            for name, one in report.intervals.items()
        ),
    )


def slices_grid(slices: "Sequence[Slice]") -> Grid:
    """A slice a row."""
    heads = ("slice", "rows", "positive", "AUC", "Brier", "gain over the best baseline", "gap")
    return Grid(
        heads=heads,
        rows=tuple(
            (
                str(one),
                f"{one.rows:,}",
                f"{one.share:.1%}",
                with_span(one.auc),
                number(one.brier.value),
                f"{with_span(one.gain, sign=True)} ({one.baseline})",
                with_span(one.calibration_gap, sign=True),
            )
            for one in slices
        ),
    )


def calibration_grid(report: "EvaluationReport") -> Grid:
    """A bin a row."""
    return Grid(
        heads=("scores", "rows", "mean score", "came true"),
        rows=tuple(
            (
                f"{one.lowest:.3f} to {one.highest:.3f}",
                f"{one.rows:,}",
                number(one.score),
                with_span(one.share),
            )
            for one in report.calibration.bins
        ),
    )


def thresholds_grid(report: "EvaluationReport") -> Grid:
    """A threshold a row, with its cost where costs are declared."""
    heads = ("flagged from", "share flagged", "precision", "recall", "false positives", "F1")
    return Grid(
        heads=(*heads, *(["cost a row"] if report.costs else [])),
        rows=tuple(
            (
                f"{one.threshold:.2f}",
                percent(one.flagged),
                percent(one.precision),
                percent(one.recall),
                percent(one.false_positive_rate),
                number(one.f1),
                *([number(one.cost)] if one.cost is not None else []),
            )
            for one in report.thresholds
        ),
    )


def number(value: float) -> str:
    """Four decimals, or a dash where it is not known."""
    return UNKNOWN if math.isnan(value) else f"{value:.4f}"


def percent(value: float) -> str:
    """A share as people read it."""
    return UNKNOWN if math.isnan(value) else f"{value:.1%}"


def span(one: "Interval") -> str:
    """The ends of an interval."""
    return UNKNOWN if math.isnan(one.low) else f"{one.low:.4f} to {one.high:.4f}"


def with_span(one: "Interval", *, sign: bool = False) -> str:
    """A number with the ends of its interval."""
    if math.isnan(one.value):
        return UNKNOWN
    shown = f"{one.value:+.4f}" if sign else f"{one.value:.4f}"
    return shown if math.isnan(one.low) else f"{shown} ({span(one)})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
