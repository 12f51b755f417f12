"""`lakeline why`: what becomes of a partition and why, and a tree of what it was built from."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import console, count

if TYPE_CHECKING:
    import datetime as dt

    from rich.tree import Tree

    from lakeline.freshness.decision import Decision
    from lakeline.freshness.reasons import Outlook


@click.command()
@click.argument("key")
@click.argument("partition", required=False)
@click.option(
    "--depth",
    default=1,
    show_default=True,
    type=click.IntRange(0, 20),
    help="Steps upstream that are followed.",
)
@click.pass_obj
def why(start: Path | None, key: str, partition: str | None, depth: int) -> None:
    """Tell what becomes of a partition and why, what it was built from, and whether all of that is still so.

    KEY is an asset such as flights/departures, PARTITION one of its days; left out, the newest.
    """
    from lakeline.cli.explain import Explainer
    from lakeline.cli.keys import find_asset, find_partition
    from lakeline.cli.present import present
    from lakeline.cli.reason_tree import tree
    from lakeline.freshness.reasons import explain
    from lakeline.project import load_project

    project = load_project(start)
    ledger = project.house.ledger
    codes = {asset: node.code_version for asset, node in project.nodes.items()}
    explainer = Explainer(ledger, codes)
    asset = find_asset(key, {*project.nodes, *explainer.assets})
    built = explainer.partitions(asset)
    now = present(project)
    outlook = explain(now.graph, ledger, now.plan, asset, partition) if asset in now.graph.vertices else None  # fmt: skip
    is_planned = outlook is not None and bool(outlook.paths) and partition not in built
    wanted = None if not built or (partition and is_planned) else find_partition(asset, partition, built)  # fmt: skip
    screen = console()
    for line in _told(outlook, now.plan.now) if outlook is not None else ():
        screen.print(line)
    reason = explainer.explain(asset, wanted, depth=depth) if wanted is not None else None
    if reason is None:
        screen.print(_never_built(asset, partition))
    else:
        screen.print(tree(reason, now.graph.models))


def _told(outlook: "Outlook", now: "dt.datetime") -> "Iterator[Tree | str]":
    """How fresh an asset is, and what becomes of its partitions next, down to the cause."""
    yield f"[red]{outlook.freshness}" if outlook.is_bad else f"[green]{outlook.freshness}"
    for path in outlook.paths:
        yield _path(path, now)
    if outlook.more:
        yield f"[dim]and {count(outlook.more, 'partition')} more; name one to see why"


def _path(path: "tuple[Decision, ...]", now: "dt.datetime") -> "Tree":
    """A decision with what it rests on below it."""
    from rich.markup import escape
    from rich.tree import Tree

    from lakeline.freshness.reasons import said

    lines = [f"[yellow]{escape(f'{one.place}: {said(one, now)}')}" for one in path]
    branch = top = Tree(lines[0])
    for line in lines[1:]:
        branch = branch.add(line)
    return top


def _never_built(asset: str, partition: str | None) -> str:
    from rich.markup import escape

    from lakeline.ledger import place

    days = f"--from {partition} --to {partition}" if partition else "--from DAY --to DAY"
    return f"{escape(place(asset, partition or ''))} was never built. Build it with: lakeline backfill {days} --select {asset}"
