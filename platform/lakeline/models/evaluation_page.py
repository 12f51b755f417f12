"""An evaluation as one HTML page of some tens of kilobytes, and as Markdown for the page of a run."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from lakeline.models.evaluation_plots import as_markdown, calibration_svg, slices_svg
from lakeline.models.evaluation_tables import (
    calibration_grid,
    metrics_grid,
    slices_grid,
    thresholds_grid,
)

if TYPE_CHECKING:
    from lakeline.models.evaluation_report import EvaluationReport

STYLE = (
    "body{font:14px/1.5 sans-serif;color:#223;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.2rem .8rem .2rem 0;text-align:left;"
    "border-bottom:1px solid #dde;font-variant-numeric:tabular-nums}h2{margin-top:2rem}"
)


def evaluation_html(
    title: str, report: "EvaluationReport", *, links: Mapping[str, str] | None = None
) -> str:
    """The whole page.

    Args:
        title: What was evaluated.
        report: Its evaluation.
        links: Further pages, by what they are called.
    """
    further = "".join(
        f'<p><a href="{escape(url)}">{escape(name)}</a></p>' for name, url in (links or {}).items()
    )
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(measured_on(report))}</p>{further}",
        f"<h2>Metrics</h2>{metrics_grid(report).html()}",
        f"<h2>Calibration</h2>{calibration_svg(report.calibration)}{calibration_grid(report).html()}",
    ]
    if report.slices:
        parts.append(f"<h2>Slices</h2>{slices_svg(report.worst)}{slices_grid(report.worst).html()}")
    parts.append(f"<h2>Thresholds</h2>{thresholds_grid(report).html()}")
    head = (
        f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    )
    return head + "".join(parts)


def evaluation_markdown(report: "EvaluationReport") -> str:
    """Pictures and the tables that matter most."""
    parts = [
        measured_on(report),
        metrics_grid(report).markdown(),
        as_markdown("calibration", calibration_svg(report.calibration)),
    ]
    if report.slices:
        parts.append(as_markdown("gain in each slice", slices_svg(report.worst)))
    parts.append(thresholds_grid(report).markdown())
    return "\n\n".join(parts)


def measured_on(report: "EvaluationReport") -> str:
    """What was learned from and what was judged on, in a sentence."""
    return (
        f"Learned from {report.learned_from:%Y-%m-%d} to {report.learned_until:%Y-%m-%d}, judged on "
        f"{report.metrics.rows:,} decisions from {report.judged_from:%Y-%m-%d} to {report.judged_until:%Y-%m-%d} that it "
        f"never saw; {report.metrics.share:.1%} of them are positive. Intervals are of {report.level:.0%}, over "
        f"{report.resamples:,} draws of the {report.days} days."
    )
