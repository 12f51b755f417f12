"""What is checked when an asset is declared, before anything runs."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from lakeline.domain.code_version import reached
from lakeline.domain.reach import imported_values, mentioned
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

    def __init__(self, asset: str, mentioned_asset: str, where: str) -> None:
        super().__init__(
            f"'{asset}' mentions '{mentioned_asset}' in {where}() but does not declare it. "
            "Add it to reads= and use the handle that the function is then given."
        )


def refuse_undeclared(
    asset: str,
    function: Callable[..., Any],
    dependencies: Sequence[dg.AssetsDefinition | dg.AssetSpec],
) -> None:
    """Refuse a function that mentions an asset which is no dependency, or calls one that does.

    Raises:
        UndeclaredReadError: The asset is neither in ``reads`` nor in ``deps``.
    """
    declared = {one.key for one in dependencies}
    for thing in reached(function):
        for _, value in (*mentioned(thing), *imported_values(thing)):
            if isinstance(value, dg.AssetsDefinition) and declared.isdisjoint(value.keys):
                raise UndeclaredReadError(asset, value.key.to_user_string(), thing.__qualname__)


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
