"""`lakeline backfill`: build a range of days in this process, as one run where the assets have the same days."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.errors import DomainError

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterInstance
    from rich.console import Console

    from lakeline.cli.portions import Arrangement, Portion
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


class NothingSelectedError(DomainError):
    """A run would build nothing."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing is selected. Name assets with --select, or leave it out for all of them."
        )


class RunFailedError(DomainError):
    """Assets of a run failed."""

    def __init__(self, outcomes: "Sequence[Outcome]", untried: Sequence[str]) -> None:
        said = [
            "\n".join(
                [
                    f"Run {outcome.run_id} failed.",
                    *(f"{asset}: {why}" for asset, why in outcome.failures.items()),
                ]
            )
            for outcome in outcomes
        ]
        left = (
            [f"Not tried, because what they read failed: {', '.join(untried)}."] if untried else []
        )
        super().__init__("\n".join([*said, *left]))


@click.command()
@click.option(
    "--from",
    "first",
    metavar="DAY",
    help="First day, YYYY-MM-DD; left out, the first of each asset.",
)
@click.option(
    "--to", "last", metavar="DAY", help="Last day, included; left out, the last of each asset."
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

    Without --select: every asset that has days of the range, but a table without partitions only where it is missing.
    """
    from lakeline.cli.console import console
    from lakeline.cli.keys import select_assets
    from lakeline.cli.portions import arrange
    from lakeline.cli.sources import load_parsed
    from lakeline.instance import open_instance
    from lakeline.project import find_place

    require_range(first, last)
    project = load_parsed(find_place(start))
    assets = with_references(project, select_assets(project, select) if select else None)
    wanted = arrange(project, assets, first, last, is_strict=bool(select))
    with open_instance(project.home) as instance:
        build(console(), project, instance, wanted, tags=if_changed_tag(wanted=if_changed))


def require_range(first: str | None, last: str | None) -> None:
    """Refuse a range that is none.

    Raises:
        NotADayError: One end is given and no day.
        BackwardsError: The second comes before the first.
    """
    for option, day in (("--from", first), ("--to", last)):
        _require_day(option, day)
    if first and last and last < first:
        raise BackwardsError(first, last)


def _require_day(option: str, given: str | None) -> None:
    try:
        _ = given and dt.datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise NotADayError(option, str(given)) from error


def if_changed_tag(*, wanted: bool) -> dict[str, str]:
    """The run tag that leaves out what has not changed."""
    from lakeline.domain.selection import IF_CHANGED

    return {IF_CHANGED: "true"} if wanted else {}


def build(
    console: "Console",
    project: "Project",
    instance: "DagsterInstance",
    wanted: "Arrangement",
    *,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Do one run after the other, and show how it goes.

    Raises:
        NothingSelectedError: There is no run to do.
        RunFailedError: An asset failed; all that does not read it was built.
    """
    if not wanted.portions:
        raise NothingSelectedError
    failed: list[Outcome] = []
    untried: list[str] = []
    for portion in wanted.portions:
        broken = {asset for outcome in failed for asset in outcome.failures}.union(untried)
        able, unable = _parted(project, portion, broken)
        untried += unable
        if not able:
            continue
        if len(wanted.portions) > 1:
            console.print(f"[bold]{portion.days[0]} to {portion.days[1]}")
        outcome = _run(console, project, instance, replace(portion, assets=able), tags)
        if not outcome.is_successful:
            failed.append(outcome)
            untried += outcome.untried
    if wanted.left_out:
        console.print(
            f"[dim]left out, as they or what they read have no day of the range: {_by_domain(wanted.left_out)}"
        )
    if failed:
        raise RunFailedError(failed, untried)


def _parted(
    project: "Project", portion: "Portion", broken: AbstractSet[str]
) -> "tuple[list[dg.AssetKey], list[str]]":
    """Those of a portion's assets that can be built, and the names of those that read something broken."""
    graph = project.definitions.resolve_asset_graph()
    able: list[dg.AssetKey] = []
    unable: list[str] = []
    for key in portion.assets:
        parents = {one.to_user_string() for one in graph.get(key).parent_keys}
        if parents & broken or parents.intersection(unable):
            unable.append(key.to_user_string())
        else:
            able.append(key)
    return able, unable


def _run(
    console: "Console",
    project: "Project",
    instance: "DagsterInstance",
    portion: "Portion",
    tags: Mapping[str, str] | None,
) -> "Outcome":
    from lakeline.cli.progress import RunProgress
    from lakeline.cli.run import run_range
    from lakeline.window import Window

    daily = frozenset(asset for asset, node in project.nodes.items() if node.daily)
    partitions = len(Window.of_days(*portion.days).partitions)
    names = [key.to_user_string() for key in portion.assets]
    with RunProgress(console, names, partitions=partitions, daily=daily) as progress:
        return run_range(
            project, instance, portion.assets, portion.days, tags=tags, on_event=progress
        )


def _by_domain(assets: "Sequence[dg.AssetKey]") -> str:
    """How many assets of which domain.

    >>> from dagster import AssetKey
    >>> _by_domain(
    ...     [AssetKey(["flights", "weather"]), AssetKey(["flights", "planes"]), AssetKey("plain")]
    ... )
    '2 of flights, plain'
    """
    counts = Counter(key.path[0] for key in assets)
    alone = {key.path[0] for key in assets if len(key.path) == 1}
    return ", ".join(
        name if name in alone else f"{number} of {name}" for name, number in counts.items()
    )


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
