"""How much a leak flatters the flights model: half a year joined by event time alone, and by event and knowledge time.

January to April train, May and June judge. Two sets of features: the domain's own three views, and these with two tables
of how flights of the hour before turned out, stamped with their schedule as a table of departures is. Each set is joined
carelessly (by event time alone) and honestly (as known at the decision), and a model trained on each. A careless model is
judged twice: on the careless set, as its maker would, and on what it would really be served.
"""

import argparse
import datetime as dt
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import report
from benchmarks.leak import tables
from lakeline.features.leakage import EarlyUse, early_values
from lakeline.features.point_in_time import FeatureSource, point_in_time_join
from lakeline.features.strength import strengths
from lakeline.models.booster import train_booster
from lakeline.models.comparison import Comparison, compare
from lakeline.models.evaluation import evaluate
from lakeline.models.training import TrainedModel
from lakeline.models.training_set import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

SPLIT = dt.datetime(2013, 5, 1, tzinfo=dt.UTC)
AT = "decision_ts"
SEED = 7
WORTH = 0.005
"""Area that a feature must gain by a leak to be told."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One set of features, joined both ways.

    Attributes:
        sources: Where they lie.
        honest: Joined as known at each decision.
        careless: Joined by event time alone.
    """

    sources: Sequence[FeatureSource]
    honest: "pl.DataFrame"
    careless: "pl.DataFrame"

    @classmethod
    def of(cls, decided: "pl.DataFrame", sources: Sequence[FeatureSource]) -> "Case":
        """Both joins of some decisions."""
        blind = [replace(source, knowledge_time=None) for source in sources]
        return cls(
            sources=sources,
            honest=point_in_time_join(decided, sources, at=AT),
            careless=point_in_time_join(decided, blind, at=AT),
        )

    @property
    def features(self) -> list[str]:
        """Everything that was joined."""
        return [feature for source in self.sources for feature in source.features]


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, help="State folder that has the feature views")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    begun_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        if asked.state is None:
            tables.build(Path(scratch))
        found = tables.read(asked.state or Path(scratch))
    decided = decisions(found["departures_clean"])
    views = tables.views(found)
    cases = {
        "views": Case.of(decided, views),
        "views_and_outcomes": Case.of(
            decided, [*views, *tables.outcomes(found["departures_clean"])]
        ),
    }
    figures = {name: judged(name, case) for name, case in cases.items()}
    return _report(figures, time.perf_counter() - begun_s)


def decisions(departures: "pl.DataFrame") -> "pl.DataFrame":
    """Departures with a label, and when they are decided."""
    import polars as pl

    from assets.flights.models import DECISION_BEFORE

    decided = departures.drop_nulls(["is_late", "known_ts"]).sort("event_ts", "carrier", "flight")
    return decided.with_columns((pl.col("event_ts") - DECISION_BEFORE).alias(AT))


def judged(name: str, case: Case) -> dict[str, Any]:
    """What the two models of a case are worth, and what the checks say of its two sets."""
    honest, careless = (model_of(case, frame) for frame in (case.honest, case.careless))
    test = {"honest": after(case.honest), "careless": after(case.careless)}
    labels, days = test["honest"]["is_late"], test["honest"][AT].dt.date()
    offline = careless.predict(test["careless"])
    served, right = (model.predict(test["honest"]) for model in (careless, honest))

    def against(first: "npt.NDArray[np.float64]", second: "npt.NDArray[np.float64]") -> Comparison:
        return compare(labels.cast(int), first, second, days=days, metric="auc")

    flattery, harm = against(offline, served), against(right, served)
    found = {
        "auc_careless_offline": evaluate(labels, offline).auc,
        "auc_careless_served": evaluate(labels, served).auc,
        "auc_honest": evaluate(labels, right).auc,
        "flattery": _interval(flattery),
        "harm": _interval(harm),
        **_checks(case),
    }
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
    return found


def model_of(case: Case, frame: "pl.DataFrame") -> TrainedModel:
    """The flights model on the decisions before the split whose label was known by then."""
    import polars as pl

    from assets.flights.models import CATEGORICAL, SCHEDULE

    known = frame.filter(pl.col(AT) < SPLIT, pl.col("known_ts") < SPLIT)
    start: dt.datetime = known[AT].min()  # type: ignore[assignment]
    train = TrainingSet(
        frame=known,
        features=(*SCHEDULE, "seats", "plane_age_y", *case.features),
        categorical=CATEGORICAL,
        label="is_late",
        at=AT,
        start=start,
        end=SPLIT,
    )
    return train_booster(train, seed=SEED)


def after(frame: "pl.DataFrame") -> "pl.DataFrame":
    """The decisions that judge."""
    import polars as pl

    return frame.filter(pl.col(AT) >= SPLIT)


def _checks(case: Case) -> dict[str, Any]:
    """What the leakage checks say of the careless set, how many features they accuse wrongly, and what each leak is worth."""
    accused = early_values(case.careless, case.sources, at=AT)
    worth = strengths(
        case.careless,
        case.honest,
        features=case.features,
        label="is_late",
        at=AT,
        limit=WORTH,
    )
    return {
        "leaks_found": _columns(accused),
        "leaks_there": _moved(case),
        "false_alarms": _columns(early_values(case.honest, case.sources, at=AT)),
        "auc_gained_by_leak": {one.feature: one.step for one in worth if one.is_suspect},
    }


def _moved(case: Case) -> list[str]:
    """The features whose value depends on how they were joined."""
    differ = [name for name in case.features if not case.honest[name].equals(case.careless[name])]
    return sorted(differ)


def _columns(accused: Sequence[EarlyUse]) -> list[str]:
    return sorted(one.column for one in accused)


def _interval(found: Comparison) -> dict[str, float]:
    return {"auc": found.gain, "low": found.low, "high": found.high}


def _report(cases: dict[str, dict[str, Any]], wall_s: float) -> int:
    worst = cases["views_and_outcomes"]
    flatters = worst["flattery"]["low"] > 0 and worst["harm"]["low"] > 0
    found = all(case["leaks_found"] == case["leaks_there"] for case in cases.values())
    quiet = not any(case["false_alarms"] for case in cases.values())
    figures = {**cases, "flatters": flatters, "found": found, "quiet": quiet, "wall_s": wall_s}
    reach = {
        "flatters": "with outcomes, careless AUC offline above served, and honest above served, beyond their intervals",
        "found": "early_values names exactly the features that leak",
        "quiet": "and none of an honest set",
    }
    return report("leak", figures, reach, met=flatters and found and quiet)


if __name__ == "__main__":
    sys.exit(main())
