"""`lakeline status`: every asset with how far its data reaches, what was promised, and what happens next."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakeline.cli.console import console, moment

if TYPE_CHECKING:
    from rich.table import Table

    from lakeline.cli.project import Project
    from lakeline.freshness.decision import Decision
    from lakeline.freshness.fresh import Freshness

WORDS = {
    "build": "build",
    "wait": "wait",
    "blocked": "[red]blocked",
    "backed_off": "[yellow]tried again later",
    "gave_up": "[red]given up",
    "over_budget": "waits for room",
    "manual": "[yellow]for people to build",
}


@click.command()
@click.option(
    "--verify", is_flag=True, help="Compare every partition anew first, trusting no mark."
)
@click.pass_obj
def status(start: Path | None, verify: bool) -> None:  # noqa: FBT001 - click's way
    """Tell how fresh everything is, what was promised, and what is built next and why."""
    from lakeline.cli.project import load_project

    project = load_project(start)
    screen = console()
    for part in report(project, verify=verify):
        screen.print(part)


def report(project: "Project", *, verify: bool = False) -> "list[Table | str]":
    """The table of all assets, and a line for each reason why something waits."""
    from lakeline.domain.node import nodes
    from lakeline.freshness.declared import graph_of
    from lakeline.freshness.fresh import freshness, sentence
    from lakeline.freshness.reconcile import reconcile
    from lakeline.freshness.reconciler import Reconciler

    ledger, now = project.house.ledger, project.clock.now()
    graph = graph_of(nodes())
    reconciler = Reconciler(graph, ledger)
    looked_at = dict.fromkeys(reconciler.look(now, everything=verify), now)
    plan = reconcile(graph, ledger, now=now, agenda={**looked_at, **ledger.agenda()})
    built = [name for name in graph.order if graph.vertices[name].kind != "source"]
    fresh = freshness(graph, ledger, now, built)
    partitions = {name: one.partitions for name, one in ledger.reach().items()}
    decisions: dict[str, list[Decision]] = {name: [] for name in built}
    for one in plan.decisions:
        decisions.setdefault(one.asset, []).append(one)
    found: list[Table | str] = [f"[bold]{moment(now)} UTC"]
    found.append(_table(built, fresh, partitions, decisions))
    found += [f"[yellow]{sentence(one)}" for one in fresh.values() if not one.is_fresh]
    for name in built:
        found += [f"[dim]{one}" for one in decisions[name][:1]]
    return found


def _table(
    assets: Sequence[str],
    fresh: "dict[str, Freshness]",
    partitions: dict[str, int],
    decisions: "dict[str, list[Decision]]",
) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("asset", "complete up to", "promise", "used", "consistent", "next"):
        numeric = heading in {"used", "consistent"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for name in assets:
        one = fresh[name]
        there = partitions.get(name, 0)
        missing = sum(1 for d in decisions[name] if "never built" in d.reason)
        stale = len(decisions[name]) - missing
        table.add_row(
            name,
            moment(one.watermark),
            one.promise or "-",
            _share(one),
            f"{max(0, there - stale)} of {there + missing}",
            _next(decisions[name]),
        )
    return table


def _share(one: "Freshness") -> str:
    if not one.promise:
        return "-"
    colour = "green" if one.share_used < 0.8 else "yellow" if one.is_fresh else "red"
    return f"[{colour}]{one.share_used:.0%}"


def _next(decisions: "Sequence[Decision]") -> str:
    if not decisions:
        return "[green]nothing"
    counts = Counter(one.action for one in decisions)
    return ", ".join(f"{WORDS[action]} {n}[/]" if "[" in WORDS[action] else f"{WORDS[action]} {n}" for action, n in counts.items())  # fmt: skip
