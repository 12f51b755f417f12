"""`lakeline why`: a tree of why a partition is what it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import SHORT, console, count, moment, seconds, size

if TYPE_CHECKING:
    from rich.tree import Tree

    from lakeline.cli.explain import Reading, Reason
    from lakeline.cli.project import Project

SHOWN_MOVED = 3
SHOWN_EARLIER = 3


@click.command()
@click.argument("key")
@click.argument("partition", required=False)
@click.option(
    "--depth",
    default=2,
    show_default=True,
    type=click.IntRange(0, 20),
    help="Steps upstream that are followed.",
)
@click.pass_obj
def why(start: Path | None, key: str, partition: str | None, depth: int) -> None:
    """Tell what a partition was built from, and whether all of that is still so.

    KEY is an asset such as flights/departures, PARTITION one of its days; left out, the newest.
    """
    from lakeline.cli.explain import Explainer
    from lakeline.cli.keys import UnknownAssetError, find_asset, find_partition
    from lakeline.cli.project import load_project
    from lakeline.domain.node import nodes

    project = load_project(start)
    explainer = Explainer(
        project.house.ledger, {asset: node.code_version for asset, node in nodes().items()}
    )
    asset = find_asset(key, {*nodes(), *explainer.assets})
    built = explainer.partitions(asset)
    for line in outlook(project, asset, partition):
        console().print(line)
    if not built:
        console().print(
            f"{asset} was never built. Build it with: lakeline backfill --from DAY --to DAY --select {asset}"
        )
        return
    reason = explainer.explain(asset, find_partition(asset, partition, built), depth=depth)
    if reason is None:
        raise UnknownAssetError(asset, explainer.assets)
    console().print(tree(reason))


def outlook(project: "Project", asset: str, partition: str | None) -> "Iterator[Tree | str]":
    """How fresh an asset is, and what becomes of it or one of its partitions next, down to the cause."""
    from rich.tree import Tree

    from lakeline.domain.node import nodes
    from lakeline.freshness.declared import graph_of
    from lakeline.freshness.reasons import explain

    graph = graph_of(nodes())
    if asset not in graph.vertices:
        return
    found = explain(graph, project.house.ledger, asset, partition, project.clock.now())
    yield f"[yellow]{found.freshness}" if found.is_bad else f"[green]{found.freshness}"
    for path in found.paths:
        branch = top = Tree(f"[yellow]{path[0]}")
        for one in path[1:]:
            branch = branch.add(f"[yellow]{one}")
        yield top
    if found.more:
        yield f"[dim]and {count(found.more, 'partition')} more; name one to see why"


def tree(reason: "Reason") -> "Tree":
    """A reason with everything it rests on."""
    from rich.tree import Tree

    return _grown(Tree(f"[bold]{_place(reason.asset, reason.partition)}"), reason)


def _grown(branch: "Tree", reason: "Reason") -> "Tree":
    for line in _facts(reason):
        branch.add(line)
    for reading in reason.readings:
        twig = branch.add(f"read [bold]{reading.asset}[/bold] {_which(reading)}".rstrip())
        for line in _reading_facts(reading):
            twig.add(line)
        if reading.origin is not None:
            _grown(
                twig.add(f"[bold]{_place(reading.asset, reading.origin.partition)}"), reading.origin
            )
    return branch


def _facts(reason: "Reason") -> Iterator[str]:
    build, current = reason.build, reason.current
    yield (
        f"built {moment(current.ended_ts)} UTC by run {build.run_id or '(outside Dagster)'}, {build.placement}, "
        f"in {seconds(build.wall_s)} ({seconds(build.cpu_s)} cpu)"
    )
    rows = f"{count(current.rows, 'row')}, " if current.rows else ""
    reach = f", complete up to {moment(current.watermark)} UTC" if current.watermark else ""
    yield f"{rows}{size(current.bytes)}, version {current.version[:SHORT]}{reach}"
    yield _code(reason)
    if current.snapshot_id is not None:
        yield f"in snapshot {current.snapshot_id} of table {reason.asset.replace('/', '.', 1)}"
    yield from _state(reason)
    yield from _earlier(reason)


def _code(reason: "Reason") -> str:
    built_by = reason.current.code_version
    if reason.present_code is None:
        return f"code {built_by}; [yellow]the asset is no longer declared"
    if built_by == reason.present_code:
        return f"code {built_by}, the present one"
    return f"code {built_by}; [yellow]the present code is {reason.present_code}, so building it again may change it"


def _state(reason: "Reason") -> Iterator[str]:
    if not reason.readings:
        yield "[green]consistent[/green]: it is read from a source, not from other assets"
    elif reason.current.marked:
        days = f"--from {reason.partition} --to {reason.partition} " if reason.partition else ""
        days = days or "--from DAY --to DAY "
        yield (
            f"[yellow]to build again[/yellow]: {reason.current.marked_by} has another version than the one that was read. "
            f"Run: lakeline backfill {days}--select {reason.asset}"
        )
    else:
        yield "[green]consistent[/green]: everything that it read is still the present version"


def _earlier(reason: "Reason") -> Iterator[str]:
    for one in reason.earlier[:SHOWN_EARLIER]:
        same = (
            "the same content"
            if one.version == reason.current.version
            else f"version {one.version[:SHORT]}"
        )
        yield f"[dim]before: {same}, built {moment(one.ended_ts)} UTC by run {one.run_id or '(outside Dagster)'}"


def _reading_facts(reading: "Reading") -> Iterator[str]:
    if reading.columns:
        yield f"columns {', '.join(reading.columns)}"
    if reading.snapshots:
        yield f"pinned to snapshot {', '.join(str(one) for one in reading.snapshots)}"
    if reading.absent:
        yield f"[dim]{count(reading.absent, 'partition')} did not exist"
    if not reading.moved:
        yield (
            "[green]still the present version"
            if len(reading.partitions) == 1
            else "[green]all still the present versions"
        )
    for one in reading.moved[:SHOWN_MOVED]:
        place = _place(reading.asset, one.partition)
        versions = f"read {one.read[:SHORT] or '-'}, now {one.present[:SHORT] or '-'}"
        yield f"[yellow]{place} {one.said}[/yellow] ({versions})"
    if len(reading.moved) > SHOWN_MOVED:
        yield f"[yellow]and {len(reading.moved) - SHOWN_MOVED} more"


def _which(reading: "Reading") -> str:
    first, last = reading.partitions[0], reading.partitions[-1]
    if len(reading.partitions) == 1:
        return _escaped(first)
    return f"{_escaped(f'{first} to {last}')} ({len(reading.partitions)} partitions)"


def _place(asset: str, partition: str) -> str:
    return f"{asset}{_escaped(partition)}"


def _escaped(partition: str) -> str:
    """The partition in brackets, which would be markup unescaped."""
    return f"\\[{partition}]" if partition else ""
