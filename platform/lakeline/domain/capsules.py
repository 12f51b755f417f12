"""Capsules of model assets: sealed when a version is registered, and what they need held in the lake from then on."""

from contextlib import suppress
from typing import TYPE_CHECKING

from lakeline.domain.handles import Table
from lakeline.domain.node import Node
from lakeline.lake.holds import (
    Hold,
    Holds,
    UnknownSnapshotError,
    hold,
    holds_of,
    release,
    tag_of,
    tags,
)
from lakeline.models.capsule import CAPSULE, Capsule, Data
from lakeline.models.environment import present_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lakeline.lake import Lake
    from lakeline.models.registry import Registry
    from lakeline.models.rows import Rows
    from lakeline.models.training import TrainedModel
    from lakeline.models.trial import Trial
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse


def seal(
    node: Node,
    handle: Table,
    trial: "Trial",
    *,
    final: "TrainedModel",
    learned: "Rows",
    columns: "Sequence[str]",
    seed: int,
    chosen: "Mapping[str, object]",
) -> Capsule | None:
    """The capsule of a model; None where its training set has no snapshot.

    Args:
        node: The model asset.
        handle: Its training set, pinned.
        trial: How its quality was measured.
        final: What is to be registered.
        learned: The rows that it learned from.
        columns: What was read of the training set.
        seed: Seed of the training.
        chosen: Settings that the function was given.
    """
    if handle.snapshot_id is None or handle.window is None:
        return None
    data = Data(
        table=handle.node.table,
        snapshot_id=handle.snapshot_id,
        columns=tuple(columns),
        read_from=handle.window.start,
        read_until=handle.window.end,
        learned_until=learned.end,
        judged_from=trial.test.start,
        judged_until=trial.test.end,
        rows=learned.count,
        content=learned.version,
    )
    return Capsule(
        asset=node.asset,
        digest=final.digest,
        judged_digest=trial.model.digest,
        data=data,
        learning=node.extras["learning"],
        seed=seed,
        chosen=dict(chosen),
        params=final.settings,
        code_version=node.code_version,
        environment=present_environment(node.function),
    )


def hold_version(lake: "Lake", version: "RegisteredVersion") -> None:
    """Keep what a version with a capsule learned from until it is released; holding it twice is as once.

    A version that was there before, whose snapshots maintenance took while nothing held them, is left as it is:
    `lakeline reproduce` says what it lacks.

    Raises:
        UnknownSnapshotError: A snapshot that was just learned from is gone.
    """
    if CAPSULE not in version.tags:
        return
    for table, snapshot_id in version.snapshots.items():
        try:
            hold(lake, table, snapshot_id, tag_of(version.name, version.version))
        except UnknownSnapshotError:
            if not version.reused:
                raise


def hold_missing(house: "Lakehouse", models: "Iterable[str]") -> list[str]:
    """Hold what versions learned from that a process died before holding, or a registry took in elsewhere; gives their tags.

    Called before snapshots are forgotten.

    Args:
        house: Whose models and lake.
        models: Names that models are registered under.
    """
    found = []
    for version in (one for name in models for one in house.registry.versions(name)):
        tag = tag_of(version.name, version.version)
        tables = [house.lake.find(name) for name in version.snapshots]
        if CAPSULE not in version.tags or all(one is None or tag in tags(one) for one in tables):
            continue
        with suppress(UnknownSnapshotError):
            hold_version(house.lake, version)
            found.append(tag)
    return found


def delete_version(house: "Lakehouse", name: str, number: int) -> None:
    """Forget a version of a model, and let go of what was held for it.

    Raises:
        UnknownModelError: There is no such version.
    """
    version = house.registry.version(name, number)
    house.registry.delete(name, number)
    release_version(house.lake, version)


def release_version(lake: "Lake", version: "RegisteredVersion") -> None:
    """Let go of what is held for a version; nothing where nothing is."""
    tag = tag_of(version.name, version.version)
    for name in version.snapshots:
        table = lake.find(name)
        if table is not None and tag in tags(table):
            release(lake, name, tag)


def held_tables(lake: "Lake") -> "Iterator[Holds]":
    """Each table of which something is held, with what that costs."""
    for name in lake.tables():
        if tags(lake.load(name)):
            yield holds_of(lake, name)


def is_deleted(registry: "Registry", one: Hold) -> bool:
    """Whether it is held for a version that the registry no longer has, deleted with MLflow's own tools for example."""
    if one.version is None:
        return False
    name, number = one.version
    return number not in {found.version for found in registry.versions(name)}
