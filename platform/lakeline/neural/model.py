"""A trained network as every model is: a frame in, probabilities out, and bytes that say what it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lakeline.models.training import TrainedModel
from lakeline.neural.encoding import Encoding

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkModel(TrainedModel):
    """A network; ``payload`` is its weights as `lakeline.neural.weights` packs them.

    Attributes:
        architecture: Name of what builds it, see `lakeline.neural.architectures`.
        config: What that is given.
        means, scales, flagged: The statistics of the rows that it learned from, see `lakeline.neural.encoding`.
        history: Figures of each epoch of the training that made it; a loaded model has none. No part of its digest.
    """

    flavor: ClassVar[str] = "torch"

    architecture: str
    config: Mapping[str, Any] = field(default_factory=dict)
    means: tuple[float, ...] = field(default=(), repr=False)
    scales: tuple[float, ...] = field(default=(), repr=False)
    flagged: tuple[str, ...] = ()
    history: tuple[Mapping[str, float], ...] = field(default=(), repr=False, compare=False)

    @property
    def encoding(self) -> Encoding:
        """How a matrix becomes the network's input."""
        return Encoding(
            features=self.features,
            categories=self.categories,
            means=self.means,
            scales=self.scales,
            flagged=self.flagged,
        )

    @property
    def settings(self) -> dict[str, object]:
        """The plan by its names, and what the architecture was given."""
        return {**self.params, "architecture": self.architecture, **self.config}

    def native(self) -> "nn.Module":
        """The network itself, on the CPU, ready to score.

        Raises:
            MissingExtraError: torch is not installed.
            UnknownArchitectureError: Its factory cannot be imported.
            NoTensorsError: The payload is none.
        """
        from lakeline.neural.errors import require_torch

        require_torch(f"Model '{self.name}'")
        from lakeline.neural.scoring import native_network

        encoding, config = self.encoding, json.dumps(dict(self.config))
        return native_network(
            self.payload, self.architecture, config, encoding.sizes, encoding.numbers
        )

    def _scores(self, matrix_ND: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        network = self.native()
        from lakeline.neural.scoring import scores

        return scores(network, *self.encoding.encode(matrix_ND))

    def _particulars(self) -> dict[str, object]:
        return {
            "architecture": self.architecture,
            "config": dict(self.config),
            **self.encoding.to_dict(),
        }
