"""One run of a model asset: train on the past, evaluate on later days, register, and promote only what is better."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from lakeline.domain.build import as_failure, is_current, may_skip
from lakeline.domain.handles import Table, open_table
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check
from lakeline.domain.recording import Outcome, record
from lakeline.domain.results import skipped
from lakeline.errors import DomainError
from lakeline.lake.partitions import WHOLE
from lakeline.meter import Meter
from lakeline.models.training import TrainingSet

if TYPE_CHECKING:
    from lakeline.models.evaluation import Metrics
    from lakeline.models.registry import RegisteredVersion
    from lakeline.models.training import TrainedModel
    from lakeline.resource import Lakehouse

EXAMPLE_ROWS = 5


class TrainingConfig(dg.Config):
    """What a person may change when a model is trained."""

    train_until: str | None = Field(
        default=None,
        description="First day that is not trained on, YYYY-MM-DD; left out, the newest day less holdout_days",
    )
    holdout_days: int = Field(
        default=30, gt=0, description="Days after the training window that evaluate the model"
    )
    seed: int = Field(default=7, ge=0, description="Seed of everything random in the training")


@dataclass(frozen=True, kw_only=True, slots=True)
class Learning:
    """What a model learns from.

    Attributes:
        features: Columns of the training set that the model reads, in its order.
        categorical: Those whose values are names, not amounts.
        label: Column that it predicts, null while unknown.
        at: Column with the time of each decision.
        known: Column with the time when the label was known; rows whose label came after the split are not trained on.
        schedule: Features known long before; a model on these alone is the baseline to beat.
    """

    features: tuple[str, ...]
    label: str
    at: str
    known: str
    categorical: tuple[str, ...] = ()
    schedule: tuple[str, ...] = ()


class NothingToLearnError(DomainError):
    """A training window or the days after it hold no labelled rows."""

    def __init__(self, model: str, what: str, start: dt.datetime, end: dt.datetime) -> None:
        super().__init__(
            f"'{model}' has no labelled rows to {what} between {start:%Y-%m-%d} and {end:%Y-%m-%d}. "
            "Materialize more days of its training set, or set train_until and holdout_days."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A trained model with its results on days that it never saw."""

    model: "TrainedModel"
    metrics: "Metrics"
    baselines: "Mapping[str, Metrics]"
    train: TrainingSet
    test: TrainingSet

    @property
    def beats_baselines(self) -> bool:
        """Whether it ranks better than the schedule and is a better probability than the share."""
        by_rank = all(self.metrics.auc > one.auc for one in self.baselines.values())
        return by_rank and all(self.metrics.brier < one.brier for one in self.baselines.values())


def build_model(
    context: dg.AssetExecutionContext, node: Node, config: TrainingConfig
) -> Iterator[Any]:
    """Run a model asset."""
    with as_failure(context):
        house: Lakehouse = context.resources.lakehouse
        meter = Meter()
        handle = open_table(house.lake, house.ledger, node.reads[0], node, None)
        seen = house.ledger.current(node.asset, [WHOLE])
        is_asked = config != TrainingConfig()
        unchanged = is_current(house.ledger, node, [WHOLE], seen, [handle])
        if may_skip(context) and unchanged and not is_asked:
            yield from skipped(context, [WHOLE], seen)
            return
        trial = attempt(node, handle, config)
        version = _register(house, node, trial, handle)
        promoted = _gate(house, node, trial, version)
        _record(context, house, node, trial, handle, meter)
        yield _check(trial)
        yield _materialization(trial, version, is_champion=promoted)


def attempt(node: Node, handle: Table, config: TrainingConfig) -> Trial:
    """Train on the days before the split and evaluate on those after it.

    Raises:
        NothingToLearnError: One of the two holds no labelled rows.
    """
    from lakeline.models.evaluation import evaluate, schedule_baseline, share_baseline

    train, test = _split(node, handle, config)
    model: TrainedModel = node.function(train, config.seed)
    learning: Learning = node.extras["learning"]
    baselines = {"share": share_baseline(train, test)}
    if learning.schedule:
        baselines["schedule"] = schedule_baseline(train, test, learning.schedule)
    return Trial(
        model=model,
        metrics=evaluate(test.labels(), model.predict(test.frame)),
        baselines=baselines,
        train=train,
        test=test,
    )


def _split(node: Node, handle: Table, config: TrainingConfig) -> tuple[TrainingSet, TrainingSet]:
    import polars as pl

    learning: Learning = node.extras["learning"]
    assert handle.window is not None
    end = handle.window.end
    until = (
        _moment(config.train_until)
        if config.train_until
        else end - dt.timedelta(days=config.holdout_days)
    )
    columns = list(
        dict.fromkeys(
            (*learning.features, *learning.schedule, learning.label, learning.at, learning.known)
        )
    )
    # Sorted, so that equal rows train an equal model whatever order the files came in.
    rows = handle.read(columns=columns).collect().sort(columns, nulls_last=True)
    whole = TrainingSet(
        frame=rows,
        features=learning.features,
        categorical=learning.categorical,
        label=learning.label,
        at=learning.at,
        start=handle.window.start,
        end=end,
    ).labelled()
    train = replace(whole, frame=whole.frame.filter(pl.col(learning.known) < until)).before(until)
    test = whole.after(until).before(until + dt.timedelta(days=config.holdout_days))
    for part, what in ((train, "train on"), (test, "be evaluated on")):
        if part.frame.is_empty():
            raise NothingToLearnError(node.asset, what, part.start, part.end)
    return train, test


def _moment(day: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise DomainError(f"train_until='{day}' is not a day. Write it as YYYY-MM-DD.") from error


def _register(house: "Lakehouse", node: Node, trial: Trial, handle: Table) -> "RegisteredVersion":
    columns = list(trial.model.features)
    snapshots = (
        {handle.node.asset.replace("/", "."): handle.snapshot_id} if handle.snapshot_id else {}
    )
    return house.registry.register(
        node.table,
        trial.model,
        metrics=_numbers(trial),
        snapshots=snapshots,
        input_example=trial.test.frame.select(columns).head(EXAMPLE_ROWS),
        params={
            "train_start": f"{trial.train.start:%Y-%m-%d}",
            "train_until": f"{trial.train.end:%Y-%m-%d}",
        },
        tags={"lakeline.code_version": node.code_version},
    )


def _gate(house: "Lakehouse", node: Node, trial: Trial, version: "RegisteredVersion") -> bool:
    """Promote a version that beats the baselines, and the champion on the same days; a tie keeps the champion."""
    from lakeline.models.evaluation import evaluate

    champion = house.registry.champion(node.table)
    if champion is not None and champion.version != version.version:
        held = house.registry.load(node.table, champion.version)
        rival = evaluate(trial.test.labels(), held.predict(trial.test.frame))
        if rival.auc >= trial.metrics.auc:
            house.registry.promote(node.table, version.version, "challenger")
            return False
    if champion is None or trial.beats_baselines:
        house.registry.promote(node.table, version.version)
        return True
    return False


def _record(
    context: dg.AssetExecutionContext,
    house: "Lakehouse",
    node: Node,
    trial: Trial,
    handle: Table,
    meter: Meter,
) -> None:
    """The asset's version is the champion's digest: a challenger that loses moves nothing downstream."""
    champion = house.registry.champion(node.table)
    assert champion is not None
    outcome = Outcome(
        version=champion.digest[:32],
        watermark=trial.train.end,
        rows=trial.train.frame.height,
        size_bytes=len(trial.model.booster),
    )
    record(house.ledger, node, outcome, [handle], run_id=context.run.run_id, meter=meter)


def _check(trial: Trial) -> dg.AssetCheckResult:
    against = ", ".join(f"{name} {one.auc:.3f}" for name, one in trial.baselines.items())
    return Check(
        name="beats_baselines",
        passed=trial.beats_baselines,
        description=f"AUC {trial.metrics.auc:.3f} on {trial.metrics.rows} later rows, against {against}.",
        numbers=_numbers(trial),
    ).result()


def _numbers(trial: Trial) -> dict[str, float]:
    """Every figure of the evaluation by its name; those of a baseline begin with its name."""
    found = {name: float(value) for name, value in asdict(trial.metrics).items()}
    for baseline, metrics in trial.baselines.items():
        found |= {f"{baseline}_{name}": float(getattr(metrics, name)) for name in ("auc", "brier")}
    return found


def _materialization(
    trial: Trial, version: "RegisteredVersion", *, is_champion: bool
) -> dg.MaterializeResult[None]:
    metadata: dict[str, float | str] = {
        **_numbers(trial),
        "model_version": version.version,
        "is_champion": is_champion,
        "train_rows": trial.train.frame.height,
        "train_days": f"{trial.train.start:%Y-%m-%d} to {trial.train.end:%Y-%m-%d}",
        "evaluated_days": f"{trial.test.start:%Y-%m-%d} to {trial.test.end:%Y-%m-%d}",
        "mlflow_run": version.run_id,
    }
    return dg.MaterializeResult(
        value=None, metadata=metadata, data_version=dg.DataVersion(version.digest[:32])
    )
