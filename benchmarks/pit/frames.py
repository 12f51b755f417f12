"""Cases as tables: what they are in the lake, in a rival's files, and in an entity frame."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pit.cases import ZONE, Family
from benchmarks.pit.oracle import Ask, Row
from lakeline.features.offline.request import ViewRead

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeline.lake import Lake

RIVAL_PYTHON = Path(__file__).parents[2] / ".rivals/bin/python"


def key_names(keys: int) -> list[str]:
    """The key that tells cases apart, and those of the case itself."""
    return ["case", *(f"key_{number}" for number in range(keys))]


def row_table(family: Family) -> "pa.Table":
    """The feature rows of every case, in order."""
    import pyarrow as pa

    numbered = [(number, row) for number, case in enumerate(family.cases) for row in case.rows]
    instant = pa.timestamp("us", "UTC")
    return pa.table(
        {
            **_keys(family, [(number, row.keys) for number, row in numbered]),
            "event_ts": pa.array([row.event for _, row in numbered], instant),
            "known_ts": pa.array([row.known for _, row in numbered], instant),
            "value": pa.array([row.value for _, row in numbered], pa.float64()),
        }
    )


def ask_table(family: Family) -> "pa.Table":
    """The entity rows of every case, numbered in order; their time is that of a place with summer time."""
    import pyarrow as pa

    numbered = [(number, ask) for number, case in enumerate(family.cases) for ask in case.asks]
    return pa.table(
        {
            "ask": pa.array(range(len(numbered)), pa.int64()),
            **_keys(family, [(number, ask.keys) for number, ask in numbered]),
            "event_timestamp": pa.array(
                [ask.at for _, ask in numbered], pa.timestamp("us", str(ZONE))
            ),
        }
    )


def asked(family: Family) -> list[tuple[Ask, Sequence[Row]]]:
    """Every entity row with the feature rows of its case, in the order of `ask_table`."""
    return [(ask, case.rows) for case in family.cases for ask in case.asks]


def view_read(family: Family) -> ViewRead:
    """The family as a view of the lake."""
    knows = family.rule.hides
    return ViewRead(
        name=f"view_{family.number}",
        table=f"pit.rows_{family.number}",
        keys={name: name for name in key_names(family.keys)},
        features={"value": "value"},
        event_time="event_ts",
        knowledge_time="known_ts" if knows else None,
        ttl=family.rule.ttl,
    )


def to_lake(lake: "Lake", family: Family) -> None:
    """Make the table of a family, in two commits."""
    rows = row_table(family)
    name = f"pit.rows_{family.number}"
    lake.create_namespace_of(name)
    table = lake.catalog.create_table(name, schema=rows.schema)
    half = rows.num_rows // 2
    table.append(rows.slice(0, half))
    table.append(rows.slice(half))


def described(family: Family) -> dict[str, Any]:
    """The family as a rival is told of it."""
    ttl = family.rule.ttl
    return {
        "number": family.number,
        "keys": key_names(family.keys),
        "knows": family.rule.hides,
        "ttl_s": ttl / dt.timedelta(seconds=1) if ttl else None,
    }


def _keys(family: Family, rows: "list[tuple[int, tuple[Any, ...]]]") -> "dict[str, pa.Array]":
    import pyarrow as pa

    own = {
        name: pa.array([keys[place] for _, keys in rows], pa.string())
        for place, name in enumerate(key_names(family.keys)[1:])
    }
    return {"case": pa.array([number for number, _ in rows], pa.int64()), **own}
