"""`lakeline register`: give the registry what was trained while it did not answer."""

from pathlib import Path

import click

from lakeline.cli.console import console


@click.command()
@click.option("--pending", is_flag=True, required=True, help="Everything that waits.")
@click.pass_obj
def register(start: Path | None, pending: bool) -> None:  # noqa: FBT001 - click's way
    """Register the models that were trained while the registry did not answer, without training again.

    Each becomes a challenger that nobody judged: run its asset, which judges it without training, or promote it.
    """
    from lakeline.domain.delivery import deliver_pending
    from lakeline.models.outbox import Outbox
    from lakeline.project import load_project

    house, screen = load_project(start).house, console()
    waiting = Outbox.beside(house.registry.folder).pending()
    if not waiting:
        screen.print("Nothing waits: every model that was trained is registered")
        return
    for one in waiting:
        version = deliver_pending(house, one)
        asset = one.name.replace(".", "/", 1)
        screen.print(f"{asset} has version {version.version}, which is not judged yet")
