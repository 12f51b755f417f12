"""`lakeline reproduce` and `lakeline diff`: is a model version what it says it is, and what tells two of them apart."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import console, count, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table as Grid

    from lakeline.cli.versions import Named
    from lakeline.domain.rebuilding import Difference, Rebuilt
    from lakeline.models.capsule import Capsule
    from lakeline.models.difference import Line
    from lakeline.project import Project

UNEXPLAINED = (
    "Nothing else differs, so the training itself is not repeatable. Take every random choice from the seed, "
    "and every order from sorted values."
)


@click.command()
@click.argument("version", metavar="MODEL@VERSION")
@click.option("--metrics", is_flag=True, help="Build and measure the model of the metrics too.")
@click.option("--anyway", is_flag=True, help="Also with other code than trained it.")
@click.pass_obj
def reproduce(start: Path | None, version: str, metrics: bool, anyway: bool) -> None:  # noqa: FBT001 - click's way
    """Build a version of a model again, bit for bit, and say whether it is the same.

    MODEL@VERSION is for example flights/delay_lightgbm@3, or @champion. The exit code is 1 where the two differ.
    """
    from lakeline.cli.rebuilding import rebuild_apart
    from lakeline.cli.versions import find_version
    from lakeline.domain.rebuilding import require_same_code, require_snapshot
    from lakeline.project import load_project

    project = load_project(start)
    named = find_version(project, version)
    capsule = project.house.registry.capsule(named.node.table, named.number)
    require_snapshot(project.house.lake, named.number, capsule)
    if not anyway:
        require_same_code(named.node, named.number, capsule)
    rebuilt = rebuild_apart(project.place.root, capsule, is_judged=metrics)
    if not _told(project, named, capsule, rebuilt):
        raise SystemExit(1)


@click.command()
@click.argument("first", metavar="MODEL@VERSION")
@click.argument("second", metavar="MODEL@VERSION")
@click.option("--all", "is_all", is_flag=True, help="Also what both have in common.")
@click.pass_obj
def diff(start: Path | None, first: str, second: str, is_all: bool) -> None:  # noqa: FBT001 - click's way
    """Show two versions of a model side by side: data, code, parameters, metrics and importance of features."""
    from lakeline.cli.versions import find_version
    from lakeline.models.difference import side_by_side, side_of
    from lakeline.project import load_project

    project = load_project(start)
    named = [find_version(project, one) for one in (first, second)]
    sides = [side_of(project.house.registry, one.node.table, one.number) for one in named]
    lines = side_by_side(*sides)
    shown = [one for one in lines if is_all or not one.is_same]
    if not shown:
        console().print(f"{named[0]} and {named[1]} are the same in everything that is compared")
        return
    console().print(_grid(str(named[0]), str(named[1]), shown))
    if same := len(lines) - len(shown):
        console().print(f"[dim]{count(same, 'thing')} the same in both: --all shows them")


def _told(project: "Project", named: "Named", capsule: "Capsule", rebuilt: "Rebuilt") -> bool:
    """Say how it went; whether the versions are equal."""
    from lakeline.domain.rebuilding import differences, is_reproduced, metric_differences

    screen = console()
    found = differences(capsule, rebuilt)
    is_same = is_reproduced(capsule, rebuilt)
    _tell_model(screen, named, capsule, rebuilt, is_same=is_same)
    _tell_differences(screen, found, "differs from the training")
    if not is_same and not found:
        screen.print(UNEXPLAINED)
    if not rebuilt.judged_digest:
        return is_same
    registry = project.house.registry
    before = registry.metrics(registry.version(named.node.table, named.number))
    moved = metric_differences(before, rebuilt)
    if not moved:
        screen.print(f"Its {count(len(before), 'metric')} are exactly what was registered")
    _tell_differences(screen, moved, "is another metric than was registered")
    return is_same and not moved


def _tell_model(
    screen: "Console", named: "Named", capsule: "Capsule", rebuilt: "Rebuilt", *, is_same: bool
) -> None:
    rows = f"from {count(rebuilt.rows, 'row')} of snapshot {capsule.data.snapshot_id} in {seconds(rebuilt.wall_s)}"
    if is_same and rebuilt.digest != capsule.digest:
        screen.print(f"{named} was trained on a GPU and gives the same scores: built again {rows}")
        screen.print(f"  largest difference of a probability {rebuilt.deviation:.1e}")
        return
    if is_same:
        screen.print(f"{named} is the same, bit for bit: built again {rows}")
        screen.print(f"  sha256 {rebuilt.digest}")
        return
    screen.print(f"[red]{named} is not the same[/red]: built again {rows}")
    screen.print(f"  sha256 then {capsule.digest}")
    screen.print(f"  sha256 now  {rebuilt.digest}")


def _tell_differences(screen: "Console", found: "Sequence[Difference]", said: str) -> None:
    for one in found:
        screen.print(f"  [yellow]{one.what}[/yellow] {said}: {one.then} then, {one.now} now")


def _grid(first: str, second: str, lines: "Sequence[Line]") -> "Grid":
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "", first, second):
        grid.add_column(heading, overflow="fold")
    before = ""
    for one in lines:
        if before and one.part != before:
            grid.add_row()
        grid.add_row(one.part if one.part != before else "", one.name, one.first, one.second)
        before = one.part
    return grid
