"""A network whose steps take a while and leave a line, so that steps that were done twice can be counted."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

STEP_S = 0.02


class SlowNetwork(nn.Module):  # type: ignore[misc, unused-ignore]
    """A linear layer over the numbers."""

    def __init__(self, *, sizes: Sequence[int], numbers: int) -> None:
        super().__init__()
        self.linear = nn.Linear(numbers + len(sizes), 1)

    def forward(self, codes_BC: Tensor, numbers_BK: Tensor) -> Tensor:
        """Logits, shape ``(B,)``."""
        if self.training:
            time.sleep(STEP_S)
            with (Path(os.environ["PLACED_STATE"]) / "steps.log").open("a") as file:
                file.write("step\n")
        logits_B1: Tensor = self.linear(torch.cat([codes_BC.float(), numbers_BK], dim=1))
        return logits_B1.squeeze(1)
