"""`lakeline lake holds`: which snapshots are kept for which model versions, and what that costs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import console, count, size

if TYPE_CHECKING:
    from lakeline.lake.holds import Hold
    from lakeline.project import Project


@click.command()
@click.option("--release-deleted", is_flag=True, help="Let go of what deleted versions held.")
@click.pass_obj
def holds(start: Path | None, release_deleted: bool) -> None:  # noqa: FBT001 - click's way
    """List the snapshots that tags keep from expiring, with the room that each takes."""
    from lakeline.domain.capsules import held_tables
    from lakeline.project import load_project

    project = load_project(start)
    found = list(held_tables(project.house.lake))
    for one in found:
        share = f"{one.share:.1%} of its {size(one.present_bytes)}"
        console().print(
            f"[bold]{one.table}[/bold]  {count(len(one.held), 'hold')}, {size(one.size_bytes)}, {share}"
        )
        for held in one.held:
            _tell(project, held, is_release=release_deleted)
    if not found:
        console().print("Nothing is held")


def _tell(project: "Project", held: "Hold", *, is_release: bool) -> None:
    from lakeline.domain.capsules import is_deleted
    from lakeline.lake.holds import release

    version = held.version
    name = f"{version[0]}@{version[1]}" if version else held.tag
    is_gone = is_deleted(project.house.registry, held)
    said = "  [yellow]the version is deleted" if is_gone else ""
    if is_gone and is_release:
        release(project.house.lake, held.table, held.tag)
        said = "  released: its version is deleted"
    console().print(f"  {name}  snapshot {held.snapshot_id}  {size(held.size_bytes)} alone{said}")
