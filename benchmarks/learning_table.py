"""A training set of the shape of the flights' one, as large as asked for, in a lake of its own."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.contract import Contract, column
from lakeline.lake import Lake
from lakeline.ledger import Ledger
from lakeline.models.learning import Learning
from lakeline.publishing import Target, publish
from lakeline.window import Window, day_start, shift

if TYPE_CHECKING:
    import polars as pl

FIRST = "2024-01-01"
TABLE = "bench.rows"
NAMES = {"carrier": 16, "origin": 3, "dest": 105, "route": 224, "hour": 20, "weekday": 7}
"""Categorical features, and how many values each has."""

AMOUNTS = tuple(f"amount_{i}" for i in range(15))


class Row(Contract, version="1.0"):
    """One row a decision."""

    event_ts: dt.datetime = column("When it was decided", event_time=True, key=True)
    known_ts: dt.datetime = column("When the label was known")
    carrier: str = column("A name")
    origin: str = column("A name")
    dest: str = column("A name")
    route: str = column("A name")
    hour: int = column("A number that is a name")
    weekday: int = column("A number that is a name")
    amount_0: float = column("A number")
    amount_1: float = column("A number")
    amount_2: float = column("A number")
    amount_3: float = column("A number")
    amount_4: float = column("A number")
    amount_5: float = column("A number")
    amount_6: float = column("A number")
    amount_7: float = column("A number")
    amount_8: float = column("A number")
    amount_9: float = column("A number")
    amount_10: float = column("A number")
    amount_11: float = column("A number")
    amount_12: float | None = column("A number that is missing at times")
    amount_13: float | None = column("A number that is missing at times")
    amount_14: float | None = column("A number that is missing at times")
    is_late: bool = column("Label")


LEARNING = Learning(
    features=(*NAMES, *AMOUNTS),
    categorical=tuple(NAMES),
    label="is_late",
    at="event_ts",
    known="known_ts",
)


def build(folder: Path, *, days: int, rows_a_day: int) -> dt.datetime:
    """Fill the table of a lake below a folder; gives the end of its last day."""
    lake = open_lake(folder)
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    target = Target(asset=TABLE.replace(".", "/"), contract=Row, daily=True)
    for number in range(days):
        day = shift(FIRST, number)
        publish(lake, ledger, target, _rows(day, rows_a_day), window=Window.of_days(day))
    ledger.close()
    return day_start(shift(FIRST, days))


def open_lake(folder: Path) -> Lake:
    """The lake below a folder."""
    return Lake(
        catalog_uri=f"sqlite:///{folder / 'catalog.db'}",
        warehouse=str(folder / "warehouse"),
        locks=folder / "locks",
    )


def _rows(day: str, rows: int) -> "pl.DataFrame":
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(int(day.replace("-", "")))
    values = draw.normal(size=(len(AMOUNTS), rows))
    codes = {name: draw.integers(0, count, rows) for name, count in NAMES.items()}
    chance = 1 / (1 + np.exp(2 - values[0] - 0.5 * values[1] * values[2] - 0.1 * codes["carrier"]))
    step = dt.timedelta(seconds=80_000 / rows)
    times = [day_start(day) + i * step for i in range(rows)]
    kind = pl.Datetime("us", "UTC")
    named = {
        name: one if name in ("hour", "weekday") else [f"{name}-{code}" for code in one]
        for name, one in codes.items()
    }
    amounts = {
        name: pl.Series(values[i]).set(pl.Series(draw.random(rows) < 0.05), None) if i > 11 else values[i]
        for i, name in enumerate(AMOUNTS)
    }  # fmt: skip
    return pl.DataFrame(
        {
            "event_ts": pl.Series(times, dtype=kind),
            "known_ts": pl.Series([one + dt.timedelta(minutes=5) for one in times], dtype=kind),
            **named,
            **amounts,
            "is_late": draw.random(rows) < chance,
        }
    )
