"""What is checked when an asset is declared, before anything runs."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from lakeline.domain.code_version import mentioned
from lakeline.domain.reads import Read
from lakeline.errors import DomainError


class ArgumentsError(DomainError):
    """A function does not take what its asset will give it."""

    def __init__(self, asset: str, takes: Sequence[str], given: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' takes ({', '.join(takes)}) but will be given ({', '.join(given)}): "
            "the window of a daily asset, then one handle for each of reads=, then the source."
        )


class UndeclaredReadError(DomainError):
    """A function mentions an asset that its asset does not declare."""

    def __init__(self, asset: str, mentioned_asset: str) -> None:
        super().__init__(
            f"'{asset}' mentions '{mentioned_asset}' in its function but does not declare it. "
            "Add it to reads= and use the handle that the function is then given."
        )


def refuse_undeclared(asset: str, function: Callable[..., Any], reads: Sequence[Read]) -> None:
    """Raise `UndeclaredReadError` where the function reaches for an asset that is not among its ``reads``."""
    declared = {read.asset.key for read in reads}
    for _, value in mentioned(function):
        if isinstance(value, dg.AssetsDefinition) and value.key not in declared:
            raise UndeclaredReadError(asset, value.key.to_user_string())


def require_arguments(
    asset: str, function: Callable[..., Any], given: Sequence[str]
) -> tuple[str, ...]:
    """Names of the function's parameters, as many as it will be given.

    Raises:
        ArgumentsError: Their number differs.
    """
    takes = tuple(inspect.signature(function).parameters)
    if len(takes) != len(given):
        raise ArgumentsError(asset, takes, given)
    return takes
