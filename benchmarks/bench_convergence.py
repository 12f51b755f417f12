"""1,000 random graphs and orders of events: each must end where a brute-force oracle says, with nothing built in vain.

Hypothesis makes each case from a seed: a graph of up to twelve assets and sources, with every kind of partition mapping,
models, reports and assets that only people build, and an order of events: sources that are restated, late or gone, builds
that fail for a while or for good, killed runs, runs by people, new code, renamed and removed assets, lost processes,
clocks that jump. Time is played, the ledger is real. A sample of the cases is played again in processes that are killed
with SIGKILL, each of which goes on from the ledger's file. A seed is played alone by ``--seed N``.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.convergence.play import Played, play
from benchmarks.convergence.strategies import case_of
from benchmarks.convergence.survival import survive
from benchmarks.harness import report

CASES, SURVIVORS, KILLS = 1000, 60, 5
MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one, the ledgers cost no disk


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a seed.

    Attributes:
        kills: Processes that were killed; None where that was not tried.
        cpu_s: Processor time, children included.
    """

    seed: int
    played: Played
    kills: int | None = None
    cpu_s: float = 0.0


@dataclass(kw_only=True)
class Sum:
    """Results taken together."""

    results: list[Result] = field(default_factory=list)

    def add(self, one: Result) -> None:
        """Count a result, and say what was wrong with it."""
        self.results.append(one)
        if one.played.wrong:
            how = "" if one.kills is None else ", with kills"
            print(f"seed {one.seed}{how}: {one.played.wrong}", flush=True)

    def wrong(self, *, with_kills: bool) -> list[int]:
        """Seeds that did not end as they should."""
        return [one.seed for one in self.results if one.played.wrong and (one.kills is not None) == with_kills]  # fmt: skip


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the benchmark; the last line is its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument(
        "--survivors", type=int, default=SURVIVORS, help="cases that are played with kills too"
    )
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one alone, and show it")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.seed is not None:
        return _alone(options.seed)
    seeds = range(options.first, options.first + options.cases)
    started_s, done = time.perf_counter(), Sum()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=spawn) as pool:
        for one in pool.map(_survived, seeds[: options.survivors]):
            done.add(one)
        for one in pool.map(_played, seeds, chunksize=5):
            done.add(one)
    return _report(done, seeds, time.perf_counter() - started_s)


def _alone(seed: int) -> int:
    case = case_of(seed)
    for line in (*case.assets, *case.events):
        print(line)
    one = _played(seed)
    return _report(Sum(results=[one]), range(seed, seed + 1), one.cpu_s)


def _played(seed: int) -> Result:
    """Play a seed."""
    started_s = _cpu_s()
    with _folder() as folder:
        played = play(case_of(seed), Path(folder) / "ledger.db")
    return Result(seed=seed, played=played, cpu_s=_cpu_s() - started_s)


def _survived(seed: int) -> Result:
    """Play a seed in processes that are killed."""
    started_s = _cpu_s()
    with _folder() as folder:
        played, kills = survive(case_of(seed), Path(folder), seed, KILLS)
    return Result(seed=seed, played=played, kills=kills, cpu_s=_cpu_s() - started_s)


def _folder() -> "tempfile.TemporaryDirectory[str]":
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="lakeline-convergence-", dir=place)


def _cpu_s() -> float:
    return sum(os.times()[:4])


def _report(done: Sum, seeds: Sequence[int], wall_s: float) -> int:
    played = [one for one in done.results if one.kills is None]
    killed = [one for one in done.results if one.kills is not None]
    wrong, wrong_killed = done.wrong(with_kills=False), done.wrong(with_kills=True)
    figures: dict[str, object] = {
        "cases": len(played),
        "converged": len(played) - len(wrong),
        "wrong_seeds": wrong,
        "first_seed": seeds[0],
        "last_seed": seeds[-1],
        "partitions": sum(one.played.partitions for one in played),
        "builds": sum(one.played.built for one in played),
        "ticks": sum(one.played.ticks for one in played),
        "cases_with_kills": len(killed),
        "converged_with_kills": len(killed) - len(wrong_killed),
        "wrong_seeds_with_kills": wrong_killed,
        "kills": sum(one.kills or 0 for one in killed),
        "cpu_s": sum(one.cpu_s for one in done.results),
        "wall_s": wall_s,
    }
    reach = {"converged": "1000 of 1000 cases", "converged_with_kills": "all"}
    return report("convergence", figures, reach, met=not wrong and not wrong_killed)


if __name__ == "__main__":
    sys.exit(main())
