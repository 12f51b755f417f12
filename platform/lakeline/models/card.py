"""The card of a model version: what it is for, what it learned from, how good it is, where it is not, how to build it again.

Sections after Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019). The card is written before the registry has
given the version its number, so that it names the version by a word that :func:`numbered` fills in.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.models.evaluation_page import measured_on
from lakeline.models.evaluation_report import EVALUATION_FILE
from lakeline.models.evaluation_tables import (
    metrics_grid,
    number,
    slices_grid,
    with_span,
)
from lakeline.models.thresholds import cheapest

if TYPE_CHECKING:
    from lakeline.models.evaluation_report import EvaluationReport

CARD_FILE = "model_card.md"
VERSION = "VERSION"
SHOWN_SLICES = 5
MLFLOW_CHARS = 5000
"""What MLflow's database holds of a description, on servers that count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Papers:
    """What lies beside a version for people and tools to read.

    Attributes:
        asset: The model asset, ``domain/name``.
        evaluation: As JSON.
        card: As Markdown, with a word in place of the version's number.
    """

    asset: str
    evaluation: str
    card: str

    @property
    def files(self) -> dict[str, str]:
        """Their texts by the names of their files."""
        return {EVALUATION_FILE: self.evaluation, CARD_FILE: self.card}


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What a card says beside the evaluation.

    Attributes:
        asset: The model asset, ``domain/name``.
        owner: Who answers for it.
        intended_use: What it is for.
        limits: What its owner says that it cannot do.
        digest: SHA-256 of the version.
        learned_from, learned_until: Training window of the version, which may be longer than that of the evaluation.
        rows: Rows that it learned from.
        snapshots: Iceberg snapshot of each table that it learned from.
        features: Columns that it reads.
        label: What it predicts.
        parameters: Settings of the training.
        seed: Of everything random in it.
        code_version: Hash of the function that trained.
        reads: The assets that the training set is made of.
        gate: What the gate decided, in words; empty where it was not asked.
    """

    asset: str
    owner: str
    intended_use: str
    limits: tuple[str, ...]
    digest: str
    learned_from: dt.datetime
    learned_until: dt.datetime
    rows: int
    snapshots: Mapping[str, int]
    features: tuple[str, ...]
    label: str
    parameters: Mapping[str, object]
    seed: int
    code_version: str
    reads: tuple[str, ...] = ()
    gate: str = ""


def card(facts: CardFacts, report: "EvaluationReport") -> str:
    """The card, Markdown; equal facts give an equal card."""
    return "\n\n".join(_sections(facts, report)) + "\n"


def numbered(text: str, version: int) -> str:
    """The card of a version whose number is known."""
    return text.replace(f"@{VERSION}", f"@{version}")


def described(text: str, asset: str, version: int) -> str:
    """The card as MLflow can hold it: whole, or cut at a section with the command that shows the rest."""
    whole = numbered(text, version)
    if len(whole) <= MLFLOW_CHARS:
        return whole
    rest = f"\n\nThe rest: `lakeline card {asset}@{version}`\n"
    kept = whole[: MLFLOW_CHARS - len(rest)]
    return kept[: kept.rindex("\n\n")] + rest


def found_limits(report: "EvaluationReport") -> tuple[str, ...]:
    """What the evaluation says that the model cannot do, the worst first; empty where it found nothing."""
    worse = [
        f"In {one} the baseline {one.baseline} is better: {with_span(one.gain, sign=True)} Brier score on {one.rows:,} rows."
        for one in report.worse
    ]
    off = [
        f"Scores from {one.lowest:.3f} to {one.highest:.3f} promise too {'much' if one.score > one.share.value else 'little'}: "
        f"{number(one.score)} on average, and {with_span(one.share)} came true."
        for one in report.calibration.off
    ]
    behind = [
        f"The baseline {name} is not surely worse: the gain in Brier score is {with_span(one, sign=True)}."
        for name, one in report.gains.items()
        if not one.is_above(0)
    ]
    return (*behind, *worse, *off)


def _sections(facts: CardFacts, report: "EvaluationReport") -> Iterator[str]:
    yield f"# {facts.asset}@{VERSION}"
    yield facts.intended_use
    yield f"Owner: {facts.owner}. It predicts `{facts.label}`."
    if facts.gate:
        yield f"Gate: {facts.gate}."
    yield "## Limits"
    yield (
        _list([*facts.limits, *found_limits(report)])
        or "None declared, and the evaluation found none."
    )
    yield "## Quality"
    yield measured_on(report) + _refitted(facts, report)
    yield metrics_grid(report).markdown()
    if best := cheapest(report.thresholds):
        yield _cheapest(report, best.threshold, best.cost or 0.0)
    yield f"Calibration: scores are {number(report.calibration.error)} off on average over bins of scores."
    if report.slices:
        shown = report.worst[:SHOWN_SLICES]
        yield f"## Slices\n\nThe {len(shown)} of {len(report.slices)} that gain least over their best baseline:"
        yield slices_grid(shown).markdown()
    yield from _data(facts)
    yield from _rebuild(facts)


def _data(facts: CardFacts) -> Iterator[str]:
    yield "## Data"
    yield _list(
        [
            f"{facts.rows:,} rows, decided from {facts.learned_from:%Y-%m-%d} to {facts.learned_until:%Y-%m-%d}",
            *(f"`{table}`, snapshot {one}" for table, one in facts.snapshots.items()),
            *([f"Made of {', '.join(facts.reads)}"] if facts.reads else []),
            f"{len(facts.features)} features: {', '.join(facts.features)}",
        ]
    )


def _rebuild(facts: CardFacts) -> Iterator[str]:
    told = ", ".join(f"{name} {value}" for name, value in sorted(facts.parameters.items()))
    yield "## Build it again"
    yield f"```\nlakeline reproduce {facts.asset}@{VERSION}\n```"
    yield _list(
        [
            f"sha256 {facts.digest}",
            f"code version {facts.code_version}, seed {facts.seed}",
            *([f"parameters: {told}"] if told else []),
        ]
    )


def _refitted(facts: CardFacts, report: "EvaluationReport") -> str:
    if facts.digest == report.digest:
        return ""
    return (
        f" The version itself learned on until {facts.learned_until:%Y-%m-%d}, those days among them, with the same "
        f"settings; the numbers are of the model before that, {report.digest[:12]}."
    )


def _cheapest(report: "EvaluationReport", threshold: float, cost: float) -> str:
    assert report.costs is not None
    return (
        f"At {report.costs.false_alarm:g} a false alarm and {report.costs.miss:g} a miss, flagging from {threshold:.2f} on "
        f"costs least: {number(cost)} a row."
    )


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {one}" for one in items)
