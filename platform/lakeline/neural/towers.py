"""Two towers: a user and an item each become a vector, and how well these agree decides, so that items can be looked up.

The towers are those of Yi et al. (2019, "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations"),
trained on what was shown and clicked or not. Beside their product every feature has a straight effect, those of the context,
a position say, among them (the wide part of Cheng et al. 2016, https://arxiv.org/abs/1606.07792).

Shapes: B batch, C categorical features, K numbers, E width of an embedding, V width of a tower's vector.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn


class TwoTowers(nn.Module):
    """Logit that a user takes an item: the product of their vectors, and the straight effect of every feature.

    Features are told apart by their places: those that belong to neither tower have their straight effect alone.
    """

    offsets_C: Tensor  # noqa: N815 - arrays carry their shape

    def __init__(  # noqa: PLR0913 - what a plan may choose, all by keyword
        self,
        *,
        sizes: Sequence[int],
        numbers: int,
        user_codes: Sequence[int] = (),
        item_codes: Sequence[int] = (),
        user_numbers: Sequence[int] = (),
        item_numbers: Sequence[int] = (),
        embedding: int = 8,
        vector: int = 8,
        dropout: float = 0.2,
        base_logit: float = 0.0,
    ) -> None:
        """A network with random weights.

        Args:
            sizes: Codes of each categorical feature, shape ``(C,)``.
            numbers: K.
            user_codes: Places of the user's features among the categorical ones.
            item_codes: Those of the item's.
            user_numbers: Places of the user's features among the numbers.
            item_numbers: Those of the item's.
            embedding: E.
            vector: V.
            dropout: Share of a tower's input that a step leaves out.
            base_logit: Where the logit starts: that of the label's share, which rare labels would take epochs to reach.
        """
        super().__init__()
        offsets = [0, *accumulate(sizes)][: len(sizes)]
        self.register_buffer(
            "offsets_C", torch.tensor(offsets, dtype=torch.int32), persistent=False
        )
        self.user = list(user_codes), list(user_numbers)
        self.item = list(item_codes), list(item_numbers)
        self.embedding = nn.Embedding(max(1, sum(sizes)), embedding)
        self.effects = nn.Embedding(max(1, sum(sizes)), 1)
        nn.init.normal_(self.embedding.weight, std=0.05)
        nn.init.zeros_(self.effects.weight)
        self.user_tower = _tower(self.user, embedding, vector, dropout)
        self.item_tower = _tower(self.item, embedding, vector, dropout)
        self.wide = nn.Linear(numbers, 1)
        nn.init.zeros_(self.wide.weight)
        nn.init.zeros_(self.wide.bias)
        self.base_logit = base_logit

    def forward(self, codes_BC: Tensor, numbers_BK: Tensor) -> Tensor:
        """Logits, shape ``(B,)``."""
        user_BV = self.user_vectors(codes_BC, numbers_BK)
        item_BV = self.item_vectors(codes_BC, numbers_BK)
        agreed_B = (user_BV * item_BV).sum(dim=1) / user_BV.shape[1] ** 0.5
        named_B = self.effects(codes_BC + self.offsets_C).sum(dim=(1, 2))
        return self.base_logit + agreed_B + named_B + self.wide(numbers_BK).squeeze(1)

    def user_vectors(self, codes_BC: Tensor, numbers_BK: Tensor) -> Tensor:
        """Users as vectors, shape ``(B, V)``."""
        return self.user_tower(self._inputs(self.user, codes_BC, numbers_BK))

    def item_vectors(self, codes_BC: Tensor, numbers_BK: Tensor) -> Tensor:
        """Items as vectors, shape ``(B, V)``."""
        return self.item_tower(self._inputs(self.item, codes_BC, numbers_BK))

    def _inputs(
        self, side: tuple[list[int], list[int]], codes_BC: Tensor, numbers_BK: Tensor
    ) -> Tensor:
        codes, numbers = side
        named_BCE = self.embedding((codes_BC + self.offsets_C)[:, codes])
        return torch.cat([named_BCE.flatten(1), numbers_BK[:, numbers]], dim=1)


def _tower(
    side: tuple[list[int], list[int]], embedding: int, vector: int, dropout: float
) -> nn.Module:
    codes, numbers = side
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(len(codes) * embedding + len(numbers), vector), nn.Tanh()
    )
