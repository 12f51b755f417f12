"""`lakeline servable`: make the ONNX form of a version that was registered without, and check it."""

from pathlib import Path

import click

from lakeline.cli.console import console


@click.command()
@click.argument("version", metavar="MODEL@VERSION")
@click.pass_obj
def servable(start: Path | None, version: str) -> None:
    """Make the ONNX form of a version of a model, and let it serve if it answers as the model does.

    It is asked 10,000 rows of what the version learned from, some of them with nulls and with names never seen. The exit
    code is 1 where the two differ.
    """
    from rich.markup import escape

    from lakeline.cli.versions import find_version
    from lakeline.domain.servable import make_servable
    from lakeline.project import load_project

    project = load_project(start)
    named = find_version(project, version)
    form = make_servable(project.house, named.node, named.number)
    said = "may serve" if form.is_servable else "[red]may not serve[/red]"
    console().print(f"{named} {said}: {escape(form.because)}", soft_wrap=True)
    if not form.is_servable:
        raise SystemExit(1)
