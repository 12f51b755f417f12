"""`lakeline promote` and `lakeline rollback`: a person decides which version of a model serves."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakeline.cli.console import console, count
from lakeline.errors import DomainError, names

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.domain.promotion import Change
    from lakeline.project import Project

BECAUSE = click.option(
    "--because", required=True, help="Why, in a sentence; kept with the version."
)
BY = click.option("--by", help="Who decides; left out, the user of this process.")


class NoModelError(DomainError):
    """A command for models names another asset."""

    def __init__(self, asset: str, models: list[str]) -> None:
        super().__init__(
            f"'{asset}' is no model. The models are {names(sorted(models)) or 'none'}."
        )


class NoReasonError(DomainError):
    """A promotion without a reason."""

    def __init__(self) -> None:
        super().__init__("Say why in --because, for whoever finds this version serving.")


@click.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@BECAUSE
@BY
@click.pass_obj
def promote(start: Path | None, model: str, version: int, because: str, by: str | None) -> None:
    """Let a version of a model serve, whatever the gate said.

    MODEL is an asset such as flights/delay_lightgbm, VERSION its number in the registry.
    """
    from lakeline.domain.promotion import promote as promote_version
    from lakeline.project import load_project

    project = load_project(start)
    node = model_named(project, model)
    who = _decider(because, by)
    done = promote_version(project.house, node, version, by=who, because=because)
    _tell(project, node, done, who, because)


@click.command()
@click.argument("model")
@BECAUSE
@BY
@click.pass_obj
def rollback(start: Path | None, model: str, because: str, by: str | None) -> None:
    """Let the version serve again that the champion took over from.

    MODEL is an asset such as flights/delay_lightgbm.
    """
    from lakeline.domain.promotion import roll_back
    from lakeline.project import load_project

    project = load_project(start)
    node = model_named(project, model)
    who = _decider(because, by)
    done = roll_back(project.house, node, by=who, because=because)
    _tell(project, node, done, who, because)


def model_named(project: "Project", given: str) -> "Node":
    """The model asset that is meant.

    Raises:
        UnknownAssetError: There is no such asset.
        NoModelError: It is no model.
    """
    from lakeline.cli.keys import find_asset

    known = project.nodes
    asset = find_asset(given, known)
    if "learning" not in known[asset].extras:
        raise NoModelError(asset, [name for name, one in known.items() if "learning" in one.extras])
    return known[asset]


def _decider(because: str, by: str | None) -> str:
    if not because.strip():
        raise NoReasonError
    return by or getpass.getuser()


def _tell(project: "Project", node: "Node", done: "Change", who: str, because: str) -> None:
    screen = console()
    if not done.is_change:
        screen.print(f"{node.asset} is served by version {done.version.version} already")
        return
    _report(project, node, done, who, because)
    instead = f", instead of version {done.before}" if done.before else ""
    screen.print(f"{node.asset} is served by version {done.version.version} now{instead}")
    if done.readers:
        screen.print(
            f"[yellow]{count(done.readers, 'partition')} to build again: made with another version"
        )


def _report(project: "Project", node: "Node", done: "Change", who: str, because: str) -> None:
    """Tell Dagster, so that its page of the asset says which version serves, since when and why."""
    import dagster as dg
    from dagster._core.definitions.data_version import DATA_VERSION_TAG

    from lakeline.domain.champion import version_of
    from lakeline.instance import open_instance

    metadata: dict[str, Any] = {
        "model_version": done.version.version,
        "champion": done.version.version,
        "is_champion": True,
        "promoted_by": who,
        "because": because,
    }
    event = dg.AssetMaterialization(
        asset_key=dg.AssetKey([node.domain, node.name]),
        description=f"Promoted by {who}: {because}",
        metadata=metadata,
        tags={DATA_VERSION_TAG: version_of(done.version)},
    )
    with open_instance(project.home) as instance:
        instance.report_runless_asset_event(event)
