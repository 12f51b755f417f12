"""A table that has lived: a hundred days that came one by one, each corrected a day later, in lakeline and in pyiceberg.

Both make two hundred commits. Their last are timed against each other and against the first, and a day and a month are read
by processes that know nothing of the table yet. Nobody maintains either table.
"""

import importlib
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.events import TARGET, day_of_events, plain_table, window_of
from benchmarks.harness import measure, ratio, report
from lakeline.lake import Lake
from lakeline.lake.partitions import window_filter
from lakeline.lake.read import scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import publish
from lakeline.window import Window

if TYPE_CHECKING:
    from pyiceberg.table import Table

DAYS, ROWS_A_DAY, LAST = 100, 200, 20
READ_ROUNDS = 7
READ_DAYS = (1, 30)
COMMIT, READ, GROWTH = 5.0, 2.0, 2.0

Put = Callable[[str, int], None]
"""Writes a day; the number tells its rows from those that the same day had before."""


def main() -> int:
    """Run and report."""
    with tempfile.TemporaryDirectory(prefix="bench-aged-") as folder:
        places = {name: Path(folder) / name for name in ("lakeline", "pyiceberg")}
        for place in places.values():
            place.mkdir()
        puts = {
            "lakeline": _lakeline(places["lakeline"]),
            "pyiceberg": _pyiceberg(places["pyiceberg"]),
        }
        commits = {name: _live(name, put) for name, put in puts.items()}
        read_s: dict[tuple[str, int], list[float]] = {
            (name, days): [] for name in places for days in READ_DAYS
        }
        for _ in range(READ_ROUNDS):
            for (name, days), times in read_s.items():
                times.append(measure(_read_s, name, places[name], days).value)
        manifests = {name: measure(_manifests, name, place).value for name, place in places.items()}
        shutil.rmtree(folder, ignore_errors=True)
    first = {name: statistics.median(times[:LAST]) for name, times in commits.items()}
    last = {name: statistics.median(times[-LAST:]) for name, times in commits.items()}
    commit = last["pyiceberg"] / last["lakeline"]
    day, month = (ratio(read_s["pyiceberg", days], read_s["lakeline", days]) for days in READ_DAYS)
    growth = {name: last[name] / first[name] for name in last}
    figures = {
        "commits": len(commits["lakeline"]),
        "commit_faster_than_pyiceberg": commit,
        "cold_month_faster_than_pyiceberg": month,
        "cold_day_faster_than_pyiceberg": day,
        "commit_to_the_first": growth,
        "manifests": manifests,
        "commit_s": last,
        "cold_month_s": {name: statistics.median(read_s[name, READ_DAYS[1]]) for name in places},
    }
    met = commit >= COMMIT and month >= READ and growth["lakeline"] <= GROWTH
    reach = {
        "commit_faster_than_pyiceberg": f">= {COMMIT}",
        "cold_month_faster_than_pyiceberg": f">= {READ}",
        "commit_to_the_first.lakeline": f"<= {GROWTH}",
    }
    return report("aged", figures, reach, met=met)


def _live(name: str, put: Put) -> list[float]:
    """Wall seconds of each commit: a new day, then the one before it once more with other rows."""
    keys = window_of(DAYS).partitions
    times = []
    turns = [(keys[0], 0)]
    for before, day in itertools.pairwise(keys):
        turns += [(day, 0), (before, 1)]
    for day, version in turns:
        start_s = time.perf_counter()
        put(day, version)
        times.append(time.perf_counter() - start_s)
    print(f"{name}: {len(times)} commits in {sum(times):.1f} s", file=sys.stderr, flush=True)
    return times


def _lakeline(place: Path) -> Put:
    lake, ledger = Lake.in_folder(place), Ledger(f"sqlite:///{place / 'ledger.db'}")
    numbers = {key: number for number, key in enumerate(window_of(DAYS).partitions)}

    def put(day: str, version: int) -> None:
        rows = day_of_events(numbers[day], rows=ROWS_A_DAY, seed=version)
        publish(lake, ledger, TARGET, rows, window=Window.of_days(day))

    return put


def _pyiceberg(place: Path) -> Put:
    table = plain_table(place)
    numbers = {key: number for number, key in enumerate(window_of(DAYS).partitions)}

    def put(day: str, version: int) -> None:
        rows = day_of_events(numbers[day], rows=ROWS_A_DAY, seed=version)
        table.overwrite(rows.to_arrow(), window_filter(table, Window.of_days(day)))

    return put


def _table(name: str, place: Path) -> "Table":
    return Lake.in_folder(place).load(TARGET.table) if name == "lakeline" else plain_table(place)


def _read_s(name: str, place: Path, days: int) -> float:
    """Wall seconds of reading so many days in the middle, once everything is imported and the table is open."""
    keys = window_of(DAYS).partitions[DAYS // 2 :][:days]
    window = Window.of_days(keys[0], keys[-1])
    table = _table(name, place)
    for library in ("polars", "pyarrow.dataset", "pyiceberg.io.pyarrow"):
        importlib.import_module(library)
    start_s = time.perf_counter()
    if name == "lakeline":
        height = scan_polars(table, window).collect().height
    else:
        height = table.scan(window_filter(table, window)).to_arrow().num_rows
    read_s = time.perf_counter() - start_s
    assert height == days * ROWS_A_DAY
    return read_s


def _manifests(name: str, place: Path) -> int:
    table = _table(name, place)
    head = table.current_snapshot()
    assert head is not None
    return len(head.manifests(table.io))


if __name__ == "__main__":
    sys.exit(main())
