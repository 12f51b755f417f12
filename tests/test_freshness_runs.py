"""Dagster's runs as reconciling sees them: which build what, and which of them failed, each once."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.utils import make_new_run_id

from lakeline.domain import Domain
from lakeline.domain.node import nodes_of
from lakeline.freshness.alive import PROCESS, process_tag
from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import RunPlan
from lakeline.freshness.declared import graph_of
from lakeline.freshness.graph import Graph, Vertex
from lakeline.freshness.plan_tags import tags_of
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.runs import PAGE, ended_badly, in_flight
from lakeline.freshness.steps import assets_of_steps
from lakeline.freshness.ticking import tick
from lakeline.ledger import Ledger
from lakeline.window import Window
from tests.kept_shop import DAY1, HOUR, KeptShop, planned
from tests.shop import Sale, lakehouse, new_domain
from tests.shop import run as materialize

CAUSE = "reconcile"
NOW = dt.datetime(2024, 3, 4, 12, tzinfo=dt.UTC)
MANY = 2 * PAGE + 30
FAILED, STARTED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED
SOLD = (f"{DAY1}T09:00", "north", 100)


@dg.op
def tidy(): ...


@dg.job
def housekeeping():
    tidy()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[KeptShop]:
    """A shop with a day to build, where one run at once is allowed."""
    with KeptShop(tmp_path, budget=Budget(runs=1)) as found:
        found.sell(SOLD)
        yield found


def fail(instance: dg.DagsterInstance, number: int, *, at: Sequence[dt.datetime] = ()) -> list[str]:
    """Ids of so many runs of the sensor that failed, at those times, of an asset that is no more."""
    plan = RunPlan(steps={"shop/gone": (DAY1,)}, reason="it was never built", since=NOW)
    tags = tags_of(plan, CAUSE)
    runs = [dg.DagsterRun(job_name="gone", run_id=make_new_run_id(), status=FAILED, tags=tags) for _ in range(number)]  # fmt: skip
    for run in runs:
        instance.add_run(run)
    ids = [run.run_id for run in runs]
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        for run_id, moment in zip(ids, at, strict=False):
            updated = sa.update(RunsTable).where(RunsTable.c.run_id == run_id)
            connection.execute(updated.values(update_timestamp=moment.replace(tzinfo=None)))
    return ids


def told(instance: dg.DagsterInstance, ledger: Ledger) -> list[str]:
    """Ids of the runs that one tick is given."""
    return [run.run_id for run in ended_badly(instance, ledger, CAUSE, NOW)]


def assert_each_is_told_once(
    instance: dg.DagsterInstance, ledger: Ledger, ids: Sequence[str]
) -> None:
    assert sorted(told(instance, ledger)) == sorted(ids)
    assert told(instance, ledger) == []


# --- what failed --------------------------------------------------------------------------------


def test_thousands_of_failures_of_one_moment_are_told_once_each_and_so_is_the_next(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    first = fail(instance, MANY, at=[NOW] * MANY)
    assert_each_is_told_once(instance, ledger, first)
    assert_each_is_told_once(instance, ledger, fail(instance, 3, at=[NOW] * 3))
    assert_each_is_told_once(instance, ledger, fail(instance, 1, at=[NOW + 6 * HOUR]))


def test_failures_a_second_apart_are_told_once_each_in_their_order(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    moments = [NOW - dt.timedelta(seconds=number) for number in range(MANY)]
    ids = fail(instance, MANY, at=moments)
    assert told(instance, ledger) == ids[::-1]
    assert told(instance, ledger) == []


def test_a_tick_that_is_killed_amid_many_failures_leaves_fewer_to_the_next(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ids = fail(instance, MANY, at=[NOW + dt.timedelta(seconds=n) for n in range(MANY)])
    killed = ended_badly(instance, ledger, CAUSE, NOW)
    first = [next(killed).run_id for _ in range(PAGE + 1)]
    assert [*first[:PAGE], *told(instance, ledger)] == ids


def test_a_failure_after_hundreds_of_others_is_backed_off_and_not_launched_again(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    fail(instance, MANY)
    said = failed_once(empty_till(), "shop/sales", instance, tmp_path)
    assert said.endswith("backed off, it failed (1 of 8): ValueError: the till is empty")


# --- texts that no database takes ---------------------------------------------------------------


def test_a_failure_with_a_file_name_that_is_no_utf8_is_counted_and_told(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    domain = empty_till(said="cannot parse orders-\udcff.csv \x00")
    said = failed_once(domain, "shop/sales", instance, tmp_path)
    assert said.endswith(
        r"backed off, it failed (1 of 8): ValueError: cannot parse orders-\udcff.csv \x00"
    )


# --- step keys ----------------------------------------------------------------------------------


def test_a_failure_in_a_domain_with_two_underscores_in_its_name_is_counted(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    said = failed_once(empty_till("shop__eu"), "shop__eu/sales", instance, tmp_path)
    assert said.endswith("backed off, it failed (1 of 8): ValueError: the till is empty")


def empty_till(name: str = "shop", said: str = "the till is empty") -> Domain:
    """A domain of one table that cannot be built."""
    domain = new_domain(name)

    @domain.table(contract=Sale, layer="raw", retries=0)
    def sales(window: Window) -> pl.DataFrame:
        raise ValueError(said)

    return domain


def failed_once(domain: Domain, asset: str, instance: dg.DagsterInstance, folder: Path) -> str:
    """What is decided on the first day of an asset after the run that a tick asked for has failed."""
    house = lakehouse(folder)
    reconciler = Reconciler(graph_of(nodes_of(domain.assets)), house.ledger)
    (plan,) = tick(reconciler, instance, CAUSE, NOW).runs
    run = materialize(domain.assets, house, tags=tags_of(plan, CAUSE), instance=instance)
    assert not run.success
    after = tick(reconciler, instance, CAUSE, NOW + dt.timedelta(seconds=30))
    assert not after.runs
    return str(after.of(asset, DAY1))


# --- what is under way --------------------------------------------------------------------------


def test_a_job_of_plain_ops_builds_nothing_and_takes_no_place(shop: KeptShop) -> None:
    tags = {"dagster/partition": DAY1}
    shop.storage.create_run_for_job(housekeeping, status=STARTED, tags=tags)
    plan = planned(shop.tick())
    assert plan["sales"] == (DAY1,)
    assert plan["shops"] == ("",)


def test_a_job_of_another_location_with_the_same_name_builds_none_of_these_assets(
    shop: KeptShop,
) -> None:
    @dg.asset(key=["elsewhere", "sales"])
    def foreign(): ...

    job = dg.Definitions(
        assets=[foreign], jobs=[dg.define_asset_job("shop_everything")]
    ).resolve_job_def("shop_everything")
    shop.storage.create_run_for_job(job, status=STARTED)
    assert planned(shop.tick())["shops"] == ("",)


def test_a_job_of_assets_that_was_launched_without_a_selection_is_respected(shop: KeptShop) -> None:
    everything = dg.define_asset_job("totals_alone", dg.AssetSelection.assets(["shop", "totals"]))
    job = dg.Definitions(
        assets=shop.domain.assets,
        jobs=[everything],
        resources={"lakehouse": shop.house, "till": shop.till, "clock": shop.clock},
    ).resolve_job_def("totals_alone")
    run = shop.storage.create_run_for_job(job, status=STARTED, tags={"dagster/partition": DAY1})
    assert run.asset_selection is None
    graph = graph_of(nodes_of(shop.domain.assets))
    (found,) = in_flight(shop.storage, graph)
    assert (found.run_id, found.partitions) == (run.run_id, {"shop/totals": (DAY1,)})


def test_a_run_in_process_knows_itself(instance: dg.DagsterInstance) -> None:
    graph = Graph.of([Vertex(name="cafe/orders"), Vertex(name="cafe/guests")])
    seen = []

    @dg.asset(key=["cafe", "orders"])
    def orders():
        seen.extend(in_flight(instance, graph))

    dg.materialize([orders], instance=instance)
    assert [one.partitions for one in seen] == [{"cafe/orders": ("",)}]


def test_a_run_of_which_no_plan_is_kept_builds_nothing_that_is_known(
    instance: dg.DagsterInstance,
) -> None:
    run = dg.DagsterRun(job_name="lost", status=STARTED)
    instance.add_run(run)
    assert assets_of_steps(instance, run) == {}
    assert in_flight(instance, Graph.of([Vertex(name="cafe/orders")])) == []


# --- runs of processes that are gone -----------------------------------------------------------------


def gone_process() -> dict[str, str]:
    """The tag of a process that was killed."""
    script = "from lakeline.freshness.alive import process_tag; print(process_tag()['lakeline/process'], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        tag = child.stdout.readline().strip()
        child.kill()
    return {PROCESS: tag}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (process_tag, [True]),
        (gone_process, []),
        (lambda: {PROCESS: f"{process_tag()[PROCESS].rpartition(' ')[0]} 1.5"}, []),
        (lambda: {PROCESS: "elsewhere/pid:[1] 1 1.5"}, [True]),
        (dict, [True]),
    ],
    ids=["alive", "killed", "its number is another's now", "on another machine", "of the daemon"],
)
def test_a_run_whose_process_was_killed_is_over_and_said_to_have_failed(
    instance: dg.DagsterInstance, tag: Callable[[], dict[str, str]], expected: list[bool]
) -> None:
    asset = dg.AssetKey(["cafe", "orders"])
    run = dg.DagsterRun(
        job_name="__ASSET_JOB", status=STARTED, asset_selection=frozenset([asset]), tags=tag()
    )
    instance.add_run(run)
    graph = Graph.of([Vertex(name="cafe/orders")])
    assert [one.run_id for one in in_flight(instance, graph)] == [run.run_id] * len(expected)
    (record,) = instance.get_run_records()
    assert record.dagster_run.status == (STARTED if expected else FAILED)
