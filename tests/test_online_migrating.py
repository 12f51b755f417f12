"""Rows carried over when a view's features change."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from lakeline.online import OnlineStore, Reader, View, materialise
from lakeline.online.errors import NotMaterialisedError
from lakeline.online.migrating import migrate
from lakeline.online.rows import pack

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
FEATURES: dict[str, Any] = {
    "small": "int32",
    "half": "float32",
    "text": "string",
    "at": "timestamp",
    "yes": "bool",
    "raw": "binary",
}
FORMER = View(name="v", entities={"origin": "string"}, features=FEATURES, ttl=dt.timedelta(hours=1))
ROWS = pl.DataFrame(
    {
        "origin": ["JFK", "LGA"],
        "event_ts": [NOON, NOON],
        "small": [1, None],
        "half": [0.5, None],
        "text": ["é", None],
        "at": [NOON, None],
        "yes": [True, None],
        "raw": [b"\0", None],
    }
)


def view(**features: Any) -> View:
    return View(name="v", entities={"origin": "string"}, features=features)


def read(store: OnlineStore, present: View) -> dict[str, list[Any]]:
    answer = Reader([(present, None)], store).read({"origin": ["JFK", "LGA"]}, NOON)
    return {
        name: [None if gone else value for gone, value in zip(answer.missing[name], column.tolist(), strict=True)]
        for name, column in answer.columns.items()
    }  # fmt: skip


def materialised(store: OnlineStore) -> None:
    materialise(store, FORMER, {"a": "1"}, lambda _: ROWS, watermark=NOON)


def test_shared_features_keep_their_values_and_new_ones_are_null(online: OnlineStore) -> None:
    materialised(online)
    present = view(**{**FEATURES, "small": "int64", "half": "float64", "new": "int64"})
    assert migrate(online, present)
    assert read(online, present) == {
        "small": [1, None],
        "half": [0.5, None],
        "text": ["é", None],
        "at": [NOON.replace(tzinfo=None), None],
        "yes": [True, None],
        "raw": [b"\0", None],
        "new": [None, None],
    }
    assert len(online.layouts("v")) == 1


def test_times_of_creation_are_carried_over(online: OnlineStore) -> None:
    def push(to: View, small: int, hour: int) -> None:
        made = NOON + dt.timedelta(hours=hour)
        row = ROWS.head(1).with_columns(small=pl.lit(small), made_ts=pl.lit(made))
        online.write(to, pack(to, row, created="made_ts"))

    present = view(small="int32")
    push(FORMER, 1, 2)
    migrate(online, present)
    push(present, 2, 1)
    assert read(online, present)["small"][0] == 1
    push(present, 3, 3)
    assert read(online, present)["small"][0] == 3


def test_a_new_feature_takes_a_new_materialisation(online: OnlineStore) -> None:
    materialised(online)
    present = view(small="int32", new="int64")
    migrate(online, present)
    assert online.state(present).watermark is None
    assert online.state(present).pending == ["a"]
    rows = ROWS.head(1).with_columns(new=pl.lit(7))
    done = materialise(online, present, {"a": "1"}, lambda _: rows, watermark=NOON)
    assert (done.pushed, done.deleted) == (("a",), 1)
    assert read(online, present) == {"small": [1, None], "new": [7, None]}


def test_without_a_new_feature_what_is_held_stays_held(online: OnlineStore) -> None:
    materialised(online)
    present = view(small="int32")
    assert migrate(online, present)
    assert online.state(present).watermark == NOON
    assert online.state(present).held == {"a": "1"}
    done = materialise(online, present, {}, lambda _: ROWS, watermark=NOON)
    assert (done.gone, done.deleted) == (("a",), 2)


def test_a_narrower_or_other_type_starts_empty(online: OnlineStore) -> None:
    online.write(FORMER, pack(FORMER, ROWS))
    present = view(half="int64", small="int32", text="binary")
    migrate(online, present)
    assert read(online, present) == {"half": [None, None], "small": [1, None], "text": [None, None]}


def test_other_entities_leave_nothing_to_carry(online: OnlineStore) -> None:
    materialised(online)
    present = View(name="v", entities={"origin": "int64"}, features=FEATURES)
    assert migrate(online, present)
    assert online.layouts("v") == []
    with pytest.raises(NotMaterialisedError):
        Reader([(present, None)], online).read({"origin": [1]})


def test_nothing_happens_where_nothing_changed(online: OnlineStore) -> None:
    assert not migrate(online, FORMER)
    materialised(online)
    assert not migrate(online, FORMER)
    assert read(online, FORMER)["small"] == [1, None]
