"""Dagster's runs as reconciling sees them: what is under way, whoever started it, and what ended badly."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from lakeline.freshness.alive import living
from lakeline.freshness.decision import InFlight
from lakeline.freshness.graph import Graph, Vertex
from lakeline.freshness.plan_tags import CAUSE, RANGE_END, RANGE_START, partitions_of
from lakeline.freshness.steps import assets_of_steps
from lakeline.ledger import State
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    from dagster._core.execution.asset_backfill import AssetBackfillData

    from lakeline.ledger import Ledger

PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
SEEN = "runs"
"""Name of the ledger's state that says which failed runs are written down."""
UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
ENDED_BADLY = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
OVERLAP = dt.timedelta(minutes=10)
"""Runs are asked for this far back again, in case the clocks of machines differ."""
PAGE = 200
"""Runs that ended badly and are held in memory together."""
_MOMENT = dt.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRun:
    """A run that did not do all it should.

    Attributes:
        partitions: What it was to build, by asset.
        errors: What went wrong, by asset; under ``""`` what is known of the run as a whole, or of a step that builds none.
    """

    run_id: str
    partitions: Mapping[str, tuple[str, ...]]
    errors: Mapping[str, str]


def in_flight(instance: dg.DagsterInstance, graph: Graph) -> list[InFlight]:
    """Runs and backfills under way that build assets of the graph, with the partitions that they build.

    A run whose process was killed is over, and Dagster is told so.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=[*UNDER_WAY]))
    runs = list(living(instance, (one.dagster_run for one in records)))
    held = [InFlight(run_id=one.run_id, partitions=_partitions(instance, one, graph)) for one in runs]  # fmt: skip
    return [*(one for one in held if one.partitions), *_backfills(instance, graph, runs)]


def ended_badly(
    instance: dg.DagsterInstance, ledger: "Ledger", cause: str, now: dt.datetime
) -> Iterator[BadRun]:
    """Runs with this cause that failed, were killed or cancelled, each once: which ones were given is kept in the ledger."""
    held = [one for one in ledger.states(name=SEEN) if one.asset == ""]
    seen: dict[str, str] = dict(held[0].detail.get("runs", {})) if held else {}
    since = max(map(dt.datetime.fromisoformat, seen.values()), default=None)
    for records in _pages(instance, cause, since - OVERLAP if since is not None else None):
        for record in records:
            run = record.dagster_run
            if run.run_id not in seen:
                yield BadRun(
                    run_id=run.run_id,
                    partitions=partitions_of(run.tags),
                    errors=_errors(instance, run),
                )
            seen[run.run_id] = record.update_timestamp.astimezone(dt.UTC).isoformat()
        # Page by page, so that a tick that is killed amid thousands of them leaves fewer to the next.
        _remember(ledger, seen, now)


def _pages(
    instance: dg.DagsterInstance, cause: str, after: dt.datetime | None
) -> Iterator[Sequence[dg.RunRecord]]:
    """Runs that ended badly after a time, the oldest first, however many; some come on two pages."""
    limit = PAGE
    while True:
        records = instance.get_run_records(
            dg.RunsFilter(statuses=[*ENDED_BADLY], tags={CAUSE: cause}, updated_after=after),
            limit=limit,
            ascending=True,
            order_by="update_timestamp",
        )
        if records:
            yield records
        if len(records) < limit:
            return
        # More may have ended at the moment of the last one: those come again, and a page of others with them.
        last = records[-1].update_timestamp
        after = last - _MOMENT
        limit = PAGE + sum(one.update_timestamp == last for one in records)


def _remember(ledger: "Ledger", seen: Mapping[str, str], now: dt.datetime) -> None:
    """Keep the runs that were given and may be found again."""
    newest = max(map(dt.datetime.fromisoformat, seen.values()))
    kept = {run: at for run, at in seen.items() if dt.datetime.fromisoformat(at) >= newest - 2 * OVERLAP}  # fmt: skip
    ledger.set_states([State(asset="", partition="", name=SEEN, state="", detail={"runs": kept})], now)  # fmt: skip


def _errors(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    steps = assets_of_steps(instance, run)
    found: dict[str, str] = {}
    for record in failures.records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.step_key is not None:
            found |= dict.fromkeys(steps.get(event.step_key, ("",)), failure_text(event))
    if found:
        return found
    is_cancelled = run.status == dg.DagsterRunStatus.CANCELED
    return {"": "it was cancelled" if is_cancelled else "the run ended before it said why; its process was lost"}  # fmt: skip


def failure_text(event: dg.DagsterEvent) -> str:
    """Why a step failed, in the words of the error."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "it failed"


def _partitions(
    instance: dg.DagsterInstance, run: dg.DagsterRun, graph: Graph
) -> dict[str, tuple[str, ...]]:
    if planned := partitions_of(run.tags):
        return {name: keys for name, keys in planned.items() if name in graph.vertices}
    return {
        name: _keys(run.tags, graph.vertices[name])
        for name in _names(instance, run)
        if name in graph.vertices and graph.vertices[name].kind != "source"
    }


def _names(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Assets that a run builds: those selected, or else what its job plans, which for a job of plain ops is none."""
    if run.asset_selection:  # of a run in process, it is empty where nothing was selected
        return [key.to_user_string() for key in run.asset_selection]
    return [name for names in assets_of_steps(instance, run).values() for name in names]


def _keys(tags: Mapping[str, str], vertex: Vertex) -> tuple[str, ...]:
    if not vertex.is_partitioned:
        return (WHOLE,)
    if PARTITION in tags:
        return (tags[PARTITION],)
    if RANGE_START not in tags:
        return ()
    days = Window.of_days(tags[RANGE_START], tags[RANGE_END]).partitions
    return tuple(day for day in days if day in vertex.partitions)


def _backfills(
    instance: dg.DagsterInstance, graph: Graph, runs: "Sequence[dg.DagsterRun]"
) -> list[InFlight]:
    """Backfills that are not over: they still launch runs for what they target."""
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

    under_way = [BulkActionStatus[name] for name in ("REQUESTED", "CANCELING", "FAILING")]
    # One that has a run counts as that run, and not once more.
    run_ids = {run.tags[BACKFILL]: run.run_id for run in runs if BACKFILL in run.tags}
    found = []
    for one in instance.get_backfills(filters=BulkActionsFilter(statuses=under_way)):
        if targets := _targets(one.asset_backfill_data, graph):
            run_id = run_ids.get(one.backfill_id, one.backfill_id)
            found.append(InFlight(run_id=run_id, partitions=targets))
    return found


def _targets(data: "AssetBackfillData | None", graph: Graph) -> dict[str, Sequence[str]]:
    """Partitions by asset that a backfill is to build; nothing for a backfill of a job, whose runs alone tell."""
    found: dict[str, list[str]] = {}
    for one in data.target_subset.iterate_asset_partitions() if data is not None else ():
        name = one.asset_key.to_user_string()
        if name in graph.vertices:
            found.setdefault(name, []).append(one.partition_key or WHOLE)
    return {name: tuple(keys) for name, keys in found.items()}
