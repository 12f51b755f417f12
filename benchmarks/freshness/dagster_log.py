"""Dagster's event log in memory: the events of runs, and a log that is made once and copied for each scenario."""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.test_utils import freeze_time

from benchmarks.freshness.system import Built, Observation, Run

DATA_VERSION, CODE_VERSION = "dagster/data_version", "dagster/code_version"
JOB = "__ASSET_JOB"


def materialization(asset: str, key: str, version: str, *, code: str) -> dg.AssetMaterialization:
    """The event that tells of a build."""
    tags = {DATA_VERSION: version, CODE_VERSION: code} if code else {DATA_VERSION: version}
    return dg.AssetMaterialization(asset_key=asset, partition=key or None, tags=tags)


def materialized(event: dg.AssetMaterialization) -> DagsterEvent:
    """It as an event of a step."""
    return DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name=JOB,
        step_key=event.asset_key.to_user_string(),
        event_specific_data=StepMaterializationData(event),
    )


def planned(asset: str, key: str) -> DagsterEvent:
    """The event with which a run announces what it will build."""
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), key or None)
    return DagsterEvent.build_asset_materialization_planned_event(JOB, asset, data)


def run_id_of(run: Run, key: str) -> str:
    """Id of Dagster's run that builds a partition: that of the run, or of a backfill's run for the partition."""
    return str(uuid.uuid5(uuid.UUID(run.run_id), key)) if run.fails_apart else run.run_id


def runs_of(run: Run) -> dict[str, dict[str, list[str]]]:
    """What each of Dagster's runs builds, by run and asset: one run, or of a backfill one for each partition."""
    found: dict[str, dict[str, list[str]]] = {}
    for asset, keys in run.steps.items():
        for key in keys:
            found.setdefault(run_id_of(run, key), {}).setdefault(asset, []).append(key)
    return found


def record_of(run_id: str, steps: Mapping[str, Sequence[str]]) -> DagsterRun:
    """A run as Dagster stores it."""
    keys = {key for keys in steps.values() for key in keys if key}
    return DagsterRun(
        job_name=JOB,
        run_id=run_id,
        asset_selection=frozenset(map(dg.AssetKey, steps)),
        status=dg.DagsterRunStatus.STARTED,
        tags={PARTITION_NAME_TAG: next(iter(keys))} if len(keys) == 1 else {},
    )


def succeeded() -> DagsterEvent:
    """The event that ends a run well."""
    return DagsterEvent(event_type_value=DagsterEventType.PIPELINE_SUCCESS.value, job_name=JOB)


_LOGS: dict[str, dg.DagsterInstance] = {}


def log_of(
    history: Sequence[Built], sources: Sequence[Observation], now: dt.datetime
) -> dg.DagsterInstance:
    """An instance whose event log tells of a history; the same one for the same history."""
    name = repr((history, sources, now))
    if name not in _LOGS:
        _LOGS[name] = dg.DagsterInstance.ephemeral()
        for one in sources:
            _tell(
                _LOGS[name],
                now - dt.timedelta(hours=1),
                {(one.source, k): v for k, v in one.versions.items()},
            )
        for built in history:
            _tell(
                _LOGS[name],
                now,
                {(built.asset, built.partition): built.version},
                built.code_version,
            )
    return _LOGS[name]


def _tell(
    instance: dg.DagsterInstance,
    moment: dt.datetime,
    versions: Mapping[tuple[str, str], str],
    code: str = "",
) -> None:
    with freeze_time(moment):
        for (asset, key), version in versions.items():
            instance.report_runless_asset_event(materialization(asset, key, version, code=code))


def copied(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Another instance with an equal event log, in memory like the first."""
    found = dg.DagsterInstance.ephemeral()
    old: Any = instance.event_log_storage
    new: Any = found.event_log_storage
    with _raw(old) as source, _raw(new) as target:
        source.backup(target)
    new._storage_id = old._storage_id
    return found


@contextmanager
def _raw(storage: Any) -> Iterator[Any]:
    yield storage._held_conn.connection.driver_connection
