"""Historical features from Iceberg tables: what each entity row takes, and what is read for it."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.pit.cases import families
from benchmarks.pit.frames import ask_table, asked, to_lake, view_read
from benchmarks.pit.oracle import Ask, Row, Rule, answer
from lakeline.features.offline.engine import EngineSettings
from lakeline.features.offline.history import History, history
from lakeline.features.offline.pins import TimeTravel
from lakeline.features.offline.scan import source_of
from lakeline.lake import Lake
from tests.feature_tables import HOUR, TABLE, TICK, asks, at, put, rows, view
from tests.lakes import Store


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.in_folder(tmp_path)


def trips(read: History, name: str = "trips") -> list[Any]:
    return list(read.table()[name].to_pylist())


@pytest.mark.parametrize("seed", [1, 2])
def test_random_cases_are_answered_as_brute_force_answers_them(lake: Lake, seed: int):
    for family in families(180, seed):
        to_lake(lake, family)
        result = history(lake, ask_table(family), [view_read(family)]).table()
        right = [answer(ask, given_rows, family.rule) for ask, given_rows in asked(family)]
        assert result["value"].to_pylist() == right
        assert result["ask"].to_pylist() == list(range(len(right)))


MOMENTS = st.integers(-3, 3).map(lambda step: at(0) + step * TICK)
ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, None]), st.none() | MOMENTS, st.none() | MOMENTS, st.integers(0, 99)
    ),
    max_size=8,
)
ASKS = st.lists(st.tuples(st.sampled_from([1, 2, None]), st.none() | MOMENTS), max_size=5)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(ROWS, ASKS, st.booleans(), st.sampled_from([None, 1, 2]))
def test_any_rows_and_entities_are_answered_as_brute_force_answers_them(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[Any, ...]],
    wanted: list[tuple[Any, Any]],
    hides: bool,  # noqa: FBT001 - drawn
    ttl: int | None,
):
    lake = Lake.in_folder(tmp_path_factory.mktemp("lake"))
    put(lake, rows(*table))
    life = None if ttl is None else ttl * TICK
    read = view(knowledge_time="known_ts" if hides else None, ttl=life)
    rule = Rule(hides=hides, has_known=hides, ttl=life)
    known = [Row(keys=(k,), event=event, known=known, value=v) for k, event, known, v in table]
    right = [answer(Ask(keys=(key,), at=moment), known, rule) for key, moment in wanted]
    assert trips(history(lake, asks(*wanted), [read])) == right


def test_a_value_is_used_up_to_its_time_to_live_and_not_a_microsecond_longer(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7)))
    wanted = asks((1, at(1)), (1, at(1) + TICK))
    assert trips(history(lake, wanted, [view(ttl=HOUR)])) == [7, None]


def test_a_late_correction_is_not_seen_before_it_was_known(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7), (1, at(1), at(5), 8)))
    wanted = asks((1, at(4)), (1, at(5)))
    assert trips(history(lake, wanted, [view(knowledge_time="known_ts")])) == [7, 8]
    assert trips(history(lake, wanted, [view()])) == [8, 8]


def test_time_of_creation_decides_ties_and_hides_only_where_asked(lake: Lake):
    put(lake, rows((1, at(0), at(3), 8), (1, at(0), at(1), 7), (1, at(0), None, 6)))
    wanted = asks((1, at(0)), (1, at(2)), (1, at(4)))
    assert trips(history(lake, wanted, [view(created="known_ts")])) == [8, 8, 8]
    waiting = view(created="known_ts", waits_for_created=True)
    assert trips(history(lake, wanted, [waiting])) == [None, 7, 8]


def test_of_rows_that_nothing_tells_apart_the_last_commit_wins(lake: Lake):
    put(lake, rows((1, at(0), at(0), 1), (1, at(0), at(0), 2)))
    put(lake, rows((1, at(0), at(0), 3)))
    assert trips(history(lake, asks((1, at(1))), [view()])) == [3]


def test_times_far_apart_still_decide_ties(lake: Lake):
    ages = dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
    put(lake, rows((1, ages[0], ages[1], 1), (1, ages[0], ages[0], 2), (1, ages[1], ages[0], 3)))
    put(lake, rows((1, ages[0], ages[1], 4)))
    wanted = asks((1, at(0)), (1, ages[1]), (2, at(0)))
    assert trips(history(lake, wanted, [view(created="known_ts")])) == [4, 3, None]


def test_several_views_lie_side_by_side_in_the_order_of_the_entity_rows(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7), (2, at(0), at(0), 8)))
    world = rows((0, at(0), at(0), 100), (0, at(2), at(2), 200)).drop_columns(["driver"])
    put(lake, world, "rides.world")
    whole = view(name="world", table="rides.world", keys={}, features={"rides": "trips"})
    wanted = asks((2, at(3)), (None, at(1)), (1, at(1)), (2, at(3)), (1, None))
    result = history(lake, wanted, [view(), whole]).table()
    assert result.column_names == ["driver", "event_timestamp", "trips", "rides"]
    assert result["trips"].to_pylist() == [8, None, 7, 8, None]
    assert result["rides"].to_pylist() == [200, 100, 100, 200, None]


def test_one_view_is_joined_twice_by_renamed_keys(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7), (2, at(0), at(0), 8)))
    frame = pa.table(
        {"origin": [1, 2], "target": [2, 3], "when": pa.array([at(1), at(1)], INSTANT_BERLIN)}
    )
    views = [
        view(name=name, keys={"driver": name}, features={f"{name}_trips": "trips"})
        for name in ("origin", "target")
    ]
    result = history(lake, frame, views).table()
    assert result["origin_trips"].to_pylist() == [7, 8]
    assert result["target_trips"].to_pylist() == [8, None]


INSTANT_BERLIN = pa.timestamp("ns", "Europe/Berlin")


def test_columns_of_a_frame_come_back_as_they_were(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7)))
    frame = pa.table(
        {
            "label": pa.array(["late", None]).dictionary_encode(),
            "driver": pa.array([1, 2], pa.int32()),
            "when": pa.array([at(1), at(1)], INSTANT_BERLIN),
            "path": pa.array([[1, 2], None], pa.list_(pa.int8())),
        }
    )
    read = history(lake, frame, [view()])
    assert read.table().drop_columns(["trips"]).equals(frame)
    with read.reader() as reader:
        assert reader.read_all().combine_chunks().equals(read.table().combine_chunks())


@pytest.mark.parametrize("kind", ["pandas", "polars", "lazy", "arrow"])
def test_frames_of_every_kind_are_read(lake: Lake, kind: str):
    put(lake, rows((1, at(0), at(0), 7)))
    frame = asks((1, at(1)), (2, at(1)))
    given_frame: dict[str, Any] = {
        "pandas": frame.to_pandas(),
        "polars": frame,
        "lazy": frame.lazy(),
        "arrow": frame.to_arrow(),
    }
    assert trips(history(lake, given_frame[kind], [view()])) == [7, None]


def test_a_pandas_key_that_gaps_made_a_float_matches_integers(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7)))
    frame = pd.DataFrame({"driver": [1, None], "event_timestamp": [at(1), at(1)]})
    assert frame["driver"].dtype == "float64"
    assert trips(history(lake, frame, [view()])) == [7, None]


def test_an_empty_frame_gives_an_empty_result_with_every_column(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7)))
    result = history(lake, asks(), [view()]).table()
    assert result.num_rows == 0
    assert result.column_names == ["driver", "event_timestamp", "trips"]


def test_a_query_sees_the_tables_of_the_lake(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7), (2, at(1), at(1), 8)))
    sql = f"SELECT driver, event_ts + INTERVAL 1 HOUR AS event_timestamp FROM {TABLE} ORDER BY driver DESC;"
    result = history(lake, sql, [view()]).table()
    assert result["driver"].to_pylist() == [2, 1]
    assert result["trips"].to_pylist() == [8, 7]


def test_a_table_of_the_lake_is_an_entity_frame(lake: Lake):
    put(lake, rows((1, at(0), at(0), 7)))
    asking = asks((1, at(1)), (3, at(1))).to_arrow()
    put(lake, asking, "rides.orders")
    assert trips(history(lake, "rides.orders", [view()])) == [7, None]


def test_a_range_of_dates_gives_each_moment_at_which_something_became_known(lake: Lake):
    put(lake, rows((1, at(0), at(2), 7), (1, at(1), at(1), 8), (2, at(9), at(9), 9)))
    known = history(lake, (at(0), at(5)), [view(knowledge_time="known_ts")]).table()
    assert known["event_timestamp"].to_pylist() == [at(1), at(2)]
    assert known["trips"].to_pylist() == [8, 8]
    plain = history(lake, (at(0), at(9)), [view()]).table()
    assert plain["driver"].to_pylist() == [1, 1, 2]
    assert plain["trips"].to_pylist() == [7, 8, 9]


def test_every_view_says_which_snapshot_it_read_and_stays_there(lake: Lake):
    first = put(lake, rows((1, at(0), at(0), 7)))
    read = history(lake, asks((1, at(1))), [view()])
    second = put(lake, rows((1, at(0), at(0), 8)))
    assert read.snapshots == {"stats": first}
    assert trips(read) == [7]
    assert history(lake, asks((1, at(1))), [view()]).snapshots == {"stats": second}


def test_a_run_pins_snapshots_by_id_by_view_and_by_time(lake: Lake):
    first = put(lake, rows((1, at(0), at(0), 7)))
    table = lake.load(TABLE)
    committed = dt.datetime.fromtimestamp(table.history()[-1].timestamp_ms / 1000, dt.UTC)
    put(lake, rows((1, at(0), at(0), 8)))
    wanted = asks((1, at(1)))
    assert trips(history(lake, wanted, [view(snapshot_id=first)])) == [7]
    assert trips(history(lake, wanted, [view()], travel=TimeTravel(snapshots={TABLE: first}))) == [
        7
    ]
    past = TimeTravel(as_of=committed + dt.timedelta(milliseconds=1))
    found = history(lake, wanted, [view()], travel=past)
    assert found.snapshots["stats"] in {one.snapshot_id for one in lake.load(TABLE).history()}


def test_a_pinned_snapshot_is_read_by_todays_names(lake: Lake):
    first = put(lake, rows((1, at(0), at(0), 7)))
    with lake.load(TABLE).update_schema() as change:
        change.rename_column("trips", "journeys")
        change.delete_column("known_ts")
    put(
        lake,
        rows((1, at(0), at(0), 8)).drop_columns(["known_ts"]).rename_columns({"trips": "journeys"}),
    )
    renamed = view(features={"trips": "journeys"}, snapshot_id=first)
    assert trips(history(lake, asks((1, at(1))), [renamed])) == [7]
    dropped = view(features={"trips": "journeys", "known": "known_ts"}, snapshot_id=first)
    assert history(lake, asks((1, at(1))), [dropped]).table()["known"].to_pylist() == [at(0)]


def test_files_without_field_ids_are_read_by_name(lake: Lake, tmp_path: Path):
    import pyarrow.parquet as pq

    put(lake, rows())
    pq.write_table(rows((1, at(0), at(0), 7)), tmp_path / "elsewhere.parquet")
    lake.load(TABLE).add_files([f"file://{tmp_path}/elsewhere.parquet"])
    assert trips(history(lake, asks((1, at(1))), [view()])) == [7]


def test_lists_and_structs_are_features_too(lake: Lake):
    table = rows((1, at(0), at(0), 7)).append_column("path", pa.array([[1.0, 2.0]]))
    table = table.append_column("place", pa.array([{"x": 1, "y": "a"}]))
    table = table.append_column("tags", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())))
    put(lake, table)
    wide = view(features={"path": "path", "place": "place", "tags": "tags"})
    result = history(lake, asks((1, at(1))), [wide]).table().to_pylist()[0]
    assert result["path"] == [1.0, 2.0]
    assert result["place"] == {"x": 1, "y": "a"}
    assert result["tags"] == [("a", 1)]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us")])
def test_event_times_without_a_zone_are_in_utc(lake: Lake, kind: pa.DataType):
    table = rows((1, at(-12), at(0), 7), (1, at(12), at(0), 8))
    table = table.set_column(1, "event_ts", table["event_ts"].cast(pa.timestamp("us")).cast(kind))
    put(lake, table)
    wanted = asks((1, at(12) - TICK), (1, at(12)), (1, at(37)))
    assert trips(history(lake, wanted, [view(ttl=24 * HOUR)])) == [7, 8, None]


def test_only_files_that_an_entity_row_can_see_are_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    for hour in (0, 10, 20):
        put(lake, rows((1, at(hour), at(hour), hour)))
    read: list[str] = []

    def told(*args: Any, **kwargs: Any) -> Any:
        source = source_of(*args, **kwargs)
        read.append(source.relation)
        return source

    monkeypatch.setattr("lakeline.features.offline.engine.source_of", told)
    assert trips(history(lake, asks((1, at(11))), [view(ttl=5 * HOUR)])) == [10]
    assert read[0].count(".parquet") == 1
    assert trips(history(lake, asks((1, at(11))), [view()])) == [10]
    assert read[1].count(".parquet") == 2


def test_more_rows_than_memory_holds_are_spilled(lake: Lake, tmp_path: Path):
    count = 600_000
    numbers = pl.select(number=pl.int_range(count))
    frame = numbers.select(
        driver=pl.col("number") % 50_000,
        event_ts=pl.lit(at(0), pl.Datetime("us", "UTC")) + pl.duration(microseconds="number"),
        known_ts=pl.lit(at(0), pl.Datetime("us", "UTC")),
        trips="number",
    )
    put(lake, frame.to_arrow().cast(rows().schema))
    wanted = frame.select("driver", event_timestamp=pl.col("event_ts") + pl.duration(hours=1))
    small = EngineSettings(memory_limit="60MB", threads=1, spill=str(tmp_path / "spill"))
    read = history(lake, wanted, [view()], settings=small)
    last = count - 50_000 + frame["driver"]
    with read.reader() as reader:
        found = [number for batch in reader for number in batch["trips"].to_pylist()]
    assert found == last.to_list()
    assert list((tmp_path / "spill").iterdir()) == []


def test_more_features_than_are_fetched_at_once_stay_in_order(lake: Lake):
    names = [f"f{number}" for number in range(60)]
    table = rows((1, at(0), at(0), 7), (2, at(0), at(0), 8))
    for number, name in enumerate(names):
        table = table.append_column(name, pa.array([number, -number]))
    put(lake, table)
    wide = view(features={name: name for name in reversed(names)})
    result = history(lake, asks((2, at(1)), (1, at(1))), [wide]).table()
    assert result.column_names[2:] == names[::-1]
    assert [result[name].to_pylist() for name in names] == [[-n, n] for n in range(60)]


def test_features_are_read_wherever_the_lake_is(store: Store):
    lake = store.lake()
    put(lake, rows((1, at(0), at(0), 7), (2, at(0), at(0), 8)))
    wanted = asks((2, at(1)), (1, at(1)))
    assert trips(history(lake, wanted, [view()])) == [8, 7]
    query = f"SELECT driver, event_ts AS event_timestamp FROM {TABLE} ORDER BY driver"
    assert trips(history(lake, query, [view()])) == [7, 8]
