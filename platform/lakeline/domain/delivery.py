"""Trained models on their way to the registry: written down first, delivered, and not trained again where that failed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakeline.domain.capsules import hold_version
from lakeline.domain.chosen import trainer
from lakeline.domain.node import Node
from lakeline.errors import LakelineError
from lakeline.models.gate import refuse
from lakeline.models.mlflow_calls import RegistryUnavailableError
from lakeline.models.outbox import Outbox, Pending, Registration, UnregisteredError

if TYPE_CHECKING:
    from lakeline.domain.training_result import Verdict
    from lakeline.models.registry import Registry
    from lakeline.models.rows import Rows
    from lakeline.models.training import TrainedModel
    from lakeline.models.trial import Train
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse

BY_PERSON = "registered from the outbox, and not judged"


def deliver(
    registry: "Registry",
    node: Node,
    one: Registration,
    trainings: "Mapping[str, TrainedModel]",
) -> "RegisteredVersion":
    """Register a model that is first written to the outbox, where it stays until its training has taken effect.

    Args:
        registry: Where it goes.
        node: The model asset.
        one: What it is registered with.
        trainings: What was trained, by the key of each training.

    Raises:
        UnregisteredError: The registry did not take it.
    """
    folder = Outbox.beside(registry.folder).put(one, trainings)
    try:
        return _registered(registry, one)
    except RegistryUnavailableError as error:
        raise UnregisteredError(node.asset, registry.address, error.reason, folder) from error
    except LakelineError:
        raise
    except (
        Exception
    ) as error:  # whatever a registry's client raises, hours of training must not go with it
        raise UnregisteredError(node.asset, registry.address, str(error), folder) from error


@contextmanager
def saying_what_waits(registry: "Registry", node: Node) -> Iterator[None]:
    """Let a registry that does not answer be told together with the model that waits for it, if one does.

    A run that could not deliver is tried again by Dagster, and would else end with the registry's words alone.

    Raises:
        UnregisteredError: A model waits.
    """
    try:
        yield
    except RegistryUnavailableError as error:
        waiting = Outbox.beside(registry.folder).waiting(node.table)
        if not waiting:
            raise
        folder = waiting[-1].folder
        raise UnregisteredError(node.asset, registry.address, error.reason, folder) from error


def deliver_pending(house: "Lakehouse", one: Pending) -> "RegisteredVersion":
    """Register what waits, as a challenger that nobody judged.

    It stays in the outbox, so that the next run of the asset on the same rows judges it without training.

    Raises:
        RegistryUnavailableError: The registry does not answer still.
    """
    version = _registered(house.registry, one.registration())
    hold_version(house.lake, version)
    refuse(house.registry, one.name, version.version, because=BY_PERSON)
    one.is_now(version.version)
    return version


def remembering(registry: "Registry", node: Node, chosen: Mapping[str, object]) -> "Train":
    """The model's function, which takes from the outbox what it has trained before and could not deliver."""
    outbox, train = Outbox.beside(registry.folder), trainer(node, chosen)

    def trained(rows: "Rows", seed: int) -> "TrainedModel":
        if not outbox.waiting(node.table):
            return train(rows, seed)
        found = outbox.trained(node.table, training_key(node, rows, seed, chosen))
        return found if found is not None else train(rows, seed)

    return trained


def trainings_of(node: Node, verdict: "Verdict") -> "dict[str, TrainedModel]":
    """What a verdict's trainings gave: the model that was judged, and the one that was refitted in its place."""
    pairs = ((verdict.trial.train, verdict.trial.model), (verdict.learned, verdict.final))
    return {training_key(node, rows, verdict.seed, verdict.chosen): model for rows, model in pairs}


def training_key(node: Node, rows: "Rows", seed: int, chosen: Mapping[str, object]) -> str:
    """Name of a training: equal where rows, code, seed and settings are, and so where its model would be."""
    told = [
        node.asset,
        node.code_version,
        rows.version,
        [*rows.features],
        f"{rows.start} to {rows.end}",
        seed,
        dict(chosen),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _registered(registry: "Registry", one: Registration) -> "RegisteredVersion":
    return registry.register(
        one.name,
        one.model,
        metrics=one.metrics,
        snapshots=one.snapshots,
        input_example=one.example,
        params=one.params,
        tags=one.tags,
        capsule=one.capsule,
        papers=one.papers,
        form=one.form,
    )
