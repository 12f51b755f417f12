"""What can go wrong between an online store and its server or its file, each told in one sentence."""

import asyncio
import datetime as dt
import multiprocessing
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from lakeline.errors import MissingExtraError
from lakeline.online import OnlineStore, Reader, View, materialise, open_store
from lakeline.online.errors import StoreDownError, StoreFullError
from lakeline.online.rows import Batch, pack
from lakeline.online.sqlite_store import SqliteStore
from tests.redis_server import RedisServer, redis_server
from tests.services import ServiceMissingError, free_ports

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
LATE = View(name="late", entities={"origin": "string"}, features={"late": "int64"})
WIDE = View(name="wide", entities={"origin": "string"}, features={"text": "string"})


def batch(*values: int) -> Batch:
    rows = {"origin": [f"A{n}" for n in range(len(values))], "late": values}
    return pack(LATE, pl.DataFrame(rows).with_columns(event_ts=pl.lit(NOON)))


def texts(hour: int, rows: int = 1000) -> pl.DataFrame:
    frame = pl.DataFrame({"origin": [f"A{n}-{hour}" for n in range(rows)], "text": ["x" * 1000] * rows})  # fmt: skip
    return frame.with_columns(event_ts=pl.lit(NOON + dt.timedelta(hours=hour)))


@pytest.fixture
def small_redis() -> Iterator[RedisServer]:
    """A Redis with room for some two thousand rows of a kilobyte."""
    try:
        with redis_server("--maxmemory", "6mb", "--maxmemory-policy", "noeviction") as server:
            yield server
    except ServiceMissingError as error:
        pytest.skip(str(error))


@pytest.mark.services
def test_a_full_redis_takes_no_batch_by_halves_and_goes_on_reading(
    small_redis: RedisServer,
) -> None:
    store = open_store(small_redis.url())
    read = lambda name: texts(int(name))  # noqa: E731
    materialise(store, WIDE, {"0": "1"}, read, watermark=NOON)
    with pytest.raises(StoreFullError, match=r"redis://127.0.0.1:\d+/0 is full: .*maxmemory.* no watermark moved"):  # fmt: skip
        materialise(store, WIDE, dict.fromkeys("0123456789", "1"), read, watermark=NOON + dt.timedelta(days=1))  # fmt: skip
    state = store.state(WIDE)
    assert state.watermark == NOON
    assert state.held["0"] == "1"
    assert state.pending
    assert Reader([(WIDE, None)], store).read({"origin": ["A7-0"]}).columns["text"][0] == "x" * 1000
    small_redis.client().config_set("maxmemory", "64mb")
    materialise(store, WIDE, dict.fromkeys("0123456789", "1"), read, watermark=NOON + dt.timedelta(days=1))  # fmt: skip
    assert store.count(WIDE) == 10_000
    assert store.state(WIDE).pending == []
    store.close()


@pytest.mark.services
def test_a_redis_that_is_down_is_told_and_found_again(redis_url: str) -> None:
    (port,) = free_ports(1)
    store = open_store(f"redis://:secret@127.0.0.1:{port}/0")
    reader = Reader([(LATE, None)], store)
    told = rf"The online store at redis://127.0.0.1:{port}/0 does not answer: Error 111"
    for ask in (
        lambda: reader.read({"origin": ["A0"]}),
        lambda: asyncio.run(reader.read_async({"origin": ["A0"]})),
        lambda: store.write(LATE, batch(1)),
        lambda: store.state(LATE),
        lambda: materialise(store, LATE, {"a": "1"}, texts),  # type: ignore[arg-type]
    ):
        with pytest.raises(StoreDownError, match=told):
            ask()
    store = open_store(f"redis://127.0.0.1:{port}/0")
    reader = Reader([(LATE, None)], store)
    for value in (1, 2):  # the second server is another: connections to the first are dead
        with redis_server(port=port):
            store.write(LATE, batch(value))
            assert reader.read({"origin": ["A0"]}).columns["late"].tolist() == [value]
        with pytest.raises(StoreDownError, match="does not answer"):
            reader.read({"origin": ["A0"]})


@pytest.mark.services
def test_a_request_is_one_round_trip_whatever_the_number_of_views(redis_url: str, redis_on_loopback: RedisServer) -> None:  # fmt: skip
    store = open_store(redis_url)
    views = [View(name=f"v{n}", entities={"origin": "string"}, features={f"f{n}": "int64"}) for n in range(5)]  # fmt: skip
    for view in views:
        store.write(view, Batch(keys=[], rows=[]))
    reader = Reader([(view, None) for view in views], store)
    reader.read({"origin": ["A"]})
    sent: list[bytes] = []
    connection = store._line.connection()  # type: ignore[attr-defined]
    send = connection.send_packed_command

    def noted(data: list[bytes], **more: bool) -> None:
        sent.extend(data)
        send(data, **more)

    connection.send_packed_command = noted
    before = redis_on_loopback.client().info("commandstats")["cmdstat_hmget"]["calls"]
    reader.read({"origin": ["A", "B"]})
    after = redis_on_loopback.client().info("commandstats")["cmdstat_hmget"]["calls"]
    assert after - before == len(views)
    assert len(sent) == 1
    store.close()


@pytest.mark.services
def test_half_an_answer_is_never_read_as_the_next(redis_url: str) -> None:
    store = open_store(redis_url)
    store.write(LATE, batch(1, 2))
    connection = store._line.connection()  # type: ignore[attr-defined]
    read = connection.read_response

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    connection.read_response = interrupted
    with pytest.raises(KeyboardInterrupt):
        store.fetch([(LATE, [b"A0"])])
    connection.read_response = read
    assert Reader([(LATE, None)], store).read({"origin": ["A1"]}).columns["late"].tolist() == [2]
    store.close()


def _read_in_child(store: OnlineStore, answers: "multiprocessing.SimpleQueue[list[int]]") -> None:
    reader = Reader([(LATE, None)], store)
    answers.put([reader.read({"origin": ["A1"]}).columns["late"].tolist()[0] for _ in range(200)])


def test_a_fork_does_not_share_connections(online: OnlineStore) -> None:
    online.write(LATE, batch(1, 2))
    fork = multiprocessing.get_context("fork")
    reader = Reader([(LATE, None)], online)
    reader.read({"origin": ["A0"]})
    answers = fork.SimpleQueue()
    child = fork.Process(target=_read_in_child, args=(online, answers))
    child.start()
    mine = [reader.read({"origin": ["A0"]}).columns["late"].tolist()[0] for _ in range(200)]
    assert set(answers.get()) == {2}
    child.join()
    assert set(mine) == {1}


def test_a_full_disk_takes_no_batch_by_halves(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/online.db")
    assert isinstance(store, SqliteStore)
    read = lambda name: texts(int(name))  # noqa: E731
    materialise(store, WIDE, {"0": "1"}, read, watermark=NOON)
    store._file.connection().execute("PRAGMA max_page_count = 900")
    with pytest.raises(StoreFullError, match=r"online.db is full: database or disk is full.* no watermark"):  # fmt: skip
        materialise(store, WIDE, dict.fromkeys("0123456789", "1"), read, watermark=NOON + dt.timedelta(days=1))  # fmt: skip
    assert store.state(WIDE).watermark == NOON
    assert store.count(WIDE) % 1000 == 0, "each partition is in whole or not at all"
    store._file.connection().execute("PRAGMA max_page_count = 100000")
    materialise(store, WIDE, dict.fromkeys("0123456789", "1"), read, watermark=NOON + dt.timedelta(days=1))  # fmt: skip
    assert store.count(WIDE) == 10_000
    store.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreDownError, match=r"file/online.db does not answer: .*mend the url"):
        open_store(f"sqlite:///{tmp_path}/file/online.db").state(LATE)


def test_readers_of_a_file_go_on_while_it_is_written(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/online.db")
    store.write(LATE, batch(1))
    with sqlite3.connect(tmp_path / "online.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert Reader([(LATE, None)], store).read({"origin": ["A0"]}).columns["late"].tolist() == [1]  # fmt: skip
        other.execute("ROLLBACK")
    store.close()


def test_without_the_client_for_redis_the_command_that_brings_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "redis", None)
    told = r"online store in Redis needs more packages. Run: pip install 'lakeline\[redis\]'"
    with pytest.raises(MissingExtraError, match=told):
        open_store("redis://localhost:6379/0")
