"""What loading the code location costs beside importing Dagster alone: each in processes of their own, taking turns.

A first round is not counted, and Python may keep the bytecode of all: Dagster's was compiled when it was installed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import report

ROOT = Path(__file__).parents[1]
ROUNDS = 21
REACH = 1.3
MEASURE = """
import json, resource
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime, "rss_mib": usage.ru_maxrss / 1024}))
"""
STATEMENTS = {
    "dagster": "import dagster",
    "location": "import definitions; definitions.defs().resolve_asset_graph()",
    "resolve": "import dagster; dagster.Definitions().resolve_asset_graph()",
}


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    # Definitions are declared from dbt's manifest, which a fresh clone has not made yet.
    parse = [sys.executable, "-m", "lakeline.cli", "dbt", "parse"]
    subprocess.run(parse, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in STATEMENTS}
    for round_ in range(rounds + 1):
        for name, statement in STATEMENTS.items():
            usage = _fresh(statement)
            if round_:
                found[name].append(usage)
    figures = {
        f"{what}_ratio": statistics.median(
            location[what] / dagster[what]
            for location, dagster in zip(found["location"], found["dagster"], strict=True)
        )
        for what in ("cpu_s", "rss_mib")
    }
    for name, rows in found.items():
        figures |= {
            f"{name}_{what}": statistics.median(row[what] for row in rows) for what in rows[0]
        }
    met = figures["cpu_s_ratio"] <= REACH and figures["rss_mib_ratio"] <= REACH
    reach = {"cpu_s_ratio": f"<= {REACH}", "rss_mib_ratio": f"<= {REACH}"}
    return report("load", figures, reach, met=met)


def _fresh(statement: str) -> dict[str, float]:
    command = [sys.executable, "-c", f"{statement}{MEASURE}"]
    keeping = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, cwd=ROOT, env=keeping, check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
