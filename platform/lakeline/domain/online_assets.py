"""The assets of a view that is online: the one that keeps its newest values there, and the report that compares both."""

import inspect
import math
from collections.abc import Iterator
from typing import Any

import dagster as dg

from lakeline.contract.promise import promise
from lakeline.domain.code_version import CodeVersion
from lakeline.domain.conventions import Settings, make_asset
from lakeline.domain.factory import NodeFactory
from lakeline.domain.features import features_of
from lakeline.domain.node import Node, node_of
from lakeline.domain.reads import Read, latest
from lakeline.errors import DomainError

CLOCK = "clock"
ONLINE = "_online"
DAY_S = 86_400
PARITY = "parity"
"""Name of the check, and end of the report's name."""
FEATURE_TYPES = {
    "int32": "int32",
    "int64": "int64",
    "float32": "float32",
    "float64": "float64",
    "string": "string",
    "bool": "bool",
    "timestamp": "timestamp",
    "binary": "binary",
}
KEY_TYPES = {"int32": "int64", "int64": "int64", "string": "string", "binary": "binary"}


class OnlineTypeError(DomainError):
    """A view that is to be online has a column of a type that cannot be."""

    def __init__(self, asset: str, column: str, kind: str, known: list[str]) -> None:
        super().__init__(
            f"'{asset}' is to be online, and its column '{column}' is {kind}. Online may be {', '.join(known)}: make it one "
            "of these, or write online=False."
        )


def online_node(factory: NodeFactory, view: dg.AssetsDefinition) -> Node:
    """The node of the asset that keeps a view online.

    Raises:
        OnlineTypeError: A column cannot be online.
    """
    read_node = node_of(view)
    online_types(read_node)
    days = math.ceil((read_node.ttl_s or 0) / DAY_S) + 1

    def newest() -> None:
        return None

    newest.__doc__ = (
        f"The newest values of `{read_node.asset}` for serving, an entity a row; a value older than its time to live is "
        f"not served.\n\n{inspect.getdoc(read_node.function) or ''}"
    )
    return Node(
        domain=factory.domain,
        name=f"{read_node.name}{ONLINE}",
        layer="features",
        daily=False,
        function=newest,
        code=CodeVersion(lambda: (promise(read_node.columns), read_node.entities, read_node.ttl_s)),
        reads=(latest(view, days=days),),
        extras={
            "source_file": inspect.getsourcefile(read_node.function),
            "online_of": read_node.asset,
        },
    )


def online_types(node: Node) -> tuple[dict[str, str], dict[str, str]]:
    """Types of the entities and of the features that are kept online."""
    kinds = {name: column.dtype.kind for name, column in node.columns.columns.items()}
    return (
        _types(node, node.entities, kinds, KEY_TYPES),
        _types(node, features_of(node), kinds, FEATURE_TYPES),
    )


def make_online_asset(node: Node, settings: Settings) -> dg.AssetsDefinition:
    """The asset of such a node."""

    def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from lakeline.domain.serving import build_online

        yield from build_online(context, node)

    return make_asset(node, settings, run, resources=[CLOCK])


def parity_node(view: dg.AssetsDefinition, online: dg.AssetsDefinition) -> Node:
    """The node of a view's report; it reads the view as far as that is online."""
    node, held = node_of(view), node_of(online)

    def compare() -> None:
        return None

    compare.__doc__ = (
        f"Whether `{node.asset}` is the same online as offline: reads that were served, a value at a time, against the "
        "view's rows as of the same moment. Where they differ, the cause is named if one gives the values served."
    )
    return Node(
        domain=node.domain,
        name=f"{node.name}_{PARITY}",
        layer="monitoring",
        daily=False,
        function=compare,
        code=CodeVersion(lambda: (held.code_version,)),
        reads=(*held.reads, Read(asset=online)),
        extras={
            "source_file": inspect.getsourcefile(node.function),
            "checks": (PARITY,),
            "parity_of": node.asset,
        },
    )


def make_parity_asset(node: Node, settings: Settings) -> dg.AssetsDefinition:
    """The asset of such a node."""

    def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from lakeline.domain.parity_report import build_parity

        yield from build_parity(context, node)

    return make_asset(node, settings, run)


def _types(node: Node, names: Any, kinds: dict[str, Any], known: dict[str, str]) -> dict[str, str]:
    for name in names:
        if kinds[name] not in known:
            raise OnlineTypeError(node.asset, name, kinds[name], list(known))
    return {name: known[kinds[name]] for name in names}
