"""Networks by name: a plan or a stored model says the name and plain values, and a factory that can be imported builds it.

A factory takes ``sizes``, the number of codes of each categorical feature, ``numbers``, how many numbers a row has, and the
plan's ``config`` by keyword. Its module maps codes, shape ``(B, C)``, and numbers, shape ``(B, K)``, to logits, shape ``(B,)``.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lakeline.neural.errors import UnknownArchitectureError

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {"tabular_mlp": "lakeline.neural.mlp:TabularMlp"}
)
"""Where the factory of each name is: module and function."""


def build_network(
    architecture: str, config: Mapping[str, Any], *, sizes: Sequence[int], numbers: int
) -> "nn.Module":
    """A network with random weights, from torch's present seed.

    Args:
        architecture: Name in `ARCHITECTURES`, or ``module:factory``.
        config: What the factory is given beside the sizes of its input.
        sizes: Codes of each categorical feature, shape ``(C,)``.
        numbers: How many numbers a row has, K.

    Raises:
        UnknownArchitectureError: There is none of the name, or it cannot be imported.
    """
    network: nn.Module = _factory(architecture)(sizes=sizes, numbers=numbers, **config)
    return network


def factory_module(architecture: str) -> str:
    """The module that an architecture's code is in.

    Raises:
        UnknownArchitectureError: There is none of the name.
    """
    return _place(architecture)[0]


def _factory(architecture: str) -> Callable[..., Any]:
    module, name = _place(architecture)
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownArchitectureError(architecture, ARCHITECTURES, str(error)) from error
    return found


def _place(architecture: str) -> tuple[str, str]:
    module, colon, name = ARCHITECTURES.get(architecture, architecture).partition(":")
    if not (colon and module and name):
        raise UnknownArchitectureError(architecture, ARCHITECTURES)
    return module, name
