"""One run of a model asset: train on the past, judge on later days, and let the gate decide who serves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.alone import alone
from lakeline.domain.build import as_failure
from lakeline.domain.challenge import Asked, build_of, register, settle, tried
from lakeline.domain.champion import in_service
from lakeline.domain.chosen import chosen_of
from lakeline.domain.delivery import saying_what_waits
from lakeline.domain.handles import Table, open_table
from lakeline.domain.leaked import require_no_leaks
from lakeline.domain.node import Node
from lakeline.domain.results import skipped
from lakeline.domain.selection import to_build
from lakeline.domain.training_config import TrainingConfig
from lakeline.domain.training_progress import told_to
from lakeline.domain.training_result import Verdict, checks, materialization
from lakeline.errors import DomainError
from lakeline.meter import Meter
from lakeline.models.outbox import Outbox
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse


TRAINING = "training"
"""What goes one at a time: two would judge against the same champion, and the slower one would find that it has moved."""


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
    house: Lakehouse = context.resources.lakehouse
    waits = saying_what_waits(house.registry, node)
    with as_failure(context), waits, alone(context, node, TRAINING):
        meter = Meter()
        champion, held = in_service(house, node)
        is_asked = config != TrainingConfig()
        if not is_asked and not to_build(house.ledger, node, [WHOLE], context.run.tags):
            yield from skipped(context, [WHOLE], {WHOLE: held} if held else {})
            return
        handle = open_table(house.lake, house.ledger, node.reads[0], node, None)
        if not config.allow_leaks:
            require_no_leaks(house.ledger, node.asset, handle)
        with told_to(context.log, house):
            verdict = tried(house, node, handle, _asked(config, node, champion), champion)
        version = take_effect(context, node, verdict, handle, meter)
        yield from checks(verdict)
        if champion is None and not verdict.decision.promoted:
            raise NoChampionError(node.asset, verdict.decision.reason)
        yield materialization(house, node, verdict, version)


def take_effect(
    context: dg.AssetExecutionContext, node: Node, verdict: Verdict, handle: Table, meter: Meter
) -> "RegisteredVersion":
    """Register what was trained, and let the gate's word take effect."""
    house: Lakehouse = context.resources.lakehouse
    version = register(house, node, verdict, handle)
    build = build_of(context.run.run_id, node, verdict, handle)
    settle(house, node, verdict, version, build, meter)
    Outbox.beside(house.registry.folder).settle(node.table, verdict.final.digest)
    return version


def _asked(config: TrainingConfig, node: Node, champion: "RegisteredVersion | None") -> Asked:
    return Asked(
        train_until=config.train_until,
        holdout_days=config.holdout_days,
        seed=config.seed,
        chosen=chosen_of(node, champion),
    )
