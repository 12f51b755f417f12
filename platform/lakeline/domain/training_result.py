"""What became of one training, and how Dagster is told of it."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.champion import version_of
from lakeline.domain.evaluating import write_pages
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check
from lakeline.models.gate import GateDecision
from lakeline.models.servable import BECAUSE, SERVABLE
from lakeline.models.trial import Trial
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.models.evaluation_report import EvaluationReport
    from lakeline.models.rows import Rows
    from lakeline.models.training import TrainedModel
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one training.

    Attributes:
        evaluation: How the trial did on the days after its training window, in full.
        final: The model to register: the challenger, or what was refitted in its place.
        learned: The rows that it learned from.
        champion: The version that it was compared with.
        known_ts: End of the newest day that it could read.
        columns: What was read of the training set.
        seed: Seed of the training.
        chosen: Settings that its function was given.
    """

    trial: Trial
    evaluation: "EvaluationReport"
    decision: GateDecision
    final: "TrainedModel"
    learned: "Rows"
    champion: "RegisteredVersion | None"
    known_ts: dt.datetime
    columns: tuple[str, ...]
    seed: int
    chosen: Mapping[str, object] = field(default_factory=dict)


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
    from lakeline.models.evaluation_page import evaluation_markdown

    trial, learned, decision = verdict.trial, verdict.learned, verdict.decision
    champion = version if decision.promoted or verdict.champion is None else verdict.champion
    metadata: dict[str, Any] = {
        **trial.numbers,
        **verdict.evaluation.numbers,
        "evaluation": dg.MetadataValue.md(evaluation_markdown(verdict.evaluation)),
        "report": dg.MetadataValue.url(write_pages(house, node, verdict, version)),
        "model_version": version.version,
        "servable": f"{version.tags.get(SERVABLE, 'no')}: {version.tags.get(BECAUSE, 'not checked')}",
        "champion": champion.version,
        "is_champion": decision.promoted,
        "gate": decision.reason,
        "train_rows": learned.count,
        "train_days": f"{learned.start:%Y-%m-%d} to {learned.end:%Y-%m-%d}",
        "evaluated_days": f"{trial.test.start:%Y-%m-%d} to {trial.test.end:%Y-%m-%d}",
        "mlflow_run": version.run_id,
    }
    metadata |= _losses(verdict)
    held = house.ledger.current(node.asset)[WHOLE]
    if held.watermark is not None:
        metadata["watermark"] = dg.MetadataValue.timestamp(held.watermark)
    return dg.MaterializeResult(
        value=None, metadata=metadata, data_version=dg.DataVersion(version_of(champion))
    )


def _losses(verdict: Verdict) -> dict[str, Any]:
    """The losses of a network's training by epoch; nothing for other models."""
    history = getattr(verdict.trial.model, "history", ())
    if not history:
        return {}
    from lakeline.neural.curves import loss_curve_markdown

    title = f"{verdict.trial.model.name}, by epoch"
    return {"loss": dg.MetadataValue.md(loss_curve_markdown(history, title=title))}
