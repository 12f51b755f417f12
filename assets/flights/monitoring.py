"""Reports: whether what the model reads still looks as it did, and whether its scores still hold."""

from assets.flights.clean import departures_clean
from assets.flights.domain import flights
from assets.flights.models import OBSERVED, predictions, training_set
from lakeline.domain import Check, Report, Table, latest

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
AUC_FLOOR = 0.65
CALIBRATION_LIMIT = 0.05


@flights.report(reads=[training_set], checks=["drift_share"], fresh="36h")
def feature_drift(rows: Table) -> Report:
    """Features of the newest 30 days against all days before; seasonal weather is shown but does not count."""
    import polars as pl

    from lakeline.monitoring.drift import drift
    from lakeline.monitoring.evidently_html import drift_html

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
    return Report(
        html=drift_html(reference, current, columns=OBSERVED),
        numbers={"share_drifted": found.share_drifted, "psi_max": found.psi_max, **numbers},
        checks=(check,),
    )


@flights.report(
    reads=[latest(predictions, days=RECENT_DAYS), latest(departures_clean, days=RECENT_DAYS)],
    checks=["auc", "calibration"],
    fresh="36h",
)
def performance(scores: Table, departures: Table) -> Report:
    """The champion's scores of the newest 30 days against what happened, with intervals over days."""
    from lakeline.monitoring.evidently_html import performance_html
    from lakeline.monitoring.performance import performance as measure

    key = ["event_ts", "carrier", "flight", "origin", "dest"]
    outcomes = departures.read(columns=[*key, "is_late"]).drop_nulls("is_late")
    rows = scores.read(columns=[*key, "score"]).join(outcomes, on=key).collect().sort(key)
    days = rows["event_ts"].dt.date()
    found = measure(rows["is_late"], rows["score"], blocks=days)
    numbers = {
        "rows": found.metrics.rows,
        "auc": found.auc.value,
        "auc_low": found.auc.low,
        "auc_high": found.auc.high,
        "average_precision": found.metrics.average_precision,
        "brier": found.brier.value,
        "calibration_gap": found.calibration_gap.value,
        "late_share": found.metrics.share,
    }
    return Report(
        html=performance_html(rows, label="is_late", score="score"),
        numbers=numbers,
        checks=(
            Check(
                name="auc",
                passed=not found.auc.is_below(AUC_FLOOR),
                description=f"AUC {found.auc.value:.3f} ({found.auc.low:.3f} to {found.auc.high:.3f}), floor {AUC_FLOOR}.",
                numbers={"auc": found.auc.value, "floor": AUC_FLOOR},
            ),
            Check(
                name="calibration",
                passed=abs(found.calibration_gap.value) <= CALIBRATION_LIMIT,
                description=f"Scores are {found.calibration_gap.value:+.3f} above the share of late flights.",
                numbers={
                    "calibration_gap": found.calibration_gap.value,
                    "limit": CALIBRATION_LIMIT,
                },
            ),
        ),
    )
