"""What a domain knows of one of its assets beyond what Dagster keeps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.errors import DomainError

if TYPE_CHECKING:
    from lakeline.contract import Contract
    from lakeline.domain.code_version import CodeVersion
    from lakeline.domain.reads import Read
    from lakeline.publishing import Target


class ForeignAssetError(DomainError):
    """An asset in ``reads=`` was not made by a domain, so there is no handle to read it with."""

    def __init__(self, asset: object) -> None:
        super().__init__(
            f"{asset} was not made by a Domain, so it cannot stand in reads=. "
            "Put plain Dagster assets into deps= and read them in the function as you like."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One asset of a domain.

    Attributes:
        daily: Whether it has a partition a UTC day.
        first_partition: Key of the first day, for a daily asset.
        until: Key of the first day that it has not, if its days end.
        contract: Columns of its table; None for models and reports.
        function: What the user wrote.
        code: The version of that, and of what else decides what is made.
        ttl_s: How long a feature's value may be used, seconds.
    """

    domain: str
    name: str
    layer: str
    daily: bool
    function: Callable[..., Any]
    code: "CodeVersion"
    contract: "type[Contract] | None" = None
    reads: "tuple[Read, ...]" = ()
    first_partition: str | None = None
    until: str | None = None
    source: type | None = None
    empty: str = "allow"
    entities: tuple[str, ...] = ()
    ttl_s: float | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def code_version(self) -> str:
        """Twelve hexadecimal digits of its function and of what that reaches; to be asked when all is declared."""
        return self.code.digits()

    @property
    def asset(self) -> str:
        """``domain/name``."""
        return f"{self.domain}/{self.name}"

    def has_day(self, day: str) -> bool:
        """Whether it may ever have a partition of a day, ``YYYY-MM-DD``."""
        begins = self.first_partition is not None and self.first_partition <= day
        return self.daily and begins and (self.until is None or day < self.until)

    @property
    def table(self) -> str:
        """``namespace.table`` in the lake."""
        return f"{self.domain}.{self.name}"

    @property
    def target(self) -> "Target":
        """Where its rows are published.

        Raises:
            DomainError: It has no table.
        """
        from lakeline.publishing import Target

        return Target(
            asset=self.asset,
            contract=self.columns,
            daily=self.daily,
            empty=self.empty,
            code_version=self.code_version,
        )

    @property
    def columns(self) -> "type[Contract]":
        """Its contract.

        Raises:
            DomainError: It has no table.
        """
        if self.contract is None:
            raise DomainError(
                f"'{self.asset}' is not a table: it has no columns to read. Read the table it was made from."
            )
        return self.contract


_NODES: dict[dg.AssetKey, Node] = {}


def register(asset: dg.AssetsDefinition, node: Node) -> None:
    """Remember what a domain knows of an asset; loading definitions again replaces it."""
    _NODES[asset.key] = node


def node_of(asset: dg.AssetsDefinition) -> Node:
    """What the domain knows of an asset.

    Raises:
        ForeignAssetError: No domain made it.
    """
    # Not asset.key: Dagster writes the text of an error first each time, which costs more than all the rest.
    keys = asset.keys if isinstance(asset, dg.AssetsDefinition) else ()
    for key in keys:
        if key in _NODES:
            return _NODES[key]
    raise ForeignAssetError(", ".join(sorted(key.to_user_string() for key in keys)) or asset)


def nodes_of(assets: Iterable[dg.AssetsDefinition]) -> dict[str, Node]:
    """What domains know of the assets that they made, by ``domain/name``; others are left out."""
    keys = (key for one in assets for key in one.keys)
    return {_NODES[key].asset: _NODES[key] for key in keys if key in _NODES}


def nodes() -> dict[str, Node]:
    """Every asset that domains made in this process, by ``domain/name``."""
    return {node.asset: node for node in _NODES.values()}
