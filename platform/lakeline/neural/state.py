"""What a training is in the middle of, as bytes: resumed from them, it ends as if nothing had happened.

Chance needs no state: each epoch's order comes from the seed and the epoch, each step's dropout from the seed, the step and
the process. The position in the rows is a number of batches, and the learning rate a function of the step.
"""

import io
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass
class Position:
    """How far a training is.

    Attributes:
        step: Steps done in all.
        epoch: Epochs done, and the number of the present one.
        batch: Batches done of the present epoch.
        loss_sum: Sum of the losses of their rows, in this process's part of them.
        rows: How many that are.
        best_loss: Lowest loss on the held-out rows.
        best_epoch: Epochs that had been done then.
        history: Figures of each epoch done.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    rows: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def end_epoch(self, figures: dict[str, float]) -> None:
        """Go to the next epoch."""
        self.history.append(figures)
        self.epoch, self.batch, self.loss_sum, self.rows = self.epoch + 1, 0, 0.0, 0


@dataclass
class State:
    """Everything that a checkpoint holds.

    Attributes:
        network: Weights of the present step.
        optimizer: Its moments.
        scaler: Of losses in half precision.
        best: Weights of the best epoch; empty before the first.
    """

    network: "nn.Module"
    optimizer: "Optimizer"
    scaler: "torch.amp.GradScaler"
    position: Position = field(default_factory=Position)
    best: dict[str, Tensor] = field(default_factory=dict)

    def keep_best(self) -> None:
        """Remember the present weights."""
        self.best = {name: one.detach().clone() for name, one in self.network.state_dict().items()}

    def restore_best(self) -> None:
        """Go back to the weights that were remembered; nothing where none were."""
        if self.best:
            self.network.load_state_dict(self.best)

    def to_bytes(self) -> bytes:
        """All of it."""
        content = io.BytesIO()
        told: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "position": asdict(self.position),
        }
        torch.save(told, content)
        return content.getvalue()

    def take(self, content: bytes) -> None:
        """Go to the state of :meth:`to_bytes`; nothing in the bytes is run as code."""
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        self.network.load_state_dict(found["network"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.scaler.load_state_dict(found["scaler"])
        device = next(self.network.parameters()).device
        self.best = {name: one.to(device) for name, one in found["best"].items()}
        self.position = Position(**found["position"])
