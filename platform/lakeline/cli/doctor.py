"""`lakeline doctor`: whether everything is where it has to be, and what to do where it is not."""

import sys
from pathlib import Path

import click

MARKS = {"ok": "[green]ok  ", "warn": "[yellow]warn", "fail": "[red]fail"}


@click.command()
@click.pass_obj
def doctor(start: Path | None) -> None:
    """Check the installation, the settings, the contracts, the state folder, dbt, the catalog and the ledger.

    The exit code is 1 where something fails.
    """
    from rich.markup import escape

    from lakeline.cli.checks import examine
    from lakeline.cli.console import console

    screen = console()
    is_failed = False
    for finding in examine(start):
        is_failed |= finding.status == "fail"
        # Soft: a command that is broken into two lines cannot be copied.
        screen.print(
            f"{MARKS[finding.status]}[/] {finding.subject:<14} {escape(finding.said)}",
            soft_wrap=True,
        )
        if finding.todo:
            screen.print(f"{'':<20}{escape(finding.todo)}", style="bold", soft_wrap=True)
    if is_failed:
        sys.exit(1)
