"""kill -9 at 100 random moments of a publish loop: no row lost or doubled, and the ledger equal to the lake afterwards.

A child publishes one round after another: sensors, then readings of four days made from them, then a summary made from
the readings. Before each publish it writes to a journal what it is about to publish, and after it that it has. Half of
the rounds die after a random time, half at a random place: before or after the n-th write to the lake's catalog, the
ledger, a file of the lake. A fresh process then recovers on the ordinary path and compares every row with the journal.

In every fifth round four children publish to one table at once, each a day of its own, so that most commits carry what
several of them made. One dies at a random place, which is often while it commits for the others; these go on, and then
die too, wherever they are.
"""

import argparse
import datetime as dt
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.harness import report
from lakeline.contract import Contract, column
from lakeline.lake import Lake
from lakeline.lake.commit import batches_of
from lakeline.lake.content import content_version
from lakeline.lake.quarantine import quarantine_name
from lakeline.lake.read import scan_polars
from lakeline.ledger import Input, Ledger
from lakeline.publishing import Provenance, Target, publish
from lakeline.recording import mend
from lakeline.window import Window, day_start


class Sensor(Contract, version="1.0", duplicates="fail"):
    """One row a sensor."""

    id: int = column("Number", key=True)
    height: float = column("Height", unit="m")


class Reading(Contract, version="1.0", duplicates="fail"):
    """One row a reading."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    id: int = column("Number within the day", key=True)
    value: float | None = column("Measured", ge=0, on_fail="reject")


class Summary(Contract, version="1.0", duplicates="fail"):
    """One row a day."""

    event_ts: dt.datetime = column("Day", event_time=True, key=True)
    total: float = column("Sum of the day's values")


SENSORS = Target(asset="crash/sensors", contract=Sensor, daily=False)
READINGS = Target(asset="crash/readings", contract=Reading, daily=True)
SUMMARY = Target(asset="crash/summary", contract=Summary, daily=True)
SHARED = Target(asset="crash/shared", contract=Reading, daily=True)
TARGETS = (SENSORS, READINGS, SUMMARY, SHARED)
WINDOW = Window.of_days("2024-01-01", "2024-01-04")
ROWS_A_DAY = 500
REJECTED_A_DAY = 3
LONGEST_S = 0.7
TOGETHER_EVERY = 5
GO_ON_S = 0.4
"""How long the others publish after one of them died."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The state of one benchmark."""

    folder: Path

    @property
    def journal(self) -> Path:
        """What was about to be published and what was, a JSON line each."""
        return self.folder / "journal.jsonl"

    def open(self) -> tuple[Lake, Ledger]:
        """Fresh connections, as every process has its own."""
        return Lake.in_folder(self.folder / "lake"), Ledger(f"sqlite:///{self.folder}/ledger.db")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one look after a crash found."""

    rows_lost: int = 0
    rows_doubled: int = 0
    ledger_differs: int = 0
    marks_differ: int = 0
    quarantine_differs: int = 0

    def __add__(self, other: "Verdict") -> "Verdict":
        names = Verdict.__dataclass_fields__
        return Verdict(**{name: getattr(self, name) + getattr(other, name) for name in names})


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the benchmark; the last line is its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(None if arguments is None else list(arguments))
    _load()
    chance, started_s = random.Random(options.seed), time.perf_counter()  # noqa: S311 - a benchmark that repeats
    with tempfile.TemporaryDirectory(prefix="lakeline-crash-") as folder:
        place, sum_of, deaths = Place(folder=Path(folder)), Verdict(), Counter[str]()
        in_child(lambda: _peace(place))
        for number in range(1, options.kills + 1):
            deaths[_crash(place, number, chance)] += 1
            found = in_child(partial(_recovered, place, is_mended=number % 4 < 2))
            sum_of += Verdict(**found)
        unfinished = in_child(lambda: _left_over(place))
        rounds, together = _published(place), in_child(lambda: _commits_together(place))
    figures: dict[str, object] = {
        "rows_lost": sum_of.rows_lost,
        "rows_doubled": sum_of.rows_doubled,
        "ledger_differs": sum_of.ledger_differs,
        "marks_differ": sum_of.marks_differ,
        "quarantine_differs": sum_of.quarantine_differs,
        "kills": sum(deaths.values()),
        "killed_by_time": deaths["time"],
        "killed_at_a_write": deaths["write"],
        "killed_among_others": deaths["together"],
        "publishes": rounds,
        "commits_of_several": together,
        "orphan_files": unfinished,
        "wall_s": time.perf_counter() - started_s,
    }
    reach = {"rows_lost": "0", "rows_doubled": "0", "ledger_differs": "0", "kills": "100"}
    met = sum_of == Verdict() and sum(deaths.values()) == options.kills
    return report("crash", figures, reach, met=met)


# --- processes ------------------------------------------------------------------------------------


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a forked child, through a pipe as JSON; the modules are loaded already."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writing, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"A child ended with status {status}")
    return json.loads(said)


def _load() -> None:
    """Import once what every child needs: a child is forked in milliseconds and would import for seconds."""
    for name in (
        "filelock",
        "lakeline.contract.pandera",
        "lakeline.lake.sql",
        "pandera.polars",
        "polars.io.iceberg",
        "pyarrow.parquet",
        "pyiceberg.catalog.sql",
        "pyiceberg.io.pyarrow",
        "pyiceberg.table.maintenance",
        "pyiceberg_core.transform",
        "sqlalchemy.dialects.sqlite",
    ):
        importlib.import_module(name)


def _crash(place: Place, number: int, chance: random.Random) -> str:
    """Start a child that publishes, and have it die; returns what killed it."""
    if number % TOGETHER_EVERY == 0:
        return _crash_together(place, number, chance)
    by_time = number % 2 == 0
    seed = chance.getrandbits(32)
    dies_after = 0 if by_time else chance.randint(1, 120)
    pause_s = chance.uniform(0.0, LONGEST_S)
    pid = os.fork()
    if pid == 0:
        try:
            _publish_for_ever(place, number, seed, dies_after)
        finally:
            os._exit(1)
    if by_time:
        time.sleep(pause_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"The publishing child ended by itself with status {status}")
    return "time" if by_time else "write"


def _crash_together(place: Place, number: int, chance: random.Random) -> str:
    """Four children that publish to one table: the first dies at a random write, the others a little later."""
    dies_after = chance.randint(1, 60)
    pids = []
    for index, day in enumerate(WINDOW.partitions):
        pid = os.fork()
        if pid == 0:
            try:
                _publish_day_for_ever(place, number, day, 0 if index else dies_after)
            finally:
                os._exit(1)
        pids.append(pid)
    _, status = os.waitpid(pids[0], 0)
    time.sleep(chance.uniform(0.0, GO_ON_S))
    for pid in pids[1:]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"The publishing child ended by itself with status {status}")
    return "together"


def _publish_day_for_ever(place: Place, number: int, day: str, dies_after: int) -> None:
    if dies_after:
        _die_at_write(dies_after)
    for step in range(1, 1_000):
        lake, ledger = place.open()
        value = number * 1_000 + step
        window = Window.of_days(day)
        _publish(place, lake, ledger, SHARED, _good_day(day, value), number=value, window=window)
        ledger.close()


def _peace(place: Place) -> None:
    """A round in which nobody dies, so that there is something to lose."""
    _round(place, 0)
    lake, ledger = place.open()
    frame = pl.concat(_good_day(key, 0) for key in WINDOW.partitions)
    _publish(place, lake, ledger, SHARED, frame, number=0, window=WINDOW)


def _publish_for_ever(place: Place, number: int, seed: int, dies_after: int) -> None:
    if dies_after:
        _die_at_write(dies_after)
    chance = random.Random(seed)  # noqa: S311 - a benchmark that repeats
    for step in range(1, 1_000):
        _round(place, number * 1_000 + step, chance)


def _die_at_write(count: int) -> None:
    """Kill this process before or after its ``count``-th write to a catalog, a ledger or a file."""
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io.pyarrow import PyArrowFileIO

    left = count

    def step() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def fatal(owner: type, name: str) -> None:
        work = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            done = work(*args, **kwargs)
            step()
            return done

        setattr(owner, name, call)

    for owner, name in (
        (SqlCatalog, "commit_table"),
        (SqlCatalog, "create_table"),
        (Ledger, "begin"),
        (Ledger, "enqueue"),
        (Ledger, "take"),
        (Ledger, "publish_together"),
        (Ledger, "publish"),
        (Ledger, "abandon"),
        (PyArrowFileIO, "new_output"),
        (PyArrowFileIO, "delete"),
    ):
        fatal(owner, name)


# --- what is published ----------------------------------------------------------------------------


def _round(place: Place, number: int, chance: random.Random | None = None) -> None:
    """Publish the three tables; with every third number some of the content is as it was."""
    lake, ledger = place.open()
    chance = chance or random.Random(0)  # noqa: S311 - a benchmark that repeats
    keys = WINDOW.partitions
    moved = {key for key in keys if chance.random() < 0.7}
    sensors = pl.DataFrame({"id": range(50), "height": [float(number)] * 50})
    _publish(place, lake, ledger, SENSORS, sensors, number=number)
    frame = pl.concat(_day(key, number if key in moved else number // 7) for key in keys)
    _publish(place, lake, ledger, READINGS, frame, number=number, window=WINDOW, reads=SENSORS)
    total = frame.filter(pl.col("value") >= 0).group_by(pl.col("event_ts").dt.truncate("1d"))
    summary = total.agg(total=pl.col("value").sum()).sort("event_ts")
    _publish(place, lake, ledger, SUMMARY, summary, number=number, window=WINDOW, reads=READINGS)
    ledger.close()


def _day(key: str, number: int) -> pl.DataFrame:
    """A day's readings, a few of which the contract rejects."""
    good = ROWS_A_DAY + number % 13
    values = [float(number)] * good + [-1.0 - number] * REJECTED_A_DAY
    start = day_start(key)
    return pl.DataFrame(
        {
            "event_ts": [start + dt.timedelta(seconds=second) for second in range(len(values))],
            "id": range(len(values)),
            "value": values,
        },
        schema_overrides={"event_ts": pl.Datetime("us", "UTC")},
    )


def _good_day(key: str, number: int) -> pl.DataFrame:
    """A day's readings without those that the contract rejects."""
    return _day(key, number).filter(pl.col("value") >= 0)


def _publish(
    place: Place,
    lake: Lake,
    ledger: Ledger,
    target: Target,
    frame: pl.DataFrame,
    *,
    number: int,
    window: Window | None = None,
    reads: Target | None = None,
) -> None:
    current = ledger.current(reads.asset) if reads else {}

    def origin(partition: str) -> Provenance:
        keys = [partition] if reads and reads.daily else list(current)
        versions = {key: current[key].version for key in keys if key in current}
        asset = reads.asset if reads else ""
        inputs = (Input(asset=asset, partition=key, version=v) for key, v in versions.items())
        return Provenance(inputs=tuple(inputs))

    parts = dict(
        _parts(target, frame.filter(pl.col("value") >= 0) if "value" in frame.columns else frame)
    )
    said = {key: [content_version(part), part.height] for key, part in parts.items()}
    _note(place, {"about": target.asset, "number": number, "versions": said})
    publish(lake, ledger, target, frame, window=window, provenance=origin)
    _note(place, {"done": target.asset, "partitions": list(said)})


def _note(place: Place, line: dict[str, Any]) -> None:
    with place.journal.open("a") as journal:
        journal.write(json.dumps(line) + "\n")


def _parts(target: Target, frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    if not target.daily:
        yield "", frame
        return
    day = pl.col("event_ts").dt.date().cast(pl.String)
    parts = frame.with_columns(day=day).partition_by("day", as_dict=True, include_key=False)
    yield from ((str(key[0]), part) for key, part in parts.items())


# --- what is found --------------------------------------------------------------------------------


def _recovered(place: Place, *, is_mended: bool) -> dict[str, int]:
    """Recover on the ordinary path, by a look before a run or by the next publish, and compare."""
    lake, ledger = place.open()
    if is_mended:
        for target in TARGETS:
            mend(lake, ledger, target.asset)
    else:
        _peace(place)
    found = sum((_verdict(place, lake, ledger, target) for target in TARGETS), Verdict())
    marked = {(mark.asset, mark.partition) for mark in ledger.marked()}
    found += Verdict(marks_differ=len(marked ^ ledger.inconsistent()))
    return {name: getattr(found, name) for name in Verdict.__dataclass_fields__}


def _verdict(place: Place, lake: Lake, ledger: Ledger, target: Target) -> Verdict:
    table = lake.find(target.table)
    rows = scan_polars(table).collect() if table is not None and table.current_snapshot() else None
    held = dict(_parts(target, rows)) if rows is not None else {}
    attempts, done = _attempts(place, target)
    known = {key: one for key, one in ledger.versions(target.asset).items() if one != "empty"}
    versions = {key: content_version(part) for key, part in held.items()}
    lost = doubled = 0
    for key in {*held, *attempts}:
        allowed = attempts.get(key, [])
        last = next((i for i, one in enumerate(allowed) if one[2] == done.get(key)), -1)
        # What was said to be published may only have been replaced by what was tried later.
        later = allowed[max(last, 0) :]
        if key not in done and key not in held:
            continue
        if versions.get(key) in {version for version, _, _ in later}:
            continue
        part = held.get(key)
        unique = part.n_unique() if part is not None else 0
        doubled += part.height - unique if part is not None else 0
        lost += max(1, max((count for _, count, _ in later), default=0) - unique)
    differs = sum(known.get(key) != versions.get(key) for key in {*known, *versions})
    pending = len(ledger.pending(target.asset))
    return Verdict(
        rows_lost=lost,
        rows_doubled=doubled,
        ledger_differs=differs + pending,
        quarantine_differs=_quarantine_differs(lake, target, held),
    )


def _quarantine_differs(lake: Lake, target: Target, held: dict[str, pl.DataFrame]) -> int:
    """Days whose rejected rows do not belong to the published ones: both carry the number of their round."""
    if target is not READINGS or not held:
        return 0
    table = lake.load(quarantine_name(target.table))
    rejected = (
        scan_polars(table)
        .collect()
        .with_columns(value=pl.col("row").str.json_path_match("$.value").cast(pl.Float64))
    )
    wrong = 0
    for key, part in held.items():
        rows = rejected.filter(pl.col("partition") == key)
        expected = -1.0 - float(part["value"][0])
        wrong += rows.height != REJECTED_A_DAY or set(rows["value"]) != {expected}
    return wrong


def _attempts(
    place: Place, target: Target
) -> tuple[dict[str, list[tuple[str, int, int]]], dict[str, int]]:
    """For each partition what was tried (version, rows, line) in order, and the line of the last one that finished."""
    tried: dict[str, list[tuple[str, int, int]]] = {}
    about: dict[str, int] = {}
    done: dict[str, int] = {}
    for line, text in enumerate(place.journal.read_text().splitlines()):
        said = json.loads(text)
        if said.get("about") == target.asset:
            about |= dict.fromkeys(said["versions"], line)  # a partition has one writer at a time
            for key, (version, rows) in said["versions"].items():
                tried.setdefault(key, []).append((version, rows, line))
        if said.get("done") == target.asset:
            done |= {key: about[key] for key in said["partitions"]}
    return tried, done


def _commits_together(place: Place) -> int:
    """Snapshots that carry several publishes."""
    lake, _ = place.open()
    table = lake.load(SHARED.table)
    return sum(len(batches_of(one)) > 1 for one in table.metadata.snapshots)


def _published(place: Place) -> int:
    return sum('"done"' in line for line in place.journal.read_text().splitlines())


def _left_over(place: Place) -> int:
    """Files that crashes left, which orphan removal takes; the rows must not notice."""
    from lakeline.lake.maintenance import remove_orphans

    lake, ledger = place.open()
    removed = 0
    for name in (*(target.table for target in TARGETS), quarantine_name(READINGS.table)):
        removed += len(remove_orphans(lake, name, grace=dt.timedelta(0)).files)
    found = sum((_verdict(place, lake, ledger, target) for target in TARGETS), Verdict())
    if found != Verdict():
        raise RuntimeError(f"Orphan removal took what was needed: {found}")
    return removed


if __name__ == "__main__":
    sys.exit(main())
