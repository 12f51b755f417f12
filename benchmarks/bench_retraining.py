"""July to December 2013 served again: never retrained, retrained monthly without a gate, and as lakeline does it.

Everybody begins on 1 July with the model that lakeline's gate lets in then, trained on January to June. From there on

- *never* keeps it;
- *window* takes, on the first of each month, a model of the last three months, unseen;
- *lakeline* asks each midnight whether there is a reason to train, trains, and lets the gate decide, all by what
  `flights/delay_lightgbm` declares;
- *window, gated* shows *window*'s models to the gate, on the same days;
- *expanding* takes, on the first of each month, a model of everything so far, unseen: what the gate's caution costs.

Whoever decides at a moment sees features as of two hours before each departure, and labels of flights that had landed
by then. A model serves the decisions from the moment at which it was taken.
"""

import argparse
import datetime as dt
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import report
from lakeline.models.comparison import compare
from lakeline.models.gate import Contender, GateDecision, judge
from lakeline.models.training import TrainedModel
from lakeline.models.training_set import TrainingSet
from lakeline.models.trial import attempt, labelled_rows, learn_until, parted, split_at

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.domain.node import Node
    from lakeline.models.evaluation import Metrics

START, END = (dt.datetime(2013, 7, 1, tzinfo=dt.UTC), dt.datetime(2014, 1, 1, tzinfo=dt.UTC))
ORIGIN = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
MONTHS = tuple(dt.datetime(2013, month, 1, tzinfo=dt.UTC) for month in range(7, 13))
NAMES = ("jul", "aug", "sep", "oct", "nov", "dec")
DAY = dt.timedelta(days=1)
SEED = 7
METRICS = ("auc", "average_precision", "brier")


@dataclass(kw_only=True)
class World:
    """The recorded year, seen at any moment as it was known then.

    Attributes:
        rows: One row a departure with features and label, sorted.
        node: The model asset, with everything that it declares.
    """

    rows: "pl.DataFrame"
    node: "Node"

    @property
    def learning(self) -> Any:
        """What the model learns from."""
        return self.node.extras["learning"]

    def known_at(self, now: dt.datetime, start: dt.datetime = ORIGIN) -> TrainingSet:
        """Labelled rows decided from ``start`` on whose label was known at ``now``."""
        import polars as pl

        seen = self.rows.filter(
            pl.col(self.learning.known) < now,
            pl.col(self.learning.at) < now,
            pl.col(self.learning.at) >= start,
        )
        return labelled_rows(seen, self.learning, start, now)

    def train(self, train: TrainingSet) -> TrainedModel:
        """The model of some rows, as the asset's function trains it."""
        model: TrainedModel = self.node.function(train, SEED)
        return model


@dataclass(kw_only=True)
class Arm:
    """One way to keep a model.

    Attributes:
        served: From when on which model served.
        log: What happened, in words.
    """

    served: list[tuple[dt.datetime, TrainedModel]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def take(self, now: dt.datetime, model: TrainedModel) -> None:
        """Let a model serve from now on."""
        self.served.append((now, model))

    def scores(self, world: World, judged: "pl.DataFrame") -> "npt.NDArray[np.float64]":
        """Score of each row, of the model that served when it was decided; shape ``(N,)``."""
        import numpy as np
        import polars as pl

        at = pl.col(world.learning.at)
        found = np.full(judged.height, np.nan)
        ends = [one for one, _ in self.served[1:]] + [END]
        for (start, model), end in zip(self.served, ends, strict=True):
            is_served = judged.select((at >= start) & (at < end)).to_series()
            found[is_served.to_numpy()] = model.predict(judged.filter(is_served))
        return found


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of every departure from July to December, with what each arm said of it.

    Attributes:
        rows: With labels.
        scores: By arm, one a row.
    """

    rows: TrainingSet
    scores: "dict[str, npt.NDArray[np.float64]]"

    @classmethod
    def of(cls, world: World, arms: dict[str, Arm]) -> "Judged":
        """The scores of every arm."""
        rows = world.known_at(END + 7 * DAY).after(START).before(END)
        return cls(
            rows=rows, scores={name: arm.scores(world, rows.frame) for name, arm in arms.items()}
        )

    def months(self, arm: str) -> "list[Metrics]":
        """Quality of each month."""
        from lakeline.models.evaluation import evaluate

        labels, month = self.rows.labels(), self.rows.frame[self.rows.at].dt.month().to_numpy()
        return [
            evaluate(labels[month == one.month], self.scores[arm][month == one.month])
            for one in MONTHS
        ]

    def gain(self, arm: str, rival: str) -> dict[str, float]:
        """By how much an arm's Brier score is better than a rival's, with its interval over the days."""
        days = self.rows.frame[self.rows.at].dt.date()
        found = compare(
            self.rows.labels(), self.scores[arm], self.scores[rival], days=days, metric="brier"
        )
        return {"brier": found.gain, "low": found.low, "high": found.high}


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--state", type=Path, help="State folder that has the year's training set")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    begun_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        world = load_world(asked.state or Path(scratch), is_built=asked.state is not None)
    arms, decisions = replay(world)
    judged = Judged.of(world, arms)
    for name, arm in arms.items():
        _print(name, arm, judged.months(name))
    spent = {"wall_s": time.perf_counter() - begun_s, "cpu_s": time.process_time()}
    return _report(judged, decisions, spent)


def load_world(state: Path, *, is_built: bool) -> World:
    """The year's training set, built by the flights graph where it is not there."""
    os.environ["LAKELINE_STATE"] = str(state)
    from assets import flights
    from lakeline.cli.sources import load_parsed
    from lakeline.domain import load_domain
    from lakeline.domain.node import nodes
    from lakeline.lake.read import scan_polars
    from lakeline.project import find_place
    from resources import Settings, build_resources

    load_parsed(find_place(Path(__file__).parent))  # dbt's manifest is made where it is missing
    domain = load_domain(flights)
    resources = build_resources(Settings(state=state))
    if not is_built:
        _build(domain.assets, resources)
    node = nodes()["flights/delay_lightgbm"]
    columns = node.extras["learning"].columns
    rows = scan_polars(resources["lakehouse"].lake.load("flights.training_set")).select(columns)
    return World(rows=rows.collect().sort(columns, nulls_last=True), node=node)


def replay(world: World) -> tuple[dict[str, Arm], dict[str, GateDecision]]:
    """Every arm from July to December, and what the gate said to each of *window*'s models."""
    first, promised = first_model(world)
    arms = {name: Arm() for name in ("never", "window", "lakeline", "window_gated", "expanding")}
    for name in ("never", "lakeline", "window_gated"):
        arms[name].take(START, first.model)
    gated, decisions = first, {}
    for month, name in zip(MONTHS, NAMES, strict=True):
        quarter = world.known_at(month, _three_months_before(month))
        arms["window"].take(month, world.train(quarter))
        arms["expanding"].take(month, world.train(world.known_at(month)))
        decision, winner = challenge(world, gated, quarter, month)
        decisions[name] = decision
        arms["window_gated"].log.append(f"{month:%Y-%m-%d} {decision.reason}")
        if winner is not None:
            gated = winner
            arms["window_gated"].take(month, winner.model)
    keep_as_declared(world, arms["lakeline"], first, promised)
    return arms, decisions


def first_model(world: World) -> tuple[Contender, dict[str, float]]:
    """The model that serves on 1 July, and what its evaluation promised."""
    decision, winner, promised = tried(world, None, world.known_at(START))
    if winner is None:
        raise RuntimeError(f"the first model was refused: {decision.reason}")
    return winner, promised


def keep_as_declared(
    world: World, arm: Arm, champion: Contender, promised: dict[str, float]
) -> None:
    """What lakeline does each midnight, by what the model declares."""
    from lakeline.freshness.promise import parse_promise
    from lakeline.freshness.retraining import reason_to_train

    promise, policy = parse_promise(world.node.extras["promise"]), world.node.extras["retrain"]
    trained = [START]
    for day in range(1, (END - START).days):
        now = START + day * DAY
        if policy.not_before(trained, now) is not None:
            continue
        facts: dict[str, Any] = {
            "now": now,
            "promise": promise,
            "watermark": champion.learned_until,
            "trained": trained,
            "code_changed": False,
            "features_changed": False,
            "inputs_changed_since_training": True,
            "policy": policy,
        }
        verdict = reason_to_train(failed_checks=(), **facts)
        if not verdict.due and verdict.not_before is None:  # only then do the reports matter
            failed = failed_checks(world, champion, promised, now)
            verdict = reason_to_train(failed_checks=failed, **facts)
        if not verdict.due:
            continue
        trained.append(now)
        decision, winner, told = tried(world, champion, world.known_at(now))
        arm.log.append(f"{now:%Y-%m-%d} {verdict.reason} -> {decision.reason}")
        if winner is not None:
            champion, promised = winner, told
            arm.take(now, winner.model)


def failed_checks(
    world: World, champion: Contender, promised: dict[str, float], now: dt.datetime
) -> list[str]:
    """Checks of the domain's reports that the model watches and that fail on what is known now."""
    return [*_performance_failed(world, champion, promised, now), *_drift_failed(world, now)]


def _performance_failed(
    world: World, champion: Contender, promised: dict[str, float], now: dt.datetime
) -> list[str]:
    from assets.flights.monitoring import RECENT_DAYS
    from lakeline.monitoring.performance import Tolerance, brier_kept, calibration_kept, performance

    start = max(champion.learned_until, now - RECENT_DAYS * DAY)
    rows = world.known_at(now, start)
    if rows.frame.is_empty():
        return []
    scores = champion.model.predict(rows.frame)
    found = performance(rows.labels(), scores, blocks=rows.frame[rows.at].dt.date())
    kept = {
        "performance brier": brier_kept(found, promised, Tolerance()),
        "performance calibration": calibration_kept(found, promised, Tolerance()),
    }
    return [name for name, one in kept.items() if not one.holds]


def _drift_failed(world: World, now: dt.datetime) -> list[str]:
    import polars as pl

    from assets.flights.models import OBSERVED
    from assets.flights.monitoring import DRIFT_SHARE_LIMIT, RECENT_DAYS, SEASONAL
    from lakeline.monitoring.drift import drift

    seen = world.rows.filter(pl.col(world.learning.at) < now)
    is_recent = pl.col(world.learning.at) >= now - RECENT_DAYS * DAY
    found = drift(
        seen.filter(~is_recent), seen.filter(is_recent), columns=OBSERVED, seasonal=SEASONAL
    )
    return ["feature_drift drift_share"] if found.share_drifted > DRIFT_SHARE_LIMIT else []


def challenge(
    world: World, champion: Contender, rows: TrainingSet, now: dt.datetime
) -> tuple[GateDecision, Contender | None]:
    """What the gate says to a model of some rows: trained on them but the newest days, which judge it."""
    decision, winner, _ = tried(world, champion, replace(rows, end=now))
    return decision, winner


def tried(
    world: World, champion: Contender | None, whole: TrainingSet
) -> tuple[GateDecision, Contender | None, dict[str, float]]:
    """A challenger trained and judged as the asset does it: the decision, who serves if it won, and what it promised."""
    rules, learning = world.node.extras["gate"], world.learning
    schedule = learning.schedule if champion is None else ()  # the first alone needs a baseline
    until = split_at(whole.end, rules, champion.learned_until if champion else None)
    trial = attempt(
        world.node.asset,
        world.node.function,
        *parted(whole, learning, until=until, test_until=whole.end),
        schedule=schedule,
        seed=SEED,
    )
    decision = judge(trial, champion, whole, rules=rules)
    if not decision.promoted:
        return decision, None, {}
    final = world.train(learn_until(whole, learning, whole.end)) if learning.refit else trial.model
    end = whole.end if learning.refit else trial.train.end
    return decision, Contender(model=final, learned_until=end), trial.numbers


def _three_months_before(month: dt.datetime) -> dt.datetime:
    return month.replace(month=month.month - 3)


def _build(assets: Sequence[Any], resources: dict[str, object]) -> None:
    import dagster as dg

    tags = {
        "dagster/asset_partition_range_start": "2013-01-01",
        "dagster/asset_partition_range_end": "2014-01-01",
    }
    chosen = dg.AssetSelection.assets(["flights", "training_set"]).upstream()
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            assets, selection=chosen, resources=resources, tags=tags, instance=instance
        )
    if not done.success:
        raise RuntimeError("the training set was not built")


def _print(name: str, arm: Arm, months: "list[Metrics]") -> None:
    for metric in METRICS:
        values = [float(getattr(one, metric)) for one in months]
        told = " ".join(f"{value:.4f}" for value in values)
        print(f"{name:13}{metric:18}{told}   mean {_mean(values):.4f}")
    for line in arm.log:
        print(f"    {line}")


def _report(judged: Judged, decisions: dict[str, GateDecision], spent: dict[str, float]) -> int:
    found = {name: judged.months(name) for name in judged.scores}
    figures: dict[str, Any] = {
        name: {
            metric: {
                **{
                    month: float(getattr(one, metric))
                    for month, one in zip(NAMES, months, strict=True)
                },
                "mean": _mean([float(getattr(one, metric)) for one in months]),
            }
            for metric in METRICS
        }
        for name, months in found.items()
    }
    rivals = ("never", "window")
    is_best = {
        metric: _is_best(
            figures["lakeline"][metric]["mean"],
            [figures[one][metric]["mean"] for one in rivals],
            metric,
        )
        for metric in METRICS
    }
    loses = all(figures["window"]["auc"][m] < figures["never"]["auc"][m] for m in ("oct", "dec"))
    refused = not any(decisions[month].promoted for month in ("oct", "dec"))
    figures |= {
        "window_loses": loses,
        "window_refused": refused,
        "is_best": is_best,
        "gain": {one: judged.gain("lakeline", one) for one in (*rivals, "expanding")},
        **spent,
    }
    reach = {
        "window_loses": "AUC below never in October and December",
        "window_refused": "the gate refuses those models",
        "is_best": "lakeline's means at least the better of never and window",
    }
    return report("retraining", figures, reach, met=loses and refused and all(is_best.values()))


def _is_best(value: float, others: Sequence[float], metric: str) -> bool:
    return value <= min(others) if metric == "brier" else value >= max(others)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(main())
