"""One run of a model asset: train on the past, judge on later days, and let the gate decide who serves."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from lakeline.domain.build import as_failure
from lakeline.domain.capsules import hold_version, seal
from lakeline.domain.champion import (
    CODE,
    ROWS,
    SIZE,
    enthrone,
    in_service,
    keep_champion,
    note_refused,
)
from lakeline.domain.features import Joined
from lakeline.domain.handles import Table, open_table
from lakeline.domain.node import Node
from lakeline.domain.parity_report import failed_parity
from lakeline.domain.results import skipped
from lakeline.domain.selection import to_build
from lakeline.domain.training_result import Verdict, checks, materialization
from lakeline.errors import DomainError, names
from lakeline.freshness.retraining import Training, fingerprint, note_training
from lakeline.lake.partitions import WHOLE
from lakeline.ledger import Build
from lakeline.meter import Meter
from lakeline.models.gate import (
    BY_GATE,
    Contender,
    GateDecision,
    Promotion,
    champion_of,
    judge,
    refuse,
)
from lakeline.models.registry import LEARNED_UNTIL
from lakeline.models.trial import (
    GateRules,
    Learning,
    attempt,
    columns_to_read,
    labelled_rows,
    learn_until,
    moment_of,
    split_at,
)

if TYPE_CHECKING:
    from lakeline.models.registry import RegisteredVersion
    from lakeline.models.training import TrainingSet
    from lakeline.resource import Lakehouse

EXAMPLE_ROWS = 5


class TrainingConfig(dg.Config):
    """What a person may change when a model is trained."""

    train_until: str | None = Field(
        default=None,
        description="First day that is not trained on, YYYY-MM-DD; left out, the newest day less holdout_days",
    )
    holdout_days: int | None = Field(
        default=None,
        gt=0,
        description="Days after the training window that judge the model; left out, as the model declares",
    )
    seed: int = Field(default=7, ge=0, description="Seed of everything random in the training")


class NoChampionError(DomainError):
    """The first model is not worth serving."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(
            f"'{model}' still has no champion: {reason}. Nothing was promoted and nothing downstream can be built. "
            "Give it more days or better features, or promote the version all the same with: lakeline promote."
        )


def build_model(
    context: dg.AssetExecutionContext, node: Node, config: TrainingConfig
) -> Iterator[Any]:
    """Run a model asset."""
    with as_failure(context):
        house: Lakehouse = context.resources.lakehouse
        meter = Meter()
        champion, held = in_service(house, node)
        is_asked = config != TrainingConfig()
        if not is_asked and not to_build(house.ledger, node, [WHOLE], context.run.tags):
            yield from skipped(context, [WHOLE], {WHOLE: held} if held else {})
            return
        handle = open_table(house.lake, house.ledger, node.reads[0], node, None)
        verdict = _tried(house, node, handle, config, champion)
        version = _register(house, node, verdict, handle)
        _settle(house, node, verdict, version, _build(context, node, verdict, handle), meter)
        yield from checks(verdict)
        if champion is None and not verdict.decision.promoted:
            raise NoChampionError(node.asset, verdict.decision.reason)
        yield materialization(house, node, verdict, version)


def _tried(
    house: "Lakehouse",
    node: Node,
    handle: Table,
    config: TrainingConfig,
    champion: "RegisteredVersion | None",
) -> Verdict:
    """Train a challenger, and let the gate decide; the winner is trained again on every day, if the model says so."""
    learning: Learning = node.extras["learning"]
    rules = _rules(node, config)
    held, why_none = champion_of(house.registry, node.table)
    whole = _rows(node, handle, held)
    until = (
        moment_of(config.train_until)
        if config.train_until
        else split_at(whole, rules, held.learned_until if held else None)
    )
    trial = attempt(
        node.asset,
        node.function,
        whole,
        learning,
        until=until,
        test_until=until + dt.timedelta(days=rules.days),
        seed=config.seed,
    )
    decision = judge(trial, held, whole, rules=rules, why_none=why_none)
    decision = unless_skewed(house, _served_views(node), decision)
    final, learned = trial.model, trial.train
    if decision.promoted and learning.refit and not config.train_until:
        learned = learn_until(whole, learning, whole.end)
        final = node.function(learned, config.seed)
    return Verdict(
        trial=trial,
        decision=decision,
        final=final,
        learned=learned,
        champion=champion,
        known_ts=whole.end,
        columns=_columns(node, handle, held),
        seed=config.seed,
    )


def unless_skewed(
    house: "Lakehouse", views: Sequence[Node], decision: GateDecision
) -> GateDecision:
    """The decision, or a refusal where the parity report of a view says that it is served with other values than learned from."""
    broken = failed_parity(house.ledger, views)
    if not decision.promoted or not broken:
        return decision
    reason = f"{names(broken)} found that online and offline differ; else: {decision.reason}"
    return replace(decision, promoted=False, reason=reason)


def _served_views(node: Node) -> list[Node]:
    served: Joined = node.reads[0].node.extras["features"]
    return [read.node for read in served.views]


def _rules(node: Node, config: TrainingConfig) -> GateRules:
    declared: GateRules = node.extras["gate"]
    return declared if config.holdout_days is None else declared.over(config.holdout_days)


def _rows(node: Node, handle: Table, held: Contender | None) -> "TrainingSet":
    learning: Learning = node.extras["learning"]
    assert handle.window is not None
    rows = handle.read(columns=_columns(node, handle, held)).collect()
    return labelled_rows(rows, learning, handle.window.start, handle.window.end)


def _columns(node: Node, handle: Table, held: Contender | None) -> tuple[str, ...]:
    also = held.model.features if held else ()
    learning: Learning = node.extras["learning"]
    return tuple(columns_to_read(learning, also, tuple(handle.contract.columns)))


def _register(
    house: "Lakehouse", node: Node, verdict: Verdict, handle: Table
) -> "RegisteredVersion":
    trial, learned = verdict.trial, verdict.learned
    snapshots = (
        {handle.node.asset.replace("/", "."): handle.snapshot_id} if handle.snapshot_id else {}
    )
    capsule = seal(
        node,
        handle,
        trial,
        final=verdict.final,
        learned=learned,
        columns=verdict.columns,
        seed=verdict.seed,
    )
    version = house.registry.register(
        node.table,
        verdict.final,
        metrics=trial.numbers,
        snapshots=snapshots,
        input_example=trial.test.frame.select(verdict.final.features).head(EXAMPLE_ROWS),
        params={
            "train_start": f"{learned.start:%Y-%m-%d}",
            "train_until": f"{learned.end:%Y-%m-%d}",
        },
        tags={
            CODE: node.code_version,
            LEARNED_UNTIL: learned.end.isoformat(),
            ROWS: str(learned.frame.height),
            SIZE: str(len(verdict.final.booster)),
            "lakeline.judged": f"{trial.test.start:%Y-%m-%d} to {trial.test.end:%Y-%m-%d}",
            "lakeline.judged_model": trial.model.digest,
        },
        capsule=capsule,
    )
    hold_version(house.lake, version)
    return version


def _build(context: dg.AssetExecutionContext, node: Node, verdict: Verdict, handle: Table) -> Build:
    return Build(
        asset=node.asset,
        partition=WHOLE,
        version=verdict.final.digest[:32],
        watermark=verdict.learned.end,
        code_version=node.code_version,
        run_id=context.run.run_id,
        rows=verdict.learned.frame.height,
        bytes=len(verdict.final.booster),
        inputs=handle.inputs(WHOLE),
    )


def _settle(
    house: "Lakehouse",
    node: Node,
    verdict: Verdict,
    version: "RegisteredVersion",
    build: Build,
    meter: Meter,
) -> None:
    """Let the decision take effect, and note the training, whatever became of it."""
    champion, decision, cost = verdict.champion, verdict.decision, meter.cost()
    if decision.promoted:
        enthrone(
            house,
            node,
            version,
            build,
            cost=cost,
            promotion=Promotion(by=BY_GATE, because=decision.reason),
            instead_of=champion.version if champion else None,
        )
    else:
        refuse(house.registry, node.table, version.version, because=decision.reason)
        if champion is None:
            note_refused(house, build, cost)
        else:
            keep_champion(house, build, champion, cost)
    read = fingerprint((one.asset, one.partition, one.version) for one in build.inputs)
    training = Training(verdict.known_ts, read, node.code_version)
    note_training(house.ledger, node.asset, training)
