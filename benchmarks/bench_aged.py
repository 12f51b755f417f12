"""A table that has lived: a hundred days that came one by one, each corrected a day later, in lakeline and in pyiceberg.

Both make two hundred commits. Then a commit to each is timed against the first ones, and a day is read by a process that
knows nothing of the table yet. Nobody maintains either table.
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
COMMIT, READ, GROWTH = 5.0, 1.0, 2.0

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
        read_s: dict[str, list[float]] = {name: [] for name in places}
        for _ in range(READ_ROUNDS):
            for name, place in places.items():
                read_s[name].append(measure(_read_s, name, place).value)
        manifests = {name: measure(_manifests, name, place).value for name, place in places.items()}
        shutil.rmtree(folder, ignore_errors=True)
    first = {name: statistics.median(times[:LAST]) for name, times in commits.items()}
    last = {name: statistics.median(times[-LAST:]) for name, times in commits.items()}
    commit, read = (
        last["pyiceberg"] / last["lakeline"],
        ratio(read_s["pyiceberg"], read_s["lakeline"]),
    )
    growth = {name: last[name] / first[name] for name in last}
    figures = {
        "commits": len(commits["lakeline"]),
        "commit_faster_than_pyiceberg": commit,
        "cold_read_faster_than_pyiceberg": read,
        "commit_to_the_first": growth,
        "manifests": manifests,
        "commit_s": last,
        "cold_read_s": {name: statistics.median(times) for name, times in read_s.items()},
    }
    met = commit >= COMMIT and read >= READ and growth["lakeline"] <= GROWTH
    reach = {
        "commit_faster_than_pyiceberg": f">= {COMMIT}",
        "cold_read_faster_than_pyiceberg": f">= {READ}",
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


def _read_s(name: str, place: Path) -> float:
    """Wall seconds of reading the day in the middle, once everything is imported and the table is open."""
    day = Window.of_days(window_of(DAYS).partitions[DAYS // 2])
    table = _table(name, place)
    for library in ("polars", "pyarrow.dataset", "pyiceberg.io.pyarrow"):
        importlib.import_module(library)
    start_s = time.perf_counter()
    if name == "lakeline":
        height = scan_polars(table, day).collect().height
    else:
        height = table.scan(window_filter(table, day)).to_arrow().num_rows
    read_s = time.perf_counter() - start_s
    assert height == ROWS_A_DAY
    return read_s


def _manifests(name: str, place: Path) -> int:
    table = _table(name, place)
    head = table.current_snapshot()
    assert head is not None
    return len(head.manifests(table.io))


if __name__ == "__main__":
    sys.exit(main())
