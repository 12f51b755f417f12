"""How a project stands at this moment: its graph, and what would be decided now, with the runs that are under way."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

    from lakeline.freshness.budget import Budget
    from lakeline.freshness.decision import InFlight, Plan
    from lakeline.freshness.graph import Graph
    from lakeline.project import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """One moment of a project.

    Attributes:
        graph: Its assets.
        plan: What would be decided now.
        has_sensor: Whether there is one that launches what is decided.
        looked: When that looked last; None if it never did.
    """

    graph: "Graph"
    plan: "Plan"
    has_sensor: bool
    looked: dt.datetime | None


def present(project: "Project", *, everything: bool = False) -> Present:
    """The present of a project, by what its ledger and Dagster know; no source is asked and nothing is written.

    Args:
        project: Whose.
        everything: Whether to compare every partition anew, trusting no mark.
    """
    from lakeline.freshness.declared import graph_of
    from lakeline.freshness.reasons import present_plan

    graph = graph_of(project.nodes)
    sensors = _sensors(project)
    running, looked = _of_dagster(project, graph, [one.name for one in sensors])
    plan = present_plan(
        graph,
        project.house.ledger,
        project.clock.now(),
        in_flight=running,
        budget=_budget(sensors),
        everything=everything,
    )
    return Present(graph=graph, plan=plan, has_sensor=bool(sensors), looked=looked)


def _sensors(project: "Project") -> "list[dg.SensorDefinition]":
    """Those that keep assets fresh, which carry their budget."""
    from lakeline.freshness.budget import BUDGET

    return [one for one in project.definitions.sensors or () if BUDGET in one.metadata]


def _of_dagster(
    project: "Project", graph: "Graph", sensors: Collection[str]
) -> "tuple[Sequence[InFlight], dt.datetime | None]":
    """The runs under way, and when one of the sensors looked last."""
    from lakeline.freshness.runs import in_flight
    from lakeline.instance import CONFIG_FILE, open_instance

    if not (project.home / CONFIG_FILE).exists():
        return [], None  # nothing ever ran, and looking should not make a home
    with open_instance(project.home) as instance:
        return in_flight(instance, graph), _looked(instance, sensors)


def _looked(instance: "dg.DagsterInstance", sensors: Collection[str]) -> dt.datetime | None:
    from dagster._core.scheduler.instigation import SensorInstigatorData

    ticks = [
        state.instigator_data.last_tick_timestamp
        for state in instance.all_instigator_state()
        if state.instigator_name in sensors
        and isinstance(state.instigator_data, SensorInstigatorData)
    ]
    newest = max(filter(None, ticks), default=None)
    return dt.datetime.fromtimestamp(newest, dt.UTC) if newest else None


def _budget(sensors: "Sequence[dg.SensorDefinition]") -> "Budget | None":
    """As the project's sensor has it; None without one."""
    from lakeline.freshness.budget import BUDGET, Budget

    return Budget.from_json(sensors[0].metadata[BUDGET].value) if sensors else None  # type: ignore[arg-type]
