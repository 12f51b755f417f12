"""Reads of a table of events by each engine, against pyiceberg's ``scan().to_arrow()`` with the same filter.

The rival's aggregates are computed by Polars from the Arrow table. Every round asks a question of each engine once, so
that a slow minute hits them all; DuckDB's connection is new each time. The reach is that of the fastest engine.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events import ROWS_A_DAY, TARGET, day_of_events, window_of
from benchmarks.harness import measure, ratio, report
from lakeline.lake import Lake
from lakeline.lake.partitions import window_filter
from lakeline.lake.read import read_arrow, scan_duckdb, scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import publish
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

DAYS, FULL_DAYS = 100, 365
ROUNDS = {"day": 15, "month": 5, "user": 5, "aggregate": 5, "groups": 5}
REACH = {"day": 1.5, "month": 2.5, "user": 3.0, "aggregate": 8.0}
DAY, MONTH = Window.of_days("2023-02-10"), Window.of_days("2023-02-01", "2023-02-28")
RIVAL = "pyiceberg"

Read = Callable[["Table", str], Any]
"""Asks one question of a table, with the name of a user; returns something with rows."""


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("FULL")))
    days = FULL_DAYS if parser.parse_args().full else DAYS
    with tempfile.TemporaryDirectory(prefix="bench-read-") as folder:
        lake, ledger = Lake.in_folder(Path(folder)), Ledger(f"sqlite:///{folder}/ledger.db")
        publish(lake, ledger, TARGET, map(day_of_events, range(days)), window=window_of(days))
        table = lake.load(TARGET.table)
        found = {
            question: _timed(table, engines, ROUNDS[question])
            for question, engines in QUESTIONS.items()
        }
        peaks = {
            engine: measure(_aggregate, folder, engine).peak_rss_mib
            for engine in QUESTIONS["aggregate"]
        }
    speedups = {
        question: {
            engine: ratio(times[RIVAL], times[engine]) for engine in times if engine != RIVAL
        }
        for question, times in found.items()
    }
    best = {question: max(engines.values()) for question, engines in speedups.items()}
    figures = {
        "days": days,
        "rows": days * ROWS_A_DAY,
        "best_speedup": best,
        "speedup": speedups,
        "s": {
            question: {engine: statistics.median(each) for engine, each in times.items()}
            for question, times in found.items()
        },
        "aggregate_process_peak_mib": peaks,
    }
    reach = {f"best_speedup.{question}": f">= {least}" for question, least in REACH.items()}
    return report(
        "read",
        figures,
        reach,
        met=all(best[question] >= least for question, least in REACH.items()),
    )


def _timed(table: "Table", engines: Mapping[str, Read], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each engine in each round; a round before them loads what they import."""
    user = str(day_of_events(3)["user_id"][7])
    found: dict[str, list[float]] = {engine: [] for engine in engines}
    rows: set[int] = set()
    for number in range(rounds + 1):
        for engine, read in engines.items():
            start_s = time.perf_counter()
            answer = read(table, user)
            wall_s = time.perf_counter() - start_s
            rows.add(len(answer))
            if number:
                found[engine].append(wall_s)
    assert len(rows) == 1, f"the engines disagree: {rows}"
    print(
        {engine: [round(each, 3) for each in times] for engine, times in found.items()},
        file=sys.stderr,
    )
    return found


def _aggregate(folder: str, engine: str) -> int:
    return len(QUESTIONS["aggregate"][engine](Lake.in_folder(Path(folder)).load(TARGET.table), ""))


def _rival(table: "Table", _: str, *, window: Window) -> Any:
    return table.scan(window_filter(table, window)).to_arrow()


def _polars(table: "Table", _: str, *, window: Window) -> Any:
    return scan_polars(table, window, on_read=_nobody).collect()


def _duckdb(table: "Table", _: str, *, window: Window) -> Any:
    import duckdb

    with duckdb.connect() as connection:
        return scan_duckdb(table, connection, window).to_arrow_table()


def _arrow(table: "Table", _: str, *, window: Window) -> Any:
    return read_arrow(table, window)


def _rival_user(table: "Table", user: str) -> Any:
    return table.scan(f"user_id = '{user}'").to_arrow()


def _polars_user(table: "Table", user: str) -> Any:
    import polars as pl

    return scan_polars(table, on_read=_nobody).filter(pl.col("user_id") == user).collect()


def _duckdb_user(table: "Table", user: str) -> Any:
    import duckdb

    with duckdb.connect() as connection:
        return scan_duckdb(table, connection).filter(f"user_id = '{user}'").to_arrow_table()


def _rival_totals(table: "Table", _: str, *, by: Sequence[str]) -> Any:
    import polars as pl

    rows = pl.from_arrow(table.scan().to_arrow())
    assert isinstance(rows, pl.DataFrame)
    return _totals(rows.lazy(), by).collect()


def _polars_totals(table: "Table", _: str, *, by: Sequence[str]) -> Any:
    return _totals(scan_polars(table, on_read=_nobody), by).collect()


def _duckdb_totals(table: "Table", _: str, *, by: Sequence[str]) -> Any:
    import duckdb

    sums = [*by, "count(*)", "sum(amount)", "avg(latency_ms)", "max(size_bytes)"]
    with duckdb.connect() as connection:
        return scan_duckdb(table, connection).aggregate(", ".join(sums)).to_arrow_table()


def _arrow_totals(table: "Table", _: str, *, by: Sequence[str]) -> Any:
    rows = read_arrow(table, columns=[*by, "amount", "latency_ms", "size_bytes"])
    sums = [([], "count_all"), ("amount", "sum"), ("latency_ms", "mean"), ("size_bytes", "max")]
    return rows.group_by(list(by)).aggregate(sums)


def _totals(rows: "pl.LazyFrame", by: Sequence[str]) -> "pl.LazyFrame":
    import polars as pl

    sums = [
        pl.len(),
        pl.col("amount").sum(),
        pl.col("latency_ms").mean(),
        pl.col("size_bytes").max(),
    ]
    return rows.group_by(by).agg(sums) if by else rows.select(sums)


def _nobody(_: object) -> None:
    """What a handle does with the columns it is told."""


def _of(window: Window) -> dict[str, Read]:
    ways = {RIVAL: _rival, "polars": _polars, "duckdb": _duckdb, "arrow": _arrow}
    return {engine: partial(way, window=window) for engine, way in ways.items()}


def _totals_by(*by: str) -> dict[str, Read]:
    ways = {
        RIVAL: _rival_totals,
        "polars": _polars_totals,
        "duckdb": _duckdb_totals,
        "arrow": _arrow_totals,
    }
    return {engine: partial(way, by=by) for engine, way in ways.items()}


QUESTIONS: dict[str, dict[str, Read]] = {
    "day": _of(DAY),
    "month": _of(MONTH),
    "user": {RIVAL: _rival_user, "polars": _polars_user, "duckdb": _duckdb_user},
    "aggregate": _totals_by(),
    "groups": _totals_by("country", "device"),
}


if __name__ == "__main__":
    sys.exit(main())
