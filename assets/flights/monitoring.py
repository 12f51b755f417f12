"""Reports: whether what the model reads still looks as it did, and whether its scores still hold."""

from typing import TYPE_CHECKING

from assets.flights.clean import departures_clean
from assets.flights.domain import flights
from assets.flights.models import OBSERVED, delay_lightgbm, predictions, training_set
from lakeline.domain import Check, Report, Table, latest
from lakeline.models.training import TrainedModel

if TYPE_CHECKING:
    from lakeline.monitoring.performance import PerformanceReport

RECENT_DAYS = 30
SEASONAL = (
    "temp_f",
    "humidity_pct",
    "pressure_hpa",
    "wind_speed_mph",
    "visibility_mi",
    "precip_in",
)
DRIFT_SHARE_LIMIT = 0.3
AUC_FLOOR = 0.6
DRIFT_CHECKS = {"drift_share": "Not too many of the features that count have moved."}
CHECKS = {
    "auc": "The scores tell late flights from others well enough.",
    "brier": "They are as near to what happened as the model's evaluation promised.",
    "calibration": "They are late as often as they say, as the evaluation promised.",
}
KEY = ("event_ts", "carrier", "flight", "origin", "dest")

health = flights.health()


@flights.report(reads=[training_set], checks=DRIFT_CHECKS, needs=RECENT_DAYS + 1, fresh="48h")
def feature_drift(rows: Table) -> Report:
    """Features of the newest 30 days against all days before; seasonal weather is shown but does not count."""
    import polars as pl

    from lakeline.monitoring.drift import drift
    from lakeline.monitoring.evidently_html import drift_html
    from lakeline.monitoring.verdict import drift_verdict, headed

    features = rows.read(columns=["event_ts", *OBSERVED]).collect()
    split = (
        pl.lit(features["event_ts"].max()).dt.truncate("1d").dt.offset_by(f"-{RECENT_DAYS - 1}d")
    )
    reference, current = (
        features.filter(pl.col("event_ts") < split),
        features.filter(pl.col("event_ts") >= split),
    )
    found = drift(reference, current, columns=OBSERVED, seasonal=SEASONAL)
    check = Check(
        name="drift_share",
        passed=found.share_drifted <= DRIFT_SHARE_LIMIT,
        description=f"{len(found.drifted)} of {len(found.counted)} features moved: {', '.join(found.drifted) or 'none'}.",
        numbers={"share_drifted": found.share_drifted, "limit": DRIFT_SHARE_LIMIT},
    )
    numbers = {f"psi_{name}": value for name, value in found.psi.items()}
    pictures = drift_html(
        reference,
        current,
        columns=OBSERVED,
        threshold=found.threshold,
        drift_share=DRIFT_SHARE_LIMIT,
    )
    return Report(
        html=headed(pictures, drift_verdict(found, DRIFT_SHARE_LIMIT)),
        numbers={"share_drifted": found.share_drifted, "psi_max": found.psi_max, **numbers},
        checks=(check,),
    )


@flights.report(
    reads=[
        delay_lightgbm,
        latest(predictions, days=RECENT_DAYS),
        latest(departures_clean, days=RECENT_DAYS),
    ],
    checks=CHECKS,
    needs=RECENT_DAYS,
    fresh="48h",
)
def performance(model: TrainedModel, scores: Table, departures: Table) -> Report:
    """The champion's scores of the newest 30 days against what happened and what its evaluation promised.

    Only days after its training window count. A check fails when the interval over days leaves no doubt.
    """
    import polars as pl

    from lakeline.monitoring.evidently_html import performance_html
    from lakeline.monitoring.pages import note_html
    from lakeline.monitoring.performance import performance as measure

    outcomes = departures.read(columns=[*KEY, "is_late"]).drop_nulls("is_late")
    scored = scores.read(columns=[*KEY, "decision_ts", "score"])
    rows = scored.join(outcomes, on=KEY).collect().sort(KEY)
    since = model.learned_until
    if since is not None:
        rows = rows.filter(pl.col("decision_ts") >= since)
    if rows.is_empty():
        said = f"No labelled day yet since {since:%Y-%m-%d}, up to which the champion learned."
        waiting = tuple(Check(name=name, passed=True, description=said) for name in CHECKS)
        return Report(html=note_html("Performance", said), numbers={"rows": 0}, checks=waiting)
    found = measure(rows["is_late"], rows["score"], blocks=rows["event_ts"].dt.date())
    return Report(
        html=performance_html(rows, label="is_late", score="score"),
        numbers=_numbers(found),
        checks=_checks(found, model),
    )


def _numbers(found: "PerformanceReport") -> dict[str, float]:
    return {
        "rows": found.metrics.rows,
        "days": found.blocks,
        "auc": found.auc.value,
        "auc_low": found.auc.low,
        "auc_high": found.auc.high,
        "average_precision": found.metrics.average_precision,
        "brier": found.brier.value,
        "calibration_gap": found.calibration_gap.value,
        "late_share": found.metrics.share,
    }


def _checks(found: "PerformanceReport", model: TrainedModel) -> tuple[Check, ...]:
    from lakeline.monitoring.performance import Tolerance, brier_kept, calibration_kept

    tolerance = Tolerance()
    brier = brier_kept(found, model.promised, tolerance)
    gap = calibration_kept(found, model.promised, tolerance)
    return (
        Check(
            name="auc",
            passed=not found.auc.is_below(AUC_FLOOR),
            description=f"AUC {found.auc.value:.3f} ({found.auc.low:.3f} to {found.auc.high:.3f}), floor {AUC_FLOOR}.",
            numbers={"auc": found.auc.value, "floor": AUC_FLOOR},
        ),
        Check(
            name="brier",
            passed=brier.holds,
            description=f"{brier.reason}.",
            numbers=dict(brier.numbers),
        ),
        Check(
            name="calibration",
            passed=gap.holds,
            description=f"{gap.reason}.",
            numbers=dict(gap.numbers),
        ),
    )
