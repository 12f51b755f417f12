"""Point-in-time joins of three sizes through Feast, with lakeline's store and with Feast's dask and duckdb stores.

Every join runs in a process of its own, after a join of ten rows that loads what it imports; all stores read the same
Parquet file a view and answer with an Arrow table. Rounds take turns, ratios are medians over them. Peak memory is all
that the process held, Feast itself and the result included. A rival gets so much memory and time and no more: what it
does not finish counts as faster nowhere and is told as such. `known` is lakeline with a time of knowing, which the
rivals do not have.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import ratio, report
from benchmarks.pit.frames import RIVAL_PYTHON
from benchmarks.pit.speed_data import Size, make

SMALL = Size(name="small", entities=100_000, rows=(1_000_000,), features=10, keys=10_000)
LARGE = Size(
    name="large",
    entities=1_000_000,
    rows=(8_000_000, 7_000_000, 5_000_000),
    features=10,
    keys=100_000,
)
WIDE = Size(name="wide", entities=20_000, rows=(200_000,), features=500, keys=10_000)
SIZES = {size.name: size for size in (SMALL, WIDE, LARGE)}
STORES = ("lakeline", "lakeline_known", "duckdb", "dask")
FASTER = {"dask": 8.0, "duckdb": 2.0}
PEAK_MIB = 1_536.0

Run = dict[str, Any]


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--limit-s", type=int, default=600, help="time of one join")
    parser.add_argument("--limit-gib", type=float, default=12.0, help="memory of one join")
    args = parser.parse_args()
    figures = {name: _measured(_scaled(SIZES[name], args.scale), args) for name in args.sizes}
    reach = {
        **{f"*.speedup.{rival}": f">= {least}" for rival, least in FASTER.items()},
        "large.peak_mib.lakeline": f"<= {PEAK_MIB:.0f}",
    }
    return report("pit_speed", figures, reach, met=all(map(_is_met, figures.values())))


def _measured(size: Size, args: argparse.Namespace) -> dict[str, Any]:
    runs: dict[str, list[Run]] = {store: [] for store in args.stores}
    with tempfile.TemporaryDirectory(prefix="bench-pit-speed-") as name:
        folder = Path(name)
        make(folder, size)
        for _ in range(args.rounds):
            for store, done in runs.items():
                if not any("failed" in run for run in done):
                    done.append(_run(folder, store, args.limit_s, args.limit_gib))
                    print(size.name, store, done[-1], file=sys.stderr, flush=True)
    _check_sums(runs)
    return _figures(size, runs)


def _run(folder: Path, store: str, limit_s: int, limit_gib: float) -> Run:
    """One join; of one that fails, why."""
    python = sys.executable if store.startswith("lakeline") else str(RIVAL_PYTHON)
    if not Path(python).exists():
        raise SystemExit(
            "Feast's own stores need an environment of their own. Run: make bench-pit-speed"
        )
    script = Path(__file__).parent / "pit/speed_worker.py"
    try:
        done = subprocess.run(
            [python, str(script), str(folder), store],
            check=False,
            capture_output=True,
            text=True,
            timeout=limit_s,
            preexec_fn=lambda: _limit_memory(limit_gib),
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {limit_s} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"failed": last[:200]}
    answer: Run = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _limit_memory(gib: float) -> None:
    most = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _check_sums(runs: Mapping[str, Sequence[Run]]) -> None:
    """Stores that answer the same question must agree; a lost row without a value changes no sum."""
    asked = {store: done for store, done in runs.items() if store != "lakeline_known"}
    sums = [run["sums"] for done in asked.values() for run in done if "sums" in run]
    for one in sums:
        for name, value in one.items():
            assert math.isclose(value, sums[0][name], rel_tol=1e-9), f"stores disagree on {name}"


def _figures(size: Size, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    good = {store: done for store, done in runs.items() if all("wall_s" in run for run in done)}
    walls = {store: [run["wall_s"] for run in done] for store, done in good.items()}
    ours = walls.get("lakeline")
    return {
        "entity_rows": size.entities,
        "feature_rows": sum(size.rows),
        "views": len(size.rows),
        "features": size.features * len(size.rows),
        "s": {store: statistics.median(each) for store, each in walls.items()},
        "speedup": {
            rival: ratio(walls[rival], ours) for rival in FASTER if ours and rival in walls
        },
        "peak_mib": {
            store: statistics.median(run["peak_mib"] for run in done)
            for store, done in good.items()
        },
        "rows_lost": {
            store: size.entities - min(run["rows"] for run in done) for store, done in good.items()
        },
        "failed": {
            store: done[-1]["failed"] for store, done in runs.items() if "failed" in done[-1]
        },
    }


def _is_met(figures: Mapping[str, Any]) -> bool:
    """Whether lakeline finished, within its memory, and so much faster than each rival that finished too."""
    peak = figures["peak_mib"].get("lakeline", math.inf)
    fast = all(speedup >= FASTER[rival] for rival, speedup in figures["speedup"].items())
    return fast and peak <= PEAK_MIB


def _scaled(size: Size, scale: float) -> Size:
    return Size(
        name=size.name,
        entities=max(10, int(size.entities * scale)),
        rows=tuple(max(10, int(rows * scale)) for rows in size.rows),
        features=size.features,
        keys=max(1, int(size.keys * scale)),
    )


if __name__ == "__main__":
    sys.exit(main())
