"""What a model asset says of its evaluation, and what a training writes down of it: report, card and page."""

from collections.abc import Mapping
from functools import partial
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.domain.node import Node
from lakeline.models.card import CardFacts, Papers, card
from lakeline.models.evaluation_plan import EvaluationPlan

if TYPE_CHECKING:
    from lakeline.domain.training_result import Verdict
    from lakeline.models.evaluation_report import EvaluationReport
    from lakeline.models.trial import Trial
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse


def plan_of(node: Node) -> EvaluationPlan:
    """The plan of a model asset."""
    found: EvaluationPlan = node.extras.get("evaluation") or EvaluationPlan()
    return found


def evaluate(node: Node, trial: "Trial") -> "EvaluationReport":
    """The evaluation of a trial as the asset wants it."""
    from lakeline.models.evaluation_report import evaluate_trial

    plan = plan_of(node)
    return evaluate_trial(trial, slices=plan.slices, costs=plan.costs)


def papers(node: Node, verdict: "Verdict", snapshots: Mapping[str, int]) -> Papers:
    """The evaluation and the card of what a training is about to register.

    Args:
        node: The model asset.
        verdict: What became of the training.
        snapshots: Iceberg snapshot of each table that it learned from.
    """
    plan, learned, final = plan_of(node), verdict.learned, verdict.final
    decision = verdict.decision
    facts = CardFacts(
        asset=node.asset,
        owner=str(node.extras["owner"]),
        intended_use=plan.intended_use or getdoc(node.function) or "Nobody said what it is for.",
        limits=plan.limits,
        digest=final.digest,
        learned_from=learned.start,
        learned_until=learned.end,
        rows=learned.count,
        snapshots=snapshots,
        features=final.features,
        label=learned.label,
        parameters=final.settings,
        seed=verdict.seed,
        code_version=node.code_version,
        reads=tuple(sorted({one.node.asset for read in node.reads for one in read.node.reads})),
        gate=f"{'promoted' if decision.promoted else 'refused'}, {decision.reason}",
    )
    report = verdict.evaluation
    return Papers(asset=node.asset, evaluation=report.to_json(), card=card(facts, report))


def write_pages(
    house: "Lakehouse", node: Node, verdict: "Verdict", version: "RegisteredVersion"
) -> str:
    """Write the page of a version's evaluation below the reports, and give its address."""
    from lakeline.models.evaluation_page import evaluation_html
    from lakeline.monitoring.pages import write_page

    name = f"{node.domain}/{node.name}/{version.version}"
    write = partial(write_page, Path(house.reports), base_url=house.reports_url)
    links: dict[str, str] = {}
    if plan_of(node).evidently:
        links["Evidently's page"] = write(f"{name}-evidently", _evidently(verdict.trial))
    title = f"{node.asset}@{version.version}"
    return write(name, evaluation_html(title, verdict.evaluation, links=links))


def _evidently(trial: "Trial") -> str:
    import polars as pl

    from lakeline.monitoring.evidently_html import performance_html

    scored = trial.test.frame.select(
        trial.test.label, pl.Series("score", trial.scores_N, dtype=pl.Float64)
    )
    return performance_html(scored, label=trial.test.label, score="score")
