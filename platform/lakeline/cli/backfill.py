"""`lakeline backfill`: build a range of days, as one run in this process."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.errors import DomainError

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterInstance
    from rich.console import Console

    from lakeline.cli.run import Outcome
    from lakeline.domain.node import Node
    from lakeline.project import Project


class NotADayError(DomainError):
    """An option wants a day and got something else."""

    def __init__(self, option: str, given: str) -> None:
        super().__init__(f"{option} {given} is not a day. Write it as YYYY-MM-DD.")


class BackwardsError(DomainError):
    """A range ends before it begins."""

    def __init__(self, first: str, last: str) -> None:
        super().__init__(
            f"The range {first} to {last} ends before it begins. Swap --from and --to."
        )


class RunFailedError(DomainError):
    """Assets of a run failed."""

    def __init__(self, outcome: "Outcome") -> None:
        said = "\n".join(f"{asset}: {why}" for asset, why in outcome.failures.items())
        left = (
            f"\nNot tried, because what they read failed: {', '.join(outcome.untried)}."
            if outcome.untried
            else ""
        )
        super().__init__(f"Run {outcome.run_id} failed.\n{said}{left}")


@click.command()
@click.option(
    "--from",
    "first",
    metavar="DAY",
    help="First day, YYYY-MM-DD; left out, the first that there is.",
)
@click.option(
    "--to", "last", metavar="DAY", help="Last day, included; left out, the last that there is."
)
@click.option(
    "--select",
    multiple=True,
    metavar="ASSETS",
    help="Only these: names, or a selection in Dagster's syntax such as 'key:\"flights/weather\"+'.",
)
@click.option(
    "--if-changed", is_flag=True, help="Leave out what its inputs and code have not changed."
)
@click.pass_obj
def backfill(
    start: Path | None,
    first: str | None,
    last: str | None,
    select: Sequence[str],
    if_changed: bool,  # noqa: FBT001 - click's way
) -> None:
    """Build the days of a range.

    Without --select: every asset, but a table without partitions only where it is missing.
    """
    from lakeline.cli.console import console
    from lakeline.cli.keys import select_assets
    from lakeline.cli.sources import load_parsed
    from lakeline.instance import open_instance
    from lakeline.project import find_place

    for option, day in (("--from", first), ("--to", last)):
        require_day(option, day)
    project = load_parsed(find_place(start))
    assets = with_references(project, select_assets(project, select) if select else None)
    begin, end = days_of(project, assets)
    days = as_range(first or begin, last or end)
    with open_instance(project.home) as instance:
        build(
            console(),
            project,
            instance,
            assets,
            days,
            tags=if_changed_tag(wanted=if_changed),
        )


def require_day(option: str, given: str | None) -> None:
    """Raise `NotADayError` where something was given that is no day."""
    try:
        _ = given and dt.datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise NotADayError(option, str(given)) from error


def as_range(first: str, last: str) -> tuple[str, str]:
    """The days of a range in order.

    Raises:
        NotADayError: One is no day.
        BackwardsError: The second comes before the first.
    """
    require_day("--from", first)
    require_day("--to", last)
    if last < first:
        raise BackwardsError(first, last)
    return first, last


def days_of(project: "Project", assets: "Sequence[dg.AssetKey]") -> tuple[str, str]:
    """First and last day that every daily one of the assets has; today where none is daily."""
    graph = project.definitions.resolve_asset_graph()
    found = [known for key in assets if (known := graph.get(key).partitions_def) is not None]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    first = max((str(one.get_first_partition_key()) for one in found), default=today)
    return first, min((str(one.get_last_partition_key()) for one in found), default=today)


def if_changed_tag(*, wanted: bool) -> dict[str, str]:
    """The run tag that leaves out what has not changed."""
    from lakeline.domain.selection import IF_CHANGED

    return {IF_CHANGED: "true"} if wanted else {}


def build(
    console: "Console",
    project: "Project",
    instance: "DagsterInstance",
    assets: "Sequence[dg.AssetKey]",
    days: tuple[str, str],
    *,
    tags: Mapping[str, str] | None = None,
) -> "Outcome":
    """Run, and show how it goes.

    Raises:
        RunFailedError: An asset failed; the others were built.
    """
    from lakeline.cli.progress import RunProgress
    from lakeline.cli.run import run_range
    from lakeline.window import Window

    daily = frozenset(asset for asset, node in project.nodes.items() if node.daily)
    partitions = len(Window.of_days(*days).partitions)
    names = [key.to_user_string() for key in assets]
    with RunProgress(console, names, partitions=partitions, daily=daily) as progress:
        outcome = run_range(project, instance, assets, days, tags=tags, on_event=progress)
    if not outcome.is_successful:
        raise RunFailedError(outcome)
    return outcome


def with_references(
    project: "Project", chosen: "Sequence[dg.AssetKey] | None"
) -> "list[dg.AssetKey]":
    """The assets to build: those chosen, or all but pages and what is left to people (``automation="manual"``).

    A source's table without partitions is built only where it is missing.

    Args:
        project: Whose assets.
        chosen: What a person selected, which is built in any case; None for all assets.
    """
    from lakeline.domain.health import TAG

    graph = project.definitions.resolve_asset_graph()
    order = [key for key in graph.toposorted_asset_keys if key in graph.executable_asset_keys]
    known = project.nodes
    references = {
        key
        for key in order
        if (node := known.get(key.to_user_string())) and not node.daily and node.source
    }
    missing = {key for key in references if not project.house.ledger.current(key.to_user_string())}
    if chosen is None:
        left = {key for key in order if TAG in graph.get(key).tags or _is_manual(known, key)}
        built = [key for key in order if key not in left]
        return [key for key in built if key not in references or key in missing]
    read = {parent for key in chosen for parent in graph.get(key).parent_keys}
    wanted = {*chosen, *(missing & read)}
    return [key for key in order if key in wanted]


def _is_manual(known: "Mapping[str, Node]", key: "dg.AssetKey") -> bool:
    """Whether building an asset is left to people, who may have to install something first."""
    node = known.get(key.to_user_string())
    return node is not None and node.extras.get("automation") == "manual"
