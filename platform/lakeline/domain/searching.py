"""One run of a search asset: trials on days before the holdout, then the best one's settings as a challenger."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from lakeline.domain.alone import alone
from lakeline.domain.build import as_failure
from lakeline.domain.challenge import Asked, judging_rows, rules_of, tried
from lakeline.domain.champion import in_service, version_of
from lakeline.domain.chosen import trainer
from lakeline.domain.handles import Table, open_table
from lakeline.domain.leaked import require_no_leaks
from lakeline.domain.node import Node
from lakeline.domain.recording import Outcome, record
from lakeline.domain.results import skipped
from lakeline.domain.search_assets import SearchPlan
from lakeline.domain.selection import to_build
from lakeline.domain.training import TRAINING, take_effect
from lakeline.domain.training_config import SEED
from lakeline.domain.training_progress import told_to
from lakeline.meter import Meter
from lakeline.models.evaluation_plots import as_markdown
from lakeline.models.search import Found, Trialled, inner_folds, run_search
from lakeline.models.search_plots import history_svg, importance_svg, trials_grid
from lakeline.models.trial import split_at
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.models.gate import Contender
    from lakeline.models.rows import Rows
    from lakeline.models.space import Search
    from lakeline.models.training import TrainedModel
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse

FOLDER = "searches"


def build_search(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run a search asset; its version is the hash of its best settings."""
    plan: SearchPlan = node.extras["search"]
    with as_failure(context), alone(context, plan.model, TRAINING):
        house: Lakehouse = context.resources.lakehouse
        meter = Meter()
        seen = house.ledger.current(node.asset, [WHOLE])
        if not to_build(house.ledger, node, [WHOLE], context.run.tags):
            yield from skipped(context, [WHOLE], seen)
            return
        champion, _ = in_service(house, plan.model)
        handle = open_table(house.lake, house.ledger, plan.model.reads[0], plan.model, None)
        require_no_leaks(house.ledger, plan.model.asset, handle)
        found = searched(context, house, plan, handle)
        # The challenger's training is the model's own build, and counted there.
        spent, training = meter.cost(), Meter()
        asked = Asked(seed=SEED, chosen=found.best.params)
        with told_to(context.log, house):
            verdict = tried(house, plan.model, handle, asked, champion)
        version = take_effect(context, plan.model, verdict, handle, training)
        if verdict.decision.promoted:
            _tell_model(context, plan.model, version, verdict.decision.reason)
        outcome = Outcome(version=_version(found), watermark=verdict.known_ts, rows=0, size_bytes=0)
        record(
            house.ledger,
            node,
            outcome,
            handle.inputs(WHOLE),
            run_id=context.run.run_id,
            cost=spent,
        )
        yield dg.MaterializeResult(
            value=None,
            metadata={
                **_metadata(found),
                "challenger": version.version,
                "is_champion": verdict.decision.promoted,
                "gate": verdict.decision.reason,
            },
            data_version=dg.DataVersion(outcome.version),
        )


def searched(
    context: dg.AssetExecutionContext, house: "Lakehouse", plan: SearchPlan, handle: Table
) -> Found:
    """The trials, those of a run before that was killed among them."""
    held = _champion(house, plan.model)
    assert handle.window is not None
    whole = judging_rows(plan.model, handle, held, handle.window.start).in_memory()
    rules = rules_of(plan.model)
    until = split_at(whole.end, rules, held.learned_until if held else None)
    learning = plan.model.extras["learning"]
    folds = inner_folds(
        plan.model.asset, whole, learning, until, folds=plan.folds, days=plan.fold_days
    )
    key = plan.search.key(plan.model.code_version, whole.version, *(one.days for one in folds))
    context.log.info("Trials are judged on %s", ", ".join(one.days for one in folds))
    return run_search(
        plan.search,
        _train_with(plan.model),
        folds,
        file=Path(house.models) / FOLDER / f"{plan.search.name.replace('/', '.')}.db",
        key=key,
        report=lambda one: context.log.info("%s", told(one, plan.search)),
    )


def told(one: Trialled, search: "Search") -> str:
    """What the log says of a trial."""
    settings = ", ".join(f"{name} {value}" for name, value in one.params.items())
    value = "-" if one.value is None else f"{one.value:.5f}"
    return f"Trial {one.number} {one.state}: {search.metric} {value} in {one.wall_s:.1f} s with {settings} {one.why}".rstrip()


def _champion(house: "Lakehouse", model: Node) -> "Contender | None":
    from lakeline.models.gate import champion_of

    return champion_of(house.registry, model.table)[0]


def _train_with(model: Node) -> Any:
    def train_with(train: "Rows", seed: int, params: Mapping[str, object]) -> "TrainedModel":
        return trainer(model, params)(train, seed)

    return train_with


def _version(found: Found) -> str:
    told_best = json.dumps(dict(found.best.params), sort_keys=True)
    return hashlib.sha256(told_best.encode()).hexdigest()[:32]


def _tell_model(
    context: dg.AssetExecutionContext, model: Node, version: "RegisteredVersion", because: str
) -> None:
    """Let the model's own page say which version serves now; a body in another process has no way to."""
    if not hasattr(context, "log_event"):
        return
    context.log_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey([model.domain, model.name]),
            description=f"Promoted by the gate after a search: {because}",
            metadata={"model_version": version.version, "champion": version.version},
            tags={DATA_VERSION_TAG: version_of(version)},
        )
    )


def _metadata(found: Found) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        f"best_{found.metric}": found.best.value or 0.0,
        "best_params": dg.MetadataValue.json(dict(found.best.params)),
        "trials": len(found.trials),
        "resumed_trials": found.resumed,
        "ended": found.ended,
        "history": dg.MetadataValue.md(as_markdown("trials in order", history_svg(found))),
        "table": dg.MetadataValue.md(trials_grid(found).markdown()),
    }
    if found.importance:
        picture = as_markdown("importance of settings", importance_svg(found))
        metadata["importance"] = dg.MetadataValue.md(picture)
    return metadata
