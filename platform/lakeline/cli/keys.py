"""What a person types for an asset, a partition or a selection, and what it means."""

import datetime as dt
import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lakeline.errors import DomainError, names
from lakeline.window import day_start

if TYPE_CHECKING:
    import dagster as dg

    from lakeline.project import Project

SELECTION_SYNTAX = frozenset(':+*()"')


class UnknownAssetError(DomainError):
    """A command names an asset that is not there."""

    def __init__(self, given: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(
            given, [*known, *(one.rpartition("/")[2] for one in known)], n=3, cutoff=0.5
        )
        hint = (
            f"Did you mean {' or '.join(near)}?"
            if near
            else f"There are {names(sorted(known), 20)}."
        )
        super().__init__(f"There is no asset '{given}'. {hint}")


class SelectionError(DomainError):
    """A selection is not in Dagster's syntax."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"'{given}' is no selection of assets. Write a name, or what Dagster's pages take: key:\"flights/weather\", "
            "group:flights_clean+, tag:domain=flights."
        )


class AmbiguousAssetError(DomainError):
    """Several domains have an asset of the name."""

    def __init__(self, given: str, found: Sequence[str]) -> None:
        super().__init__(f"'{given}' may be {' or '.join(found)}. Say which.")


class UnknownPartitionError(DomainError):
    """A command names a partition that was never built."""

    def __init__(self, asset: str, given: str, known: Sequence[str]) -> None:
        near = sorted(known, key=lambda key: _distance(given, key))[:2] if _is_day(given) else []
        hint = f" Nearest are {' and '.join(sorted(near))}." if near else ""
        super().__init__(
            f"'{asset}' has no partition '{given}' that was built. It has {len(known)}, {known[0]} to {known[-1]}.{hint}"
        )


class NotPartitionedError(DomainError):
    """A partition is given for an asset that has none."""

    def __init__(self, asset: str, given: str) -> None:
        super().__init__(f"'{asset}' has no partitions, and '{given}' was given. Leave it out.")


class OutsideRangeError(DomainError):
    """Days are asked for that an asset does not have."""

    def __init__(self, asset: str, given: str, first: str, last: str) -> None:
        super().__init__(f"'{asset}' has no day {given}. Its days are {first} to {last}.")


def find_asset(given: str, known: Iterable[str]) -> str:
    """The asset that is meant by ``domain/name``, ``domain.name`` or a name that is unique.

    Raises:
        UnknownAssetError: There is none; the message has the nearest.
        AmbiguousAssetError: There are several.

    >>> find_asset("planes", ["flights/planes", "flights/weather"])
    'flights/planes'
    """
    assets = sorted(known)
    wanted = given.replace(".", "/", 1)
    found = (
        [wanted] if wanted in assets else [one for one in assets if one.rpartition("/")[2] == given]
    )
    if len(found) > 1:
        raise AmbiguousAssetError(given, found)
    if not found:
        raise UnknownAssetError(given, assets)
    return found[0]


def find_partition(asset: str, given: str | None, known: Sequence[str]) -> str:
    """The partition that is meant among those that were built; the newest where none was named.

    Raises:
        NotPartitionedError: The asset has none and one was named.
        UnknownPartitionError: It was never built.
    """
    present = sorted(known)
    if given is None:
        return present[-1]
    if present == [""]:
        raise NotPartitionedError(asset, given)
    if given not in present:
        raise UnknownPartitionError(asset, given, present)
    return given


def select_assets(project: "Project", given: Sequence[str]) -> "list[dg.AssetKey]":
    """The assets meant by their names, by a domain's, and by selections in Dagster's syntax, ``group:flights_clean+``.

    Raises:
        UnknownAssetError: A name is none of an asset, or a selection fits none.
        SelectionError: A selection cannot be read.
    """
    import dagster as dg
    from dagster._core.definitions.asset_selection import DagsterInvalidAssetSelectionError

    graph = project.definitions.resolve_asset_graph()
    known = {key.to_user_string(): key for key in graph.executable_asset_keys}
    found: set[dg.AssetKey] = set()
    for one in (part.strip() for text in given for part in text.split(",") if part.strip()):
        if not SELECTION_SYNTAX & set(one):
            of_domain = {key for asset, key in known.items() if asset.startswith(f"{one}/")}
            found |= of_domain or {known[find_asset(one, known)]}
            continue
        try:
            chosen = dg.AssetSelection.from_string(one).resolve(graph) & set(known.values())
        except DagsterInvalidAssetSelectionError as error:
            raise SelectionError(one) from error
        if not chosen:
            raise UnknownAssetError(one, sorted(known))
        found |= chosen
    return [key for key in graph.toposorted_asset_keys if key in found]


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _distance(day: str, other: str) -> float:
    """How far two days are apart, in seconds."""
    return abs((day_start(day) - day_start(other)).total_seconds())
