"""`lakeline demo`: the whole graph over half a year in one run, then the UI with the replay going on."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.ui import PORT, port_option

if TYPE_CHECKING:
    from rich.console import Console

    from lakeline.project import Place, Project

REPLAY_SPEED = 1920.0
"""A day of the replay takes three quarters of a minute: runs keep up on two cores, and challengers come within minutes."""


@click.command()
@click.option("--from", "first", metavar="DAY", help="First day; left out, the deployment's.")
@click.option("--to", "last", metavar="DAY", help="Last day, included; left out, the deployment's.")
@click.option("--no-ui", is_flag=True, help="End when everything is built.")
@click.option(
    "--speed",
    default=REPLAY_SPEED,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds of the replay a second, in the UI.",
)
@port_option
@click.pass_obj
def demo(
    start: Path | None,
    first: str | None,
    last: str | None,
    no_ui: bool,  # noqa: FBT001 - click's way
    speed: float,
    port: int = PORT,
) -> None:
    """Build half a year of everything, then serve the UI while later days come in.

    Run again, it builds only what has changed.
    """
    from lakeline.cli.backfill import build, if_changed_tag, with_references
    from lakeline.cli.console import console
    from lakeline.cli.portions import arrange
    from lakeline.cli.summary import print_summary
    from lakeline.cli.ui import require_ports, serve_project
    from lakeline.clock import halt
    from lakeline.instance import open_instance
    from lakeline.project import find_place

    screen = console()
    with screen.status("Loading the definitions"):
        project, days = load_as_of(find_place(start), first, last)
    if not no_ui:
        require_ports(project, port)
    screen.print(f"[bold]{days[0]} to {days[1]} through the whole graph")
    wanted = arrange(project, with_references(project, None), *days, is_strict=False)
    with open_instance(project.home) as instance:
        build(screen, project, instance, wanted, tags=if_changed_tag(wanted=True))
        print_summary(screen, project, instance)
    if no_ui:
        _say_how_to_look(screen)
    else:
        try:
            serve_project(screen, project, port, environment=replay(project, days[1], speed))
        finally:
            if anchor := project.deployment.replay_anchor:
                halt(Path(anchor))


def load_as_of(
    place: "Place", first: str | None, last: str | None
) -> "tuple[Project, tuple[str, str]]":
    """The project as it is when its last demo day has just been published, so that nothing later is known, and its days."""
    from lakeline.cli.backfill import require_range
    from lakeline.cli.sources import load_parsed
    from lakeline.project import forget

    before = set(sys.modules)
    project = load_parsed(place)
    days = (first or project.deployment.demo_from, last or project.deployment.demo_to)
    require_range(*days)
    os.environ.update(replay(project, days[1], speed=0.0))
    forget(place, before)  # its settings were read when it was loaded
    return load_parsed(place), days


def replay(project: "Project", last: str, speed: float) -> dict[str, str]:
    """The environment of a replay that begins at noon after the newest day that was built, at the earliest after ``last``.

    A domain that has not that day, such as one of another year, does not count.
    """
    from lakeline.window import shift

    ledger = project.house.ledger
    built = [
        max(days)
        for asset, node in project.nodes.items()
        if node.has_day(last) and (days := ledger.versions(asset))
    ]
    begins = shift(max([last, *built]), 1)
    if anchor := project.deployment.replay_anchor:
        Path(anchor).unlink(missing_ok=True)  # or the days since the last demo would come at once
    return project.deployment.replaying(f"{begins}T12:00:00+00:00", speed)


def _say_how_to_look(screen: "Console") -> None:
    screen.print()
    screen.print(
        "Look at it with [bold]lakeline ui[/bold]; the reports' links open while that runs."
    )
