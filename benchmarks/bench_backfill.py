"""The flights chain over 181 days in one run: time, memory, and what of it Dagster's event log takes.

The same run once with Dagster's own SQLite event log and once with lakeline's, each in a process and a state folder of
its own.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import LogKind, Measured, event_log_time, measure, open_logged, report

DAYS = {
    "dagster/asset_partition_range_start": "2013-01-01",
    "dagster/asset_partition_range_end": "2013-06-30",
}
PEAK_MIB = 2048
FASTER = 2.0


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    logs: tuple[LogKind, ...] = ("stock", "pooled")
    found: dict[LogKind, list[Measured]] = {log: [] for log in logs}
    for _ in range(rounds):
        for log in logs:
            with tempfile.TemporaryDirectory() as folder:
                found[log].append(measure(backfill, Path(folder), log))
    figures: dict[str, Any] = {}
    for log, runs in found.items():
        figures[log] = {
            "wall_s": statistics.median(run.wall_s for run in runs),
            "cpu_s": statistics.median(run.cpu_s for run in runs),
            "peak_rss_mib": max(run.peak_rss_mib for run in runs),
            "event_log_s": statistics.median(run.value["event_log_s"] for run in runs),
            "event_log_share": statistics.median(
                run.value["event_log_s"] / run.wall_s for run in runs
            ),
            "events": runs[0].value["events"],
        }
    faster = figures["stock"]["event_log_s"] / figures["pooled"]["event_log_s"]
    peak = figures["pooled"]["peak_rss_mib"]
    return report(
        "backfill",
        {**figures, "event_log_speedup": faster, "peak_rss_mib": peak},
        {"event_log_speedup": f">= {FASTER}", "peak_rss_mib": f"<= {PEAK_MIB}"},
        met=faster >= FASTER and peak <= PEAK_MIB,
    )


def backfill(state: Path, log: LogKind) -> dict[str, float]:
    """Materialize the whole graph over `DAYS` in one run, in ``state``."""
    import logging

    import dagster as dg

    from assets.flights import clean, domain, features, models, monitoring, raw
    from resources import Settings, build_resources

    assert all((clean, features, models, monitoring, raw))
    logging.disable(logging.INFO)
    with open_logged(state / "dagster", log) as instance, event_log_time(instance) as spent:
        resources = build_resources(Settings(state=state))
        if not dg.materialize(
            domain.flights.assets, instance=instance, resources=resources, tags=DAYS
        ).success:
            raise RuntimeError("the run failed")
    return {"event_log_s": spent.wall_s, "events": spent.events}


if __name__ == "__main__":
    sys.exit(main())
