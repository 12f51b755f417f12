"""What surrounds a training: where its checkpoints go, who hears how far it is, and which device it takes.

Whoever runs a training says so around it; the function that trains asks nothing and works without:

    with surrounded(checkpoints="s3://bucket/checkpoints", report=context.log.info):
        model = train(rows, seed)
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

Report = Callable[[Mapping[str, Any]], None]
Device = Literal["auto", "cpu", "cuda"]


def say_nothing(_figures: Mapping[str, Any]) -> None:
    """A report that nobody hears."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Around one training.

    Attributes:
        checkpoints: Folder or ``s3://`` address below which checkpoints and traces go; None keeps none.
        properties: How a bucket is reached, under the names that a lake's properties have; left out, by the environment.
        report: Told of every epoch, every few seconds, and of what was resumed; see `lakeline.neural.progress`.
        device: ``auto`` is a GPU where there is one.
    """

    checkpoints: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    report: Report = say_nothing
    device: Device = "auto"


_PRESENT: ContextVar[Surroundings] = ContextVar("surroundings", default=Surroundings())  # noqa: B039 - it is frozen


def surroundings() -> Surroundings:
    """Those of the present training; outside of any, none."""
    return _PRESENT.get()


@contextmanager
def surrounded(
    *,
    checkpoints: str | None = None,
    properties: Mapping[str, str] | None = None,
    report: Report = say_nothing,
    device: Device = "auto",
) -> Iterator[Surroundings]:
    """Surround the trainings of a block.

    Args:
        checkpoints: Folder or ``s3://`` address.
        properties: How a bucket is reached, such as ``lake.properties``.
        report: Called with figures by name.
        device: Where the network is.
    """
    found = Surroundings(
        checkpoints=checkpoints, properties=properties or {}, report=report, device=device
    )
    before = _PRESENT.set(found)
    try:
        yield found
    finally:
        _PRESENT.reset(before)
