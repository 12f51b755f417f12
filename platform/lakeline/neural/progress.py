"""How far a training is, told to whoever surrounds it: figures by name, of each epoch and every few seconds.

Every report has ``event`` (``epoch``, ``step``, ``resumed``, ``stopped`` or ``traced``), ``model``, ``epoch``, ``epochs``,
``step`` and ``steps``. An epoch adds ``train_loss``, ``held_loss`` and ``held_auc`` (where rows are held out),
``learning_rate``, ``rows_s``, ``loader_share`` (time that the training waited for its rows), ``eta_s`` and ``device``.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakeline.models.surroundings import Report

EVERY_S = 5.0


@dataclass
class Progress:
    """Tells of one training.

    Attributes:
        report: Who is told; nobody but in the first process.
        about: What is part of every report.
        steps: Steps of all epochs.
    """

    report: Report
    about: Mapping[str, Any]
    steps: int
    _told_s: float = field(default_factory=time.monotonic)
    _begun_s: float = field(default_factory=time.monotonic)
    _first_step: int = 0

    def begin(self, step: int) -> None:
        """The training goes on from a step; what time it takes is counted from here."""
        self._first_step, self._begun_s = step, time.monotonic()

    def eta_s(self, step: int) -> float:
        """Time that the steps left would take at the speed so far."""
        done = step - self._first_step
        spent_s = time.monotonic() - self._begun_s
        return spent_s / done * (self.steps - step) if done else float("nan")

    def tell(self, event: str, **figures: Any) -> None:
        """Tell now."""
        self._told_s = time.monotonic()
        self.report({"event": event, **self.about, "steps": self.steps, **figures})

    def tell_step(self, step: int, epoch: int, loss: float) -> None:
        """Tell of a step, if nothing was told for some seconds."""
        if time.monotonic() - self._told_s >= EVERY_S:
            eta_s = self.eta_s(step)
            self.tell("step", step=step, epoch=epoch, train_loss=loss, eta_s=eta_s)
