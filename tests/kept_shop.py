"""The shop kept consistent by the sensor in one process: a till with a clock, real storage, and runs executed at once."""

import datetime as dt
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from lakeline.domain import Domain, Table, latest, past
from lakeline.domain.node import nodes_of
from lakeline.freshness.budget import Budget
from lakeline.freshness.checks import checks_of
from lakeline.freshness.plan_tags import partitions_of
from lakeline.freshness.sensor import reconcile_sensor
from lakeline.instance import open_instance
from lakeline.resource import Lakehouse
from lakeline.window import Window, day_start
from tests.shop import Row, Sale, Shop, Total, by_day, lakehouse, new_domain, sales_frame

DAY1, DAY2, DAY3, DAY4 = "2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"
NOON = dt.timedelta(hours=12)
HOUR = dt.timedelta(hours=1)


class BrokenTillError(Exception):
    """The till does not answer."""


@dataclass
class Till:
    """A source: the rows that it has, each day complete at midnight."""

    clock: "Clock"
    rows: list[Row] = field(default_factory=list)
    is_broken: bool = False
    said: str = "the till does not answer"

    def published_until(self) -> dt.datetime:
        if self.is_broken:
            raise BrokenTillError(self.said)
        return self.clock.now().replace(hour=0, minute=0)

    def versions(self, table: str) -> dict[str, str]:
        """A hash of the rows of each day that is over."""
        until = self.published_until()
        days = sorted({row[0][:10] for row in self.rows})
        return {
            day: hashlib.sha256(repr([r for r in self.rows if r[0][:10] == day]).encode()).hexdigest()[:16]
            for day in days
            if day_start(day) < until
        }  # fmt: skip


@dataclass
class Clock:
    """A clock that tests set."""

    at: dt.datetime

    def now(self) -> dt.datetime:
        return self.at


class Trouble:
    """What tests do to an asset's function: partitions that fail, and what happens while it runs."""

    def __init__(self) -> None:
        self.failing: dict[str, set[str]] = {}
        self.during: Callable[[], None] | None = None
        self.built: list[tuple[str, str]] = []

    def meet(self, name: str, window: Window | None) -> None:
        keys = window.partitions if window is not None else ("",)
        self.built += [(name, key) for key in keys]
        if during := self.during:
            self.during = None
            during()
        if wrong := sorted(self.failing.get(name, set()) & set(keys)):
            raise ValueError(f"cannot count {wrong[0]}")


def declare(trouble: Trouble, **settings: Mapping[str, Any]) -> Domain:
    """sales, of the till → totals, a day → moving (two days each), newest (of two days), shops (of all days), health.

    Args:
        trouble: Met by each function.
        settings: More arguments of an asset's decorator, by its name; under ``domain`` those of the domain.
    """
    domain = new_domain(**settings.get("domain", {}))
    more = {name: settings.get(name, {}) for name in ("sales", "totals", "moving", "newest", "shops")}  # fmt: skip

    @domain.table(contract=Sale, source=Till, **{"fresh": "72h", "retries": 0, **more["sales"]})
    def sales(window: Window, till: Till) -> pl.DataFrame:
        trouble.meet("sales", window)
        return sales_frame(till.rows, window)

    @domain.table(contract=Total, reads=[sales], **{"fresh": "72h", "retries": 0, **more["totals"]})
    def totals(window: Window, sales: Table) -> pl.LazyFrame:
        trouble.meet("totals", window)
        return by_day(sales.read(window))

    @domain.table(contract=Total, reads=[past(totals, days=1)], **{"retries": 0, **more["moving"]})
    def moving(window: Window, totals: Table) -> pl.LazyFrame:
        trouble.meet("moving", window)
        rows = totals.read()
        later = rows.with_columns(pl.col("event_ts") + pl.duration(days=1))
        summed = pl.concat([rows, later]).group_by("event_ts", "shop").agg(pl.col("amount_cents").sum())  # fmt: skip
        return summed.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)

    @domain.table(
        contract=Shop, reads=[latest(totals, days=2)], daily=False, **{"retries": 0, **more["newest"]}
    )  # fmt: skip
    def newest(totals: Table) -> pl.LazyFrame:
        trouble.meet("newest", None)
        return totals.read().group_by("shop").agg(sales=pl.len().cast(pl.Int64))

    @domain.table(contract=Shop, reads=[sales], daily=False, **{"retries": 0, **more["shops"]})
    def shops(sales: Table) -> pl.LazyFrame:
        trouble.meet("shops", None)
        return sales.read().group_by("shop").agg(sales=pl.len().cast(pl.Int64))

    domain.health()
    return domain


class KeptShop:
    """A shop, its storage below a folder, and what a daemon would do with it.

    Args:
        folder: Of the lake, the ledger, and Dagster's storage.
        declare: Declares the domain.
        budget: Of the sensor.
        channels: Where alerts go.
    """

    def __init__(
        self,
        folder: Path,
        *,
        budget: Budget | None = None,
        channels: Sequence[Any] = (),
        **settings: Mapping[str, Any],
    ) -> None:
        self.folder, self.budget, self.channels = folder, budget or Budget(runs=5), channels
        self.clock = Clock(day_start(DAY2) + NOON)
        self.till = Till(self.clock)
        self.trouble = Trouble()
        self.house: Lakehouse = lakehouse(folder)
        self.instance: dg.DagsterInstance | None = None
        self.restart(declare(self.trouble, **settings))

    def __enter__(self) -> "KeptShop":
        return self

    def __exit__(self, *_: object) -> None:
        self.storage.dispose()

    @property
    def storage(self) -> dg.DagsterInstance:
        assert self.instance is not None
        return self.instance

    @property
    def ledger(self) -> Any:
        return self.house.ledger

    def restart(self, domain: Domain | None = None) -> None:
        """Another process with another connection to the storage, and maybe other code."""
        if self.instance is not None:
            self.instance.dispose()
        self.instance = open_instance(self.folder / "dagster")
        self.domain: Domain = domain or self.domain
        self.sensor = reconcile_sensor(self.domain.assets, budget=self.budget, channels=self.channels)  # fmt: skip
        self.definitions = dg.Definitions(
            assets=self.domain.assets,
            asset_checks=[checks_of(nodes_of(self.domain.assets).values(), clock_key="clock")],
            sensors=[self.sensor],
            resources={"lakehouse": self.house, "till": self.till, "clock": SimpleNamespace(clock=self.clock)},
            executor=dg.in_process_executor,
        )  # fmt: skip

    def sell(self, *rows: Row) -> None:
        self.till.rows += rows

    def tick(self) -> Any:
        """One evaluation of the sensor, a minute after the last."""
        self.clock.at += dt.timedelta(minutes=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = dg.build_sensor_context(
                instance=self.storage,
                resources=dict(self.definitions.resources or {}),
                definitions=self.definitions,
            )
            return self.sensor.evaluate_tick(context)

    def queued(self, selection: Sequence[str], tags: Mapping[str, str], **more: Any) -> dg.DagsterRun:  # fmt: skip
        """A run as it stands in the storage before it is executed."""
        keys = [dg.AssetKey(["shop", name]) for name in selection]
        return self.storage.create_run_for_job(
            job_def=self._job(keys),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            asset_selection=frozenset(keys),
            tags=dict(tags),
            **more,
        )

    def requested(self, request: dg.RunRequest) -> dg.DagsterRun:
        """The run that a request asks for, queued."""
        assert request.asset_selection is not None
        return self.queued([key.path[-1] for key in request.asset_selection], request.tags)

    def execute(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """Execute a queued run to its end."""
        keys = sorted(run.asset_selection or ())
        for _ in execute_run_iterator(InMemoryJob(self._job(keys)), run, self.storage):
            pass
        found = self.storage.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def settle(self, ticks: int = 8) -> list[tuple[str, str]]:
        """Tick and execute until nothing is asked for; returns what functions were called for, in order."""
        self.trouble.built = []
        for _ in range(ticks):
            requests = self.tick().run_requests or []
            for request in requests:
                self.execute(self.requested(request))
            if not requests:
                return self.trouble.built
        raise AssertionError(f"not at rest after {ticks} ticks: {self.trouble.built}")

    def days(self, name: str) -> list[str]:
        """Partitions of an asset that the ledger has."""
        return sorted(self.ledger.versions(f"shop/{name}"))

    def check(self, name: str, check: str) -> dg.AssetCheckEvaluation | None:
        """The last evaluation of a check that Dagster was told of."""
        key = dg.AssetCheckKey(dg.AssetKey(["shop", name]), check)
        records = self.storage.event_log_storage.get_asset_check_execution_history(key, limit=1)
        event = records[0].event if records else None
        return None if event is None else event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]

    def times_checked(self, name: str, check: str) -> int:
        key = dg.AssetCheckKey(dg.AssetKey(["shop", name]), check)
        return len(self.storage.event_log_storage.get_asset_check_execution_history(key, limit=99))

    def materialized(self, name: str) -> set[str]:
        """Partitions that Dagster counts as materialized."""
        key = dg.AssetKey(["shop", name])
        return set(self.storage.get_materialized_partitions(key))

    def _job(self, keys: Sequence[dg.AssetKey]) -> dg.JobDefinition:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.as_ephemeral_job(resource_defs={}, input_values={}, asset_selection=list(keys))


def planned(result: dg.SensorResult) -> dict[str, tuple[str, ...]]:
    """Partitions by asset name that all requests of a tick mean."""
    found: dict[str, tuple[str, ...]] = {}
    for request in result.run_requests or []:
        for asset, keys in partitions_of(request.tags).items():
            name = asset.partition("/")[2]
            found[name] = (*found.get(name, ()), *keys)
    return {name: tuple(sorted(keys)) for name, keys in found.items()}


def plan_of(request: dg.RunRequest) -> Any:
    """The plan that a request carries."""
    return json.loads(request.tags["lakeline/plan"])
