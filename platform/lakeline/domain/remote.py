"""How a body that runs in another process talks with Dagster: a context with what bodies ask for, and events as messages."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from lakeline.compute.errors import RemoteError
from lakeline.domain.results import Skipped, skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakeline.compute.task import Task
    from lakeline.resource import Lakehouse

Message = dict[str, Any]
"""JSON with a ``kind``: check, result, metadata, skipped, failure or error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteContext:
    """The part of Dagster's context that bodies use, in a process without an instance.

    Attributes:
        resources: By attribute.
        log: Goes to the run's log.
        op_config: What a person set at launch.
    """

    task: "Task"
    resources: SimpleNamespace
    log: logging.Logger
    send: "Callable[[Message], None]"

    @property
    def run(self) -> SimpleNamespace:
        """Id and tags of the run."""
        return SimpleNamespace(run_id=self.task.run_id, tags=dict(self.task.tags))

    @property
    def op_execution_context(self) -> "RemoteContext":
        """Where Dagster has what is not about assets."""
        return self

    @property
    def op_config(self) -> Mapping[str, Any]:
        """What a person set at launch."""
        return self.task.config

    @property
    def partition_key_range(self) -> SimpleNamespace:
        """First and last partition."""
        assert self.task.partitions is not None
        start, end = self.task.partitions
        return SimpleNamespace(start=start, end=end)

    def add_asset_metadata(
        self, metadata: Mapping[str, Any], *, partition_key: str | None = None
    ) -> None:
        """Attach metadata to one partition's materialization."""
        self.send({"kind": "metadata", "metadata": _pack(metadata), "partition": partition_key})


def message_of(event: object) -> Message:
    """What a body yielded, as JSON."""
    if isinstance(event, dg.AssetCheckResult):
        return {
            "kind": "check",
            "name": event.check_name,
            "passed": event.passed,
            "severity": event.severity.value,
            "description": event.description,
            "metadata": _pack(event.metadata or {}),
        }
    if isinstance(event, Skipped):
        return {"kind": "skipped", "keys": list(event.keys)}
    assert isinstance(event, dg.MaterializeResult)
    version = event.data_version.value if event.data_version else None
    return {"kind": "result", "metadata": _pack(event.metadata or {}), "version": version}


def events_of(
    context: dg.AssetExecutionContext,
    asset: str,
    messages: Sequence[Message],
    also: Mapping[str, Any],
) -> Iterator[Any]:
    """What the messages of another process say, as this run's events.

    Args:
        context: Of the run.
        asset: ``domain/name``.
        messages: In the order in which they came.
        also: Shown with the materialization.
    """
    for one in messages:
        kind = one["kind"]
        if kind == "check":
            yield dg.AssetCheckResult(
                check_name=one["name"],
                passed=one["passed"],
                severity=dg.AssetCheckSeverity(one["severity"]),
                description=one["description"],
                metadata=_unpack(one["metadata"]),
            )
        elif kind == "metadata":
            context.add_asset_metadata(_unpack(one["metadata"]), partition_key=one["partition"])
        elif kind == "skipped":
            house: Lakehouse = context.resources.lakehouse
            keys = one["keys"]
            yield from skipped(context, keys, house.ledger.current(asset, keys))
        elif kind == "result":
            version = dg.DataVersion(one["version"]) if one["version"] else None
            metadata = {**_unpack(one["metadata"]), **also}
            yield dg.MaterializeResult(value=None, metadata=metadata, data_version=version)


def raise_failure(asset: str, messages: Sequence[Message]) -> None:
    """Fail as the body did; nothing where it did not.

    Raises:
        dagster.Failure: It failed in lakeline's words.
        RemoteError: Its function raised.
    """
    for one in messages:
        if one["kind"] == "failure":
            raise dg.Failure(description=one["description"], allow_retries=one["can_retry"])
        if one["kind"] == "error":
            raise RemoteError(asset, one["class"], one["text"])


def failure_message(error: BaseException, traceback: str) -> Message:
    """What a body raised, as JSON."""
    if isinstance(error, dg.Failure):
        return {
            "kind": "failure",
            "description": error.description,
            "can_retry": error.allow_retries,
        }
    said = str(error) or "without a word"
    return {
        "kind": "error",
        "class": type(error).__name__,
        "text": said,
        "traceback": traceback,
    }


def _pack(metadata: Mapping[str, Any]) -> dict[str, str]:
    from dagster._core.definitions.metadata import normalize_metadata

    packed = normalize_metadata(dict(metadata))
    return {name: dg.serialize_value(cast("Any", value)) for name, value in packed.items()}


def _unpack(metadata: Mapping[str, str]) -> dict[str, Any]:
    return {name: dg.deserialize_value(text) for name, text in metadata.items()}
