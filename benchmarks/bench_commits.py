"""Sixteen processes that commit to one table at once: lakeline's publish against pyiceberg's overwrite with its retries.

Every process commits three times, to days of its own, and then all to one day with rows of their own. The library is
loaded and the frames are made before the clock starts. A publish is all of it: stage, audit, read back, commit, ledger;
where another run published the day meanwhile it is asked again, as Dagster's retry does.
"""

import argparse
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.events import TARGET, Event, day_of_events, plain_table, window_of
from benchmarks.harness import ratio, report
from lakeline.lake import Lake
from lakeline.lake.partitions import window_filter
from lakeline.ledger import Ledger
from lakeline.publishing import publish
from lakeline.recording import ConcurrentBuildError
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.table import Table

PROCESSES, COMMITS, ROWS = 16, 3, 2_000
TOTAL = PROCESSES * COMMITS
FASTER = 5.0
ROUNDS = 3
RIVALS = ("lakeline", "pyiceberg")
"""Those whose ratio is reported; they take their turn in every round, the others once."""
WARM_DAYS = (0, 1, 0)
"""Days of a first commit, of one beside it, and of one that replaces rows."""
PATIENT = {
    "commit.retry.num-retries": "100",
    "commit.retry.min-wait-ms": "20",
    "commit.retry.max-wait-ms": "500",
    "commit.retry.total-timeout-ms": "600000",
}
"""Settings with which pyiceberg gives up later and waits less."""

Write = Callable[[Path, int, "pl.DataFrame"], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Storm:
    """What came of all commits of one way.

    Attributes:
        landed: Commits that came through.
        wall_s: From the first start to the last end.
        snapshots: Of the table afterwards; fewer than landed where some were committed together.
    """

    landed: int
    wall_s: float
    snapshots: int

    @property
    def per_s(self) -> float:
        """Commits a second."""
        return self.landed / self.wall_s


def main() -> int:
    """Run and report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="bench-commits-") as folder,
        ProcessPoolExecutor(
            PROCESSES, mp_context=spawn, initializer=_keep, initargs=(spawn.Barrier(PROCESSES),)
        ) as pool,
    ):
        storms: dict[tuple[str, str], list[Storm]] = {
            (where, way): [] for where in ("own_days", "one_day") for way in WAYS
        }
        for number in range(ROUNDS):  # in turns, so that a slow minute of the machine hits them all
            for (where, way), found in storms.items():
                if not number or (where == "own_days" and way in RIVALS):
                    place = Path(folder) / f"{where}-{way}-{number}"
                    found.append(_storm(pool, place, way, where))
    own, rival = (storms["own_days", way] for way in RIVALS)
    one = storms["one_day", "lakeline"]
    landed = min(each.landed for each in own)
    faster = ratio([each.per_s for each in own], [each.per_s for each in rival])
    figures = {
        "own_days_landed": landed,
        "one_day_landed": one[0].landed,
        "own_days_faster_than_pyiceberg": faster,
        "one_day_faster_than_pyiceberg": one[0].per_s / storms["one_day", "pyiceberg"][0].per_s,
        "own_days_commits_of_the_table": statistics.median(each.snapshots for each in own),
        "storms": {
            f"{where}_{way}": {
                "landed": statistics.median(each.landed for each in found),
                "commits_per_s": statistics.median(each.per_s for each in found),
                "wall_s": statistics.median(each.wall_s for each in found),
            }
            for (where, way), found in storms.items()
        },
    }
    reach = {
        "own_days_landed": f"= {TOTAL}",
        "one_day_landed": f"= {TOTAL}",
        "own_days_faster_than_pyiceberg": f">= {FASTER}",
    }
    met = landed == one[0].landed == TOTAL and faster >= FASTER
    return report("commits", figures, reach, met=met)


def _storm(pool: ProcessPoolExecutor, place: Path, way: str, where: str) -> Storm:
    """All processes at once on a fresh table."""
    place.mkdir()
    _prepare(place, way)
    jobs = [pool.submit(_commit_all, place, way, where, number) for number in range(PROCESSES)]
    done = [job.result() for job in jobs]
    table = _open(place, way)
    storm = Storm(
        landed=sum(landed for landed, _, _ in done),
        wall_s=max(end_s for _, _, end_s in done) - min(begin_s for _, begin_s, _ in done),
        snapshots=len(table.metadata.snapshots),
    )
    rows = table.scan().to_arrow().num_rows
    assert rows == (storm.landed * ROWS if where == "own_days" else ROWS), f"{way} lost or doubled"
    print(f"{where} {way}: {storm.landed} of {TOTAL} in {storm.wall_s:.1f} s", file=sys.stderr)
    return storm


def _open(place: Path, way: str) -> "Table":
    if way == "lakeline":
        return Lake.in_folder(place).open(TARGET.table, Event, daily=True)
    return plain_table(place)


def _prepare(place: Path, way: str) -> None:
    """An empty table."""
    table = _open(place, way)
    if way == "pyiceberg_patient":
        with table.transaction() as transaction:
            transaction.set_properties(PATIENT)


_start: list[Barrier] = []


def _keep(start: Barrier) -> None:
    _start.append(start)
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # it tells of every retry
    warnings.filterwarnings("ignore", "Delete operation did not match any records")


def _commit_all(place: Path, way: str, where: str, number: int) -> tuple[int, float, float]:
    """Three commits of one process: how many landed, and when it began and ended."""
    write = WAYS[way]
    days = [0] * COMMITS if where == "one_day" else range(number * COMMITS, (number + 1) * COMMITS)
    frames = [
        day_of_events(day, rows=ROWS, seed=number * COMMITS + index)
        for index, day in enumerate(days)
    ]
    warm = place / f"warm-{number}"
    warm.mkdir()
    _prepare(warm, way)
    for seed, day in enumerate(WARM_DAYS):
        write(warm, day, day_of_events(day, rows=10, seed=seed))
    _connect(place, way)
    _start[0].wait(timeout=300)
    begin_s, landed = time.monotonic(), 0
    for day, frame in zip(days, frames, strict=True):
        landed += _is_landed(write, place, day, frame)
    return landed, begin_s, time.monotonic()


def _connect(place: Path, way: str) -> None:
    if way == "lakeline":
        lake, ledger = _house(place)
        lake.load(TARGET.table)
        ledger.current(TARGET.asset)
    else:
        _table(place)


def _is_landed(write: Write, place: Path, day: int, frame: "pl.DataFrame") -> bool:
    from pyiceberg.exceptions import CommitFailedException, ValidationException
    from sqlalchemy.exc import OperationalError

    try:
        write(place, day, frame)
    except (CommitFailedException, ValidationException, OperationalError, ValueError):
        return False
    return True


def _publish(place: Path, day: int, frame: "pl.DataFrame") -> None:
    lake, ledger = _house(place)
    window = Window.of_days(window_of(day + 1).partitions[-1])
    while True:
        try:
            publish(lake, ledger, TARGET, frame, window=window)
        except ConcurrentBuildError:
            continue
        return


def _overwrite(place: Path, day: int, frame: "pl.DataFrame") -> None:
    table = _table(place).refresh()
    window = Window.of_days(window_of(day + 1).partitions[-1])
    table.overwrite(frame.to_arrow(), window_filter(table, window))


@cache
def _house(place: Path) -> tuple[Lake, Ledger]:
    return Lake.in_folder(place), Ledger(f"sqlite:///{place / 'ledger.db'}")


@cache
def _table(place: Path) -> "Table":
    return plain_table(place)


WAYS: dict[str, Write] = {
    "lakeline": _publish,
    "pyiceberg": _overwrite,
    "pyiceberg_patient": _overwrite,
}

if __name__ == "__main__":
    sys.exit(main())
