"""The command `lakeline` and its commands; an error of lakeline's is one line, and the exit code is 1."""

import warnings
from pathlib import Path
from typing import Any

import click

from lakeline.cli.backfill import backfill
from lakeline.cli.card import card
from lakeline.cli.compute import compute
from lakeline.cli.dbt import dbt
from lakeline.cli.demo import demo
from lakeline.cli.doctor import doctor
from lakeline.cli.features import features
from lakeline.cli.lake import lake
from lakeline.cli.ls import ls
from lakeline.cli.promoting import promote, rollback
from lakeline.cli.registering import register
from lakeline.cli.reproducing import diff, reproduce
from lakeline.cli.servable import servable
from lakeline.cli.status import status
from lakeline.cli.ui import reports, ui
from lakeline.cli.why import why
from lakeline.errors import LakelineError


class Application(click.Group):
    """A group that turns errors which users can meet into one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LakelineError as error:
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the file, which is the order of use."""
        return list(self.commands)


@click.group(cls=Application, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the project; left out, this folder or the first above it that has one.",
)
@click.version_option(package_name="lakeline")
@click.pass_context
def app(context: click.Context, project: Path | None) -> None:
    """Data and machine learning as one lineage graph that knows what it was built from."""
    warnings.simplefilter("ignore")  # other packages' words to their users; tests watch over them
    context.obj = project


for command in (
    demo,
    backfill,
    ui,
    status,
    why,
    ls,
    compute,
    features,
    promote,
    rollback,
    card,
    servable,
    register,
    reproduce,
    diff,
    lake,
    doctor,
    reports,
    dbt,
):
    app.add_command(command)
