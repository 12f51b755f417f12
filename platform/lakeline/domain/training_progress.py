"""What a training tells while it goes on, as lines of the run's log, and where its checkpoints go."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lakeline.models.surroundings import surrounded

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


BAR = 10
"""Signs of a progress bar."""


class Log(Protocol):
    """A logger, or Dagster's."""

    def log(self, level: int, msg: str, /) -> Any:
        """Write a line."""
        ...


@contextmanager
def told_to(log: Log, house: "Lakehouse") -> Iterator[None]:
    """Surround the trainings of a block: what they report is logged, and they keep checkpoints beside the models."""

    def report(figures: Mapping[str, Any]) -> None:
        log.log(logging.INFO, sentence(figures))

    with surrounded(
        checkpoints=house.checkpoints, properties=house.catalog_properties, report=report
    ):
        yield


def sentence(figures: Mapping[str, Any]) -> str:
    """What a training reports, as a line for people; figures are those of `lakeline.neural.progress`.

    >>> sentence(
    ...     {
    ...         "event": "epoch",
    ...         "model": "m",
    ...         "epoch": 2,
    ...         "epochs": 8,
    ...         "step": 50,
    ...         "steps": 200,
    ...         "train_loss": 0.4821,
    ...         "rows_s": 81234.0,
    ...     }
    ... )
    'm ▰▰▰▱▱▱▱▱▱▱ epoch 2 of 8, loss 0.4821, 81,234 rows/s'
    """
    name, bar = figures.get("model", "training"), _bar(figures.get("step"), figures.get("steps"))
    found = [f"{name} {bar}{_where(figures)}"]
    for name, form in _FORMS.items():
        if figures.get(name) is not None:
            found.append(form.format(figures[name]))
    return ", ".join(found)


_FORMS = {
    "train_loss": "loss {:.4f}",
    "held_loss": "held out {:.4f}",
    "held_auc": "AUC {:.4f}",
    "rows_s": "{:,.0f} rows/s",
    "loader_share": "waited for rows {:.1%}",
    "eta_s": "{:.0f} s left",
    "device": "on {}",
    "file": "{}",
}


def _bar(step: int | None, steps: int | None) -> str:
    """How much is done, in tenths; nothing where it is not known."""
    if step is None or not steps:
        return ""
    done = min(BAR, math.ceil(BAR * step / steps))
    return "▰" * done + "▱" * (BAR - done) + " "


def _where(figures: Mapping[str, Any]) -> str:
    match figures.get("event"):
        case "epoch":
            return f"epoch {figures['epoch']:.0f} of {figures['epochs']}"
        case "step":
            return f"step {figures['step']:,} of {figures['steps']:,}"
        case "resumed":
            return (
                f"goes on from the checkpoint at step {figures['step']:,} of {figures['steps']:,}"
            )
        case event:
            return str(event)
