"""What a model's declaration says of training it again: read at once, and checked when the whole domain is there.

A model may watch a report of its own scores, which is declared after it. Such a report is named; `require_triggers`
then looks whether there is one. Watching is no dependency, so that nothing goes in a circle.
"""

import datetime as dt
import difflib
from collections.abc import Mapping, Sequence

import dagster as dg

from lakeline.domain.conventions import duration
from lakeline.domain.node import Node, node_of
from lakeline.errors import DomainError, names
from lakeline.freshness.retraining import Retrain
from lakeline.models.learning import GateRules
from lakeline.models.metrics import metric_named

Report = dg.AssetsDefinition | str
Trigger = Report | tuple[Report, str]
"""A report that a model watches, or one check of it; by its name where it is declared later."""


class TriggerError(DomainError):
    """A model watches something that cannot tell it to be trained again."""

    def __init__(self, model: str, watched: str, problem: str) -> None:
        super().__init__(f"'{model}' has '{watched}' in retrain_on=, {problem}")


class RetrainingError(DomainError):
    """A model's limits on training again contradict themselves."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"'{model}' {problem}")


def policy_of(
    domain: str,
    model: str,
    *,
    retrain_on: Sequence[Trigger],
    cooldown: str,
    at_most: tuple[int, str],
    gate: GateRules,
) -> Retrain:
    """The policy that a declaration states; which reports there are is not looked at yet.

    Args:
        domain: Where a report that is named without one is looked for.
        model: ``domain/name`` of the model, for errors.
        retrain_on: Reports, or pairs of a report and one of its checks.
        cooldown: Least time between two trainings.
        at_most: How many trainings in how long a period.
        gate: How challengers are judged.

    Raises:
        RetrainingError: The limits cannot be.
        DomainError: A length of time cannot be read.
        ForeignAssetError: A report was not made by a domain.
    """
    count, period = at_most
    if count < 1:
        raise RetrainingError(
            model, f"may be trained {count} times, so never. Write at_most=(3, '30d')."
        )
    policy = Retrain(
        on=tuple(dict.fromkeys(_pair(domain, one) for one in retrain_on)),
        cooldown=duration(cooldown),
        at_most=count,
        per=duration(period),
        metric=gate.metric,
        holdout=dt.timedelta(days=gate.days),
    )
    if policy.cooldown > policy.per:
        raise RetrainingError(
            model,
            f"cools down for {cooldown}, longer than the {period} that {count} trainings are counted in. Make at_most's period longer.",
        )
    return policy


def gate_rules(model: str, *, metric: str, holdout: str) -> GateRules:
    """How challengers of a model are judged.

    Raises:
        UnknownMetricError: There is no such metric.
        RetrainingError: The holdout is shorter than a day.
    """
    metric_named(metric)
    days = duration(holdout).days
    if days < 1:
        raise RetrainingError(
            model, f"holds out {holdout}, and judging takes whole days. Write holdout='14d'."
        )
    return GateRules(metric=metric).over(days)


def require_triggers(nodes: Mapping[str, Node], domain: str | None = None) -> None:
    """Refuse models that watch what cannot be.

    Args:
        nodes: Every asset that there is, by ``domain/name``.
        domain: Look at watched reports of this domain alone, since others may not be loaded yet; None looks at all.

    Raises:
        TriggerError: A report is unknown, is none, has no such check, or has nothing to do with the model.
    """
    for node in nodes.values():
        policy: Retrain | None = node.extras.get("retrain")
        for report, check in policy.on if policy else ():
            if domain in (None, report.partition("/")[0]):
                _require(node, report, check, nodes)


def _require(model: Node, name: str, check: str, nodes: Mapping[str, Node]) -> None:
    if name == model.asset:
        raise TriggerError(model.asset, name, "which is the model itself. Name a report.")
    report = nodes.get(name)
    if report is None:
        raise TriggerError(model.asset, name, _unknown(name, nodes))
    if not _is_report(report):
        raise TriggerError(
            model.asset, name, f"which is no report. The reports are {_reports(nodes)}."
        )
    has: Sequence[str] = report.extras["checks"]
    if not has:
        raise TriggerError(model.asset, name, "which has no checks. Give the report checks=.")
    if check and check not in has:
        raise TriggerError(model.asset, name, f"with the check '{check}'. It has {names(has)}.")
    if not _ancestors(report) & _own(model):
        raise TriggerError(
            model.asset,
            name,
            "which reads neither the model's scores nor what the model learns from. "
            "Let it read them, or leave it out.",
        )


def _own(model: Node) -> set[str]:
    """The model, what it is trained on, and the feature views and tables that this is made of."""
    trained_on = [read.node for read in model.reads]
    made_of = [
        read.node for one in trained_on for read in one.reads if read.node.layer == "features"
    ]
    return {model.asset, *(one.asset for one in (*trained_on, *made_of))}


def _ancestors(node: Node) -> set[str]:
    found: set[str] = set()
    waiting = [node]
    while waiting:
        for read in waiting.pop().reads:
            if read.node.asset not in found:
                found.add(read.node.asset)
                waiting.append(read.node)
    return found


def _pair(domain: str, trigger: Trigger) -> tuple[str, str]:
    report, check = trigger if isinstance(trigger, tuple) else (trigger, "")
    if isinstance(report, str):
        return (report if "/" in report else f"{domain}/{report}"), check
    return node_of(report).asset, check


def _is_report(node: Node) -> bool:
    return node.contract is None and "learning" not in node.extras


def _reports(nodes: Mapping[str, Node]) -> str:
    return names(sorted(name for name, node in nodes.items() if _is_report(node))) or "none"


def _unknown(name: str, nodes: Mapping[str, Node]) -> str:
    by_last = {one.rpartition("/")[2]: one for one in nodes}
    near = difflib.get_close_matches(name.rpartition("/")[2], by_last, n=1, cutoff=0.6)
    hint = f"Did you mean {by_last[near[0]]}?" if near else f"The reports are {_reports(nodes)}."
    return f"which does not exist. {hint}"
