"""Days of events through stage, audit and publish, against plain Parquet files and against `Table.overwrite` a day.

The frames are in memory for all three, and each takes its turn in every round of one process. Memory is measured in
fresh processes that load the same libraries and frames: the peak while publishing over what they held before.
"""

import argparse
import importlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.events import ROWS_A_DAY, TARGET, day_of_events, plain_table, window_of
from benchmarks.harness import measure, peak_over, ratio, report
from lakeline.lake import Lake
from lakeline.lake.partitions import window_filter
from lakeline.ledger import Ledger
from lakeline.publishing import publish
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

DAYS, FULL_DAYS = 100, 365
ROUNDS, FULL_ROUNDS = 3, 1
PLAIN, OVERWRITE, FULL_OVERWRITE, MEMORY_MIB = 1.3, 5.0, 20.0, 150.0
LIBRARIES = (
    "filelock",
    "polars_hash",
    "pyarrow.parquet",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "pyiceberg.table",
    "sqlalchemy.dialects.sqlite",
)

Frames = Sequence["pl.DataFrame"]


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("FULL")))
    is_full = parser.parse_args().full
    days, rounds = (FULL_DAYS, FULL_ROUNDS) if is_full else (DAYS, ROUNDS)
    with tempfile.TemporaryDirectory(prefix="bench-publish-") as folder:
        root = Path(folder)
        frames = [day_of_events(day) for day in range(days)]
        found = _timed(root, frames, rounds)
        for day, frame in enumerate(frames):
            frame.write_ipc(root / f"{day:03}.arrow", compression="uncompressed")
        input_mib = sum(frame.estimated_size("mb") for frame in frames)
        del frames
        peaks = {name: measure(_peak_mib, name, root, days).value for name in ("publish", "plain")}
    overwrite = FULL_OVERWRITE if is_full else OVERWRITE
    figures = {
        "days": days,
        "rows": days * ROWS_A_DAY,
        "rounds": rounds,
        "publish_to_plain": ratio(found["publish"], found["plain"]),
        "overwrite_to_publish": ratio(found["overwrite"], found["publish"]),
        "publish_peak_over_input_mib": peaks["publish"],
        "plain_peak_over_input_mib": peaks["plain"],
        "input_mib": input_mib,
        **{f"{name}_s": statistics.median(times) for name, times in found.items()},
    }
    met = (
        figures["publish_to_plain"] <= PLAIN
        and figures["overwrite_to_publish"] >= overwrite
        and figures["publish_peak_over_input_mib"] <= MEMORY_MIB
    )
    reach = {
        "publish_to_plain": f"<= {PLAIN}",
        "overwrite_to_publish": f">= {overwrite}",
        "publish_peak_over_input_mib": f"<= {MEMORY_MIB}",
    }
    return report("publish", figures, reach, met=met)


def _timed(root: Path, frames: Frames, rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each way in each round, after one on two days that loads what they import."""
    ways: dict[str, Callable[[Path, Frames], None]] = {
        "plain": _plain,
        "publish": _publish,
        "overwrite": _overwrite,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            with _folder(root / name) as place:
                start_s = time.perf_counter()
                way(place, frames if number else frames[:2])
                wall_s = time.perf_counter() - start_s
            if number:
                print(f"round {number}: {name} {wall_s:.2f} s", file=sys.stderr, flush=True)
                found[name].append(wall_s)
    return found


def _plain(place: Path, frames: Frames) -> None:
    """One file a day, as pyarrow writes it by itself."""
    import pyarrow.parquet as pq

    for day, frame in enumerate(frames):
        pq.write_table(frame.to_arrow(), place / f"{day}.parquet", compression="lz4")


def _publish(place: Path, frames: Frames) -> None:
    lake, ledger = Lake.in_folder(place), Ledger(f"sqlite:///{place / 'ledger.db'}")
    done = publish(lake, ledger, TARGET, iter(frames), window=window_of(len(frames)))
    assert sum(done.rows.values()) == sum(frame.height for frame in frames)
    assert not done.violations


def _overwrite(place: Path, frames: Frames) -> None:
    """The same table as pyiceberg makes it by itself, with a commit of its own a day."""
    table = plain_table(place)
    for key, frame in zip(window_of(len(frames)).partitions, frames, strict=True):
        table.overwrite(frame.to_arrow(), window_filter(table, Window.of_days(key)))


def _peak_mib(name: str, root: Path, days: int) -> float:
    """Over libraries and input; the libraries are those that a publish loads, for both ways."""
    import polars as pl

    for library in LIBRARIES:
        importlib.import_module(library)
    frames = [pl.read_ipc(root / f"{day:03}.arrow") for day in range(days)]
    assert sum(
        frame["is_new"].sum() for frame in frames
    )  # now they are in memory, not in a mapped file
    way = {"publish": _publish, "plain": _plain}[name]
    with _folder(root / name) as place:
        return peak_over(lambda: way(place, frames))


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    place.mkdir()
    yield place
    shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
