"""One challenge of a model's champion: train on the past, judge on later days, register, and let the gate's word take effect."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lakeline.domain.capsules import hold_version, seal
from lakeline.domain.champion import (
    CODE,
    ROWS,
    SIZE,
    enthrone,
    keep_champion,
    note_refused,
)
from lakeline.domain.chosen import CHOSEN
from lakeline.domain.delivery import deliver, remembering, trainings_of
from lakeline.domain.evaluating import evaluate, papers, plan_of
from lakeline.domain.features import Joined
from lakeline.domain.handles import Table
from lakeline.domain.leaked import unless_leaked
from lakeline.domain.node import Node
from lakeline.domain.parity_report import failed_parity
from lakeline.domain.training_config import SEED
from lakeline.domain.training_result import Verdict
from lakeline.errors import names
from lakeline.freshness.retraining import Training, fingerprint, note_training
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
from lakeline.models.learning import GateRules, Learning
from lakeline.models.outbox import Registration
from lakeline.models.servable import servable_form
from lakeline.models.table_rows import TableRows
from lakeline.models.trial import attempt, columns_to_read, moment_of, split_at
from lakeline.models.version_files import LEARNED_UNTIL
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse

EXAMPLE_ROWS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is wanted of a challenge.

    Attributes:
        train_until: First day that is not trained on, ``YYYY-MM-DD``; None leaves the newest days to judge.
        holdout_days: Days after it that judge; None as the model declares.
        seed: Seed of everything random.
        chosen: Settings that a search found, for a model whose function takes them.
    """

    train_until: str | None = None
    holdout_days: int | None = None
    seed: int = SEED
    chosen: Mapping[str, object] = field(default_factory=dict)


def tried(
    house: "Lakehouse",
    node: Node,
    handle: Table,
    asked: Asked,
    champion: "RegisteredVersion | None",
) -> Verdict:
    """Train a challenger, and let the gate decide; the winner is trained again on every day, if the model says so.

    Args:
        house: Where models and rows are.
        node: The model asset.
        handle: Its training set, pinned.
        asked: What a person, a search or nobody wants of it.
        champion: The version that serves.
    """
    learning: Learning = node.extras["learning"]
    rules = rules_of(node, asked.holdout_days)
    held, why_none = champion_of(house.registry, node.table)
    assert handle.window is not None
    end = handle.window.end
    until = (
        moment_of(asked.train_until)
        if asked.train_until
        else split_at(end, rules, held.learned_until if held else None)
    )
    later = judging_rows(node, handle, held, until)
    train = remembering(house.registry, node, asked.chosen)
    trial = attempt(
        node.asset,
        train,
        learned_rows(node, handle, until),
        later.before(until + dt.timedelta(days=rules.days)),
        schedule=learning.schedule,
        seed=asked.seed,
    )
    every = trial.test if trial.test.end == later.end else later.in_memory()
    decision = judge(trial, held, every, rules=rules, why_none=why_none)
    decision = unless_skewed(house, _served_views(node), decision)
    decision = unless_leaked(house.ledger, handle, decision)
    final, learned = trial.model, trial.train
    if decision.promoted and learning.refit and not asked.train_until:
        learned = learned_rows(node, handle, end)
        final = train(learned, asked.seed)
    return Verdict(
        trial=trial,
        evaluation=evaluate(node, trial),
        decision=decision,
        final=final,
        learned=learned,
        champion=champion,
        known_ts=end,
        columns=_columns(node, handle, held),
        seed=asked.seed,
        chosen=asked.chosen,
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


def rules_of(node: Node, days: int | None = None) -> GateRules:
    """How challengers of a model are judged, over other days than declared if some are given."""
    declared: GateRules = node.extras["gate"]
    return declared if days is None else declared.over(days)


def learned_rows(node: Node, handle: Table, until: dt.datetime) -> TableRows:
    """The labelled rows of the training set that were decided and known before a moment, read as they are needed."""
    learning: Learning = node.extras["learning"]
    assert handle.window is not None
    handle.record(learning.columns)
    return TableRows.of(handle.iceberg, learning, window=handle.window, until=until)


def judging_rows(
    node: Node, handle: Table, held: Contender | None, start: dt.datetime
) -> TableRows:
    """The labelled rows that were decided from a moment on, with what an older champion reads."""
    columns = _columns(node, handle, held)
    assert handle.window is not None
    handle.record(columns)
    return learned_rows(node, handle, handle.window.end).after(start, columns)


def _columns(node: Node, handle: Table, held: Contender | None) -> tuple[str, ...]:
    also = (*(held.model.features if held else ()), *plan_of(node).slices)
    learning: Learning = node.extras["learning"]
    return tuple(columns_to_read(learning, also, tuple(handle.contract.columns)))


def register(
    house: "Lakehouse", node: Node, verdict: Verdict, handle: Table
) -> "RegisteredVersion":
    """Make what was trained a version, with everything that belongs to it, and hold what it learned from."""
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
        chosen=verdict.chosen,
    )
    one = Registration(
        name=node.table,
        model=verdict.final,
        metrics=trial.numbers,
        snapshots=snapshots,
        example=trial.test.frame.select(verdict.final.features).head(EXAMPLE_ROWS),
        params={
            "train_start": f"{learned.start:%Y-%m-%d}",
            "train_until": f"{learned.end:%Y-%m-%d}",
        },
        tags={
            CODE: node.code_version,
            LEARNED_UNTIL: learned.end.isoformat(),
            CHOSEN: json.dumps(dict(verdict.chosen), sort_keys=True),
            ROWS: str(learned.count),
            SIZE: str(len(verdict.final.payload)),
            "lakeline.judged": f"{trial.test.start:%Y-%m-%d} to {trial.test.end:%Y-%m-%d}",
            "lakeline.judged_model": trial.model.digest,
        },
        capsule=capsule,
        papers=papers(node, verdict, snapshots),
        form=servable_form(
            verdict.final, trial.test.frame, again=f"lakeline servable {node.asset}@VERSION"
        ),
    )
    version = deliver(house.registry, node, one, trainings_of(node, verdict))
    hold_version(house.lake, version)
    return version


def build_of(run_id: str, node: Node, verdict: Verdict, handle: Table) -> Build:
    """What the ledger is to say of a training."""
    return Build(
        asset=node.asset,
        partition=WHOLE,
        version=verdict.final.digest[:32],
        watermark=verdict.learned.end,
        code_version=node.code_version,
        run_id=run_id,
        rows=verdict.learned.count,
        bytes=len(verdict.final.payload),
        inputs=handle.inputs(WHOLE),
    )


def settle(
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
