"""How good the models of this repository are, each against what it has to be as good as.

*delay*: the flights' network and booster, both trained as their assets are on what was known at the end of June 2013, and
judged on every departure from July to December. The gain is told with its interval over resampled days.
"""

import argparse
import datetime as dt
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from benchmarks.bench_retraining import World
    from lakeline.models.training_set import TrainingSet

SEED = 7
MOST_BEHIND_AUC = 0.01
SPLIT, END = (dt.datetime(2013, 7, 1, tzinfo=dt.UTC), dt.datetime(2014, 1, 1, tzinfo=dt.UTC))
KNOWN_BY = END + dt.timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one part of the benchmark found.

    Attributes:
        figures: By name, without the part's own.
        reach: What was to be reached, by figure.
        is_met: Whether it was.
    """

    figures: Mapping[str, Any]
    reach: Mapping[str, str]
    is_met: bool


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--state", type=Path, help="State folder that has the year's training set")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="Only these parts")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="bench-quality-") as scratch:
        for name in asked.only or PARTS:
            found[name] = PARTS[name](Path(scratch), asked.state)
    figures = {f"{part}_{name}": one for part, told in found.items() for name, one in told.figures.items()}  # fmt: skip
    reach = {f"{part}_{name}": one for part, told in found.items() for name, one in told.reach.items()}  # fmt: skip
    return report("quality", figures, reach, met=all(one.is_met for one in found.values()))


def delay(scratch: Path, state: Path | None) -> Found:
    """The network beside the booster."""
    from benchmarks.bench_retraining import load_world

    world = load_world(state or scratch / "flights", is_built=state is not None)
    scores = {name: _scored(world, name) for name in ("delay_lightgbm", "delay_mlp")}
    return _compared(_judged(world), scores)


def _scored(world: "World", name: str) -> "tuple[npt.NDArray[np.float64], float]":
    """Scores of a model asset on the days that judge it, and the time that its training took."""
    from lakeline.domain.node import nodes
    from lakeline.models.trial import learn_until

    node = nodes()[f"flights/{name}"]
    learning = node.extras["learning"]
    begun_s = time.perf_counter()
    model = node.function(learn_until(_rows(world, learning, SPLIT), learning, SPLIT), SEED)
    spent_s = time.perf_counter() - begun_s
    return model.predict(_judged(world).frame), spent_s


def _rows(world: "World", learning: Any, known_at: dt.datetime) -> "TrainingSet":
    import polars as pl

    from benchmarks.bench_retraining import ORIGIN
    from lakeline.models.trial import labelled_rows

    seen = world.rows.filter(pl.col(learning.known) < known_at, pl.col(learning.at) < known_at)
    return labelled_rows(seen, learning, ORIGIN, known_at)


def _judged(world: "World") -> "TrainingSet":
    return world.known_at(KNOWN_BY).after(SPLIT).before(END)


def _compared(
    rows: "TrainingSet", scores: "Mapping[str, tuple[npt.NDArray[np.float64], float]]"
) -> Found:
    from lakeline.models.comparison import compare
    from lakeline.models.evaluation import evaluate

    labels_N, days = rows.labels(), rows.frame[rows.at].dt.date()
    figures: dict[str, Any] = {"rows": len(labels_N)}
    for name, (scores_N, spent_s) in scores.items():
        measured = evaluate(labels_N, scores_N)
        short = name.removeprefix("delay_")
        figures |= {f"{short}_{one}": getattr(measured, one) for one in ("auc", "average_precision", "brier", "log_loss", "calibration_gap")}  # fmt: skip
        figures[f"{short}_train_s"] = spent_s
    first, second = (scores[name][0] for name in ("delay_mlp", "delay_lightgbm"))
    for metric in ("auc", "brier"):
        told = compare(labels_N, first, second, days=days, metric=metric)
        figures[f"{metric}_gain"] = {"gain": told.gain, "low": told.low, "high": told.high}
    behind = figures["lightgbm_auc"] - figures["mlp_auc"]
    return Found(
        figures=figures,
        reach={"mlp_auc": f"at most {MOST_BEHIND_AUC} below that of the booster"},
        is_met=behind <= MOST_BEHIND_AUC,
    )


PARTS: dict[str, Callable[[Path, Path | None], Found]] = {"delay": delay}
"""Every part by its name; a part gets an empty folder and the state folder that somebody named."""


if __name__ == "__main__":
    sys.exit(main())
