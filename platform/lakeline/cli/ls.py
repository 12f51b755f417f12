"""`lakeline ls`: every asset with how far it is, how large, and what it has cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import SHORT, console, count, moment, seconds, size

if TYPE_CHECKING:
    from rich.table import Table

    from lakeline.domain.node import Node
    from lakeline.ledger import AssetSummary
    from lakeline.project import Project


@click.command()
@click.option(
    "--select",
    multiple=True,
    metavar="ASSETS",
    help="Only these: names, or a selection in Dagster's syntax.",
)
@click.pass_obj
def ls(start: Path | None, select: Sequence[str]) -> None:
    """List the assets: watermark, partitions, rows, last version, cost."""
    from lakeline.cli.keys import select_assets
    from lakeline.project import load_project

    project = load_project(start)
    chosen = [key.to_user_string() for key in select_assets(project, select)] if select else None
    console().print(assets_table(project, chosen))


def assets_table(project: "Project", chosen: Sequence[str] | None = None) -> "Table":
    """One row an asset in the order of the graph, those that were never built too.

    Args:
        project: Whose assets.
        chosen: Names of the assets to show; None shows all, and what the ledger knows beside them.
    """
    from rich.table import Table

    from lakeline.domain.health import TAG

    known = {one.asset: one for one in project.house.ledger.summary()}
    graph = project.definitions.resolve_asset_graph()
    order = [
        key.to_user_string()
        for key in graph.toposorted_asset_keys
        if key in graph.executable_asset_keys and TAG not in graph.get(key).tags
    ]
    order += [asset for asset in known if asset not in order]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (
        "asset",
        "complete up to",
        "partitions",
        "rows",
        "size",
        "version",
        "cpu",
        "wall",
        "",
    ):
        numeric = heading in {"partitions", "rows", "size", "cpu", "wall"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    models = {asset for asset, node in project.nodes.items() if "learning" in node.extras}
    for asset in order if chosen is None else chosen:
        one = known.get(asset)
        table.add_row(*(_never(asset, project.nodes) if one is None else _line(one, is_model=asset in models)))  # fmt: skip
    return table


def _never(asset: str, nodes: "Mapping[str, Node]") -> tuple[str, ...]:
    is_manual = asset in nodes and nodes[asset].extras["automation"] == "manual"
    return (asset, *["-"] * 7, "[dim]left to people" if is_manual else "[dim]never built")


def _line(one: "AssetSummary", *, is_model: bool) -> tuple[str, ...]:
    # A model is trained again for reasons of its own, of which changed rows alone are none.
    again = "what it read has changed" if is_model else f"{count(one.marked, 'partition')} to build again"  # fmt: skip
    note = f"[yellow]{again}" if one.marked else ""
    return (
        one.asset,
        moment(one.watermark),
        f"{one.partitions:,}",
        f"{one.rows:,}" if one.rows else "-",
        size(one.bytes),
        one.last_version[:SHORT],
        seconds(one.cpu_s),
        seconds(one.wall_s),
        note,
    )
