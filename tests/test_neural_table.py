"""A network learns straight from an Iceberg table: the same rows as a frame, in an order that the seed alone decides."""

import datetime as dt
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.errors import FeatureTypeError, UntrainableError
from lakeline.lake import Lake
from lakeline.lake.maintenance import compact
from lakeline.ledger import Ledger
from lakeline.models import shards
from lakeline.models.booster import train_booster
from lakeline.models.learning import Learning
from lakeline.models.table_rows import TableRows
from lakeline.models.trial import labelled_rows, learn_until
from lakeline.neural.plan import Plan
from lakeline.neural.training import train_network
from lakeline.publishing import Target, publish
from lakeline.window import Window, day_start, shift
from tests.lakes import Store, embedded
from tests.networks import plan, require_torch

require_torch()

from lakeline.models.training_set import TrainingSet  # noqa: E402
from lakeline.neural.blocks import Block, StreamedBlocks, encode_all, encoder  # noqa: E402
from lakeline.neural.fitting import fit_encoding  # noqa: E402
from lakeline.neural.loop import Loop  # noqa: E402
from lakeline.neural.prefetching import Prefetched  # noqa: E402

DAYS = [shift("2024-03-01", i) for i in range(12)]
END = day_start("2024-03-13")
WINDOW = Window(start=day_start(DAYS[0]), end=END)
LEARNING = Learning(
    features=("tree", "wind", "light"),
    categorical=("tree",),
    label="seen",
    at="event_ts",
    known="known_ts",
)


class Sighting(Contract, version="1.0"):
    """One row a quarter of an hour."""

    event_ts: dt.datetime = column("When somebody looked", event_time=True, key=True)
    known_ts: dt.datetime = column("When it was told")
    tree: str = column("Kind of the tree")
    wind: float = column("Speed of the wind", unit="m/s")
    light: float | None = column("Share of the sky without clouds")
    seen: bool | None = column("Label: whether the bird was seen")


class Renamed(Contract, version="1.1"):
    """``wind`` is called ``breeze``."""

    event_ts: dt.datetime = column("When somebody looked", event_time=True, key=True)
    known_ts: dt.datetime = column("When it was told")
    tree: str = column("Kind of the tree")
    breeze: float = column("Speed of the wind", unit="m/s", renamed_from="wind")
    light: float | None = column("Share of the sky without clouds")
    seen: bool | None = column("Label: whether the bird was seen")


SIGHTINGS = Target(asset="wood/sightings", contract=Sighting, daily=True)
NAME = "wood.sightings"


def looked(day: str) -> pl.DataFrame:
    """A day's rows: some without a label, some told days later."""
    draw = np.random.default_rng(int(day.replace("-", "")))
    times = [day_start(day) + dt.timedelta(minutes=15 * i) for i in range(96)]
    wind, tree = draw.random(96) * 30, draw.choice(["oak", "elm"], 96)
    seen = wind + 10 * (tree == "elm") + draw.normal(0, 3, 96) > 20
    return pl.DataFrame(
        {
            "event_ts": times,
            "known_ts": [at + dt.timedelta(hours=1 + 60 * (i % 40 == 0)) for i, at in enumerate(times)],
            "tree": tree,
            "wind": wind,
            "light": [None if i % 9 == 0 else float(one) for i, one in enumerate(draw.random(96))],
            "seen": [None if i % 31 == 0 else bool(one) for i, one in enumerate(seen)],
        },
        schema_overrides={"event_ts": pl.Datetime("us", "UTC"), "known_ts": pl.Datetime("us", "UTC")},
    )  # fmt: skip


def filled(store: Store) -> tuple[Lake, Ledger]:
    lake, ledger = store.lake(), store.ledger()
    for day in DAYS:
        publish(lake, ledger, SIGHTINGS, looked(day), window=Window.of_days(day))
    return lake, ledger


@pytest.fixture
def wood(store: Store) -> Iterator[tuple[Lake, Ledger]]:
    """A lake of twelve days, on each kind of store."""
    lake, ledger = filled(store)
    yield lake, ledger
    ledger.close()


@pytest.fixture
def folder_wood(tmp_path: Path) -> Iterator[tuple[Lake, Ledger]]:
    """The same in a folder."""
    lake, ledger = filled(embedded(tmp_path))
    yield lake, ledger
    ledger.close()


def rows_of(lake: Lake, **changes: Any) -> TableRows:
    given: dict[str, Any] = {"window": WINDOW, "until": END} | changes
    return TableRows.of(lake.load(NAME), LEARNING, **given)


def frame_rows(until: dt.datetime = END) -> TrainingSet:
    """What a model asset would learn from."""
    every = pl.concat([looked(day) for day in DAYS])
    whole = labelled_rows(every, LEARNING, day_start(DAYS[0]), END)
    return learn_until(whole, LEARNING, until)


def read_all(rows: TableRows) -> pl.DataFrame:
    return pl.concat([frame for shard in rows.shards() for frame in rows.read(shard)])


@pytest.mark.parametrize("until", [END, day_start(DAYS[7]) + dt.timedelta(hours=5)])
def test_the_rows_are_those_that_a_model_asset_learns_from(
    wood: tuple[Lake, Ledger], until: dt.datetime
):
    found = read_all(rows_of(wood[0], until=until)).sort("wind")
    expected = frame_rows(until).frame.select(found.columns).sort("wind")
    assert found.height > 600
    assert found.equals(expected)


def test_other_processes_are_handed_plain_values(folder_wood: tuple[Lake, Ledger]):
    rows = rows_of(folder_wood[0])
    again = TableRows.from_dict(rows.to_dict())
    assert again == rows
    assert again.content == rows.content
    assert read_all(again).equals(read_all(rows))


def test_what_happens_to_the_table_later_is_not_seen(folder_wood: tuple[Lake, Ledger]):
    lake, ledger = folder_wood
    rows = rows_of(lake)
    before = read_all(rows)
    changed = looked(DAYS[0]).with_columns(wind=pl.lit(0.0))
    publish(lake, ledger, SIGHTINGS, changed, window=Window.of_days(DAYS[0]))
    compact(lake, NAME, max_files=0)
    assert read_all(rows).equals(before)
    assert rows_of(lake).content != rows.content
    assert read_all(rows_of(lake))["wind"].min() == 0.0


def test_columns_are_read_under_their_present_names(folder_wood: tuple[Lake, Ledger]):
    lake, ledger = folder_wood
    target = Target(asset="wood/sightings", contract=Renamed, daily=True)
    renamed = looked(DAYS[0]).rename({"wind": "breeze"})
    publish(lake, ledger, target, renamed, window=Window.of_days(DAYS[0]))
    learning = Learning(features=("breeze",), label="seen", at="event_ts", known="known_ts")
    rows = TableRows.of(lake.load(NAME), learning, window=WINDOW, until=END)
    found = read_all(rows)["breeze"].sort()
    assert found.equals(frame_rows().frame["wind"].sort().alias("breeze"))


def order(rows: TableRows, seed: int, epoch: int, **changes: Any) -> list[float]:
    """The numbers of an epoch in their order, which are as good as names."""
    given = {"batch_rows": 64, "buffer_rows": 300} | changes
    read = encoder(rows, fit_encoding(rows).encoding)
    blocks = list(StreamedBlocks(shards=rows.shards(), shard=read, **given).epoch(seed, epoch))
    assert all(len(one) % given["batch_rows"] == 0 for one in blocks[:-1])
    return [value for block in blocks for value in block.numbers_NK[:, 0].tolist()]


def test_the_seed_and_the_epoch_decide_the_order_and_every_row_comes_once(
    folder_wood: tuple[Lake, Ledger], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shards, "SHARD_ROWS", 150)
    rows = rows_of(folder_wood[0])
    assert rows.shards()[:2] == ["2024-03-01/2024-03-02", "2024-03-03/2024-03-04"]
    first = order(rows, 1, 0)
    encoded = encode_all(rows, fit_encoding(rows).encoding)
    assert isinstance(encoded, Block)
    assert sorted(first) == sorted(encoded.numbers_NK[:, 0].tolist())
    assert order(rows_of(folder_wood[0]), 1, 0) == first
    assert order(rows, 1, 1) != first
    assert order(rows, 2, 0) != first
    # A buffer of two shards: what is far apart in the table comes early and late.
    places = np.array([first.index(one) for one in encoded.numbers_NK[:, 0].tolist()])
    assert np.corrcoef(places, np.arange(len(places)))[0, 1] < 0.9


def test_a_model_from_the_table_is_the_same_each_time_and_as_good_as_from_memory(
    wood: tuple[Lake, Ledger],
):
    from lakeline.models.evaluation import evaluate

    given = plan(epochs=6, stop_days=2, memory_rows=0)
    first = train_network(rows_of(wood[0]), given)
    assert train_network(rows_of(wood[0]), given).payload == first.payload
    memory = train_network(frame_rows(), given)
    assert first.categories == memory.categories
    # The held-out days are counted from the end of the window here, from the newest row there.
    assert first.means == pytest.approx(memory.means, rel=0.01)
    later = looked("2024-04-01").drop_nulls("seen")
    found = [evaluate(later["seen"], one.predict(later)).auc for one in (first, memory)]
    assert min(found) > 0.9
    assert abs(found[0] - found[1]) < 0.05


def test_a_table_is_read_once_and_kept_encoded_where_there_is_room(
    folder_wood: tuple[Lake, Ledger], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):  # fmt: skip
    read: list[str] = []
    real = TableRows.read

    def counted(self: TableRows, shard: str) -> Iterator[pl.DataFrame]:
        read.append(shard)
        return real(self, shard)

    monkeypatch.setattr(TableRows, "read", counted)
    monkeypatch.setattr(shards, "SHARD_ROWS", 300)
    given = plan(epochs=3, stop_days=0, memory_rows=0)
    kept = train_network(rows_of(folder_wood[0]), given).payload
    parts = len(rows_of(folder_wood[0]).shards())
    assert parts == 3
    assert len(read) == parts * 2  # for the statistics, and for the first epoch
    read.clear()
    again = train_network(rows_of(folder_wood[0]), replace(given, spill=False)).payload
    assert len(read) == parts * 4
    assert again == kept

    def full(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    read.clear()
    assert train_network(rows_of(folder_wood[0]), given).payload == kept
    assert len(read) == parts * 4
    assert caplog.text.count("Encoded rows are not kept") == 1


def test_a_small_table_is_read_into_memory_and_shuffled_whole(
    folder_wood: tuple[Lake, Ledger],
):
    rows = rows_of(folder_wood[0])
    given = plan(epochs=2, stop_days=0)
    assert rows.count <= given.memory_rows
    small = train_network(rows, given)
    assert small.digest == train_network(rows.in_memory(), given).digest
    assert small.params["memory_rows"] == given.memory_rows


def test_the_order_is_that_of_the_rows_and_not_of_the_files(
    folder_wood: tuple[Lake, Ledger], monkeypatch: pytest.MonkeyPatch
):
    lake, ledger = folder_wood
    before = read_all(rows_of(lake))
    for day in DAYS[:3]:
        shuffled = looked(day).sample(fraction=1, shuffle=True, seed=5)
        publish(lake, ledger, SIGHTINGS, shuffled, window=Window.of_days(day))
    compact(lake, NAME, max_files=0)
    assert read_all(rows_of(lake)).equals(before)
    monkeypatch.setattr(shards, "SHARD_ROWS", 150)
    assert read_all(rows_of(lake)).equals(before)


def test_a_table_says_of_its_rows_what_a_frame_says(wood: tuple[Lake, Ledger]):
    until = day_start(DAYS[7]) + dt.timedelta(hours=5)
    rows, memory = rows_of(wood[0], until=until), frame_rows(until)
    assert (rows.count, rows.share) == (memory.count, memory.share)
    assert rows.version == memory.version == rows.in_memory().version
    assert rows.frame.sort(memory.frame.columns).equals(memory.frame.select(rows.frame.columns).sort(memory.frame.columns))  # fmt: skip
    assert rows.only(["wind"]).count == rows.count
    assert read_all(rows.only(["wind"])).columns == ["wind", "seen"]
    assert (rows.start, rows.end, rows.at, rows.label) == (memory.start, memory.end, memory.at, memory.label)  # fmt: skip


def test_a_table_without_rows_has_an_empty_frame(tmp_path: Path):
    store = embedded(tmp_path)
    lake = store.lake()
    rows = TableRows.of(lake.open(NAME, SIGHTINGS.contract, daily=True), LEARNING, window=WINDOW, until=END)  # fmt: skip
    assert (rows.count, rows.shards(), rows.frame.height) == (0, [], 0)
    assert rows.frame.columns == [*dict.fromkeys((*LEARNING.features, *LEARNING.columns))]


def test_event_time_beyond_the_window_is_not_read(folder_wood: tuple[Lake, Ledger]):
    narrow = Window(start=day_start(DAYS[2]), end=day_start(DAYS[5]) + dt.timedelta(hours=6))
    rows = replace(rows_of(folder_wood[0], window=narrow), start=day_start(DAYS[0]), end=END)
    found = rows.frame["event_ts"].to_list()
    assert min(found) >= narrow.start
    assert day_start(DAYS[5]) < max(found) < narrow.end


def test_a_booster_from_the_table_is_that_of_the_same_rows_in_memory(wood: tuple[Lake, Ledger]):
    rows = rows_of(wood[0])
    frame = read_all(rows).with_columns(
        pl.lit(day_start(DAYS[0])).cast(pl.Datetime("us", "UTC")).alias("event_ts")
    )
    memory = replace(frame_rows(), frame=frame)
    first, second = (train_booster(one, rounds=15, seed=3) for one in (rows, memory))
    assert first.categories == {"tree": ("elm", "oak")}
    assert first.digest == second.digest
    early = rows_of(wood[0], window=Window.of_days("2023-01-01", "2023-01-31"), until=END)
    with pytest.raises(UntrainableError, match="0 rows: there are none"):
        train_booster(early)
    text = replace(rows, categorical=())
    with pytest.raises(FeatureTypeError, match="tree is String"):
        train_booster(text)


def test_the_newest_days_of_the_window_are_held_out(folder_wood: tuple[Lake, Ledger]):
    learn, held = rows_of(folder_wood[0]).split(2)
    assert held is not None
    assert (learn.end, held.start, held.end) == (day_start(DAYS[10]), day_start(DAYS[10]), END)
    assert read_all(learn).height + read_all(held).height == read_all(rows_of(folder_wood[0])).height  # fmt: skip
    most = rows_of(folder_wood[0]).split(100)[1]
    assert most is not None
    assert most.end - most.start == dt.timedelta(days=12) / 5
    assert rows_of(folder_wood[0]).split(0)[1] is None


def test_a_window_without_rows_is_refused(folder_wood: tuple[Lake, Ledger]):
    early = rows_of(folder_wood[0], window=Window.of_days("2023-01-01", "2023-01-31"), until=END)
    with pytest.raises(UntrainableError, match="0 rows: there are none"):
        train_network(early, Plan(memory_rows=0))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_values_made_ahead_come_in_order_and_errors_where_they_happened(
    ahead: int, pool: ThreadPoolExecutor
):
    def numbers() -> Iterator[int]:
        yield from range(20)
        raise LookupError("broken file")

    seen = []
    with pytest.raises(LookupError, match="broken file"):  # noqa: PT012 - it fails in the loop
        for one in Prefetched(numbers(), ahead, pool):
            seen.append(one)  # noqa: PERF402 - what came before the error counts
    assert seen == list(range(20))
    assert list(Prefetched(iter([]), ahead, pool)) == []


def test_no_more_is_made_than_is_wanted(pool: ThreadPoolExecutor):
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for one in range(10**6):
            made.append(one)
            yield one

    ahead = Prefetched(numbers(), 2, pool)
    for one in ahead:
        if one == 3:
            break
    ahead.close()
    ahead.close()
    assert made in (list(range(length)) for length in (4, 5, 6, 7))
    assert pool.submit(lambda: "free").result(5) == "free"


def test_a_training_leaves_no_thread_however_it_ends(monkeypatch: pytest.MonkeyPatch):
    before = threading.active_count()
    train_network(frame_rows(), plan(epochs=1))

    def broken(_: Loop, __: Any, ___: int) -> None:
        raise LookupError("broken step")

    monkeypatch.setattr(Loop, "_step", broken)
    with pytest.raises(LookupError, match="broken step"):
        train_network(frame_rows(), plan(epochs=1))
    assert threading.active_count() == before
