"""Feast's API on lakeline's offline store, as a person with a Feast repository uses it."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

feast = pytest.importorskip("feast")

from feast import (  # noqa: E402
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    PushSource,
    RepoConfig,
    RequestSource,
    ValueType,
)
from feast.data_source import PushMode  # noqa: E402
from feast.errors import (  # noqa: E402
    FeatureNameCollisionError,
    RequestDataNotFoundInEntityDfException,
    SavedDatasetLocationAlreadyExists,
)
from feast.feature_logging import (  # noqa: E402
    LOG_DATE_FIELD,
    LOG_TIMESTAMP_FIELD,
    REQUEST_ID_FIELD,
    FeatureServiceLoggingSource,
    LoggingConfig,
)
from feast.on_demand_feature_view import OnDemandFeatureView, on_demand_feature_view  # noqa: E402
from feast.repo_config import RegistryConfig  # noqa: E402
from feast.types import Float64, Int64  # noqa: E402

from lakeline.errors import FeatureClashError  # noqa: E402
from lakeline.feast.job import LakelineRetrievalJob  # noqa: E402
from lakeline.feast.lakes import OfflineStoreSettingError, lake_of, travel_of  # noqa: E402
from lakeline.feast.offline import STORE, LakelineOfflineStore  # noqa: E402
from lakeline.feast.source import IcebergSource, SourceTypeError  # noqa: E402
from lakeline.feast.storage import (  # noqa: E402
    IcebergLoggingDestination,
    SavedDatasetIcebergStorage,
)
from lakeline.feast.views import check_features, view_reads  # noqa: E402
from lakeline.features.offline.errors import UnknownFeatureError, ViewColumnsError  # noqa: E402
from lakeline.lake import Lake  # noqa: E402
from tests.feature_tables import HOUR, INSTANT, at, put, rows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
STATS = ["driver_stats:trips", "driver_stats:rating"]

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)


def stats_source(**changes: Any) -> IcebergSource:
    given: dict[str, Any] = {
        "name": "drivers",
        "table": "rides.drivers",
        "timestamp_field": "happened",
        "created_timestamp_column": "written",
        "field_mapping": {
            "driver": "driver_id",
            "event_ts": "happened",
            "known_ts": "written",
            "stars": "rating",
        },
    }
    return IcebergSource(**(given | changes))


def stats_view(name: str = "driver_stats", **changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "entities": [driver],
        "ttl": 5 * HOUR,
        "schema": [Field(name="trips", dtype=Int64), Field(name="rating", dtype=Float64)],
        "source": stats_source(),
    }
    return FeatureView(name=name, **(given | changes))


def world_view() -> FeatureView:
    source = IcebergSource(table="rides.world", timestamp_field="event_ts")
    return FeatureView(
        name="world", entities=[], schema=[Field(name="rides", dtype=Int64)], source=source
    )


def more_trips(view: FeatureView) -> OnDemandFeatureView:
    request = RequestSource(name="request", schema=[Field(name="more", dtype=Int64)])

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[view, request],
        schema=[Field(name="all_trips", dtype=Int64), Field(name="no_trips", dtype=Int64)],
        mode="pandas",
    )
    def more_trips(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "all_trips": (inputs["trips"] + inputs["more"]).astype("Int64"),
                "no_trips": (inputs["trips"] * 0).astype("Int64"),
            }
        )

    assert isinstance(more_trips, OnDemandFeatureView)
    return more_trips


def feature_store(folder: Path, **settings: Any) -> FeatureStore:
    online_store = settings.pop(
        "online_store", {"type": "sqlite", "path": str(folder / "online.db")}
    )
    return FeatureStore(
        config=RepoConfig(
            project="rides",
            provider="local",
            registry=RegistryConfig(path=str(folder / "registry.db")),
            offline_store={
                "type": STORE,
                "catalog_uri": f"sqlite:///{folder}/catalog.db",
                "warehouse": str(folder / "warehouse"),
                **settings,
            },
            online_store=online_store,
            entity_key_serialization_version=3,
        )
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.in_folder(tmp_path)
    given = rows(
        (1, at(0), at(0), 7), (1, at(0), at(2), 8), (2, at(1), at(1), 9), (3, at(-9), at(-9), 5)
    )
    put(lake, given.append_column("stars", pa.array([4.5, 4.0, 3.0, 1.0])))
    world = rows((0, at(0), at(0), 100), (0, at(2), at(2), 200))
    put(lake, pa.table({"event_ts": world["event_ts"], "rides": world["trips"]}), "rides.world")
    return lake


@pytest.fixture
def store(tmp_path: Path, lake: Lake) -> FeatureStore:
    made = feature_store(tmp_path)
    view = stats_view()
    made.apply([driver, view, world_view(), more_trips(view)])
    return made


def frame(*given: tuple[int, dt.datetime], **more: Any) -> pd.DataFrame:
    ids, moments = zip(*given, strict=True)
    return pd.DataFrame({"driver_id": ids, "event_timestamp": moments, **more})


def values(job: Any, name: str = "trips") -> list[Any]:
    return list(job.to_arrow()[name].to_pylist())


def test_historical_features_follow_mapping_ties_and_time_to_live(store: FeatureStore):
    job = store.get_historical_features(
        frame((2, at(3)), (1, at(1)), (3, at(1)), (2, at(7))), [*STATS, "world:rides"]
    )
    found = job.to_df()
    assert list(found.columns) == ["driver_id", "event_timestamp", "trips", "rating", "rides"]
    assert found["driver_id"].tolist() == [2, 1, 3, 2]
    assert values(job) == [9, 8, None, None]
    assert values(job, "rating") == [3.0, 4.0, None, None]
    assert values(job, "rides") == [200, 100, 100, 200]


def test_the_event_time_of_each_value_comes_where_asked(tmp_path: Path, store: FeatureStore):
    telling = feature_store(tmp_path, has_event_times=True)
    wanted = frame((2, at(3)), (1, at(1)), (2, at(7)))
    job = telling.get_historical_features(wanted, [*STATS, "world:rides"])
    assert values(job, "driver_stats:event_time") == [at(1), at(0), None]
    assert values(job, "world:event_time") == [at(2), at(0), at(2)]
    usual = store.get_historical_features(wanted, STATS)
    assert not [
        name for name in usual.to_arrow().column_names if "event_time" in name and ":" in name
    ]


def test_rows_wait_for_their_creation_only_where_asked(store: FeatureStore):
    wanted = frame((1, at(1)))
    assert values(store.get_historical_features(wanted, STATS)) == [8]
    waiting = store.get_historical_features(wanted, STATS, filter_by_created_timestamp=True)
    assert values(waiting) == [7]


def test_a_knowledge_time_closes_the_leak_by_default(store: FeatureStore):
    source = stats_source(name="known", knowledge_time_field="written", created_timestamp_column="")
    store.apply([stats_view("known_stats", source=source)])
    job = store.get_historical_features(frame((1, at(1)), (1, at(2))), ["known_stats:trips"])
    assert values(job) == [7, 8]


def test_the_knowledge_time_decides_ties_and_registries_stay_as_they_are():
    source = stats_source(knowledge_time_field="written", created_timestamp_column="")
    assert source.created_timestamp_column == "written"
    stored = source.to_proto()
    assert stored.created_timestamp_column == ""
    assert IcebergSource.from_proto(stored) == source
    both = stats_source(knowledge_time_field="known", created_timestamp_column="written")
    assert both.to_proto().created_timestamp_column == "written"


def test_materialising_an_earlier_range_again_takes_no_correction_back(tmp_path: Path, lake: Lake):
    online_store = {
        "type": "lakeline.feast.online.LakelineOnlineStore",
        "url": f"sqlite:///{tmp_path}/packed.db",
        "as_of": at(3).isoformat(),
    }
    store = feature_store(tmp_path, online_store=online_store)
    source = stats_source(knowledge_time_field="written", created_timestamp_column="")
    store.apply([driver, stats_view(source=source)])

    def online() -> list[int | None]:
        found = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1}])
        return list(found.to_dict()["trips"])

    store.materialize(at(-24), at(1))
    assert online() == [7]
    store.materialize(at(-24), at(3))
    assert online() == [8]
    store.materialize(at(-24), at(1))
    assert online() == [8]


@pytest.mark.parametrize("full", [True, False])
def test_names_are_full_where_asked(store: FeatureStore, full: bool):  # noqa: FBT001
    job = store.get_historical_features(
        frame((1, at(1)), more=[10]), ["driver_stats:trips", "more_trips:all_trips"], full
    )
    plain = {"trips", "rating", "all_trips"}  # Feast asks for all that an on-demand view reads
    names = {"driver_stats__trips", "driver_stats__rating", "more_trips__all_trips"}
    assert set(job.to_df().columns[3:]) == (names if full else plain)
    assert job.full_feature_names == full


def test_on_demand_features_are_computed_from_what_was_found(store: FeatureStore):
    job = store.get_historical_features(
        frame((1, at(1)), (2, at(3)), more=[10, 20]), ["more_trips:all_trips"]
    )
    assert values(job, "all_trips") == [18, 29]
    assert "no_trips" not in job.to_df()


def test_request_data_is_asked_for_whatever_the_frame_is(store: FeatureStore):
    for given in (frame((1, at(1))), pl.from_pandas(frame((1, at(1))))):
        with pytest.raises(RequestDataNotFoundInEntityDfException, match="more"):
            store.get_historical_features(given, ["more_trips:all_trips"])


@pytest.mark.parametrize("kind", ["polars", "arrow", "query", "table"])
def test_entity_frames_of_other_kinds(store: FeatureStore, lake: Lake, kind: str):
    given = pl.from_pandas(frame((1, at(1)), (2, at(3))))
    put(
        lake,
        given.to_arrow().cast(pa.schema([("driver_id", pa.int64()), ("event_timestamp", INSTANT)])),
        "rides.orders",
    )
    entity_frame: Any = {
        "polars": given,
        "arrow": given.to_arrow(),
        "query": 'SELECT * FROM "rides"."orders" ORDER BY driver_id',
        "table": "rides.orders",
    }[kind]
    job = store.get_historical_features(entity_frame, [*STATS, "world:rides"])
    assert values(job) == [8, 9]
    assert job.metadata is not None
    assert job.metadata.keys == ["driver_id"]
    assert job.metadata.min_event_timestamp == at(1)
    assert job.metadata.max_event_timestamp == at(3)
    assert set(job.metadata.features) == {*STATS, "world:rides"}


def test_a_range_of_dates_instead_of_entities(store: FeatureStore):
    job = store.get_historical_features(None, STATS, start_date=at(-1), end_date=at(1))
    found = job.to_df().sort_values("driver_id")
    assert found["driver_id"].tolist() == [1, 2]
    assert found["trips"].tolist() == [8, 9]
    whole = store.get_historical_features(None, ["world:rides"], start_date=at(0), end_date=at(9))
    assert values(whole, "rides") == [100, 200]


def test_a_view_is_joined_twice_by_renamed_keys(store: FeatureStore):
    view = store.get_feature_view("driver_stats")
    service = FeatureService(
        name="pairs",
        features=[
            view[["trips"]].with_name("first").with_join_key_map({"driver_id": "one"}),
            view[["trips"]].with_name("second").with_join_key_map({"driver_id": "two"}),
        ],
    )
    store.apply([service])
    given = frame((1, at(1))).rename(columns={"driver_id": "one"}).assign(two=2)
    job = store.get_historical_features(given, store.get_feature_service("pairs"), True)
    assert values(job, "first__trips") == [8]
    assert values(job, "second__trips") == [9]


def test_results_come_as_any_frame_and_in_batches(store: FeatureStore):
    job = store.get_historical_features(frame((1, at(1)), (2, at(3))), STATS)
    assert isinstance(job, LakelineRetrievalJob)
    whole = job.to_arrow()
    assert job.to_polars()["trips"].to_list() == [8, 9]
    assert job.to_df()["trips"].tolist() == [8, 9]
    with job.to_arrow_batches() as batches:
        assert batches.read_all().equals(whole)


def test_a_source_comes_back_from_the_registry_as_it_was(store: FeatureStore):
    source = stats_source(
        name="pinned", snapshot_id=2**62, knowledge_time_field="written", tags={"a": "b"}
    )
    store.apply([source])
    found = store.get_data_source("pinned")
    assert found == source
    assert found != stats_source(name="pinned", tags={"a": "b"})
    assert store.registry.get_feature_view("driver_stats", "rides").batch_source == stats_source()


def test_types_are_inferred_from_the_table(store: FeatureStore, lake: Lake):
    table = rows((1, at(0), at(0), 7)).append_column("path", pa.array([[1.5]]))
    put(
        lake,
        table.rename_columns(["driver_id", "event_ts", "known_ts", "trips", "path"]),
        "rides.plain",
    )
    source = IcebergSource(table="rides.plain", timestamp_field="event_ts")
    store.apply([FeatureView(name="inferred", entities=[driver], source=source)])
    found = {one.name: str(one.dtype) for one in store.get_feature_view("inferred").features}
    assert found == {"known_ts": "UnixTimestamp", "trips": "Int64", "path": "Array(Float64)"}


def test_a_renamed_key_that_feast_does_not_infer_still_joins(tmp_path: Path, lake: Lake):
    untyped = Entity(name="driver", join_keys=["driver_id"])
    made = feature_store(tmp_path)
    made.apply([untyped, stats_view(entities=[untyped])])
    assert made.get_feature_view("driver_stats").entity_columns == []
    job = made.get_historical_features(frame((1, at(1)), (2, at(1)), (4, at(1))), STATS)
    assert values(job) == [8, 9, None]


def test_materialized_values_are_the_latest_of_each_key(store: FeatureStore):
    store.materialize(at(-24), at(3))
    found = store.get_online_features(
        [*STATS, "world:rides"], [{"driver_id": one} for one in (1, 2, 3, 4)]
    ).to_dict()
    assert found["trips"] == [8, 9, 5, None]
    assert found["rides"] == [200] * 4


def pulled(store: FeatureStore, which: str, source: IcebergSource, *dates: Any) -> list[Any]:
    pull = getattr(LakelineOfflineStore, f"pull_{which}_from_table_or_query")
    created = source.column(source.created_timestamp_column) or None
    job = pull(store.config, source, ["driver"], ["trips"], "event_ts", created, *dates)
    return sorted(job.to_arrow()["trips"].to_pylist())


def test_pulls_take_both_ends_of_the_range(store: FeatureStore):
    source = stats_source()
    assert pulled(store, "all", source, at(0), at(1)) == [7, 8, 9]
    assert pulled(store, "latest", source, at(0), at(1)) == [8, 9]
    assert pulled(store, "all", source, at(-9), at(0)) == [5, 7, 8]
    assert pulled(store, "all", source, None, None) == [5, 7, 8, 9]


def test_pulls_take_a_row_when_it_becomes_known_and_once(store: FeatureStore):
    source = stats_source(knowledge_time_field="written", created_timestamp_column="")
    assert pulled(store, "latest", source, at(-1), at(1)) == [7, 9]
    assert pulled(store, "latest", source, at(1.5), at(3)) == [8]


def test_a_view_without_entities_is_pulled_with_feasts_own_key(store: FeatureStore):
    source = IcebergSource(table="rides.world", timestamp_field="event_ts")
    job = LakelineOfflineStore.pull_latest_from_table_or_query(
        store.config, source, [], ["rides"], "event_ts", None, at(0), at(9)
    )
    assert job.to_arrow().select(["rides", "__dummy_id"]).to_pylist() == [
        {"rides": 200, "__dummy_id": ""}
    ]


def written(**changes: Any) -> pd.DataFrame:
    given = {"stars": [5.0], "trips": [1], "known_ts": [at(2)], "driver": [4], "event_ts": [at(2)]}
    return pd.DataFrame({**given, **changes})


def test_written_rows_are_seen_at_once_whatever_their_order(store: FeatureStore):
    before = store.get_historical_features(frame((4, at(3))), STATS)
    store.write_to_offline_store("driver_stats", written())
    assert values(before) == [None]
    assert values(store.get_historical_features(frame((4, at(3))), STATS)) == [1]


def test_written_rows_with_other_columns_are_refused(store: FeatureStore):
    with pytest.raises(ValueError, match="missing_expected_columns: \\['stars'\\]"):
        store.write_to_offline_store("driver_stats", written().drop(columns="stars"))


def test_pushed_rows_are_written(store: FeatureStore):
    push = PushSource(name="pushed", batch_source=stats_source())
    store.apply([push, stats_view("pushed_stats", source=push)])
    store.push("pushed", written(), to=PushMode.OFFLINE)
    job = store.get_historical_features(frame((4, at(3))), ["pushed_stats:trips"])
    assert values(job) == [1]


def test_a_saved_dataset_is_a_table_that_says_what_it_was_read_from(
    store: FeatureStore, lake: Lake
):
    job = store.get_historical_features(
        frame((1, at(1)), (2, at(3)), more=[1, 2]), [*STATS, "more_trips:all_trips"]
    )
    assert isinstance(job, LakelineRetrievalJob)
    storage = SavedDatasetIcebergStorage("training")
    saved = store.create_saved_dataset(job, "training", storage)
    assert saved.to_df()["all_trips"].tolist() == [9, 11]
    again = store.get_saved_dataset("training")
    assert again.storage == storage
    assert sorted(again.to_df()["trips"].tolist()) == [8, 9]
    read = lake.load("feast.training").properties["lakeline.read.driver_stats"]
    assert int(read) == job.snapshots["driver_stats"]


def test_a_saved_dataset_keeps_the_name_of_its_moments(store: FeatureStore):
    given = frame((1, at(1))).rename(columns={"event_timestamp": "decided"})
    job = store.get_historical_features(given, STATS)
    saved = store.create_saved_dataset(job, "named", SavedDatasetIcebergStorage("named"))
    assert saved.to_df()["decided"].tolist() == [pd.Timestamp(at(1))]


def test_a_saved_dataset_is_overwritten_only_where_allowed(store: FeatureStore, lake: Lake):
    def save(features: list[str], **options: Any) -> Any:
        job = store.get_historical_features(frame((1, at(1))), features)
        storage = SavedDatasetIcebergStorage("rides.saved")
        return store.create_saved_dataset(job, "saved", storage, **options)

    save(STATS)
    with pytest.raises(SavedDatasetLocationAlreadyExists, match=r"rides\.saved"):
        save(STATS)
    saved = save(["world:rides"], allow_overwrite=True).to_df()
    assert saved["rides"].tolist() == [100]
    assert {one.name for one in lake.load("rides.saved").schema().fields} == {
        "driver_id",
        "event_timestamp",
        "rides",
    }


@pytest.mark.parametrize("as_path", [True, False])
def test_logged_features_are_appended_and_read_back(
    store: FeatureStore,
    tmp_path: Path,
    as_path: bool,  # noqa: FBT001
):
    import pyarrow.parquet as pq

    view = store.get_feature_view("driver_stats")
    service = FeatureService(
        name="logged",
        features=[view[["trips"]]],
        logging_config=LoggingConfig(destination=IcebergLoggingDestination(table="logs")),
    )
    store.apply([service])
    service = store.get_feature_service("logged")
    schema = FeatureServiceLoggingSource(service, "rides").get_schema(store.registry)
    for number in (1, 2):
        one = {
            "driver_id": number,
            "driver_stats__trips": 7,
            "driver_stats__trips__timestamp": at(0),
            "driver_stats__trips__status": 2,
            LOG_TIMESTAMP_FIELD: at(number),
            LOG_DATE_FIELD: at(0).date(),
            REQUEST_ID_FIELD: str(number),
        }
        logs: Any = pa.Table.from_pylist([one], schema=schema)
        if as_path:
            folder = tmp_path / f"logs_{number}"
            folder.mkdir()
            pq.write_table(logs, folder / "part.parquet")
            logs = folder
        store.write_logged_features(logs, service)
    found = store._get_provider().retrieve_feature_service_logs(
        service, at(0), at(2), store.config, store.registry
    )
    assert sorted(found.to_df()["driver_id"].tolist()) == [1, 2]


def test_the_settings_pin_snapshots_and_moments(store: FeatureStore, tmp_path: Path, lake: Lake):
    first = lake.load("rides.drivers").metadata.snapshots[0]
    store.write_to_offline_store("driver_stats", written())
    moment = dt.datetime.fromtimestamp(first.timestamp_ms / 1000, dt.UTC).isoformat()
    for pins in ({"snapshots": {"rides.drivers": first.snapshot_id}}, {"as_of": moment}):
        pinned = feature_store(tmp_path, **pins)
        job = pinned.get_historical_features(frame((4, at(3)), (1, at(3))), STATS)
        assert isinstance(job, LakelineRetrievalJob)
        assert job.snapshots == {"driver_stats": first.snapshot_id}
        assert values(job) == [None, 8]


def test_settings_that_cannot_work_say_so(store: FeatureStore, tmp_path: Path):
    with pytest.raises(
        OfflineStoreSettingError, match=r"as_of .* has no time zone\. Write 2024-01-01Z"
    ):
        travel_of(feature_store(tmp_path, as_of="2024-01-01").config)
    with pytest.raises(OfflineStoreSettingError, match="is 'soon', which is no ISO time"):
        travel_of(feature_store(tmp_path, as_of="soon").config)
    other = RepoConfig(
        project="rides",
        provider="local",
        registry="registry.db",
        offline_store={"type": "dask"},
        entity_key_serialization_version=3,
    )
    with pytest.raises(
        OfflineStoreSettingError, match=r"is dask, and an IcebergSource needs lakeline\.feast"
    ):
        lake_of(other)


def test_a_source_of_another_kind_is_refused(store: FeatureStore, tmp_path: Path):
    source = feast.FileSource(path=str(tmp_path / "x.parquet"), timestamp_field="ts")
    view = stats_view(source=source)
    with pytest.raises(SourceTypeError, match="'driver_stats' reads a FileSource"):
        view_reads(
            store.config, [view], STATS, store.registry, full_names=False, waits_for_created=False
        )


def test_an_unknown_feature_is_told_with_the_nearest(store: FeatureStore):
    views = store.list_feature_views()
    with pytest.raises(
        UnknownFeatureError, match=r"no feature 'trip'. Did you mean trips\? It has trips"
    ):
        check_features(views, ["driver_stats:trip"])
    with pytest.raises(UnknownFeatureError, match=r"Did you mean driver_stats\?"):
        check_features(views, ["driver_stat:trips"])
    view = store.get_feature_view("driver_stats")
    with pytest.raises(UnknownFeatureError, match=r"Did you mean trips\?"):
        LakelineOfflineStore.get_historical_features(
            store.config, [view], ["driver_stats:trip"], frame((1, at(1))), store.registry, "rides"
        )


def test_two_views_with_one_feature_name_are_refused(store: FeatureStore):
    store.apply([stats_view("other_stats")])
    refs = ["driver_stats:trips", "other_stats:trips"]
    with pytest.raises(FeatureNameCollisionError, match="trips"):
        store.get_historical_features(frame((1, at(1))), refs)
    views = [store.get_feature_view(name) for name in ("driver_stats", "other_stats")]
    with pytest.raises(FeatureClashError, match="view 'driver_stats', view 'other_stats'"):
        LakelineOfflineStore.get_historical_features(
            store.config, views, refs, frame((1, at(1))), store.registry, "rides"
        )
    job = store.get_historical_features(frame((1, at(1))), refs, True)
    assert values(job, "other_stats__trips") == [8]


def test_a_column_that_went_since_apply_is_told(store: FeatureStore, lake: Lake):
    with lake.load("rides.drivers").update_schema() as change:
        change.delete_column("trips")
    with pytest.raises(
        ViewColumnsError, match=r"'driver_stats' reads trips from table 'rides\.drivers'"
    ):
        store.get_historical_features(frame((1, at(1))), STATS)


def test_a_source_that_names_what_its_table_lacks_is_not_valid(store: FeatureStore):
    stats_source().validate(store.config)
    source = IcebergSource(table="rides.world", timestamp_field="event_t")
    with pytest.raises(ViewColumnsError, match=r"event_t from table .*Did you mean event_ts\?"):
        source.validate(store.config)


REPOSITORY = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, Int64
from lakeline.feast.source import IcebergSource

driver = Entity(name="driver", join_keys=["driver"])
source = IcebergSource(table="rides.drivers", timestamp_field="event_ts", knowledge_time_field="known_ts")
stats = FeatureView(
    name="stats",
    entities=[driver],
    ttl=timedelta(hours=5),
    schema=[Field(name="driver", dtype=Int64), Field(name="trips", dtype=Int64)],
    source=source,
)
service = FeatureService(name="service", features=[stats])
"""
SETTINGS = """
project: by_hand
provider: local
registry: registry.db
offline_store:
  type: lakeline.feast.offline.LakelineOfflineStore
  catalog_uri: sqlite:///catalog.db
  warehouse: warehouse
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
materialization:
  pull_latest_features: true
"""


def test_a_repository_written_by_hand_works_from_apply_to_online(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    from click.testing import CliRunner
    from feast.cli.cli import cli

    (tmp_path / "feature_store.yaml").write_text(SETTINGS)
    (tmp_path / "repository.py").write_text(REPOSITORY)
    monkeypatch.chdir(tmp_path)  # where Feast's command goes too, and stays
    done = CliRunner().invoke(cli, ["-c", str(tmp_path), "apply"], catch_exceptions=False)
    assert "Created feature view stats" in done.output
    made = FeatureStore(repo_path=str(tmp_path))
    wanted = frame((1, at(1)), (1, at(2)), (3, at(0))).rename(columns={"driver_id": "driver"})
    job = made.get_historical_features(wanted, made.get_feature_service("service"))
    assert values(job) == [7, 8, None]
    made.materialize(at(-24), at(3))
    online = made.get_online_features(["stats:trips"], [{"driver": 1}, {"driver": 2}])
    assert online.to_dict()["trips"] == [8, 9]
