"""Building a model version again from its capsule, and what differs where the result is not the same."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeline.domain.chosen import trainer
from lakeline.domain.node import Node
from lakeline.errors import DomainError
from lakeline.lake.holds import tag_of
from lakeline.models.capsule import Capsule
from lakeline.models.environment import Environment, present_environment
from lakeline.models.trial import attempt
from lakeline.window import Window

if TYPE_CHECKING:
    from lakeline.lake import Lake
    from lakeline.models.table_rows import TableRows
    from lakeline.models.training import TrainedModel


class SnapshotGoneError(DomainError):
    """What a version learned from is no longer in the lake."""

    def __init__(self, asset: str, version: int, table: str, snapshot_id: int, tag: str) -> None:
        super().__init__(
            f"{asset}@{version} cannot be built again: table '{table}' has no snapshot {snapshot_id}, which it learned "
            f"from. Its tag {tag} was taken away and maintenance removed it. Restore the table from a backup, or train again."
        )


class CodeDriftError(DomainError):
    """The function that trained a version has become another one."""

    def __init__(
        self, asset: str, version: int, *, then: str, now: str, environment: Environment
    ) -> None:
        super().__init__(
            f"{asset}@{version} was trained by code version {then}, and the code is {now} now. "
            f"{_where(environment, asset.rpartition('/')[2], version)} "
            "Add --anyway to build it with the present code and compare."
        )


GPU_TOLERANCE = 1e-3
"""Largest difference of a probability between a network that a GPU trained and the same one built again on a GPU.

Its kernels are asked to sum in one order, which another kind of GPU, or another release of its libraries, does in another
one; over a training the last digits grow. On a CPU the bytes must be equal.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What building a version again gave.

    Attributes:
        digest: SHA-256 of what was trained.
        rows: Rows that it learned from.
        content: Hash of them.
        code_version: Of the function that trained.
        environment: Where and with what.
        judged_digest: SHA-256 of the model that was measured; None where none was.
        metrics: What it was measured at.
        wall_s: Time that it took.
        deviation: Largest difference of its probabilities to those of the registered version, on the rows that it learned
            from; None where the two were not compared.
    """

    digest: str
    rows: int
    content: str
    code_version: str
    environment: Environment
    judged_digest: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    deviation: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not as it was."""

    what: str
    then: str
    now: str


def require_same_code(node: Node, version: int, capsule: Capsule) -> None:
    """Refuse to build a version with other code than trained it.

    Raises:
        CodeDriftError: It says which commit has that code.
    """
    if node.code_version != capsule.code_version:
        raise CodeDriftError(
            node.asset,
            version,
            then=capsule.code_version,
            now=node.code_version,
            environment=capsule.environment,
        )


def require_snapshot(lake: "Lake", version: int, capsule: Capsule) -> None:
    """Refuse to begin where the data is gone.

    Raises:
        SnapshotGoneError: It says which snapshot of which table.
    """
    table, wanted = lake.find(capsule.data.table), capsule.data.snapshot_id
    if table is None or table.metadata.snapshot_by_id(wanted) is None:
        tag = tag_of(capsule.asset.replace("/", "."), version)
        raise SnapshotGoneError(capsule.asset, version, capsule.data.table, wanted, tag)


def is_of_gpu(capsule: Capsule) -> bool:
    """Whether a GPU trained the version, so that equal probabilities are what can be asked of another training."""
    return capsule.params.get("device") == "cuda"


def is_reproduced(capsule: Capsule, rebuilt: Rebuilt) -> bool:
    """Whether the version was built again: the same bytes, or from a GPU the same probabilities within `GPU_TOLERANCE`."""
    if rebuilt.digest == capsule.digest:
        return True
    is_close = rebuilt.deviation is not None and rebuilt.deviation <= GPU_TOLERANCE
    return is_of_gpu(capsule) and is_close


def rebuild(
    lake: "Lake",
    node: Node,
    capsule: Capsule,
    *,
    is_judged: bool = False,
    registered: "TrainedModel | None" = None,
) -> Rebuilt:
    """Train again on what the capsule names, with the present code.

    Args:
        lake: Where the training set is.
        node: The model asset.
        capsule: Of the version.
        is_judged: Whether to train and measure the model of the metrics too.
        registered: The version itself, whose probabilities are compared; left out, none are.

    Raises:
        UnknownSnapshotError: The snapshot is gone.
    """
    train = past_rows(lake, capsule, capsule.data.learned_until)
    model = trainer(node, capsule.chosen)(train, capsule.seed)
    judged: dict[str, Any] = _judged(lake, node, capsule) if is_judged else {}
    return Rebuilt(
        digest=model.digest,
        rows=train.count,
        content=train.version,
        code_version=node.code_version,
        environment=present_environment(node.function),
        deviation=_deviation(model, registered, train) if registered else None,
        **judged,
    )


def past_rows(lake: "Lake", capsule: Capsule, until: dt.datetime) -> "TableRows":
    """The labelled rows up to a moment as the training saw them, in the same order.

    Raises:
        UnknownSnapshotError: The snapshot is gone.
    """
    from lakeline.lake.past import schema_at
    from lakeline.models.table_rows import TableRows

    data, table = capsule.data, lake.load(capsule.data.table)
    schema_at(table, data.snapshot_id)
    window = Window(start=data.read_from, end=data.read_until)
    return TableRows.of(
        table, capsule.learning, window=window, until=until, snapshot_id=data.snapshot_id
    )


def differences(capsule: Capsule, rebuilt: Rebuilt) -> list[Difference]:
    """Everything that is not as it was when the version was trained, what weighs most first."""
    return list(_differences(capsule, rebuilt))


def metric_differences(before: Mapping[str, float], rebuilt: Rebuilt) -> list[Difference]:
    """Metrics that are not exactly what was registered."""
    return [
        Difference(what=name, then=str(before.get(name)), now=str(rebuilt.metrics.get(name)))
        for name in sorted({*before, *rebuilt.metrics})
        if before.get(name) != rebuilt.metrics.get(name)
    ]


def _differences(capsule: Capsule, rebuilt: Rebuilt) -> Iterator[Difference]:
    pairs = {
        "rows": (str(capsule.data.rows), str(rebuilt.rows)),
        "content of the rows": (capsule.data.content[:12], rebuilt.content[:12]),
        "code version": (capsule.code_version, rebuilt.code_version),
    }
    then, now = capsule.environment.facts(), rebuilt.environment.facts()
    pairs |= {name: (then.get(name, "-"), now.get(name, "-")) for name in {**then, **now}}
    for name, (before, after) in pairs.items():
        if before != after:
            yield Difference(what=name, then=before, now=after)


def _deviation(model: "TrainedModel", registered: "TrainedModel", rows: "TableRows") -> float:
    import numpy as np

    return max(
        float(np.abs(model.predict(frame) - registered.predict(frame)).max())
        for shard in rows.shards()
        for frame in rows.read(shard)
        if frame.height
    )


def _judged(lake: "Lake", node: Node, capsule: Capsule) -> dict[str, Any]:
    data = capsule.data
    later = past_rows(lake, capsule, data.judged_until).after(data.judged_from, data.columns)
    trial = attempt(
        node.asset,
        trainer(node, capsule.chosen),
        past_rows(lake, capsule, data.judged_from),
        later,
        schedule=capsule.learning.schedule,
        seed=capsule.seed,
    )
    return {"judged_digest": trial.model.digest, "metrics": trial.numbers}


def _where(environment: Environment, name: str, version: int) -> str:
    """Where the code is that trained, in words."""
    if environment.commit is None:
        return "It was in no git repository, so nothing says where that code is."
    commit = environment.commit[:12]
    if environment.is_dirty:
        return f"It was commit {commit} with uncommitted changes, so perhaps no commit has it as it was."
    return f"Commit {commit} has that code: git worktree add ../{name}-{version} {commit}."
