"""`lakeline status`: every asset with how far its data reaches, what was promised, and what happens next."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import console, count, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from lakeline.cli.present import Present
    from lakeline.freshness.decision import Plan
    from lakeline.freshness.overview import Line
    from lakeline.project import Project

SHOWN = 8
"""Runs and causes that are listed; more are counted."""
AT_WORK = dt.timedelta(minutes=5)
"""A sensor that looked within this time launches runs; a tick over a large graph takes a part of it."""
COLOURS = {"good": "green", "busy": "yellow", "bad": "red"}


@click.command()
@click.option(
    "--verify", is_flag=True, help="Compare every partition anew first, trusting no mark."
)
@click.pass_obj
def status(start: Path | None, verify: bool) -> None:  # noqa: FBT001 - click's way
    """Tell how fresh everything is, what was promised, and what is built next and why.

    It goes by what the sensor observed last, and asks no source itself.
    """
    from lakeline.project import load_project

    project = load_project(start)
    screen = console()
    for part in report(project, verify=verify):
        screen.print(part, soft_wrap=isinstance(part, str))


def report(project: "Project", *, verify: bool = False) -> "Iterator[Table | str]":
    """The table of all assets, and a line for each broken promise, each run to come and each cause of waiting."""
    from lakeline.cli.present import present
    from lakeline.freshness.fresh import sentence
    from lakeline.freshness.health import summary
    from lakeline.freshness.overview import overview
    from lakeline.freshness.sources import unread

    now = present(project, everything=verify)
    lines = overview(now.graph, project.house.ledger, now.plan)
    yield f"[bold]{moment(now.plan.now)} UTC[/bold]: {summary(lines)}"
    yield _table(lines)
    broken = [one.freshness for one in lines if not one.freshness.is_fresh]
    yield from _listed("Sources that cannot be read", unread(project.house.ledger), "red")
    yield from _listed("Broken promises", [sentence(one) for one in broken], "red")
    yield from _listed("Runs to come", _runs(now.plan), "green")
    if now.plan.runs and (idle := _idle(now)):
        yield f"  [yellow]{idle}"
    yield from _listed("Held up", _causes(now.plan), "yellow")


def _table(lines: "Sequence[Line]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("asset", "complete up to", "promise", "used", "consistent"):
        numeric = heading in {"used", "consistent"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    table.add_column("next")
    for one in lines:
        table.add_row(
            one.asset,
            moment(one.freshness.watermark),
            one.freshness.promise or "-",
            _share(one),
            f"{one.consistent:,} of {one.partitions:,}",
            f"[{COLOURS[one.level]}]{one.next}" if one.decisions else f"[dim]{one.next}",
        )
    return table


def _share(line: "Line") -> str:
    from lakeline.freshness.check_states import ABOUT_TO_BREAK
    from lakeline.freshness.overview import share

    one = line.freshness
    if not one.promise:
        return "-"
    colour = "red" if not one.is_fresh else "yellow" if one.share_used >= ABOUT_TO_BREAK else "green"  # fmt: skip
    return f"[{colour}]{share(one.share_used)}"


def _runs(plan: "Plan") -> "list[str]":
    return [f"{one.reason}; {count(len(one.steps), 'asset')} in one run" for one in plan.runs]


def _idle(now: "Present") -> str:
    """What to do where nothing launches the runs; empty where the sensor is at work."""
    if not now.has_sensor:
        return (
            "nothing launches them: the project has no sensor. Put lakeline.freshness.sensor.reconcile_sensor(assets) "
            "into sensors= of its definitions, or build them with lakeline backfill."
        )
    if now.looked is not None and dt.datetime.now(dt.UTC) - now.looked < AT_WORK:
        return ""
    since = f"since {moment(now.looked)} UTC" if now.looked else "yet"
    return (
        f"nothing launches them: the sensor has not looked {since}. Start lakeline ui with LAKELINE_AUTOMATION=true, or "
        "turn the sensor on in the UI under Automation."
    )


def _causes(plan: "Plan") -> "list[str]":
    """What holds things up; the table says what is being built, and what is left to people and waited for by nobody."""
    from lakeline.freshness.health import line_of
    from lakeline.freshness.overview import causes, kind_of

    found = ((one, kind_of(one.decision)) for one in causes(plan))
    return [
        line_of(one, plan.now)
        for one, kind in found
        if kind != "being_built" and (kind != "manual" or one.held_up)
    ]


def _listed(title: str, said: "Sequence[str]", colour: str) -> Iterator[str]:
    from rich.markup import escape

    if said:
        yield f"\n[bold {colour}]{title}"
    yield from (f"  {escape(one)}" for one in said[:SHOWN])
    if len(said) > SHOWN:
        yield f"  [dim]and {len(said) - SHOWN} more; lakeline why KEY tells of one"
