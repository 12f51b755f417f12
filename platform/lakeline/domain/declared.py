"""What is checked when an asset is declared, before anything runs."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from lakeline.contract import Contract
from lakeline.domain.code_version import Reading, reached
from lakeline.domain.node import Node
from lakeline.domain.reach import imported_values
from lakeline.domain.reads import Read
from lakeline.errors import DomainError

EMPTY = ("fail", "warn", "allow")
"""What a day without rows may mean."""


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


def refuse_undeclared(node: Node, reading: Reading) -> None:
    """Refuse a function that mentions an asset which is no dependency, or calls one that does.

    Args:
        node: Of the function.
        reading: What was read for others already.

    Raises:
        UndeclaredReadError: The asset is neither in ``reads`` nor in ``deps``.
    """
    declared = {key for read in node.reads for key in read.asset.keys}
    declared |= {one.key for one in node.extras["deps"]}
    for thing in reached(node.function, reading):
        for value in (*(one.value for one in reading.mentions(thing)), *imported_values(thing)):
            if isinstance(value, dg.AssetsDefinition) and declared.isdisjoint(value.keys):
                raise UndeclaredReadError(
                    node.asset, value.key.to_user_string(), thing.__qualname__
                )


def refuse_reads(asset: str, reads: Sequence[Read], *, is_daily: bool) -> None:
    """Refuse dependencies that contradict each other or the partitions of the asset.

    Raises:
        DomainError: One stands there twice, or its ``past`` or ``latest`` does not fit.
    """
    seen: set[str] = set()
    for read in reads:
        name = read.node.asset
        if name in seen:
            raise DomainError(
                f"'{asset}' reads '{name}' twice. Keep the one that reaches further back."
            )
        seen.add(name)
        _refuse_span(asset, read, is_daily=is_daily)


def _refuse_span(asset: str, read: Read, *, is_daily: bool) -> None:
    name = read.node.name
    if not read.node.daily and (read.back_days or read.last_days is not None):
        raise DomainError(
            f"'{asset}' reads days of '{name}', which has one partition for all. Write reads=[{name}]."
        )
    if read.back_days and not is_daily:
        raise DomainError(
            f"'{asset}' has one partition for all, so no days before it. Write latest({name}, days=…)."
        )
    if read.last_days is not None and is_daily:
        raise DomainError(
            f"'{asset}' is daily, so it reads its own days. Write past({name}, days=…)."
        )
    if read.back_days < 0 or (read.last_days is not None and read.last_days < 1):
        raise DomainError(
            f"'{asset}' reads a number of days of '{name}' that is none. Write one above 0."
        )


def refuse_table(
    asset: str, contract: type[Contract], *, is_daily: bool, empty: str = "allow"
) -> None:
    """Refuse a table that cannot be parted into days, or with an unknown rule for empty ones.

    Raises:
        DomainError: It says which, and what to write.
    """
    if is_daily and contract.event_time is None:
        raise DomainError(
            f"'{asset}' is daily, but {contract.__name__} has no event time. Mark its column with event_time=True, "
            "or make the table one partition with daily=False."
        )
    if empty not in EMPTY:
        raise DomainError(f"'{asset}' has empty='{empty}'. Use one of {', '.join(EMPTY)}.")


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


def require_times(
    function: Callable[..., Any], contract: type[Contract], entities: Sequence[str]
) -> None:
    """Raise `DomainError` where a feature view lacks its entities, an event time or a knowledge time."""
    absent = [name for name in entities if name not in contract.columns]
    if absent:
        raise DomainError(
            f"Feature view '{function.__name__}' has no column {', '.join(absent)} for its entities."
        )
    if contract.event_time is None or contract.knowledge_time is None:
        raise DomainError(
            f"Feature view '{function.__name__}' needs an event time and a knowledge time: mark a column of "
            f"{contract.__name__} with event_time=True and one with knowledge_time=True."
        )
