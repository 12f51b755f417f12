"""What every decorator of a domain stands on: its name, its days, and how a declared node becomes one of its assets."""

import datetime as dt
import difflib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import dagster as dg

from lakeline.compute.declaration import Compute
from lakeline.domain.code_version import Reading
from lakeline.domain.conventions import Settings, make_asset, with_code_version
from lakeline.domain.declared import refuse_repeated, refuse_undeclared
from lakeline.domain.factory import Function, NodeFactory
from lakeline.domain.node import Node, nodes_of
from lakeline.errors import DomainError
from lakeline.features.on_demand import OnDemand
from lakeline.window import day_start

Decorator = Callable[[Function], dg.AssetsDefinition]
Automation = Literal["auto", "manual"]
Checks: TypeAlias = Sequence[str] | Mapping[str, str]
"""Names of an asset's own checks, or what each looks for by its name."""

HEAVY_KINDS = frozenset({"pyspark", "pytorch", "spark", "torch"})
"""Kinds of assets that run in a process of their own without being told to: what they import stays in it for ever."""

SETTINGS = (
    "automation",
    "compute",
    "deps",
    "fresh",
    "owner",
    "rebuilds_on_code",
    "retries",
    "tags",
)
"""Arguments that every decorator takes."""


class UnknownArgumentError(DomainError):
    """A decorator is given an argument that it does not have."""

    def __init__(self, asset: str, argument: str) -> None:
        close = difflib.get_close_matches(argument, SETTINGS, n=1)
        hint = (
            f"Did you mean {close[0]}?"
            if close
            else f"Beside its own it takes {', '.join(SETTINGS)}."
        )
        super().__init__(
            f"'{asset}' is declared with {argument}=, which its decorator does not have. {hint}"
        )


@dataclass(frozen=True, slots=True)
class Daily:
    """One partition a UTC day, from ``start`` (included) to ``until`` (excluded), both ``YYYY-MM-DD``.

    Raises:
        DomainError: One is no day, or none lies between them.
    """

    start: str
    until: str | None = None

    def __post_init__(self) -> None:
        first, end = self._ends
        if end is not None and end <= first:
            raise DomainError(
                f"Daily('{self.start}', until='{self.until}') has no day. Give a later until: it is not included."
            )

    @functools.cache  # noqa: B019 - there are as many as domains
    def definition(self) -> dg.DailyPartitionsDefinition:
        """The partitions as Dagster takes them, one object for all assets."""
        first, end = self._ends
        return dg.DailyPartitionsDefinition(first, end_date=end)

    @property
    def _ends(self) -> tuple[dt.datetime, dt.datetime | None]:
        return _midnight(self.start), None if self.until is None else _midnight(self.until)


def _midnight(day: str) -> dt.datetime:
    """The moment that begins a day; text like ``20240301`` is refused, since keys of partitions are compared as text."""
    with suppress(ValueError):
        found = day_start(day)
        if found.date().isoformat() == day:
            return found
    raise DomainError(f"'{day}' in Daily(…) is not a day. Write it as YYYY-MM-DD.")


@dataclass(frozen=True)
class DomainCore:
    """The part of a domain that its decorators share; see `lakeline.domain.Domain`."""

    name: str
    owner: str
    partitions: Daily
    automation: Automation = "auto"
    compute: Compute | None = None
    assets: list[dg.AssetsDefinition] = field(default_factory=list)
    on_demand: list[OnDemand] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise DomainError(
                f"'{self.name}' cannot name a domain. Use lower-case letters, digits and _, a letter first."
            )

    def complete(self) -> None:
        """Check what the functions mention, and take their code versions.

        Called when the domain's modules are imported, since a function may call what stands below it; called again, it
        changes nothing.

        Raises:
            RepeatedAssetError: Two assets have one name.
            UndeclaredReadError: A function mentions an asset that it does not declare.
        """
        refuse_repeated(self.assets)
        reading = Reading()
        for node in nodes_of(self.assets).values():
            refuse_undeclared(node, reading)
        self.assets[:] = [with_code_version(one, reading) for one in self.assets]

    @property
    def _nodes(self) -> NodeFactory:
        return NodeFactory(
            domain=self.name, first_partition=self.partitions.start, until=self.partitions.until
        )

    def _add_table(
        self, node: Node, kinds: Sequence[str], settings: dict[str, Any]
    ) -> dg.AssetsDefinition:
        checks = ("contract", *(("reads",) if node.reads else ()), *node.extras["checks"])
        resources = [node.extras["source_key"]] if node.source else []

        def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
            from lakeline.domain.build import build_table

            yield from build_table(context, node)

        asset = make_asset(
            node, self._settings(node.asset, kinds, checks, settings), run, resources=resources
        )
        self.assets.append(asset)
        return asset

    def _settings(
        self, asset: str, kinds: Sequence[str], checks: tuple[str, ...], given: dict[str, Any]
    ) -> Settings:
        given = dict(given)
        tags = tuple(sorted(given.pop("tags", {}).items()))
        for unknown in sorted(set(given) - {*SETTINGS, "blocking", "check_texts"}):
            raise UnknownArgumentError(asset, unknown)
        owner = given.pop("owner", self.owner)
        given.setdefault("automation", self.automation)
        if given.get("compute") is None:
            given["compute"] = self.compute or (Compute() if HEAVY_KINDS & set(kinds) else None)
        given["deps"] = tuple(given.get("deps", ()))
        return Settings(
            owner=owner,
            kinds=frozenset(kinds),
            partitions=self.partitions.definition(),
            checks=checks,
            tags=tags,
            **given,
        )


def texts_of(checks: Checks) -> dict[str, Any]:
    """The setting that says what checks look for."""
    return {"check_texts": tuple(checks.items())} if isinstance(checks, Mapping) else {}
