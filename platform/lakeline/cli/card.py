"""`lakeline card`: what a version of a model is for, how good it is and where it is not."""

from pathlib import Path

import click


@click.command()
@click.argument("version", metavar="MODEL[@VERSION]")
@click.option("--json", "is_json", is_flag=True, help="The whole evaluation as JSON instead.")
@click.pass_obj
def card(start: Path | None, version: str, is_json: bool) -> None:  # noqa: FBT001 - click's way
    """Show the card of a version of a model: use, limits, quality, slices, data, and how to build it again.

    MODEL@VERSION is for example flights/delay_lightgbm@3; without @VERSION the champion is meant.
    """
    from lakeline.cli.versions import find_version
    from lakeline.project import load_project

    project = load_project(start)
    named = find_version(project, version if "@" in version else f"{version}@champion")
    registry, name = project.house.registry, named.node.table
    if is_json:
        click.echo(registry.evaluation(name, named.number).to_json())
    else:
        click.echo(registry.card(name, named.number), nl=False)
