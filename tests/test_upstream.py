"""Behaviours of other packages that this one leans on: each test says who would break."""

import signal
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from sqlalchemy.engine import Connection, Engine

from lakeline.freshness.steps import assets_of_steps

DAYS = dg.DailyPartitionsDefinition("2013-01-01", end_date="2013-01-06")
RANGE = {
    "dagster/asset_partition_range_start": "2013-01-01",
    "dagster/asset_partition_range_end": "2013-01-05",
}


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("contract", asset="days")],
)
def days():
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


class Counting(SqliteEventLogStorage):
    """A stock log that keeps what it was asked."""

    def __init__(self, base_dir: str, inst_data: object = None, *, fail: bool = False) -> None:
        self.batches: list[Sequence[EventLogEntry]] = []
        self.shards: list[str] = []
        self.asked: list[str] = []
        self.fail = fail
        super().__init__(base_dir)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        self.batches.append(events)
        if self.fail:
            raise OSError("disk full")
        super().store_event_batch(events)

    def _connect(self, shard: str):
        self.shards.append(shard)
        return super()._connect(shard)

    def has_table(self, table_name: str) -> bool:
        self.asked.append(table_name)
        return super().has_table(table_name)


def named(*path: str) -> dg.AssetsDefinition:
    """A plain asset of that key."""

    @dg.asset(key=list(path))
    def plain(): ...

    return plain


@dg.op
def tidy(): ...


@dg.job
def housekeeping():
    tidy()


@pytest.fixture
def batches_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def use(instance: dg.DagsterInstance, log: Counting) -> Counting:
    """Let the instance write to the log."""
    log.register_instance(instance)
    instance._event_storage = log
    return log


# lakeline.eventlog overrides `_connect` and nothing else of how the stock log reaches its files.
def test_every_access_of_the_stock_log_goes_through_connect(tmp_path: Path) -> None:
    log = Counting(str(tmp_path))
    log.shards.clear()
    for connection in (log.run_connection("run"), log.index_connection()):
        with connection:
            pass
    assert log.shards == ["run", INDEX_SHARD_NAME]


# lakeline.eventlog prepares a file each time that its pool first meets it.
def test_preparing_a_file_twice_keeps_what_is_in_it(tmp_path: Path) -> None:
    import sqlalchemy as sa

    log = SqliteEventLogStorage(str(tmp_path))
    engine: Engine = sa.create_engine(f"sqlite:///{tmp_path / 'index.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("insert into event_logs (event) values ('x')"))
    log._initdb(engine)
    with engine.begin() as connection:
        assert connection.execute(sa.text("select event from event_logs")).scalar_one() == "x"
    engine.dispose()


# lakeline.eventlog remembers a yes; if Dagster stops asking, the override can go.
def test_the_stock_log_asks_for_its_tables_at_every_asset_event(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    log = use(instance, Counting(str(tmp_path)))
    dg.materialize([days], instance=instance, tags=RANGE)
    assert log.asked.count("asset_event_tags") >= 5


# lakeline.eventlog makes each batch one transaction.
@pytest.mark.usefixtures("batches_on")
def test_the_materializations_of_one_step_come_as_one_batch(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    log = use(instance, Counting(str(tmp_path)))
    dg.materialize([days], instance=instance, tags=RANGE)
    planned, made = log.batches
    assert {e.dagster_event_type for e in made} == {dg.DagsterEventType.ASSET_MATERIALIZATION}
    assert [e.get_dagster_event().partition for e in made] == list(DAYS.get_partition_keys())
    assert dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED in {
        e.dagster_event_type for e in planned
    }


# lakeline.eventlog lets a batch fail as a whole.
@pytest.mark.usefixtures("batches_on")
def test_the_events_of_a_failed_batch_are_stored_one_by_one(
    tmp_path: Path, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    log = use(instance, Counting(str(tmp_path), fail=True))
    result = dg.materialize([days], instance=instance, tags=RANGE)
    assert log.batches
    assert len(log.fetch_materializations(days.key, limit=10).records) == 5
    assert result.success
    assert "Falling back" in capsys.readouterr().err


# lakeline.eventlog writes the planned check of every partition with one statement of its own.
def test_a_run_keeps_a_plan_that_tells_the_assets_of_its_steps(
    instance: dg.DagsterInstance,
) -> None:
    """`lakeline.freshness.steps` reads it, whatever the step is called; of ops that build no asset it tells none."""
    assets = [named("shop__eu", "sales"), named("shop", "eu", "totals")]
    everything = dg.define_asset_job("everything")
    job = dg.Definitions(assets=assets, jobs=[everything]).resolve_job_def("everything")
    assert assets_of_steps(instance, instance.create_run_for_job(job)) == {
        "shop__eu__sales": ("shop__eu/sales",),
        "shop__eu__totals": ("shop/eu/totals",),
    }
    assert assets_of_steps(instance, instance.create_run_for_job(housekeeping)) == {}


def test_a_planned_check_names_its_partitions(instance: dg.DagsterInstance) -> None:
    result = dg.materialize([days], instance=instance, tags=RANGE)
    planned = [
        event.get_dagster_event().asset_check_planned_data
        for event in instance.all_logs(result.run_id)
        if event.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    ]
    subset = planned[0].partitions_subset
    assert subset is not None
    assert set(subset.get_partition_keys()) == set(DAYS.get_partition_keys())


# lakeline.eventlog watches the write-ahead log: the file itself stands still while a connection is open.
def test_sqlite_touches_the_file_itself_only_at_a_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    connection = sqlite3.connect(file)
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table t (n int)")
    connection.commit()
    before = file.read_bytes()
    connection.execute("insert into t values (1)")
    connection.commit()
    assert file.read_bytes() == before
    assert Path(f"{file}-wal").stat().st_size > 0
    connection.close()
    assert file.read_bytes() != before


# lakeline.eventlog gives the stock watchdog a second file to look at.
def test_the_stock_watchdog_keeps_its_file_and_its_patterns_by_these_names(tmp_path: Path) -> None:
    log = SqliteEventLogStorage(str(tmp_path))
    watchdog = SqliteEventLogStorageWatchdog(log, "run", lambda *_: None, None)
    assert watchdog._log_path == str(tmp_path / "run.db")
    assert watchdog._patterns == [watchdog._log_path]


# lakeline.eventlog shares one connection among nested transactions of a shard.
def test_a_nested_index_transaction_joins_the_outer_one(tmp_path: Path) -> None:
    from lakeline.eventlog import PooledSqliteEventLogStorage

    log = PooledSqliteEventLogStorage(str(tmp_path))
    with log.index_connection() as outer, log.index_transaction() as inner:
        assert isinstance(outer, Connection)
        assert inner is outer
    log.dispose()


# --- Feast --------------------------------------------------------------------------------------


def test_feast_runs_the_text_of_an_on_demand_function_where_it_reads_the_registry() -> None:
    """`domain.feast.objects.source_of` writes that text, which calls the function by its name."""
    from feast.transformation.pandas_transformation import PandasTransformation

    def never(frame):
        raise AssertionError

    text = "def double(frame):\n    return frame * 2\n"
    kept = PandasTransformation(udf=never, udf_string=text, name="double").to_proto()
    kept.name = "double"
    assert PandasTransformation.from_proto(kept).udf(21) == 42


def test_feast_infers_features_of_an_on_demand_view_without_descriptions() -> None:
    """So `domain.feast.objects.on_demand_of` declares them bare."""
    import pandas as pd
    from feast import Field, RequestSource
    from feast.errors import RegistryInferenceFailure, SpecifiedFeaturesNotPresentError
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.transformation.pandas_transformation import PandasTransformation
    from feast.types import Int64

    def double(frame):
        return pd.DataFrame({"twice": frame["once"] * 2})

    def view(**more: str) -> OnDemandFeatureView:
        return OnDemandFeatureView(
            name="doubled",
            sources=[RequestSource(name="asked", schema=[Field(name="once", dtype=Int64)])],
            schema=[Field(name="twice", dtype=Int64, **more)],  # type: ignore[arg-type]
            feature_transformation=PandasTransformation(udf=double, udf_string="double"),
        )

    view().infer_features()
    with pytest.raises((SpecifiedFeaturesNotPresentError, RegistryInferenceFailure)):
        view(description="Twice as much").infer_features()


# --- pyiceberg ----------------------------------------------------------------------------------


def test_pyiceberg_plans_manifest_entries_with_their_sequence_numbers(tmp_path: Path) -> None:
    """`features.offline.scan` orders files by commit with them."""
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=str(tmp_path))
    catalog.create_namespace("demo")
    table = catalog.create_table("demo.rows", schema=pa.schema([("n", pa.int64())]))
    for n in range(3):
        table.append(pa.table({"n": [n]}))
    scan = table.scan()
    assert not scan._should_use_server_side_planning()
    entries = [entry for manifest in scan._plan_manifest_entries() for entry in manifest]
    assert sorted(entry.sequence_number or 0 for entry in entries) == [1, 2, 3]


def test_an_interrupted_step_with_a_retry_policy_is_run_again() -> None:
    """`lakeline.domain.cancelling` ends the run instead; where Dagster does so itself it can go."""
    tries: list[int] = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def interrupted() -> None:
        tries.append(1)
        if len(tries) == 1:
            signal.raise_signal(signal.SIGINT)

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([interrupted], instance=instance).success
    assert len(tries) == 2
