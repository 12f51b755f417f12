"""Stored networks made alive, and their scores."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from lakeline.neural.architectures import build_network
from lakeline.neural.errors import NoTensorsError
from lakeline.neural.weights import pack, unpack

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SCORED_ROWS = 65_536
"""Rows that are scored at once."""


@lru_cache(maxsize=8)
def native_network(
    payload: bytes, architecture: str, config: str, sizes: Sequence[int], numbers: int
) -> nn.Module:
    """The network of a payload on the CPU, made once, ready to score.

    Args:
        payload: Its weights.
        architecture: What builds it.
        config: JSON of what that is given.
        sizes: Codes of each categorical feature.
        numbers: How many numbers a row has.

    Raises:
        UnknownArchitectureError: Its factory cannot be imported.
        NoTensorsError: The payload is none, or is that of another architecture.
    """
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are thrown away
        network = build_network(architecture, json.loads(config), sizes=sizes, numbers=numbers)
    tensors = {name: torch.from_numpy(values) for name, values in unpack(payload).items()}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise NoTensorsError(f"they do not fit {architecture}: {error}") from error
    return network.eval().requires_grad_(requires_grad=False)


def payload_of(network: nn.Module) -> bytes:
    """The weights of a network as a model stores them."""
    return pack({name: one.detach().cpu().numpy() for name, one in network.state_dict().items()})


def scores(
    network: nn.Module, codes_NC: "npt.NDArray[np.int32]", numbers_NK: "npt.NDArray[np.float32]"
) -> "npt.NDArray[np.float64]":
    """Probability of each row, shape ``(N,)``: on the CPU with one thread, so that it is the same everywhere."""
    import numpy as np

    found = []
    with threads(1), torch.inference_mode():
        for start in range(0, len(codes_NC), SCORED_ROWS):
            part = slice(start, start + SCORED_ROWS)
            logits_B = network(torch.from_numpy(codes_NC[part]), torch.from_numpy(numbers_NK[part]))
            found.append(torch.sigmoid(logits_B.double()).numpy())
    return np.concatenate(found)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use so many threads while the block lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
