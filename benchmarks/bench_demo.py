"""The whole demo without its UI, as a person starts it, on an empty state folder: wall time and what comes out."""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import report

ROOT = Path(__file__).parents[1]
REACH_S = 120.0
COMMAND = ["make", "--silent", "demo", "ARGS=--no-ui"]


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    subprocess.run(
        ["make", "--silent", "setup"], cwd=ROOT, check=True
    )  # installing is not measured
    runs = [_demo() for _ in range(parser.parse_args().rounds)]
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return report(
        "demo", figures, {"wall_s": f"<= {REACH_S:.0f}"}, met=figures["wall_s"] <= REACH_S
    )


def _demo() -> dict[str, float]:
    before, start_s = _children_cpu_s(), time.perf_counter()
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "LAKELINE_STATE": state}
        done = subprocess.run(
            COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the demo failed:\n{done.stdout}\n{done.stderr}")
        wall_s = time.perf_counter() - start_s
        again_s = time.perf_counter()
        subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, check=True)
        return {
            "wall_s": wall_s,
            "cpu_s": _children_cpu_s() - before,
            "again_wall_s": time.perf_counter() - again_s,
            "state_mib": sum(
                file.stat().st_size for file in Path(state).rglob("*") if file.is_file()
            )
            / 2**20,
        }


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
