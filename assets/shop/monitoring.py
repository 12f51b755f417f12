"""Reports: what the recommender's choices would have earned on days that it has not seen."""

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from assets.shop.clean import impressions_clean
from assets.shop.domain import promised, shop
from assets.shop.models import two_tower
from assets.shop.policies import POLICIES, RECOMMENDERS, choices
from assets.shop.value import DECIDING, LOGGING, PolicyValues, policy_values
from lakeline.domain import Check, Report, Table, latest
from lakeline.models.training import TrainedModel

if TYPE_CHECKING:
    import polars as pl

NEWEST_DAYS = 7
EFFECTIVE_ROWS_FLOOR = 100.0
WEIGHT_ERRORS_LIMIT = 4.0
CHECKS = {
    "effective_rows": "Enough logged rows say something about each policy.",
    "propensities": "Weights have the mean 1, as they must where the logged chances are right.",
    "not_worse": "The model's policy is not worse than the one that was logged.",
}
STYLE = "<style>body{font:15px sans-serif;margin:2em;max-width:70em}td,th{padding:.2em .8em;text-align:right}td:first-child,th:first-child{text-align:left}</style>"

health = shop.health()


@shop.report(
    reads=[
        two_tower,
        latest(choices, days=NEWEST_DAYS),
        latest(impressions_clean, days=NEWEST_DAYS),
    ],
    checks=CHECKS,
    needs=2,
    kinds=("markdown",),
    fresh=promised("48h"),
)
def policy_value(model: TrainedModel, choices: Table, impressions: Table) -> Report:
    """Share of clicks that the recommender, popularity, chance and the logging policies earn, each with its interval.

    Only days after the recommender's training window count, together and one by one. A difference that chance explains is
    called a tie, and one that hardly any click was logged for is called unknown.
    """
    import polars as pl

    from lakeline.monitoring.pages import note_html

    rows = impressions.read(columns=["event_ts", "log", "campaign", "row", "profile", "propensity", "is_clicked"]).collect()  # fmt: skip
    asked = choices.read().collect()
    since = model.learned_until
    if since is not None:
        rows, asked = (one.filter(pl.col("event_ts") >= since) for one in (rows, asked))
    if rows.drop_nulls("is_clicked").is_empty():
        said = f"No day yet since {since:%Y-%m-%d}, up to which the champion learned."
        waiting = tuple(Check(name=name, passed=True, description=said) for name in CHECKS)
        return Report(html=note_html("Value of policies", said), numbers={"rows": 0}, checks=waiting)  # fmt: skip
    whole = policy_values(asked, rows)
    return Report(html=page(whole, by_day(asked, rows)), numbers=numbers(whole), checks=checks(whole))  # fmt: skip


def by_day(choices: "pl.DataFrame", rows: "pl.DataFrame") -> dict[str, PolicyValues]:
    """The values of each day alone."""
    import polars as pl

    day = pl.col("event_ts").dt.strftime("%Y-%m-%d")
    known = rows.drop_nulls("is_clicked")
    days = known.select(day.unique().sort()).to_series()
    return {one: policy_values(choices.filter(day == one), known.filter(day == one)) for one in days}  # fmt: skip


def checks(found: PolicyValues) -> tuple[Check, ...]:
    """Whether the estimates can be believed, and whether a recommender is worse than what it would replace."""
    asked = [found.of(name) for name in POLICIES]
    fewest = min(asked, key=lambda one: one.effective_rows)
    where, off = max(found.weight_errors.items(), key=lambda one: abs(one[1]))
    return (
        Check(
            name="effective_rows",
            passed=fewest.effective_rows >= EFFECTIVE_ROWS_FLOOR,
            description=f"{fewest.policy} rests on {fewest.effective_rows:,.0f} effective rows of {found.rows:,}, the fewest.",
            numbers={f"effective_rows_{one.policy}": one.effective_rows for one in asked},
        ),
        Check(
            name="propensities",
            passed=abs(off) <= WEIGHT_ERRORS_LIMIT,
            description=f"Weights have the mean 1 where propensities and probabilities each sum to 1: {where} is {off:+.1f} "
            "standard errors off, the most.",
            numbers={"standard_errors": off},
        ),
        Check(
            name="not_worse",
            passed=not found.worse,
            description=" ".join(one.words for one in found.contrasts),
            numbers={f"{one.first}_over_{one.second}": one.gain for one in found.contrasts},
        ),
    )


def numbers(found: PolicyValues) -> Mapping[str, float]:
    """The figures that are plotted in the UI."""
    values: dict[str, float] = {
        "rows": found.rows,
        "clicks": found.clicks,
        "days": len(found.days),
    }
    for name in (*POLICIES, *LOGGING):
        one = found.of(name)
        values |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        if name in found.from_chance:
            values[f"{name}_unlike_chance"] = found.from_chance[name]
    return values


def page(whole: PolicyValues, days: Mapping[str, PolicyValues]) -> str:
    """The report as a page."""
    words = "".join(f"<li>{html.escape(one.words)}</li>" for one in whole.contrasts)
    tables = [_table(name, found) for name, found in days.items()] if len(days) > 1 else []
    return (
        f"<!doctype html><meta charset=utf-8><title>Value of policies</title>{STYLE}<h1>Value of policies</h1>"
        f"<p>{whole.rows:,} impressions with {whole.clicks} clicks, which the recommender has not learned from. Intervals of "
        f"95 % over profiles of visitors; {DECIDING} decides.</p><ul>{words}</ul>"
        + _table(f"{whole.days[0]} to {whole.days[-1]}", whole)
        + "".join(tables)
    )


def _table(title: str, found: PolicyValues) -> str:
    head = "".join(f"<th>{name}</th>" for name in found.values)
    return (
        f"<h2>{title}: {found.clicks} clicks of {found.rows:,}</h2><table><tr><th>policy</th>{head}"
        "<th>unlike chance</th><th>effective rows</th><th>clicks it might have had</th></tr>"
        + "".join(_rows(found))
        + "</table>"
    )


def _rows(found: PolicyValues) -> Iterator[str]:
    for name in (*POLICIES, *LOGGING):
        cells = "".join(
            f"<td>{one.value:.2%} ({one.low:.2%} to {one.high:.2%})</td>"
            for one in (found.of(name, estimator) for estimator in found.values)
        )
        told = found.of(name)
        few = "" if told.is_known else ", too few for an interval"
        apart = f"{found.from_chance[name]:.0%}" if name in found.from_chance else ""
        strong = ("<b>", "</b>") if name in RECOMMENDERS else ("", "")
        yield f"<tr><td>{name.join(strong)}</td>{cells}<td>{apart}</td><td>{told.effective_rows:,.0f}</td><td>{told.rewarded_rows}{few}</td></tr>"
