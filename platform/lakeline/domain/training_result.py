"""What became of one training, and how Dagster is told of it."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.champion import version_of
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check
from lakeline.lake.partitions import WHOLE
from lakeline.models.gate import GateDecision
from lakeline.models.trial import Trial

if TYPE_CHECKING:
    from lakeline.models.registry import RegisteredVersion
    from lakeline.models.training import TrainedModel, TrainingSet
    from lakeline.resource import Lakehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one training.

    Attributes:
        final: The model to register: the challenger, or what was refitted in its place.
        learned: The rows that it learned from.
        champion: The version that it was compared with.
        known_ts: End of the newest day that it could read.
        columns: What was read of the training set.
        seed: Seed of the training.
    """

    trial: Trial
    decision: GateDecision
    final: "TrainedModel"
    learned: "TrainingSet"
    champion: "RegisteredVersion | None"
    known_ts: dt.datetime
    columns: tuple[str, ...]
    seed: int


def checks(verdict: Verdict) -> Iterator[dg.AssetCheckResult]:
    """Whether it beats the baselines, and what the gate decided."""
    trial, decision = verdict.trial, verdict.decision
    against = ", ".join(f"{name} {one.auc:.3f}" for name, one in trial.baselines.items())
    yield Check(
        name="beats_baselines",
        passed=trial.beats_baselines,
        description=f"AUC {trial.metrics.auc:.3f} on {trial.metrics.rows} later rows, against {against}.",
        numbers=trial.numbers,
    ).result()
    yield Check(
        name="gate",
        passed=decision.promoted,
        description=f"{'Promoted' if decision.promoted else 'Refused'}: {decision.reason}.",
        is_blocking=verdict.champion is None,
        numbers={"metric": decision.metric, **decision.numbers},
    ).result()


def materialization(
    house: "Lakehouse", node: Node, verdict: Verdict, version: "RegisteredVersion"
) -> dg.MaterializeResult[None]:
    """The figures of the training, and the version that serves after it."""
    trial, learned, decision = verdict.trial, verdict.learned, verdict.decision
    champion = version if decision.promoted or verdict.champion is None else verdict.champion
    metadata: dict[str, Any] = {
        **trial.numbers,
        "model_version": version.version,
        "champion": champion.version,
        "is_champion": decision.promoted,
        "gate": decision.reason,
        "train_rows": learned.frame.height,
        "train_days": f"{learned.start:%Y-%m-%d} to {learned.end:%Y-%m-%d}",
        "evaluated_days": f"{trial.test.start:%Y-%m-%d} to {trial.test.end:%Y-%m-%d}",
        "mlflow_run": version.run_id,
    }
    held = house.ledger.current(node.asset)[WHOLE]
    if held.watermark is not None:
        metadata["watermark"] = dg.MetadataValue.timestamp(held.watermark)
    return dg.MaterializeResult(
        value=None, metadata=metadata, data_version=dg.DataVersion(version_of(champion))
    )
