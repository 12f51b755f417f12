"""The asset that registers what a domain declares with Feast, and does so again when that has changed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.code_version import CodeVersion
from lakeline.domain.conventions import Settings, make_asset
from lakeline.domain.factory import computed
from lakeline.domain.features import Joined
from lakeline.domain.node import Node
from lakeline.features.on_demand import OnDemand

if TYPE_CHECKING:
    from lakeline.domain.feast.objects import Objects
    from lakeline.domain.single import Made
    from lakeline.resource import Lakehouse

NAME = "feature_registry"


def feature_registry() -> None:
    """The domain's entities, feature views and services as Feast knows them, applied to its registry.

    Feast's own tools work on it: `lakeline features repository` writes the folder that `feast` and `feast ui` read.
    """


def registry_node(
    domain: str, nodes: Mapping[str, Node], on_demand: Sequence[OnDemand]
) -> Node | None:
    """The node of a domain's registry; None where it has no feature views."""
    views = [node for node in nodes.values() if node.entities]
    if not views:
        return None
    models = [node for node in nodes.values() if "learning" in node.extras]
    return Node(
        domain=domain,
        name=NAME,
        layer="features",
        daily=False,
        function=feature_registry,
        code=CodeVersion(
            lambda: (
                [_declared(node) for node in views],
                computed(Joined(on_demand=tuple(on_demand))),
                [(node.name, *node.extras["learning"].features) for node in models],
            )
        ),
        extras={"on_demand": tuple(on_demand)},
    )


def _declared(node: Node) -> tuple[object, ...]:
    columns = [replace(one, checks=()) for one in node.columns.columns.values()]
    return node.name, node.entities, node.ttl_s, columns, node.extras.get("online")


def make_registry_asset(
    node: Node,
    settings: Settings,
    nodes: Mapping[str, Node],
    on_demand: Sequence[OnDemand],
) -> dg.AssetsDefinition:
    """The asset of such a node."""

    def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from lakeline.domain.single import build_single

        yield from build_single(context, node, lambda house: _made(house, node, nodes, on_demand))

    return make_asset(node, settings, run)


def _made(
    house: "Lakehouse", node: Node, nodes: Mapping[str, Node], on_demand: Sequence[OnDemand]
) -> "Made":
    from lakeline.domain.feast.objects import objects_of
    from lakeline.domain.feast.project import apply
    from lakeline.domain.recording import Outcome
    from lakeline.domain.single import Made

    objects = objects_of(nodes.values(), on_demand)
    apply(house, node.domain, objects)
    version = hashlib.sha256(node.code_version.encode()).hexdigest()[:32]
    return Made(
        outcome=Outcome(version=version, watermark=None, rows=0, size_bytes=0),
        metadata=_metadata(objects),
    )


def _metadata(objects: "Objects") -> dict[str, Any]:
    lines = ["| view | entities | features | time to live |", "|---|---|---|---|"]
    for name, view in objects.views.items():
        features = ", ".join(field.name for field in view.features)
        lines.append(f"| {name} | {', '.join(view.entities)} | {features} | {view.ttl} |")
    for name, computed_view in objects.on_demand.items():
        features = ", ".join(field.name for field in computed_view.features)
        lines.append(f"| {name} | of the request | {features} | |")
    return {
        "entities": len(objects.entities),
        "feature_views": len(objects.views),
        "on_demand_views": len(objects.on_demand),
        "feature_services": ", ".join(objects.services) or "none",
        "views": dg.MetadataValue.md("\n".join(lines)),
    }
