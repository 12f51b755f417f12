"""`lakeline features`: the features there are, what their values look like, and the registry that Feast reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import console, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

    from lakeline.domain.node import Node
    from lakeline.features.on_demand import OnDemand
    from lakeline.features.statistics import FeatureStatistics
    from lakeline.project import Project

NEWEST = 30
"""Partitions that statistics are told of where nothing else is asked for."""


@click.group(invoke_without_command=True)
@click.pass_context
def features(context: click.Context) -> None:
    """The features: owner, how far they reach, who uses them; alone, it lists them."""
    if context.invoked_subcommand is None:
        from lakeline.project import load_project

        console().print(features_table(load_project(context.obj)))


@features.command()
@click.argument("view")
@click.option(
    "--last",
    default=NEWEST,
    show_default=True,
    type=click.IntRange(1),
    help="Newest partitions that the numbers are of.",
)
@click.pass_obj
def show(start: Path | None, view: str, last: int) -> None:
    """Tell of one view: its features with their values' range, its users, and an example to copy.

    VIEW is an asset such as flights/origin_backlog.
    """
    from lakeline.domain.measuring import measured
    from lakeline.features.statistics import merge_partitions
    from lakeline.project import load_project

    project = load_project(start)
    node = _view(project, view)
    held = measured(project.house, node, last)
    screen = console()
    screen.print(f"[bold]{node.asset}[/bold]: {_first_line(node.function.__doc__)}")
    screen.print(
        f"keys {', '.join(node.entities)}; used for {_hours(node.ttl_s)} after the event; "
        f"{'online' if node.extras.get('online') else 'not online'}; owner {node.extras.get('owner', '-')}"
    )
    screen.print(f"used by {', '.join(_users(project)[node.asset]) or 'nobody yet'}")
    screen.print()
    screen.print(_numbers(node, merge_partitions(held.values()) if held else {}))
    if held:
        days = list(held)
        screen.print(f"[dim]values of {len(days)} partitions, {days[0]} to {days[-1]}")
    screen.print("\n[bold]To copy")
    screen.print(_example(node), soft_wrap=True, markup=False)


@features.command()
@click.pass_obj
def apply(start: Path | None) -> None:
    """Register what the domains declare with Feast; what is no longer declared is taken out."""
    from lakeline.domain.feast.objects import objects_of
    from lakeline.domain.feast.project import apply as apply_objects
    from lakeline.project import load_project

    project = load_project(start)
    for domain, held in declared(project).items():
        objects = objects_of(held.nodes, held.on_demand)
        apply_objects(project.house, domain, objects)
        console().print(
            f"{domain}: {len(objects.entities)} entities, {len(objects.views)} views, "
            f"{len(objects.on_demand)} on-demand views, {len(objects.services)} services"
        )


@features.command()
@click.pass_obj
def repository(start: Path | None) -> None:
    """Write the folder of each domain that `feast` and `feast ui` work in."""
    from lakeline.domain.feast.project import write_repository
    from lakeline.project import load_project

    project = load_project(start)
    for domain, held in declared(project).items():
        package = held.views[0].function.__module__.rpartition(".")[0]
        folder = write_repository(project.house, domain, package)
        console().print(f"{domain}: feast --chdir {folder} feature-views list", soft_wrap=True)


def features_table(project: "Project") -> "Table":
    """One row a view, in the order of their names."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("view", "keys", "features", "time to live", "online", "complete up to", "owner", "used by"):  # fmt: skip
        table.add_column(heading)
    reached = {one.asset: one.watermark for one in project.house.ledger.summary()}
    users = _users(project)
    for held in declared(project).values():
        for node in held.views:
            table.add_row(*_line(node, moment(reached.get(node.asset)), users[node.asset]))
        for one in held.on_demand:
            table.add_row(one.name, "of the request", str(len(one.features)), "-", "computed", "-", one.owner, "")  # fmt: skip
    return table


def _line(node: "Node", reached: str, users: "Iterable[str]") -> tuple[str, ...]:
    from lakeline.domain.features import features_of

    return (
        node.asset,
        ", ".join(node.entities),
        str(len(features_of(node))),
        _hours(node.ttl_s),
        "yes" if node.extras.get("online") else "no",
        reached,
        str(node.extras.get("owner", "-")),
        ", ".join(users),
    )


def _numbers(node: "Node", found: "Mapping[str, FeatureStatistics]") -> "Table":
    from rich.table import Table

    from lakeline.domain.features import features_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("feature", "null", "distinct", "5 %", "median", "95 %", "meaning"):
        is_text = heading in {"feature", "meaning"}
        table.add_column(heading, justify="left" if is_text else "right")
    for name in features_of(node):
        said = node.columns.columns[name].description
        table.add_row(name, *_spread(found.get(name)), said)
    return table


def _spread(one: "FeatureStatistics | None") -> tuple[str, ...]:
    if one is None or not one.rows:
        return ("-",) * 5
    shown = (f"{one.null_share:.1%}", f"{one.distinct:,.0f}")
    if not one.quantiles or not one.present:
        return (*shown, "-", "-", "-")
    return (*shown, *(f"{value:,.4g}" for value in one.quantile(0.05, 0.5, 0.95)))


def _example(node: "Node") -> str:
    domain = node.domain
    return (
        f"@{domain}.training_set(features=[{node.name}, …], label=…, at=…, known=…, contract=…, reads=[…])\n"
        f'store.get_historical_features(entity_df=rows, features=["{node.name}:{_any(node)}"]).to_arrow()'
    )


def _any(node: "Node") -> str:
    from lakeline.domain.features import features_of

    return features_of(node)[0]


def _view(project: "Project", given: str) -> "Node":
    from lakeline.cli.keys import find_asset

    views = {asset: node for asset, node in project.nodes.items() if node.entities}
    return views[find_asset(given, views)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What a domain declares of features.

    Attributes:
        nodes: All its assets.
        views: Its feature views.
        on_demand: What it computes from requests.
    """

    nodes: "list[Node]"
    views: "list[Node]"
    on_demand: "tuple[OnDemand, ...]"


def declared(project: "Project") -> dict[str, Declared]:
    """The features of each domain that has some, by its name."""
    nodes = project.nodes
    return {
        registry.domain: Declared(
            nodes=(held := [one for one in nodes.values() if one.domain == registry.domain]),
            views=[one for one in held if one.entities],
            on_demand=registry.extras["on_demand"],
        )
        for registry in nodes.values()
        if "on_demand" in registry.extras
    }


def _users(project: "Project") -> "dict[str, list[str]]":
    """Assets that read each view, by the view."""
    found: dict[str, list[str]] = {}
    for asset, node in project.nodes.items():
        found.setdefault(asset, [])
        for read in node.reads:
            if not {"online_of", "parity_of"} & node.extras.keys():
                found.setdefault(read.node.asset, []).append(asset)
    return found


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]


def _hours(ttl_s: float | None) -> str:
    if ttl_s is None:
        return "ever"
    hours = ttl_s / 3600
    return f"{hours:g} h" if hours < 48 else f"{hours / 24:g} days"
