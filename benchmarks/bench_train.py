"""What lakeline's training of a network costs beside torch: the loader, a step, a second process, and memory over epochs.

A network of the size of the flights' ``delay_mlp`` is trained on a synthetic table of the same columns:

- *loader*: rows a second of the training straight from Iceberg against the same training on tensors in memory: of later
  epochs, which find the rows encoded on the disk, of the first one, which does not, and of epochs that keep nothing there;
  and those of the loaders when nothing trains.
- *step*: time of a step of the loop against a bare loop of torch over the same tensors with the same network, optimizer and
  clipping, which draws no seed a step, looks at no loss and can be resumed from nowhere. Epoch by epoch in turn.
- *processes*: rows a second of two processes by gloo against one.
- *threads*: a step with two threads of torch against one with one.
- *memory*: most memory of the last epoch against the first one, from the table.
- on a GPU, where there is one: share of the time that it computes, time of a step, share of the time spent waiting for rows.
"""

import argparse
import datetime as dt
import logging
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import _peak_mib, _reset_peak, measure, ratio, report
from benchmarks.learning_table import FIRST, LEARNING, TABLE, build, open_lake
from lakeline.models.surroundings import surrounded
from lakeline.models.table_rows import TableRows
from lakeline.models.training_set import TrainingSet
from lakeline.neural.plan import Plan
from lakeline.neural.training import train_network
from lakeline.window import Window, day_start

if TYPE_CHECKING:
    from lakeline.neural.blocks import Block, Blocks
    from lakeline.neural.loop import Loop

ROUNDS, DAYS, ROWS_A_DAY = 5, 50, 6_000
CONFIG = {"hidden": [128, 64], "embedding": 8, "dropout": 0.3}
PLAN = Plan(seed=7, config=CONFIG, epochs=3, batch_rows=1024, weight_decay=0.1, stop_days=0, memory_rows=0)  # fmt: skip
LEAST_LOADED, MOST_STEP, MOST_GROWTH, MOST_WAITING = 0.9, 1.05, 1.05, 0.05


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rows-a-day", type=int, default=ROWS_A_DAY)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="bench-train-") as scratch:
        folder = Path(scratch)
        end = build(folder, days=DAYS, rows_a_day=asked.rows_a_day)
        figures: dict[str, Any] = {"rows": DAYS * asked.rows_a_day}
        for part in (_loader, _step, _processes, _memory, _gpu):
            found = measure(part, folder, end, asked.rounds).value
            print(part.__name__.strip("_"), found, flush=True)
            figures |= found
    return _report(figures)


def table_rows(folder: Path, end: dt.datetime) -> TableRows:
    """The rows straight from the table."""
    return TableRows.of(
        open_lake(folder).load(TABLE),
        LEARNING,
        window=Window(start=day_start(FIRST), end=end),
        until=end,
    )


def frame_rows(folder: Path, end: dt.datetime) -> TrainingSet:
    """The rows in memory."""
    import polars as pl

    rows = table_rows(folder, end)
    frame = pl.concat([one for shard in rows.shards() for one in rows.read(shard)])
    step = dt.timedelta(seconds=DAYS * 86_400 / frame.height)
    times = [day_start(FIRST) + i * step for i in range(frame.height)]
    return TrainingSet(
        frame=frame.with_columns(pl.Series(LEARNING.at, times, dtype=pl.Datetime("us", "UTC"))),
        features=LEARNING.features,
        categorical=LEARNING.categorical,
        label=LEARNING.label,
        at=LEARNING.at,
        start=day_start(FIRST),
        end=end,
    )


def _loader(folder: Path, end: dt.datetime, rounds: int) -> dict[str, Any]:
    """Both ways in turn, so that a slow minute hits both; the first epoch of each is not counted."""
    from lakeline.neural.fit import blocks_of
    from lakeline.neural.fitting import fit_encoding

    table, frame = table_rows(folder, end), frame_rows(folder, end)
    arms = ("table", "unspilled", "memory")
    speeds: dict[str, list[float]] = {name: [] for one in arms for name in (one, f"first_{one}", f"bare_{one}")}  # fmt: skip
    shares = []
    fitted = fit_encoding(table)
    kinds: dict[str, tuple[TrainingSet | TableRows, Plan]] = {
        "table": (table, PLAN),
        "unspilled": (table, replace(PLAN, spill=False)),
        "memory": (frame, PLAN),
    }
    blocks = {name: blocks_of(rows, plan, fitted) for name, (rows, plan) in kinds.items()}
    for number in range(rounds):
        for name, (rows, plan) in kinds.items():
            first, *later = train_network(rows, replace(plan, seed=number)).history
            speeds[f"first_{name}"].append(first["rows_s"])
            speeds[name].append(statistics.median(one["rows_s"] for one in later))
            if name == "table":
                shares.append(statistics.median(one["loader_share"] for one in later))
            speeds[f"bare_{name}"].append(_bare_loader(blocks[name], number))

    def against_memory(name: str, memory: str = "memory") -> float:
        return ratio(speeds[name], speeds[memory])

    return {
        **{f"{name}_rows_s": statistics.median(found) for name, found in speeds.items()},
        "loader_ratio": against_memory("table"),
        "first_epoch_ratio": against_memory("first_table", "first_memory"),
        "unspilled_ratio": against_memory("unspilled"),
        "table_waiting_share": statistics.median(shares),
    }


def _bare_loader(blocks: "Blocks", epoch: int) -> float:
    """Rows a second of a loader whose rows nobody uses."""
    from concurrent.futures import ThreadPoolExecutor

    from lakeline.neural.prefetching import Prefetched

    begun_s, rows = time.perf_counter(), 0
    with ThreadPoolExecutor(1) as pool:
        for block in Prefetched(blocks.epoch(1, epoch), PLAN.prefetch, pool):
            rows += len(block)
    return rows / (time.perf_counter() - begun_s)


def _step(folder: Path, end: dt.datetime, rounds: int) -> dict[str, Any]:
    """An epoch of each kind in turn, the order turned each round."""
    from lakeline.neural.fit import loop_of
    from lakeline.neural.place import find_place, repeatable

    rows = frame_rows(folder, end)
    plan = replace(PLAN, epochs=1000, prefetch=0)
    place = find_place("cpu", plan)
    spent: dict[str, list[float]] = {"ours": [], "bare": [], "two_threads": []}
    ours, bare = (loop_of(rows, plan, place, name=name) for name in ("ours", "bare"))
    two = loop_of(rows, replace(plan, threads=2), place, name="two")
    arms: dict[str, Callable[[], float]] = {
        "ours": lambda: _timed(ours, ours.epoch),
        "bare": lambda: _timed(bare, lambda: _bare_epoch(bare)),
        "two_threads": lambda: _timed(two, two.epoch),
    }
    with repeatable(place, plan):
        for arm in arms.values():
            arm()
        for number in range(4 * rounds):
            for name in list(arms)[:: 1 if number % 2 else -1]:
                if name != "two_threads" or number % 4 == 0:
                    spent[name].append(arms[name]())
    return {
        "step_ms": statistics.median(spent["ours"]),
        "bare_step_ms": statistics.median(spent["bare"]),
        "step_ratio": ratio(spent["ours"], spent["bare"]),
        "two_threads_step_ms": statistics.median(spent["two_threads"]),
    }


def _timed(loop: "Loop", epoch: Callable[[], None]) -> float:
    """Milliseconds of a step, over an epoch."""
    from lakeline.neural.scoring import threads

    with threads(loop.plan.threads):
        begun_s = time.perf_counter()
        epoch()
        return (time.perf_counter() - begun_s) * 1000 / loop.steps


def _bare_epoch(loop: "Loop") -> None:
    """What somebody would write who needs an epoch and nothing else."""
    import torch
    from torch import nn

    network, optimizer = loop.state.network.train(), loop.state.optimizer
    block: Block = loop.blocks.block  # type: ignore[attr-defined]
    shuffled = block.picked(torch.randperm(len(block)))
    batch_rows, steps = loop.plan.batch_rows, loop.steps * loop.plan.epochs
    for number, start in enumerate(range(0, len(shuffled), batch_rows)):
        part = shuffled.cut(start, start + batch_rows)
        for group in optimizer.param_groups:
            group["lr"] = loop.plan.learning_rate * 0.5 * (1 + math.cos(math.pi * number / steps))
        logits_B = network(part.codes_NC, part.numbers_NK)
        loss: Any = nn.functional.binary_cross_entropy_with_logits(logits_B, part.labels_N)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), loop.plan.clip_norm)
        optimizer.step()


def _processes(folder: Path, end: dt.datetime, rounds: int) -> dict[str, Any]:
    """Two processes by gloo, and one."""
    frame = frame_rows(folder, end)
    speeds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(1, rounds // 2)):
        for processes, found in speeds.items():
            history = train_network(frame, replace(PLAN, processes=processes)).history[1:]
            found.append(statistics.median(one["rows_s"] for one in history))
    one, two = (statistics.median(speeds[processes]) for processes in (1, 2))
    return {
        "one_process_rows_s": one,
        "two_processes_rows_s": two,
        "two_processes_ratio": two / one,
    }


def _memory(folder: Path, end: dt.datetime, _rounds: int) -> dict[str, Any]:
    """Most memory of each epoch, from the table."""
    peaks: list[float] = []

    def note(figures: Mapping[str, Any]) -> None:
        if figures["event"] == "epoch":
            peaks.append(_peak_mib())
            _reset_peak()

    with surrounded(report=note):
        train_network(table_rows(folder, end), replace(PLAN, epochs=8))
    print("memory of each epoch", [round(one) for one in peaks], flush=True)
    return {"first_epoch_peak_mib": peaks[0], "last_epoch_peak_mib": peaks[-1], "memory_growth": peaks[-1] / peaks[0]}  # fmt: skip


def _gpu(folder: Path, end: dt.datetime, rounds: int) -> dict[str, Any]:
    """On a GPU: the kernels' share of some traced steps, the step and the waiting of a training from the table."""
    import torch

    if not torch.cuda.is_available():
        return {"gpu": "none"}
    history = train_network(table_rows(folder, end), replace(PLAN, epochs=1 + rounds)).history[1:]
    rows_s = statistics.median(one["rows_s"] for one in history)
    return {
        "gpu": torch.cuda.get_device_name(),
        "gpu_step_ms": 1000 * PLAN.batch_rows / rows_s,
        "gpu_waiting_share": statistics.median(one["loader_share"] for one in history),
        "gpu_busy_share": _busy_share(frame_rows(folder, end)),
    }


def _busy_share(train: TrainingSet) -> float:
    """Time of kernels over the time between the first and the last of them, in a trace of some steps."""
    import json

    with tempfile.TemporaryDirectory() as scratch, surrounded(checkpoints=scratch):
        train_network(train, replace(PLAN, epochs=1, profile=True), name="bench")
        events = json.loads((Path(scratch) / "bench-trace.json").read_text())["traceEvents"]
    kernels = [one for one in events if one.get("cat") == "kernel"]
    begun, ended = min(one["ts"] for one in kernels), max(one["ts"] + one["dur"] for one in kernels)
    return float(sum(one["dur"] for one in kernels) / (ended - begun))


def _report(figures: dict[str, Any]) -> int:
    reach = {
        "loader_ratio": f">= {LEAST_LOADED}",
        "step_ratio": f"<= {MOST_STEP}",
        "memory_growth": f"<= {MOST_GROWTH}",
    }
    met = (
        figures["loader_ratio"] >= LEAST_LOADED
        and figures["step_ratio"] <= MOST_STEP
        and figures["memory_growth"] <= MOST_GROWTH
    )
    if figures["gpu"] != "none":
        reach["gpu_waiting_share"] = f"<= {MOST_WAITING}"
        met = met and figures["gpu_waiting_share"] <= MOST_WAITING
    return report("train", figures, reach, met=met)


if __name__ == "__main__":
    sys.exit(main())
