"""What every online store promises, on SQLite and on Redis."""

import asyncio
import datetime as dt
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakeline.online import Answer, OnlineStore, Reader, View, open_store
from lakeline.online.errors import (
    LayoutChangedError,
    NotMaterialisedError,
    OnlineUrlError,
    StoreDownError,
)
from lakeline.online.keys import HEADER, keys_of
from lakeline.online.rows import event_of, pack
from lakeline.online.store import Held
from lakeline.online.view import NO_TIME

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
FAR, LONG_AGO = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (9999, 1901))
BACKLOG = View(name="backlog", entities={"origin": "string"}, features={"late": "int64"})
WIDER = View(
    name="backlog", entities={"origin": "string"}, features={"late": "float64", "gone": "int32"}
)

Row = tuple[str, int, int]
"""Origin, hours after noon, value."""


def frame(rows: Iterable[Row]) -> pl.DataFrame:
    table = [(origin, NOON + hour * HOUR, value) for origin, hour, value in rows]
    schema: dict[str, Any] = {
        "origin": pl.String,
        "event_ts": pl.Datetime("us", "UTC"),
        "late": pl.Int64,
    }
    return pl.DataFrame(table, schema=schema, orient="row")


def push(store: OnlineStore, rows: Iterable[Row], view: View = BACKLOG) -> None:
    store.write(view, pack(view, frame(rows)))


def values(store: OnlineStore, *origins: str, view: View = BACKLOG) -> list[int | None]:
    answer = Reader([(view, None)], store).read({"origin": list(origins)})
    missing = answer.missing["late"]
    return [None if gone else int(value) for value, gone in zip(answer.columns["late"], missing, strict=True)]  # fmt: skip


def test_what_was_written_is_read(online: OnlineStore) -> None:
    push(online, [("JFK", 0, 7), ("LGA", 1, 8)])
    assert values(online, "LGA", "EWR", "JFK", "LGA") == [8, None, 7, 8]
    assert online.count(BACKLOG) == 2


def test_an_older_event_that_arrives_later_changes_nothing(online: OnlineStore) -> None:
    push(online, [("JFK", 2, 7)])
    push(online, [("JFK", 1, 6)])
    assert values(online, "JFK") == [7]


def test_of_equal_events_the_later_written_wins(online: OnlineStore) -> None:
    push(online, [("JFK", 2, 7)])
    push(online, [("JFK", 2, 8), ("JFK", 2, 9)])
    assert values(online, "JFK") == [9]


def created(store: OnlineStore, *rows: tuple[str, int, int, int | None]) -> None:
    """Push rows that say how many hours after noon they were created, if they do."""
    made = [None if hour is None else NOON + hour * HOUR for *_, hour in rows]
    told = frame([(origin, hour, value) for origin, hour, value, _ in rows]).with_columns(
        made_ts=pl.Series(made, dtype=pl.Datetime("us", "UTC"))
    )
    store.write(BACKLOG, pack(BACKLOG, told, created="made_ts"))


def test_of_equal_events_the_later_created_wins_whenever_it_is_written(online: OnlineStore) -> None:
    created(online, ("JFK", 2, 8, 5), ("JFK", 2, 7, 4), ("LGA", 2, 1, -9))
    created(online, ("JFK", 2, 6, 3), ("LGA", 2, 2, -8))
    assert values(online, "JFK", "LGA") == [8, 2]
    created(online, ("JFK", 2, 9, 5), ("LGA", 3, 3, -20))
    assert values(online, "JFK", "LGA") == [9, 3]


def test_a_row_that_says_no_creation_wins_by_being_written(online: OnlineStore) -> None:
    created(online, ("JFK", 2, 8, 5))
    created(online, ("JFK", 2, 7, None))
    assert values(online, "JFK") == [7]
    created(online, ("JFK", 2, 6, 1))
    assert values(online, "JFK") == [6]


def test_what_gave_way_leaves_no_time_of_creation(online: OnlineStore) -> None:
    created(online, ("JFK", 2, 8, 5), ("LGA", 2, 8, 5))
    online.delete(BACKLOG, keys_of(BACKLOG, {"origin": ["JFK"]}))
    online.drop("backlog")
    created(online, ("JFK", 2, 7, 1), ("LGA", 2, 7, 1))
    assert values(online, "JFK", "LGA") == [7, 7]
    online.delete(BACKLOG, keys_of(BACKLOG, {"origin": ["JFK"]}))
    created(online, ("JFK", 2, 6, 0))
    assert values(online, "JFK", "LGA") == [6, 7]


def test_a_file_of_a_former_release_takes_times_of_creation(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/online.db")
    push(store, [("JFK", 2, 7), ("LGA", 2, 7)])
    store.close()
    with closing(sqlite3.connect(tmp_path / "online.db")) as file:
        file.execute(f'ALTER TABLE "rows:lakeline:backlog:{BACKLOG.layout.digest}" DROP COLUMN created')  # fmt: skip
    assert [len(one) for one in store.scan(BACKLOG, 10)] == [2]
    created(store, ("JFK", 2, 8, 5))
    created(store, ("JFK", 2, 9, 4))
    assert values(store, "JFK", "LGA") == [8, 7]
    store.close()


def test_the_newest_of_one_batch_wins_whatever_its_place(online: OnlineStore) -> None:
    push(online, [("JFK", 1, 6), ("JFK", 3, 8), ("JFK", 2, 7)])
    assert values(online, "JFK") == [8]


def test_events_are_compared_to_the_microsecond_and_before_1970(online: OnlineStore) -> None:
    for view, moment in (("new", FAR), ("old", LONG_AGO)):
        one = View(name=view, entities={"origin": "string"}, features={"late": "int64"})
        later = moment + dt.timedelta(microseconds=1)
        for event_ts, value in ((later, 2), (moment, 1)):
            rows = pl.DataFrame({"origin": ["JFK"], "event_ts": [event_ts], "late": [value]})
            online.write(one, pack(one, rows))
        assert values(online, "JFK", view=one) == [2]


def test_a_batch_larger_than_a_call_is_written_whole(online: OnlineStore) -> None:
    push(online, [(f"A{n}", n % 7, n) for n in range(1234)])
    assert online.count(BACKLOG) == 1234
    assert values(online, "A0", "A1233") == [0, 1233]


def test_an_empty_batch_makes_the_view_readable(online: OnlineStore) -> None:
    push(online, [])
    assert values(online, "JFK") == [None]
    assert online.state(BACKLOG).is_readable
    assert online.state(BACKLOG).watermark is None


def test_deleted_entities_are_gone_and_may_come_back(online: OnlineStore) -> None:
    push(online, [("JFK", 2, 7), ("LGA", 2, 8)])
    online.delete(BACKLOG, keys_of(BACKLOG, {"origin": ["JFK", "EWR"]}))
    assert values(online, "JFK", "LGA") == [None, 8]
    push(online, [("JFK", 1, 6)])
    assert values(online, "JFK") == [6]


def test_a_dropped_view_is_as_if_it_had_never_been(online: OnlineStore) -> None:
    other = View(name="other", entities={"origin": "string"}, features={"late": "int64"})
    push(online, [("JFK", 0, 7)])
    push(online, [("JFK", 0, 1)], other)
    online.begin(BACKLOG, ["p"])
    online.drop("backlog")
    online.drop("backlog")
    assert online.state(BACKLOG).partitions == {}
    assert online.count(BACKLOG) == 0
    assert online.layouts("backlog") == []
    with pytest.raises(NotMaterialisedError, match="'backlog' was never materialised"):
        values(online, "JFK")
    assert values(online, "JFK", view=other) == [1]


def test_views_of_two_prefixes_do_not_meet(online_url: str) -> None:
    mine, yours = open_store(online_url, prefix="mine"), open_store(online_url, prefix="yours")
    push(mine, [("JFK", 0, 1)])
    push(yours, [("JFK", 0, 2)])
    mine.drop("backlog")
    assert values(yours, "JFK") == [2]
    mine.close()
    yours.close()


def test_the_watermark_is_there_once_it_was_set(online: OnlineStore) -> None:
    push(online, [("JFK", 0, 7)])
    online.finish(BACKLOG, gone=[], watermark=NOON)
    reader = Reader([(BACKLOG, None)], online)
    assert online.state(BACKLOG).watermark == NOON
    assert reader.watermarks() == {"backlog": NOON}
    assert reader.read({"origin": ["JFK"]}).watermarks == {"backlog": NOON}


def test_a_push_leaves_the_watermark_alone(online: OnlineStore) -> None:
    online.finish(BACKLOG, gone=[], watermark=NOON)
    push(online, [("JFK", 9, 7)])
    assert online.state(BACKLOG).watermark == NOON


def test_rows_know_their_partition(online: OnlineStore) -> None:
    origins = online.begin(BACKLOG, ["a", "b"])
    assert online.begin(BACKLOG, ["b", "c"])["b"] == origins["b"]
    online.fill(BACKLOG, pack(BACKLOG, frame([("JFK", 0, 1), ("LGA", 0, 2)]), origin=origins["a"]))
    online.fill(BACKLOG, pack(BACKLOG, frame([("JFK", 1, 3)]), origin=origins["b"]))
    noon_us = int(NOON.timestamp() * 1e6)
    assert online.members(BACKLOG, origins["a"]) == {b"LGA": noon_us}
    assert online.members(BACKLOG, origins["b"]) == {b"JFK": noon_us + 3_600_000_000}
    online.delete(BACKLOG, [b"JFK"])
    assert online.members(BACKLOG, origins["b"]) == {}


def test_a_partition_is_pending_until_it_is_held(online: OnlineStore) -> None:
    origin = online.begin(BACKLOG, [""])[""]
    assert online.state(BACKLOG).pending == [""]
    held = Held(origin=origin, version="v1", newest_us=5)
    online.hold(BACKLOG, {"": held})
    assert online.state(BACKLOG).partitions == {"": held}
    assert online.state(BACKLOG).held == {"": "v1"}


def test_a_restated_row_may_be_older_and_an_empty_one_deletes(online: OnlineStore) -> None:
    origins = online.begin(BACKLOG, ["a", "b"])
    for name, origin in (("JFK", "a"), ("LGA", "a"), ("EWR", "b")):
        online.fill(BACKLOG, pack(BACKLOG, frame([(name, 5, 1)]), origin=origins[origin]))
    older = pack(BACKLOG, frame([("JFK", 1, 9), ("LGA", 1, 9), ("EWR", 1, 9)]), origin=origins["b"])
    rows = [older.rows[0], b"", older.rows[2]]
    online.restate(BACKLOG, type(older)(keys=older.keys, rows=rows), origin=origins["a"])
    online.finish(BACKLOG, gone=[], watermark=None)
    assert values(online, "JFK", "LGA", "EWR") == [9, None, 1]
    assert online.members(BACKLOG, origins["a"]) == {}
    assert set(online.members(BACKLOG, origins["b"])) == {b"JFK", b"EWR"}


def test_a_push_meanwhile_is_not_restated_away(online: OnlineStore) -> None:
    origin = online.begin(BACKLOG, ["a"])["a"]
    online.fill(BACKLOG, pack(BACKLOG, frame([("JFK", 1, 1)]), origin=origin))
    online.fill(BACKLOG, pack(BACKLOG, frame([("JFK", 2, 2)])))
    gone = pack(BACKLOG, frame([("JFK", 1, 1)]))
    online.restate(BACKLOG, type(gone)(keys=gone.keys, rows=[b""]), origin=origin)
    online.finish(BACKLOG, gone=["a"], watermark=None)
    assert values(online, "JFK") == [2]


def test_a_push_into_a_half_written_view_does_not_show_it(online: OnlineStore) -> None:
    online.begin(BACKLOG, ["a"])
    push(online, [("JFK", 2, 7)])
    with pytest.raises(NotMaterialisedError, match=r"half written: 0 partitions .* 1 are not"):
        values(online, "JFK")
    online.finish(BACKLOG, gone=["a"], watermark=None)
    assert values(online, "JFK") == [7]


def test_rows_of_another_layout_are_neither_read_nor_written(online: OnlineStore) -> None:
    push(online, [("JFK", 0, 7)])
    told = "feature gone is absent there and int32 here; feature late is int64 there and float64"
    with pytest.raises(LayoutChangedError, match=told):
        Reader([(WIDER, ["gone"])], online).read({"origin": ["JFK"]})
    rows = frame([("JFK", 1, 8)]).with_columns(gone=pl.lit(1))
    with pytest.raises(LayoutChangedError, match="materialise the view as it is here"):
        online.write(WIDER, pack(WIDER, rows))
    assert values(online, "JFK") == [7]
    assert [layout.digest for layout, _ in online.layouts("backlog")] == [BACKLOG.layout.digest]


def test_one_layout_can_be_dropped_and_the_other_kept(online: OnlineStore) -> None:
    push(online, [("JFK", 0, 7)])
    online.begin(WIDER, ["a"])
    rows = frame([("JFK", 1, 8)]).with_columns(gone=pl.lit(1))
    online.fill(WIDER, pack(WIDER, rows, origin=1))
    assert values(online, "JFK") == [7]
    online.finish(WIDER, gone=[], watermark=NOON)
    online.drop("backlog", keep=WIDER.layout.digest)
    assert values(online, "JFK", view=WIDER) == [8]
    with pytest.raises(LayoutChangedError):
        values(online, "JFK")


def test_all_rows_can_be_gone_through(online: OnlineStore) -> None:
    push(online, [(f"A{n}", 0, n) for n in range(1100)])
    seen = [key for batch in online.scan(BACKLOG, 100) for key in batch.keys]
    assert sorted(seen) == sorted(f"A{n}".encode() for n in range(1100))
    assert HEADER not in seen


def test_writers_at_once_leave_the_newest(online: OnlineStore) -> None:
    def writer(number: int) -> None:
        for hour in range(number, 80, 4):
            push(online, [("JFK", hour, hour), (f"A{number}", hour, hour)])

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(online, "JFK", "A0", "A3") == [79, 76, 79]


def test_an_event_loop_reads_the_same(online: OnlineStore) -> None:
    push(online, [("JFK", 0, 7)])
    reader = Reader([(BACKLOG, None)], online)

    async def read() -> Answer:
        answer = await reader.read_async({"origin": ["JFK", "LGA"]})
        await reader.close_async()
        return answer

    for _ in range(2):  # each run has a loop of its own
        answer = asyncio.run(read())
        assert answer.columns["late"].tolist() == [7, 0]
        assert answer.missing["late"].tolist() == [False, True]


ROWS = st.tuples(st.sampled_from("ABCD"), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))
STEPS = st.lists(
    st.one_of(
        st.lists(ROWS, max_size=6).map(lambda rows: ("write", rows)),
        st.sampled_from("ABCD").map(lambda origin: ("delete", origin)),
    ),
    max_size=8,
)


@given(steps=STEPS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_batches_in_any_order_end_as_in_a_dictionary(
    online: OnlineStore, steps: list[tuple[str, Any]]
) -> None:
    online.drop("backlog")
    push(online, [])
    expected: dict[str, Row] = {}
    for what, told in steps:
        if what == "delete":
            expected.pop(told, None)
            online.delete(BACKLOG, [told.encode()])
            continue
        for row in told:
            if row[0] not in expected or row[1] >= expected[row[0]][1]:
                expected[row[0]] = row
        push(online, told)
    assert values(online, *"ABCD") == [expected[o][2] if o in expected else None for o in "ABCD"]
    assert online.count(BACKLOG) == len(expected)


def test_the_same_batch_twice_is_once(online: OnlineStore) -> None:
    for _ in range(2):
        push(online, [("JFK", 0, 7), ("JFK", 1, 8)])
    (batch,) = online.scan(BACKLOG, 10)
    assert [event_of(row) for row in batch.rows] == [int((NOON + HOUR).timestamp() * 1e6)]


@pytest.mark.parametrize("url", ["", "online.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://x/y"])  # fmt: skip
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(OnlineUrlError, match=r"sqlite:///path/to/online.db or redis://"):
        open_store(url)


def test_a_file_that_is_no_database_is_told(tmp_path) -> None:
    (tmp_path / "online.db").write_text("not a database" * 100)
    with pytest.raises(StoreDownError, match=r"sqlite:///.*online.db does not answer: file is not"):
        open_store(f"sqlite:///{tmp_path}/online.db").state(BACKLOG)


def test_no_row_is_ever_as_old_as_no_time() -> None:
    assert event_of(BACKLOG.layout.blank) == NO_TIME


def test_more_keys_and_views_than_a_query_takes_are_read(online: OnlineStore) -> None:
    push(online, [("A0", 0, 7), ("A39999", 0, 8)])
    assert values(online, *(f"A{n}" for n in range(40_000)))[::39_999] == [7, 8]
    push(online, [("JFK", 0, 1)])
    found = online.fetch([(BACKLOG, [b"JFK", b"LGA"])] * 600)
    assert [rows[0] is None for _, rows in found] == [False] * 600
