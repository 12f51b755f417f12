"""From an Iceberg table to a booster, against LightGBM alone on the same rows in memory: time and memory.

*table* is ``train_booster`` straight from the table. *asset* is what a model asset does: the same, and it reads the days
after, which judge the model. *plain* gets the very matrix and labels of *table* as NumPy arrays and calls ``lgb.train`` with
the same parameters; its trees must be those of the others. Each runs in fresh processes, in turn; imports are left out of the
time, and the memory is the most that the process had. Processor time is told beside the time, which other processes stretch.
"""

import argparse
import datetime as dt
import hashlib
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, measure, ratio, report
from benchmarks.learning_table import FIRST, LEARNING, TABLE, build, open_lake
from lakeline.window import Window, day_start

ROUNDS, DAYS, JUDGED_DAYS, ROWS_A_DAY, TREES, SEED = 5, 60, 14, 20_000, 100, 7
MOST_TIME, MOST_MEMORY = 1.15, 1.3


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rows-a-day", type=int, default=ROWS_A_DAY)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="bench-lightgbm-") as scratch:
        folder = Path(scratch)
        judged = build(folder, days=DAYS + JUDGED_DAYS, rows_a_day=asked.rows_a_day)
        end = judged - dt.timedelta(days=JUDGED_DAYS)
        measure(_write_arrays, folder, end)
        arms: dict[str, Callable[[], Measured]] = {
            "table": lambda: measure(_table, folder, end),
            "plain": lambda: measure(_plain, folder),
            "asset": lambda: measure(_asset, folder, end),
        }
        runs: dict[str, list[Measured]] = {name: [] for name in arms}
        for _ in range(asked.rounds):
            for name, arm in arms.items():
                runs[name].append(last := arm())
                told = last.value
                print(
                    f"{name:8}{told['train_s']:8.2f} s {told['cpu_s']:8.2f} cpu s {last.peak_rss_mib:8.0f} MiB"
                )
    return _report(runs, DAYS * asked.rows_a_day)


def _table(folder: Path, end: dt.datetime) -> dict[str, Any]:
    """From the table in batches."""
    _import_all()
    from lakeline.models.booster import train_booster
    from lakeline.models.table_rows import TableRows

    spent = _Spent()
    table = open_lake(folder).load(TABLE)
    rows = TableRows.of(table, LEARNING, window=Window(start=day_start(FIRST), end=end), until=end)
    model = train_booster(rows, rounds=TREES, seed=SEED)
    return spent.so_far(model.payload.decode())


def _asset(folder: Path, end: dt.datetime) -> dict[str, Any]:
    """What a run of a model asset does between opening its training set and knowing how good its model is."""
    _import_all()
    from lakeline.models.booster import train_booster
    from lakeline.models.table_rows import TableRows
    from lakeline.models.trial import attempt

    spent = _Spent()
    table, judged = open_lake(folder).load(TABLE), end + dt.timedelta(days=JUDGED_DAYS)
    window = Window(start=day_start(FIRST), end=judged)
    trial = attempt(
        "bench/booster",
        lambda rows, seed: train_booster(rows, rounds=TREES, seed=seed),
        TableRows.of(table, LEARNING, window=window, until=end),
        TableRows.of(table, LEARNING, window=window, until=judged).after(end),
        schedule=(),
        seed=SEED,
    )
    return spent.so_far(trial.model.payload.decode())


def _plain(folder: Path) -> dict[str, Any]:
    """LightGBM on arrays that are there, in a process with nothing else in it."""
    from lakeline.models.booster import use_patient_threads

    use_patient_threads()
    import lightgbm as lgb
    import numpy as np

    from lakeline.models.booster import DEFAULTS, REPEATABLE, leaf_rows

    matrix_ND, labels_N = np.load(folder / "matrix.npy"), np.load(folder / "labels.npy")
    leaf = {"min_data_in_leaf": leaf_rows(len(labels_N))}
    params = {**DEFAULTS, **leaf, **REPEATABLE, "seed": SEED}
    spent = _Spent()
    data = lgb.Dataset(
        matrix_ND,
        labels_N,
        feature_name=list(LEARNING.features),
        params={**REPEATABLE, "seed": SEED},
    )
    trained = lgb.train(params, data, num_boost_round=TREES)
    return spent.so_far(trained.model_to_string(num_iteration=-1))


def _write_arrays(folder: Path, end: dt.datetime) -> None:
    import numpy as np

    from lakeline.models.matrix import learned
    from lakeline.models.table_rows import TableRows

    table = open_lake(folder).load(TABLE)
    rows = learned(
        TableRows.of(table, LEARNING, window=Window(start=day_start(FIRST), end=end), until=end)
    )
    np.save(folder / "matrix.npy", rows.matrix_ND)
    np.save(folder / "labels.npy", rows.labels_N)


def _import_all() -> None:
    """What no arm's time is to hold. OpenMP reads how its threads wait when LightGBM is imported: alike for all."""
    from lakeline.models.booster import use_patient_threads

    use_patient_threads()
    import lightgbm  # noqa: F401
    import polars  # noqa: F401
    import pyiceberg.io.pyarrow  # noqa: F401


class _Spent:
    """Time since it was made."""

    def __init__(self) -> None:
        self.begun_s, self.begun_cpu_s = time.perf_counter(), time.process_time()

    def so_far(self, text: str) -> dict[str, Any]:
        """The time, and what was trained."""
        wall_s, cpu_s = time.perf_counter() - self.begun_s, time.process_time() - self.begun_cpu_s
        return {"train_s": wall_s, "cpu_s": cpu_s, "sha": _trees(text)}


def _trees(text: str) -> str:
    """Hash of the trees, without the parameters after them."""
    return hashlib.sha256(text.partition("end of trees")[0].encode()).hexdigest()


def _report(runs: dict[str, list[Measured]], rows: int) -> int:
    times, spent = ({name: [one.value[key] for one in done] for name, done in runs.items()} for key in ("train_s", "cpu_s"))  # fmt: skip
    peaks = {name: [one.peak_rss_mib for one in done] for name, done in runs.items()}
    figures: dict[str, Any] = {"rows": rows}
    for name in runs:
        figures[f"{name}_s"] = statistics.median(times[name])
        figures[f"{name}_peak_mib"] = statistics.median(peaks[name])
    for prefix, name in (("", "table"), ("asset_", "asset")):
        figures[f"{prefix}time_ratio"] = ratio(times[name], times["plain"])
        figures[f"{prefix}cpu_ratio"] = ratio(spent[name], spent["plain"])
        figures[f"{prefix}memory_ratio"] = ratio(peaks[name], peaks["plain"])
    trees = {one.value["sha"] for done in runs.values() for one in done}
    figures["is_same_trees"] = len(trees) == 1
    most = {"time_ratio": MOST_TIME, "memory_ratio": MOST_MEMORY, "asset_memory_ratio": MOST_MEMORY}
    reach = {**{name: f"<= {one}" for name, one in most.items()}, "is_same_trees": "the same trees"}
    is_met = all(figures[name] <= one for name, one in most.items()) and figures["is_same_trees"]
    return report("lightgbm", figures, reach, met=is_met)


if __name__ == "__main__":
    sys.exit(main())
