"""From an Iceberg table to a booster, against LightGBM alone on the same rows in memory: time and memory.

*lakeline* reads the table as a model asset does, sorts and filters the rows, encodes and trains. *plain* gets the very
matrix and labels as NumPy arrays and calls ``lgb.train`` with the same parameters. Both give the same trees. Each runs in
fresh processes, in turn; imports are left out of the time, and the memory is the most that the process had.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Measured, measure, ratio, report
from benchmarks.learning_table import FIRST, LEARNING, TABLE, build, open_lake
from lakeline.window import day_start

if TYPE_CHECKING:
    import datetime as dt

ROUNDS, DAYS, ROWS_A_DAY, TREES, SEED = 5, 60, 10_000, 200, 7
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
        end = build(folder, days=DAYS, rows_a_day=asked.rows_a_day)
        measure(_write_arrays, folder, end)
        runs: dict[str, list[Measured]] = {"lakeline": [], "plain": []}
        for _ in range(asked.rounds):
            runs["lakeline"].append(measure(_lakeline, folder, end))
            runs["plain"].append(measure(_plain, folder))
            for name, done in runs.items():
                last = done[-1]
                print(f"{name:10}{last.value['train_s']:8.2f} s {last.peak_rss_mib:8.0f} MiB")
    return _report(runs, DAYS * asked.rows_a_day)


def _lakeline(folder: Path, end: "dt.datetime") -> dict[str, Any]:
    """What a run of a model asset does between opening its training set and having its model."""
    import lightgbm  # noqa: F401 - imports are no part of the time
    import polars  # noqa: F401

    from lakeline.lake.read import scan_polars
    from lakeline.models.booster import train_booster
    from lakeline.models.trial import labelled_rows, learn_until
    from lakeline.window import Window

    begun_s = time.perf_counter()
    table = open_lake(folder).load(TABLE)
    window = Window(start=day_start(FIRST), end=end)
    frame = scan_polars(table, window, columns=LEARNING.columns).collect()
    whole = labelled_rows(frame, LEARNING, window.start, end)
    del frame
    model = train_booster(learn_until(whole, LEARNING, end), rounds=TREES, seed=SEED)
    return {"train_s": time.perf_counter() - begun_s, "sha": _trees(model.payload.decode())}


def _plain(folder: Path) -> dict[str, Any]:
    """LightGBM on arrays that are there."""
    from lakeline.models.booster import use_patient_threads

    use_patient_threads()  # an environment variable, for both the same
    import lightgbm as lgb
    import numpy as np

    from lakeline.models.booster import DEFAULTS, REPEATABLE, leaf_rows

    matrix_ND, labels_N = np.load(folder / "matrix.npy"), np.load(folder / "labels.npy")
    leaf = {"min_data_in_leaf": leaf_rows(len(labels_N))}
    params = {**DEFAULTS, **leaf, **REPEATABLE, "seed": SEED}
    begun_s = time.perf_counter()
    data = lgb.Dataset(
        matrix_ND,
        labels_N,
        feature_name=list(LEARNING.features),
        params={**REPEATABLE, "seed": SEED},
    )
    trained = lgb.train(params, data, num_boost_round=TREES)
    text = trained.model_to_string(num_iteration=-1)
    return {"train_s": time.perf_counter() - begun_s, "sha": _trees(text)}


def _write_arrays(folder: Path, end: "dt.datetime") -> None:
    import numpy as np

    from lakeline.lake.read import scan_polars
    from lakeline.models.booster import values_of
    from lakeline.models.training import feature_matrix
    from lakeline.models.trial import labelled_rows

    frame = scan_polars(open_lake(folder).load(TABLE), columns=LEARNING.columns).collect()
    train = labelled_rows(frame, LEARNING, day_start(FIRST), end)
    categories = {name: values_of(train.frame[name]) for name in train.categorical}
    np.save(folder / "matrix.npy", feature_matrix(train.frame, train.features, categories))
    np.save(folder / "labels.npy", train.labels())


def _trees(text: str) -> str:
    """Hash of the trees, without the parameters after them."""
    import hashlib

    return hashlib.sha256(text.partition("end of trees")[0].encode()).hexdigest()


def _report(runs: dict[str, list[Measured]], rows: int) -> int:
    times = {name: [one.value["train_s"] for one in done] for name, done in runs.items()}
    peaks = {name: [one.peak_rss_mib for one in done] for name, done in runs.items()}
    figures = {
        "rows": rows,
        "lakeline_s": statistics.median(times["lakeline"]),
        "plain_s": statistics.median(times["plain"]),
        "time_ratio": ratio(times["lakeline"], times["plain"]),
        "lakeline_peak_mib": statistics.median(peaks["lakeline"]),
        "plain_peak_mib": statistics.median(peaks["plain"]),
        "memory_ratio": ratio(peaks["lakeline"], peaks["plain"]),
        "is_same_trees": len({one.value["sha"] for done in runs.values() for one in done}) == 1,
    }
    reach = {"time_ratio": f"<= {MOST_TIME}", "memory_ratio": f"<= {MOST_MEMORY}", "is_same_trees": "the same trees"}  # fmt: skip
    met = (
        figures["time_ratio"] <= MOST_TIME
        and figures["memory_ratio"] <= MOST_MEMORY
        and bool(figures["is_same_trees"])
    )
    return report("lightgbm", figures, reach, met=met)


if __name__ == "__main__":
    sys.exit(main())
