"""What a drift report found, as it stands above Evidently's pictures of the same columns."""

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeline.monitoring.drift import DriftReport

BODY = "font-family:sans-serif;max-width:60em;margin:2em auto;line-height:1.5"
TABLE = "border-collapse:collapse;margin:1em 0"
CELL = "padding:.2em 1em .2em 0;border-bottom:1px solid #ddd;text-align:left"


def drift_verdict(found: "DriftReport", limit: float) -> str:
    """The columns from the one that moved farthest, with what counts, as part of a page.

    Args:
        found: All of it, over every row.
        limit: Share of drifted columns up to which the report is fine.
    """
    names = sorted(found.psi, key=lambda name: -found.psi[name])
    fine = "which is fine" if found.share_drifted <= limit else "which is too much"
    return (
        f"<section style='{BODY}'><h1>Drift</h1><p>{len(found.drifted)} of the {len(found.counted)} columns that count "
        f"moved by {found.threshold} or more, a share of {found.share_drifted:.2f}, {fine}: the limit is {limit}. "
        f"{found.rows_current:,} rows were compared with {found.rows_reference:,}.</p>"
        f"<table style='{TABLE}'>{_row('th', 'column', 'index (PSI)', '')}"
        + "".join(_row("td", name, f"{found.psi[name]:.3f}", _said(found, name)) for name in names)
        + "</table><p>Below, Evidently draws a sample of the rows. It bins in its own way and counts seasonal columns too, "
        "so that its index and its verdict may differ from these, which decide.</p></section>"
    )


def headed(document: str, part: str) -> str:
    """A page with a part at its top."""
    start = document.index(">", document.index("<body")) + 1
    return document[:start] + part + document[start:]


def _row(tag: str, *texts: str) -> str:
    cells = "".join(f"<{tag} style='{CELL}'>{html.escape(text)}</{tag}>" for text in texts)
    return f"<tr>{cells}</tr>"


def _said(found: "DriftReport", name: str) -> str:
    if name in found.seasonal:
        return "seasonal: does not count"
    return "moved" if name in found.drifted else ""
