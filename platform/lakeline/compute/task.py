"""What a process or pod is told so that it can build an asset by itself: where the asset is, which partitions, with what."""

import base64
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg

from lakeline.compute.errors import UnsendableResourceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One build of one asset, in JSON's types alone.

    Attributes:
        asset: ``domain/name``.
        module: Module of its function.
        package: Folder of its domain, to be loaded where that module does not declare it, as with a dbt model; empty where
            the domain was not loaded as a folder.
        file: Of that module, for one that cannot be imported by its name.
        run_id, tags: Of Dagster's run.
        partitions: First and last partition; None for an unpartitioned asset.
        config: What a person set at launch.
        resources: Resources by key, pickled and in base64; None where the worker takes those of its own code location.
        definitions: The code location as Dagster writes it down, for a worker that takes its resources from there.
        placement: ``subprocess`` or ``kubernetes``.
        gpus: UUIDs of the GPUs that it holds.
        asks_gpu: Whether its asset asks for a GPU, held or not.
    """

    asset: str
    module: str
    file: str
    run_id: str
    tags: Mapping[str, str]
    placement: str
    package: str = ""
    partitions: tuple[str, str] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, str] | None = None
    definitions: str = ""
    gpus: tuple[str, ...] = ()
    asks_gpu: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a dictionary ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Task":
        """The task that `to_json` wrote."""
        partitions = said["partitions"]
        return cls(
            **{
                **said,
                "partitions": tuple(partitions) if partitions else None,
                "gpus": tuple(said["gpus"]),
            }
        )


def packed(asset: str, resources: Mapping[str, object]) -> dict[str, str]:
    """Resources as text.

    Raises:
        UnsendableResourceError: One cannot be pickled.
    """
    found = {}
    for key, value in resources.items():
        try:
            found[key] = base64.b64encode(pickle.dumps(_bare(value))).decode()
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise UnsendableResourceError(asset, key, str(error)) from error
    return found


def unpacked(resources: Mapping[str, str]) -> dict[str, Any]:
    """The resources of `packed`, which only this program's own parent process wrote, into a file that is its user's alone."""
    return {key: _whole(pickle.loads(base64.b64decode(text))) for key, text in resources.items()}  # noqa: S301


@dataclass(frozen=True, slots=True)
class _Configured:
    """A resource of Dagster's as its class and its fields: the object itself holds on to the run that made it."""

    kind: type[dg.ConfigurableResource[Any]]
    fields: Mapping[str, Any]


def _bare(value: object) -> object:
    if not isinstance(value, dg.ConfigurableResource):
        return value
    names = type(value).model_fields
    return _Configured(type(value), {name: _bare(getattr(value, name)) for name in names})


def _whole(value: object) -> object:
    if not isinstance(value, _Configured):
        return value
    return value.kind(**{name: _whole(one) for name, one in value.fields.items()})
