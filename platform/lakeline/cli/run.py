"""One Dagster run in this process over a range of days, with its events handed on as they come."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterEvent, DagsterInstance

    from lakeline.project import Project

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Run tags: the first and last partition, for every partitioned asset of the run."""

CHATTY = (
    "alembic",
    "mlflow",
    "dagster",
    "pyiceberg",
    "matplotlib",
    "py.warnings",
    "urllib3",
    "fsspec",
)
"""Loggers that have nothing to say to a person who watches progress bars."""


@dataclass(kw_only=True)
class Outcome:
    """What became of a run.

    Attributes:
        failures: Why each failed asset failed, by the asset's name.
        built: Assets that were built.
        untried: Assets that were not tried because what they read failed.
        steps: Assets by the key of the step that builds them.
    """

    run_id: str
    steps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    is_successful: bool = False

    def note(self, event: "DagsterEvent") -> None:
        """Take one event of the run."""
        if event.is_step_failure:
            self.failures |= dict.fromkeys(self.names_of(event), failure_text(event))
        elif event.is_step_success:
            self.built += self.names_of(event)
        elif event.is_job_failure and not self.failures:
            self.failures["the run"] = event.message or "failed before its first step"
        elif event.is_job_success:
            self.is_successful = True

    def names_of(self, event: "DagsterEvent") -> Sequence[str]:
        """Assets that an event is about, by name; the key of its step where that builds none."""
        if event.asset_key is not None:
            return (event.asset_key.to_user_string(),)
        return self.steps.get(event.step_key, (event.step_key,)) if event.step_key else ()


def run_range(
    project: "Project",
    instance: "DagsterInstance",
    assets: "Sequence[dg.AssetKey]",
    days: tuple[str, str],
    *,
    tags: Mapping[str, str] | None = None,
    on_event: "Callable[[DagsterEvent, Sequence[str]], None]" = lambda *_: None,
) -> Outcome:
    """Materialize assets for the days of a range, which each daily one has, in one run in this process.

    Args:
        project: Whose assets.
        instance: Which keeps the run.
        assets: What is built.
        days: First and last.
        tags: More tags of the run.
        on_event: Told each event with the names of the assets that it is about.
    """
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run_iterator

    from lakeline.freshness.alive import process_tag
    from lakeline.freshness.steps import assets_of_steps

    prepare_pools(project, instance)
    job = project.definitions.resolve_implicit_global_asset_job_def()
    # The ephemeral form runs every step in this process, whatever executor the deployment names.
    ephemeral = job.as_ephemeral_job(
        resource_defs={}, input_values={}, asset_selection=list(assets)
    )
    run = instance.create_run_for_job(
        job_def=ephemeral,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        asset_selection=frozenset(assets),
        tags={
            RANGE_START: days[0],
            RANGE_END: days[1],
            ".dagster/repository": f"__repository__@{project.place.location}",
            **process_tag(),
            **(tags or {}),
        },
    )
    outcome = Outcome(run_id=run.run_id, steps=assets_of_steps(instance, run))
    with quiet():
        for event in execute_run_iterator(InMemoryJob(ephemeral), run, instance):
            outcome.note(event)
            on_event(event, outcome.names_of(event))
    tried = {*outcome.built, *outcome.failures}
    outcome.untried = [name for key in assets if (name := key.to_user_string()) not in tried]
    return outcome


def prepare_pools(project: "Project", instance: "DagsterInstance") -> None:
    """Give the pools of the project's assets as many slots as their declarations and this machine say."""
    from lakeline.compute.pools import ensure_pools, limits_of

    declared = {name: node.extras.get("compute") for name, node in project.nodes.items()}
    ensure_pools(instance, limits_of(declared, is_local=project.house.compute == "local"))


def failure_text(event: "DagsterEvent") -> str:
    """Why a step failed, in the words of the innermost error."""
    data: Any = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else str(event.message)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, other packages' loggers keep to errors."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
