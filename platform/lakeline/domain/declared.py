"""What is checked when an asset is declared, before anything runs."""

import datetime as dt
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg

from lakeline.contract import Contract
from lakeline.domain.chosen import PARAMS
from lakeline.domain.code_version import Reading, reached
from lakeline.domain.conventions import duration
from lakeline.domain.node import Node
from lakeline.domain.reach import imported_values
from lakeline.domain.reads import Read
from lakeline.errors import DomainError

EMPTY = ("fail", "warn", "allow")
"""What a day without rows may mean."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What can name an asset: a table, a key of Dagster's and a step of a run take it."""


class NoFunctionError(DomainError):
    """Something that can be called and is no function is to make an asset."""

    def __init__(self, given: object) -> None:
        super().__init__(
            f"{given!r} is no function, and an asset takes its name, its docstring and its code from one. "
            "Write a function with def and call it there."
        )


class AssetNameError(DomainError):
    """A name that not every system takes."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' cannot name an asset. Write a function with def, named with the letters a to z, digits and _."
        )


class RepeatedAssetError(DomainError):
    """A domain declares two assets of one name."""

    def __init__(self, asset: str) -> None:
        super().__init__(
            f"'{asset}' is declared twice, so one would take the other's place. Give one of the functions another name."
        )


class ArgumentsError(DomainError):
    """A function does not take what its asset will give it."""

    def __init__(self, asset: str, takes: Sequence[str], given: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' takes ({', '.join(takes)}) but will be given ({', '.join(given)}): "
            "the window of a daily asset, then one handle for each of reads=, then the source."
        )


class KeywordOnlyError(DomainError):
    """A function takes by keyword alone what its asset gives it by position."""

    def __init__(self, asset: str, keywords: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' takes {', '.join(keywords)} by keyword alone, and is given everything by position. "
            "Take away the * before it."
        )


class UndeclaredReadError(DomainError):
    """A function mentions an asset that its asset does not declare."""

    def __init__(self, asset: str, mentioned_asset: str, where: str) -> None:
        super().__init__(
            f"'{asset}' mentions '{mentioned_asset}' in {where}() but does not declare it. "
            "Add it to reads= and use the handle that the function is then given."
        )


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function, which is that of its asset.

    Raises:
        NoFunctionError: It is a partial, a class or another object that can be called.
        AssetNameError: It cannot name an asset, as that of a lambda.
    """
    if not hasattr(inspect.unwrap(function), "__code__"):
        raise NoFunctionError(function)
    if NAME.fullmatch(function.__name__) is None:
        raise AssetNameError(function.__name__)
    return function.__name__


def refuse_repeated(assets: Iterable[dg.AssetsDefinition]) -> None:
    """Raise `RepeatedAssetError` where two assets have one name."""
    seen: set[dg.AssetKey] = set()
    for key in (key for one in assets for key in one.keys):
        if key in seen:
            raise RepeatedAssetError(key.to_user_string())
        seen.add(key)


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
    if is_daily and f"{contract.event_time}_day" in contract.columns:
        raise DomainError(
            f"'{asset}' is daily, and its column {contract.event_time}_day has the name that its partitions have in the "
            "lake. Give the column another name, such as event_date."
        )
    if empty not in EMPTY:
        raise DomainError(f"'{asset}' has empty='{empty}'. Use one of {', '.join(EMPTY)}.")


def require_arguments(
    asset: str, function: Callable[..., Any], given: Sequence[str]
) -> tuple[str, ...]:
    """Names of the function's parameters, as many as it will be given.

    Raises:
        ArgumentsError: Their number differs.
        KeywordOnlyError: One is not taken by position.
    """
    parameters = inspect.signature(function).parameters
    takes = tuple(parameters)
    if len(takes) != len(given):
        raise ArgumentsError(asset, takes, given)
    # Settings that a search chose are given by keyword, to models alone.
    if named := [name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY and name != PARAMS]:  # fmt: skip
        raise KeywordOnlyError(asset, named)
    return takes


def require_ttl(function: Callable[..., Any], ttl: str) -> float:
    """Seconds that a feature's value may be used.

    Raises:
        DomainError: It is no length of time, or one of nothing.
    """
    length = duration(ttl)
    if length <= dt.timedelta(0):
        raise DomainError(
            f"Feature view '{name_of(function)}' has ttl='{ttl}', so its values could be used for no time at all. "
            "Write how old a value may get, such as 6h."
        )
    return length.total_seconds()


def require_times(
    function: Callable[..., Any], contract: type[Contract], entities: Sequence[str]
) -> None:
    """Raise `DomainError` where a feature view lacks its entities, an event time or a knowledge time."""
    absent = [name for name in entities if name not in contract.columns]
    if absent:
        raise DomainError(
            f"Feature view '{name_of(function)}' has no column {', '.join(absent)} for its entities."
        )
    if contract.event_time is None or contract.knowledge_time is None:
        raise DomainError(
            f"Feature view '{name_of(function)}' needs an event time and a knowledge time: mark a column of "
            f"{contract.__name__} with event_time=True and one with knowledge_time=True."
        )
