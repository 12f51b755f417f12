"""Materialisation: what changed and nothing else, to the same rows whatever was killed on the way."""

import datetime as dt
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakeline.online import Materialised, OnlineStore, Reader, View, materialise, open_store
from lakeline.online.errors import HalfWrittenError, LayoutChangedError, RowsError
from lakeline.online.rows import pack

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
BACKLOG = View(name="backlog", entities={"origin": "string"}, features={"late": "int64"})
SCHEMA: dict[str, Any] = {
    "origin": pl.String,
    "event_ts": pl.Datetime("us", "UTC"),
    "late": pl.Int64,
}
ROOT = Path(__file__).parent.parent

Rows = list[tuple[str, int, int]]
"""Origin, hours after noon, value."""


class World:
    """Partitions with their rows; the version of one is its content. Notes what is read."""

    def __init__(self, **partitions: Rows) -> None:
        self.partitions = partitions
        self.asked: list[str] = []

    @property
    def present(self) -> dict[str, str]:
        return {name: repr(rows) for name, rows in self.partitions.items()}

    def read(self, name: str) -> pl.DataFrame:
        self.asked.append(name)
        rows = [(origin, NOON + hour * HOUR, value) for origin, hour, value in self.partitions[name]]  # fmt: skip
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def newest(self) -> dict[str, int]:
        every = [row for rows in self.partitions.values() for row in rows]
        return {origin: value for origin, _, value in sorted(every, key=lambda row: row[1])}

    def into(self, store: OnlineStore, watermark: int | None = None, view: View = BACKLOG) -> Materialised:  # fmt: skip
        self.asked.clear()
        reached = None if watermark is None else NOON + watermark * HOUR
        return materialise(store, view, self.present, self.read, watermark=reached)


def held(store: OnlineStore, view: View = BACKLOG) -> dict[str, int]:
    origins = sorted(key.decode() for batch in store.scan(view, 100) for key in batch.keys)
    answer = Reader([(view, ["late"])], store).read({"origin": origins})
    return dict(zip(origins, answer.columns["late"].tolist(), strict=True))


def test_the_newest_row_of_each_entity_is_in_and_the_watermark_stands(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1), ("LGA", 0, 2), ("JFK", 1, 3)], b=[("JFK", 5, 4)])
    done = world.into(online, watermark=6)
    assert held(online) == {"JFK": 4, "LGA": 2}
    assert (done.pushed, done.rows, done.watermark) == (("a", "b"), 3, NOON + 6 * HOUR)
    assert online.state(BACKLOG).watermark == NOON + 6 * HOUR
    assert online.state(BACKLOG).held == world.present


def test_only_what_changed_is_read(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)], b=[("LGA", 1, 2)])
    world.into(online)
    world.partitions["b"] = [("LGA", 1, 3)]
    world.partitions["c"] = [("EWR", 2, 4)]
    done = world.into(online)
    assert world.asked == ["b", "c"]
    assert done.pushed == ("b", "c")
    assert held(online) == {"JFK": 1, "LGA": 3, "EWR": 4}


def test_without_a_change_nothing_is_read_and_nothing_written(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)])
    world.into(online, watermark=1)
    assert world.into(online) == Materialised(watermark=NOON + HOUR)
    assert world.asked == []


def test_the_watermark_moves_alone(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)])
    world.into(online, watermark=1)
    world.into(online, watermark=2)
    assert world.asked == []
    assert online.state(BACKLOG).watermark == NOON + 2 * HOUR


def test_an_entity_that_its_partition_lost_is_deleted(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1), ("LGA", 0, 2)])
    world.into(online)
    world.partitions["a"] = [("JFK", 0, 1)]
    assert world.into(online).deleted == 1
    assert held(online) == {"JFK": 1}


def test_a_lost_entity_gets_the_newest_row_that_another_partition_has(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)], b=[("JFK", 10, 2)], c=[("JFK", 20, 3), ("LGA", 20, 4)])
    world.into(online)
    world.partitions["c"] = [("LGA", 20, 4)]
    done = world.into(online)
    assert held(online) == {"JFK": 2, "LGA": 4}
    assert (done.restated, done.deleted) == (1, 0)
    assert world.asked == ["c", "b"], "a, which is older, was not needed"


def test_a_row_restated_to_an_older_event_gives_way(online: OnlineStore) -> None:
    world = World(a=[("JFK", 5, 1)], b=[("JFK", 10, 2)])
    world.into(online)
    world.partitions["b"] = [("JFK", 3, 3)]
    world.into(online)
    assert held(online) == {"JFK": 1}
    world.partitions["b"] = [("JFK", 6, 4)]
    world.into(online)
    assert held(online) == {"JFK": 4}


def test_a_partition_that_is_no_more_takes_its_rows_along(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)], b=[("JFK", 10, 2), ("LGA", 10, 3)])
    world.into(online)
    del world.partitions["b"]
    done = world.into(online)
    assert held(online) == {"JFK": 1}
    assert (done.gone, done.restated, done.deleted) == (("b",), 1, 1)
    assert set(online.state(BACKLOG).partitions) == {"a"}


def test_no_row_is_looked_for_beyond_the_time_to_live(online: OnlineStore) -> None:
    brief = View(
        name="brief", entities={"origin": "string"}, features={"late": "int64"}, ttl=5 * HOUR
    )
    world = World(a=[("JFK", 0, 1)], b=[("JFK", 10, 2), ("LGA", 10, 3)])
    world.into(online, watermark=11, view=brief)
    world.partitions["b"] = [("LGA", 10, 3)]
    done = world.into(online, watermark=11, view=brief)
    assert done.deleted == 1
    assert world.asked == ["b"], "what a has is too old for every reader"


def test_a_push_survives_until_a_newer_row(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1), ("LGA", 0, 2)])
    world.into(online)
    online.write(BACKLOG, pack(BACKLOG, pl.DataFrame([("JFK", NOON + 2 * HOUR, 9)], schema=SCHEMA, orient="row")))  # fmt: skip
    world.partitions["a"] = [("LGA", 0, 2)]
    world.into(online)
    assert held(online) == {"JFK": 9, "LGA": 2}
    world.partitions["b"] = [("JFK", 3, 4)]
    world.into(online)
    assert held(online) == {"JFK": 4, "LGA": 2}


def test_rows_without_an_event_time_are_left_out_and_empty_partitions_held(online: OnlineStore) -> None:  # fmt: skip
    timeless = pl.DataFrame([("JFK", None, 1), ("LGA", NOON, 2)], schema=SCHEMA, orient="row")
    frames: dict[str, Any] = {"a": timeless.lazy(), "b": timeless.clear().to_arrow()}
    materialise(online, BACKLOG, {"a": "1", "b": "1"}, frames.__getitem__)
    assert held(online) == {"LGA": 2}
    assert online.state(BACKLOG).held == {"a": "1", "b": "1"}


def test_a_view_without_entities_holds_one_row(online: OnlineStore) -> None:
    everywhere = View(name="everywhere", entities={}, features={"late": "int64"})
    frames = {"a": [(NOON, 1)], "b": [(NOON + HOUR, 2)]}
    read = lambda name: pl.DataFrame(frames[name], schema=["event_ts", "late"], orient="row")  # noqa: E731
    materialise(online, everywhere, {"a": "1", "b": "1"}, read)
    reader = Reader([(everywhere, None)], online)
    assert reader.read({}).columns["late"].tolist() == [2]
    materialise(online, everywhere, {"a": "1"}, read)
    assert reader.read({}).columns["late"].tolist() == [1]


def test_a_new_layout_is_served_once_it_is_complete(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)], b=[("LGA", 1, 2)])
    world.into(online, watermark=2)
    wider = View(name="backlog", entities={"origin": "string"}, features={"late": "float64"})
    with pytest.raises(ZeroDivisionError):
        materialise(Failing(online, 3), wider, world.present, world.read)
    assert held(online) == {"JFK": 1, "LGA": 2}, "readers of the old layout go on"
    with pytest.raises(LayoutChangedError, match="late is int64 there and float64 here"):
        held(online, wider)
    world.into(online, watermark=2, view=wider)
    assert held(online, wider) == {"JFK": 1.0, "LGA": 2.0}
    with pytest.raises(LayoutChangedError, match="late is float64 there and int64 here"):
        held(online)


def test_a_partition_that_does_not_fit_stops_it_and_moves_no_watermark(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)])
    world.into(online, watermark=1)
    frames = {"a": world.read("a"), "b": world.read("a").with_columns(late=pl.lit("x"))}
    with pytest.raises(RowsError, match="'backlog' cannot be written: late is String, and the view says int64"):  # fmt: skip
        materialise(online, BACKLOG, {"a": "2", "b": "1"}, frames.__getitem__, watermark=NOON + 9 * HOUR)  # fmt: skip
    state = online.state(BACKLOG)
    assert (state.watermark, state.held, state.pending) == (NOON + HOUR, {"a": "2"}, ["b"])
    with pytest.raises(RowsError, match="partition 'b' has no column event_ts"):
        materialise(online, BACKLOG, {"a": "2", "b": "1"}, lambda _: frames["b"].drop("event_ts"))


# --- killed on the way ------------------------------------------------------------------------


class Failing:
    """A store that fails at its n-th writing call, before or after it wrote."""

    def __init__(self, store: OnlineStore, left: int, *, is_after: bool = False) -> None:
        self.store, self.left, self.is_after = store, left, is_after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)
        if name not in ("fill", "restate", "begin", "hold", "finish", "drop"):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and self.is_after:
                method(*args, **kwargs)
            if self.left == 0:
                raise ZeroDivisionError
            return method(*args, **kwargs)

        return call


def fail(world: World, store: OnlineStore, at: int, *, is_after: bool, watermark: int) -> bool:
    """Whether a materialisation reached its n-th writing call and so failed."""
    try:
        world.into(Failing(store, at, is_after=is_after), watermark=watermark)
    except ZeroDivisionError:
        return True
    return False


@pytest.mark.parametrize("is_after", [False, True])
def test_half_of_a_first_materialisation_is_told(online: OnlineStore, *, is_after: bool) -> None:
    world = World(a=[("JFK", 0, 1)], b=[("LGA", 1, 2)])
    told = "half written: 1 partitions of its first materialisation are in, 1 are not"
    assert fail(world, online, 4, is_after=is_after, watermark=9)  # begin, fill, hold, fill
    with pytest.raises(HalfWrittenError, match=told):
        held(online)
    assert online.state(BACKLOG).watermark is None
    assert online.state(BACKLOG).pending == ["b"]
    world.into(online, watermark=9)
    assert world.asked == ["b"]
    assert held(online) == {"JFK": 1, "LGA": 2}


def test_a_partition_that_comes_back_after_a_kill_is_read_again(online: OnlineStore) -> None:
    world = World(a=[("JFK", 0, 1)], b=[("LGA", 1, 2)])
    world.into(online)
    b = world.partitions.pop("b")
    assert fail(world, online, 4, is_after=False, watermark=1)  # begin, restate, hold, finish
    world.partitions["b"] = b
    world.into(online)
    assert held(online) == {"JFK": 1, "LGA": 2}


PARTITIONS = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(
            st.tuples(
                st.sampled_from("ABC"), st.sampled_from(range(n, 30, 3)), st.integers(0, 99)
            ),
            max_size=4,
            unique_by=lambda row: row[:2],
        )
        for n, name in enumerate("pqr")
    },
)  # fmt: skip
"""No entity has two rows of one moment in two partitions: of those, the later written would win."""
STEPS = st.lists(
    st.tuples(PARTITIONS, st.one_of(st.none(), st.integers(1, 9)), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(steps=STEPS)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_restated_worlds_end_as_if_written_once(online: OnlineStore, steps: list[Any]) -> None:
    online.drop("backlog")
    reached = None
    for number, (partitions, fails_at, is_after) in enumerate(steps):
        world = World(**partitions)
        if fails_at is None:
            world.into(online, watermark=number)
            reached = NOON + number * HOUR
            assert held(online) == world.newest()
        elif fail(world, online, fails_at, is_after=is_after, watermark=number):
            now = online.state(BACKLOG).watermark
            assert now == reached or held(online) == world.newest(), "a watermark before its rows"
            reached = now
        else:
            reached = NOON + number * HOUR
        assert online.state(BACKLOG).watermark == reached
    world.into(online, watermark=99)
    assert held(online) == world.newest()
    assert online.count(BACKLOG) == len(world.newest())


KILLED = """
import sys, time
import polars as pl
from lakeline.online import View, materialise, open_store
import datetime as dt

view = View(name="killed", entities={"origin": "string"}, features={"late": "int64"})
noon = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)

def read(name):
    print(name, flush=True)
    number = int(name)
    origins = [f"A{n}" for n in range(number, number + 3000)]
    return pl.DataFrame({"origin": origins, "late": [number] * 3000}).with_columns(event_ts=pl.lit(noon + dt.timedelta(hours=number)))

present = {f"{n:03d}": sys.argv[2] for n in range(40)}
materialise(open_store(sys.argv[1]), view, present, read, watermark=noon + dt.timedelta(hours=int(sys.argv[3])))
print("done", flush=True)
"""


def test_kill_9_loses_nothing_and_shows_nothing_as_done(online_url: str, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    view = View(name="killed", entities={"origin": "string"}, features={"late": "int64"})
    store = open_store(online_url)

    def run(version: str, watermark: int, kill_at: str | None) -> list[str]:
        command = [sys.executable, str(script), online_url, version, str(watermark)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)  # fmt: skip
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line.strip())
            if line.strip() == kill_at:
                time.sleep(0.004)
                os.kill(process.pid, signal.SIGKILL)
                break
        process.stdout.close()
        process.wait()
        return seen

    run("v1", 1, "015")
    with pytest.raises(HalfWrittenError):
        held(store, view)
    assert run("v1", 1, None)[0] in ("014", "015", "016"), "what was in is not read again"
    assert store.state(view).watermark == NOON + HOUR
    expected = {f"A{n}": min(n, 39) for n in range(3039)}
    assert held(store, view) == expected
    run("v2", 2, "022")
    assert store.state(view).watermark == NOON + HOUR, "the second is not done"
    assert len(store.state(view).pending) in (17, 18, 19)
    run("v2", 2, None)
    assert store.state(view).watermark == NOON + 2 * HOUR
    assert held(store, view) == expected
    store.close()


ENVIRONMENT: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
