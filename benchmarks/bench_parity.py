"""Eight online stores with a bug each, and one without, against the offline path: bugs found, bugs named, false alarms.

The stores are simulated row by row in plain Python (`benchmarks/parity/store.py`); nothing of the comparison knows how.
A bug counts as named where every feature that it breaks is given its name.
"""

import argparse
import datetime as dt
import sys
import time

from benchmarks.harness import report
from benchmarks.parity.store import BUGS, FEATURES, TTL_MIN, Store, World, make_world
from lakeline.features.parity import Parity, parity
from lakeline.features.point_in_time import FeatureSource

READS = {"clean": 250_000, "buggy": 40_000}
SEED = 11


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    seed = parser.parse_args().seed
    named, found, buggy_s = {}, 0, []
    world = make_world(stations=400, days=12, reads=READS["buggy"], seed=seed)
    for bug, kind in BUGS.items():
        compared, spent_s = _compared(world, kind())
        named[bug] = sorted({_name(one) for one in compared.broken})
        found += not compared.holds
        buggy_s.append(spent_s)
        print(f"{bug}: {spent_s:.1f} s\n{compared}\n", flush=True)
    big = make_world(stations=1200, days=12, reads=READS["clean"], seed=seed + 1)
    clean, clean_s = _compared(big, Store())
    print(f"clean: {clean_s:.1f} s\n{clean}", flush=True)
    figures = {
        "bugs": len(BUGS),
        "found": found,
        "named": sum(names == [bug] for bug, names in named.items()),
        "names": named,
        "clean_values": clean.values,
        "alarms": len(clean.broken),
        "clean_s": clean_s,
        "buggy_max_s": max(buggy_s),
    }
    reach = {"found": "8 of 8", "named": "8 of 8", "alarms": "0 on 1M clean values"}
    met = found == figures["named"] == len(BUGS) and clean.holds and clean.values >= 1_000_000
    return report("parity", figures, reach, met=met)


def _compared(world: World, store: Store) -> tuple[Parity, float]:
    """Parity of the reads of a store, and how long the comparison took."""
    source = FeatureSource(
        name="stations",
        frame=world.rows,
        entities=("station",),
        event_time="event_ts",
        knowledge_time="known_ts",
        features=FEATURES,
        ttl=dt.timedelta(minutes=TTL_MIN),
    )
    log = world.served_by(store)
    begun_s = time.perf_counter()
    compared = parity(log, [source], at="at", status={"stations": "status"})
    return compared, time.perf_counter() - begun_s


def _name(one: object) -> str:
    cause = getattr(one, "cause", None)
    return cause.name if cause else "not named"


if __name__ == "__main__":
    sys.exit(main())
