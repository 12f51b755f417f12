"""`lakeline dbt`: keep dbt's project in step with the contracts."""

from pathlib import Path

import click


@click.group()
def dbt() -> None:
    """The dbt projects that assets are made from."""


@dbt.command()
@click.pass_obj
def parse(start: Path | None) -> None:
    """Write the sources from the contracts and make the manifest."""
    from lakeline.cli.console import console
    from lakeline.cli.sources import parse_all
    from lakeline.project import find_place

    made = parse_all(find_place(start))
    for path in made:
        console().print(f"Made {path}")
    if not made:
        console().print("No asset comes from dbt: nothing to parse.")
