"""Feast's API on lakeline's online store: what Feast's own tests expect of any store, and that the direct reader agrees."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RequestSource,
    ValueType,
)
from feast.on_demand_feature_view import on_demand_feature_view
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import (
    BoolList,
    Int64List,
    Map,
    RepeatedValue,
    StringList,
    StringSet,
    Value,
)
from feast.types import (
    Array,
    Bool,
    Bytes,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Set,
    String,
    UnixTimestamp,
    Uuid,
)
from feast.types import Map as MapType

from lakeline.feast.online import LakelineOnlineStore, online_store_of, view_of
from lakeline.online import Reader, materialise
from lakeline.online.errors import EntityTypeError, LayoutChangedError, UnknownFeatureError

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
HOUR = dt.timedelta(hours=1)
CONFIG = """
project: {project}
registry: {folder}/registry.db
provider: local
entity_key_serialization_version: 3
offline_store: {{type: file}}
online_store: {{type: lakeline.feast.online.LakelineOnlineStore, url: '{url}'{more}}}
"""
ORIGIN = Entity(name="airport", join_keys=["origin"], value_type=ValueType.STRING)
CARRIER = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.INT64)

Open = Callable[..., FeatureStore]


@pytest.fixture
def opened(online_url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens Feast repositories on a fresh online store."""
    stores = []

    def open_(project: str = "flights", **settings: str) -> FeatureStore:
        folder = tmp_path / project
        folder.mkdir(exist_ok=True)
        more = "".join(f", {name}: '{value}'" for name, value in settings.items())
        text = CONFIG.format(project=project, folder=folder, url=online_url, more=more)
        (folder / "feature_store.yaml").write_text(text)
        stores.append(FeatureStore(str(folder)))
        return stores[-1]

    yield open_
    for store in stores:
        asyncio.run(store._get_provider().online_store.close())


@pytest.fixture
def rows() -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "origin": ["JFK", "LGA", "JFK", "EWR"],
            "carrier": [1, 2, 1, 1],
            "event_timestamp": [NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR, NOW - 40 * HOUR],
            "late": [0.25, 2.5, 1.5, 9.5],
            "count": [1, 2, 3, 4],
        }
    )
    found["event_timestamp"] = found["event_timestamp"].astype("datetime64[us, UTC]")
    return found


@pytest.fixture
def backlog(rows: pd.DataFrame, tmp_path: Path) -> FeatureView:
    return view("backlog", rows, tmp_path)


def view(
    name: str,
    rows: pd.DataFrame,
    folder: Path,
    *,
    entities: tuple[Entity, ...] = (ORIGIN,),
    features: tuple[tuple[str, Any], ...] = (("late", Float32), ("count", Int64)),
    ttl: dt.timedelta | None = 24 * HOUR,
    push: bool = False,
) -> FeatureView:
    path = folder / f"{name}.parquet"
    rows.to_parquet(path)
    file = FileSource(name=f"{name}_file", path=str(path), timestamp_field="event_timestamp")
    return FeatureView(
        name=name,
        entities=list(entities),
        schema=[Field(name=feature, dtype=dtype) for feature, dtype in features],
        ttl=ttl,
        source=PushSource(name=f"{name}_push", batch_source=file) if push else file,
    )


def ask(store: FeatureStore, features: Any, *origins: Any, **more: Any) -> dict[str, list[Any]]:
    entities = [{"origin": origin} for origin in origins]
    found: dict[str, list[Any]] = store.get_online_features(
        features, entity_rows=entities, **more
    ).to_dict()
    return found


LATE, COUNT = "backlog:late", "backlog:count"


def test_materialised_values_are_served_and_what_is_too_old_is_not(
    opened: Open, backlog: FeatureView
) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    store.materialize(NOW - 100 * HOUR, NOW)
    found = ask(store, [LATE, COUNT], "JFK", "LGA", "EWR", "SFO", "JFK")
    assert found["late"] == [1.5, 2.5, None, None, 1.5]
    assert found["count"] == [3, 2, None, None, 3]
    response = store.get_online_features([LATE], entity_rows=[{"origin": "JFK"}, {"origin": "EWR"}]).proto  # fmt: skip
    assert list(response.results[1].statuses) == [1, 3]
    assert [t.seconds for t in response.results[1].event_timestamps] == [
        int((NOW - HOUR).timestamp()),
        int((NOW - 40 * HOUR).timestamp()),
    ]


def test_a_view_that_was_never_written_has_no_values(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    assert ask(store, [LATE], "JFK")["late"] == [None]


def test_materialising_on_from_the_last_time_brings_only_the_new(opened: Open, rows: pd.DataFrame, tmp_path: Path) -> None:  # fmt: skip
    store = opened()
    store.apply([ORIGIN, view("backlog", rows, tmp_path)])
    store.materialize_incremental(NOW - 90 * dt.timedelta(minutes=1))
    assert ask(store, [COUNT], "JFK", "LGA")["count"] == [1, 2]
    store.materialize_incremental(NOW)
    assert ask(store, [COUNT], "JFK", "LGA")["count"] == [3, 2]


def test_an_older_event_written_later_changes_nothing(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])

    def write(*, late: float, hours: int) -> None:
        frame = pd.DataFrame({"origin": ["JFK"], "event_timestamp": [NOW - hours * HOUR], "late": [late], "count": [1]})  # fmt: skip
        store.write_to_online_store("backlog", frame)

    write(late=1.0, hours=2)
    write(late=2.0, hours=5)
    assert ask(store, [LATE], "JFK")["late"] == [1.0]
    write(late=3.0, hours=1)
    store.materialize(NOW - 100 * HOUR, NOW - 2 * HOUR)
    assert ask(store, [LATE], "JFK", "LGA")["late"] == [3.0, 2.5]


def test_pushed_rows_are_served(opened: Open, rows: pd.DataFrame, tmp_path: Path) -> None:
    store = opened()
    store.apply([ORIGIN, view("backlog", rows, tmp_path, push=True)])
    store.push("backlog_push", rows)
    assert ask(store, [COUNT], "JFK", "LGA")["count"] == [3, 2]


def test_services_full_names_and_two_keys(opened: Open, rows: pd.DataFrame, tmp_path: Path) -> None:  # fmt: skip
    routes = view("routes", rows, tmp_path, entities=(ORIGIN, CARRIER))
    backlog = view("backlog", rows, tmp_path)
    store = opened()
    service = FeatureService(name="both", features=[backlog, routes[["count"]]])
    store.apply([ORIGIN, CARRIER, backlog, routes, service])
    store.materialize(NOW - 100 * HOUR, NOW)
    found = store.get_online_features(
        service,
        entity_rows=[{"origin": "JFK", "carrier": 1}, {"origin": "JFK", "carrier": 2}],
        full_feature_names=True,
    ).to_dict()
    assert found["backlog__late"] == [1.5, 1.5]
    assert found["routes__count"] == [3, None]
    assert "routes__late" not in found


def test_renamed_join_keys_read_the_same_rows(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    here = backlog.with_name("here")  # Feast cannot compare an alias with none
    there = backlog.with_name("there").with_join_key_map({"origin": "dest"})
    service = FeatureService(name="ends", features=[here[["count"]], there[["count"]]])
    store.apply([ORIGIN, backlog, service])
    store.materialize(NOW - 100 * HOUR, NOW)
    found = store.get_online_features(
        service, entity_rows=[{"origin": "JFK", "dest": "LGA"}], full_feature_names=True
    ).to_dict()
    assert (found["here__count"], found["there__count"]) == ([3], [2])


def test_a_view_without_entities_holds_for_all(opened: Open, rows: pd.DataFrame, tmp_path: Path) -> None:  # fmt: skip
    everywhere = view("everywhere", rows.drop(columns=["origin", "carrier"]), tmp_path, entities=())
    store = opened()
    store.apply([ORIGIN, everywhere])
    store.materialize(NOW - 100 * HOUR, NOW)
    assert ask(store, ["everywhere:count"], "JFK", "SFO")["count"] == [3, 3]
    table = view_of(store.get_feature_view("everywhere"))
    assert table.entities == {}
    answer = Reader([(table, None)], online_store_of(store.config)).read({})
    assert answer.columns["count"].tolist() == [3]


def test_on_demand_views_see_the_values(opened: Open, backlog: FeatureView) -> None:
    asked = RequestSource(name="asked", schema=[Field(name="minutes", dtype=Int64)])

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[backlog, asked], schema=[Field(name="sum", dtype=Float64)], mode="pandas"
    )
    def summed(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"sum": inputs["late"] + inputs["minutes"]})

    store = opened()
    store.apply([ORIGIN, backlog, asked, summed])
    store.materialize(NOW - 100 * HOUR, NOW)
    rows = [{"origin": "JFK", "minutes": 10}]
    assert store.get_online_features(["summed:sum"], entity_rows=rows).to_dict()["sum"] == [11.5]


def test_an_event_loop_gets_the_same(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])

    async def write_and_read() -> Any:
        frame = pd.DataFrame({"origin": ["JFK"], "event_timestamp": [NOW], "late": [4.5], "count": [1]})  # fmt: skip
        await store.write_to_online_store_async("backlog", frame)
        answer = await store.get_online_features_async([LATE], entity_rows=[{"origin": "JFK"}])
        await store._get_provider().online_store.close()
        return answer.to_dict()["late"]

    assert asyncio.run(write_and_read()) == [4.5]
    supported = LakelineOnlineStore().async_supported
    assert (supported.read, supported.write) == (True, True)


def test_a_view_taken_out_and_put_back_starts_empty(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    store.materialize(NOW - 100 * HOUR, NOW)
    store.apply([ORIGIN], objects_to_delete=[backlog], partial=False)
    store.apply([ORIGIN, backlog])
    assert ask(store, [LATE], "JFK")["late"] == [None]


def test_a_new_feature_is_null_and_the_others_stay(opened: Open, rows: pd.DataFrame, tmp_path: Path) -> None:  # fmt: skip
    store = opened()
    store.apply([ORIGIN, view("backlog", rows, tmp_path)])
    store.materialize(NOW - 100 * HOUR, NOW)
    wider = view("backlog", rows.assign(new=7.5), tmp_path, features=(("late", Float32), ("count", Int64), ("new", Float64)))  # fmt: skip
    store.apply([ORIGIN, wider])
    found = ask(store, [LATE, "backlog:new"], "JFK")
    assert (found["late"], found["new"]) == ([1.5], [None])
    store.materialize(NOW - 100 * HOUR, NOW)
    assert ask(store, ["backlog:new"], "JFK")["new"] == [7.5]


def test_teardown_leaves_nothing(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    store.materialize(NOW - 100 * HOUR, NOW)
    online = online_store_of(store.config)
    assert online.count(view_of(backlog)) == 3
    store.teardown()  # type: ignore[no-untyped-call]
    assert online.count(view_of(backlog)) == 0
    assert online.layouts("backlog") == []


def test_two_projects_share_a_store_without_meeting(opened: Open, backlog: FeatureView) -> None:
    one, other = opened("one"), opened("other")
    for store in (one, other):
        store.apply([ORIGIN, backlog])
    one.materialize(NOW - 100 * HOUR, NOW)
    assert ask(one, [COUNT], "JFK")["count"] == [3]
    assert ask(other, [COUNT], "JFK")["count"] == [None]


def test_recorded_data_expires_against_the_moment_that_is_set(opened: Open, backlog: FeatureView) -> None:  # fmt: skip
    store = opened(as_of=(NOW - 20 * HOUR).isoformat())
    store.apply([ORIGIN, backlog])
    store.materialize(NOW - 100 * HOUR, NOW)
    assert ask(store, [COUNT], "EWR")["count"] == [4]


# --- types ------------------------------------------------------------------------------------

TYPES: dict[str, tuple[Any, Value]] = {
    "float32": (Float32, Value(float_val=1.5)),
    "float64": (Float64, Value(double_val=0.1)),
    "int32": (Int32, Value(int32_val=-(2**31))),
    "int64": (Int64, Value(int64_val=2**63 - 1)),
    "bool": (Bool, Value(bool_val=True)),
    "string": (String, Value(string_val="Zürich\0")),
    "bytes": (Bytes, Value(bytes_val=b"\0\xff")),
    "timestamp": (UnixTimestamp, Value(unix_timestamp_val=-1)),
    "strings": (Array(String), Value(string_list_val=StringList(val=["a", ""]))),
    "numbers": (Array(Int64), Value(int64_list_val=Int64List(val=[1, 2**62]))),
    "bools": (Array(Bool), Value(bool_list_val=BoolList(val=[True, False]))),
    "timestamps": (Array(UnixTimestamp), Value(unix_timestamp_list_val=Int64List(val=[5]))),
    "empty": (Array(String), Value(string_list_val=StringList())),
    "set": (Set(String), Value(string_set_val=StringSet(val=["a", "b"]))),
    "map": (MapType, Value(map_val=Map(val={"a": Value(int64_val=1)}))),
    "json": (Json, Value(json_val='{"a": 1}')),
    "uuid": (Uuid, Value(uuid_val="0b8a2d5e-0000-4000-8000-000000000000")),
    "nested": (
        Array(Array(Int64)),
        Value(
            list_val=RepeatedValue(val=[Value(int64_list_val=Int64List(val=[1]))]),
        ),
    ),
}


def key(**entities: Value) -> EntityKey:
    return EntityKey(join_keys=list(entities), entity_values=list(entities.values()))


@pytest.fixture
def typed(rows: pd.DataFrame, tmp_path: Path) -> FeatureView:
    return view("typed", rows, tmp_path, features=tuple((name, dtype) for name, (dtype, _) in TYPES.items()))  # fmt: skip


def test_every_type_comes_back_as_it_was_written(opened: Open, typed: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, typed])
    online, config = LakelineOnlineStore(), store.config
    values = {name: value for name, (_, value) in TYPES.items()}
    nulls = {name: Value() for name in TYPES}
    keys = [key(origin=Value(string_val=origin)) for origin in ("JFK", "LGA", "EWR")]
    progressed: list[int] = []
    data = [(keys[0], values, NOW, None), (keys[1], nulls, NOW.replace(tzinfo=None), NOW)]
    online.online_write_batch(config, typed, data, progressed.append)
    assert progressed == [2]
    found = online.online_read(config, typed, keys)
    assert [(event, {} if each is None else each) for event, each in found] == [
        (NOW, values),
        (NOW, nulls),
        (None, {}),
    ]
    (some,) = online.online_read(config, typed, keys[:1], ["map", "int32"])
    assert some == (NOW, {"map": values["map"], "int32": values["int32"]})


def test_of_equal_events_the_later_created_wins(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    online, jfk = LakelineOnlineStore(), key(origin=Value(string_val="JFK"))
    rows = [
        (jfk, {"count": Value(int64_val=created)}, NOW, NOW + created * HOUR)
        for created in (1, 3, 2)
    ]
    online.online_write_batch(store.config, backlog, rows, None)  # type: ignore[arg-type]
    ((_, values),) = online.online_read(store.config, backlog, [jfk])
    assert values == {"count": Value(int64_val=3), "late": Value()}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ValueType.INT64, Value(int64_val=-3)),
        (ValueType.INT32, Value(int32_val=3)),
        (ValueType.BYTES, Value(bytes_val=b"\xff")),
        (ValueType.BOOL, Value(bool_val=True)),
        (ValueType.UNIX_TIMESTAMP, Value(unix_timestamp_val=5)),
    ],
)
def test_entities_may_be_of_any_type_that_feast_knows(
    opened: Open, rows: pd.DataFrame, tmp_path: Path, kind: ValueType, value: Value
) -> None:
    thing = Entity(name="thing", join_keys=["thing"], value_type=kind)
    table = view("things", rows, tmp_path, entities=(thing,))
    dtypes = {ValueType.INT64: Int64, ValueType.INT32: Int32, ValueType.BYTES: Bytes, ValueType.BOOL: Bool}  # fmt: skip
    table.entity_columns = [Field(name="thing", dtype=dtypes.get(kind, UnixTimestamp))]
    store = opened()
    online = LakelineOnlineStore()
    there, absent = key(thing=value), key(thing=Value())
    online.online_write_batch(store.config, table, [(there, {"count": Value(int64_val=1)}, NOW, None)], None)  # fmt: skip
    found = online.online_read(store.config, table, [absent, there], ["count"])
    assert found == [(None, None), (NOW, {"count": Value(int64_val=1)})]


def test_vectors_computed_ahead_are_kept(opened: Open) -> None:
    store, online = opened(), LakelineOnlineStore()
    jfk = key(origin=Value(string_val="JFK"), carrier=Value(int64_val=1))
    online.write_precomputed_vector(store.config, "both", "flights", jfk, b"vector")
    other = key(origin=Value(string_val="LGA"), carrier=Value(int64_val=1))
    found = online.read_precomputed_vectors(store.config, "both", "flights", [other, jfk])
    assert found == [None, b"vector"]


# --- the direct reader ------------------------------------------------------------------------


def test_the_direct_reader_reads_what_feast_wrote(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    store.materialize(NOW - 100 * HOUR, NOW)
    table = view_of(store.get_feature_view("backlog"))
    answer = Reader([(table, ["late", "count"])], online_store_of(store.config)).read(
        {"origin": ["JFK", "EWR", "SFO"]}
    )
    assert answer.columns["count"].tolist() == [3, 0, 0]
    assert answer.columns["late"].dtype == "float32"
    assert answer.expired["late"].tolist() == [False, True, False]
    assert answer.missing["late"].tolist() == [False, False, True]


def test_feast_reads_what_was_materialised_without_it(opened: Open, backlog: FeatureView, rows: pd.DataFrame) -> None:  # fmt: skip
    import polars as pl

    store = opened()
    store.apply([ORIGIN, backlog])
    table = view_of(store.get_feature_view("backlog"))
    read = lambda _: pl.from_pandas(rows)  # noqa: E731
    materialise(online_store_of(store.config), table, {"": "1"}, read, watermark=NOW)
    assert ask(store, [LATE, COUNT], "JFK", "EWR")["count"] == [3, None]


# --- wrong use --------------------------------------------------------------------------------


def test_a_key_of_another_type_is_told(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    keys = [key(origin=Value(int64_val=3))]
    with pytest.raises(EntityTypeError, match="'backlog' has the entity origin as string, and was given 3"):  # fmt: skip
        LakelineOnlineStore().online_read(store.config, backlog, keys)


def test_an_unknown_feature_is_told(opened: Open, backlog: FeatureView) -> None:
    store = opened()
    store.apply([ORIGIN, backlog])
    keys = [key(origin=Value(string_val="JFK"))]
    with pytest.raises(UnknownFeatureError, match=r"has no feature lat. Did you mean late"):
        LakelineOnlineStore().online_read(store.config, backlog, keys, ["lat"])


def test_a_schema_that_changed_without_apply_is_told(opened: Open, rows: pd.DataFrame, tmp_path: Path) -> None:  # fmt: skip
    store = opened()
    store.apply([ORIGIN, view("backlog", rows, tmp_path)])
    store.materialize(NOW - 100 * HOUR, NOW)
    changed = view("backlog", rows, tmp_path, features=(("late", Float64),))
    keys = [key(origin=Value(string_val="JFK"))]
    online = LakelineOnlineStore()
    told = "feature count is int64 there and absent here; feature late is float32 there and float64"
    with pytest.raises(LayoutChangedError, match=told):
        online.online_read(store.config, changed, keys)
    with pytest.raises(LayoutChangedError, match=told):
        online.online_write_batch(store.config, changed, [(keys[0], {"late": Value(double_val=1)}, NOW, None)], None)  # fmt: skip
