"""What a tick costs: a reconciler's on ledgers of up to ten million partitions, and Dagster's evaluator on what it can hold.

The ledgers are filled once by bulk SQL and kept under ``build/``; each measurement has a process of its own, so that its
memory can be told. Ticks are timed by the clock; what the processor took for them stands beside it.
"""

import argparse
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.big_ledger import CODE, DOMAIN, MARTS, RAW, SOURCE, Size, big_graph, fill, name_of
from benchmarks.dagster_tick import dagster_ticks
from benchmarks.harness import Measured, measure, report
from lakeline.freshness.reconciler import Reconciler
from lakeline.ledger import Build, Cost, Ledger

CACHE = Path(__file__).parents[1] / "build" / "bench-tick"
BIG, MIDDLE = Size(assets=10_000, days=1_000), Size(assets=1_000, days=365)
RIVALS, FULL_RIVALS = (
    (Size(assets=100, days=365),),
    (Size(assets=100, days=365), Size(assets=300, days=365)),
)
CHANGED, TOUCHED, ROUNDS, IDLE_ROUNDS = 100, 3_500, 5, 20
REACH = {
    "big_changed_s": 1.0,
    "big_peak_mib": 300.0,
    "big_verify_s": 60.0,
    "idle_s": 0.5,
    "touched_s": 1.0,
    "returned_s": 1.0,
}
Pair = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What one call took, by the clock and of the processor."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="Dagster's evaluator on 300 assets too")
    rivals = FULL_RIVALS if parser.parse_args().full else RIVALS
    for size in (BIG, MIDDLE, *rivals):
        _told(f"filling {size.label}", partial(fill, _file(size), size))
    figures = {**_big(), **_middle()}
    for size in rivals:
        figures |= _against_dagster(size)
    met = all(figures[name] <= limit for name, limit in REACH.items())
    return report(
        "tick", figures, {name: f"<= {limit:g}" for name, limit in REACH.items()}, met=met
    )


# --- ten million partitions -----------------------------------------------------------------------


def _big() -> dict[str, float]:
    ticks = _told("100 of ten million changed", lambda: measure(changed_ticks, BIG))
    verified = _told("everything compared", lambda: measure(verification, BIG))
    return {
        **_median("big_changed", ticks),
        "big_peak_mib": max(ticks.peak_rss_mib, verified.peak_rss_mib),
        **_median("big_verify", verified),
    }


def changed_ticks(size: Size) -> list[Spent]:
    """Ticks that find 100 raw tables changed, each a day of its own, with all that lies downstream of them."""
    with _borrowed(size) as (ledger, reconciler):
        found = []
        for turn in range(ROUNDS):
            pairs = _raw_partitions(size, turn)
            with _moved(ledger, size, pairs):
                found.append(_timed(lambda: reconciler.tick(size.now)))
            reconciler.tick(size.now)
        return found


def verification(size: Size) -> list[Spent]:
    """Every partition compared with its inputs, its code and what should be there."""
    with _borrowed(size) as (_, reconciler):
        return [_timed(lambda: _expect_none(reconciler.verify(size.now)))]


# --- a thousand assets ----------------------------------------------------------------------------


def _middle() -> dict[str, float]:
    idle = _told("nothing changed", lambda: measure(idle_ticks, MIDDLE))
    touched = _told("3,500 touched", lambda: measure(touched_ticks, MIDDLE))
    returned = _told("3,500 moved and came back", lambda: measure(returned_ticks, MIDDLE))
    return {
        **_median("idle", idle),
        "idle_worst_s": max(one.wall_s for one in idle.value),
        **_median("touched", touched),
        **_median("returned", returned),
    }


def idle_ticks(size: Size) -> list[Spent]:
    """Ticks that find nothing, together a sweep of the whole graph."""
    with _borrowed(size) as (_, reconciler):
        return [_timed(lambda: reconciler.tick(size.now)) for _ in range(IDLE_ROUNDS)]


def touched_ticks(size: Size) -> list[Spent]:
    """As many partitions of sources observed again, all as they were, and the tick after it."""
    with _borrowed(size) as (ledger, reconciler):
        sources = [name_of(number) for number in range(SOURCE, size.assets, DOMAIN)][
            : TOUCHED // 350
        ]
        versions = {name: dict(list(ledger.versions(name).items())[:350]) for name in sources}
        assert sum(map(len, versions.values())) == TOUCHED

        def observe() -> None:
            for name, seen in versions.items():
                assert not ledger.observe(name, seen, watermark=size.now, observed_ts=size.now)
            reconciler.tick(size.now)

        return [_timed(observe) for _ in range(ROUNDS)]


def returned_ticks(size: Size) -> list[Spent]:
    """Ticks that find as many partitions changed, all of which are again what their readers were built from."""
    marts = [name_of(number) for number in range(MARTS[0], size.assets, DOMAIN)]
    days = size.keys[: TOUCHED // len(marts)]
    pairs = [(name, day) for name in marts for day in days]
    with _borrowed(size) as (ledger, reconciler):
        found = []
        for _ in range(ROUNDS):
            with _moved(ledger, size, pairs):
                pass
            assert len(ledger.changes().pairs) == TOUCHED
            found.append(_timed(lambda: reconciler.tick(size.now)))
        return found


# --- Dagster --------------------------------------------------------------------------------------


def _against_dagster(size: Size) -> dict[str, float]:
    ours = _told(f"lakeline on {size.label}", lambda: measure(changed_ticks, size))
    quiet = measure(idle_ticks, size)
    pairs = _raw_partitions(size, 0)
    theirs = _told(f"Dagster on {size.label}", lambda: measure(dagster_ticks, size, pairs))
    changed_s, idle_s = _wall(ours), _wall(quiet)
    return {
        f"dagster_{size.assets}_changed_s": theirs.value.changed_s,
        f"dagster_{size.assets}_idle_s": theirs.value.idle_s,
        f"dagster_{size.assets}_peak_mib": theirs.peak_rss_mib,
        f"lakeline_{size.assets}_changed_s": changed_s,
        f"lakeline_{size.assets}_idle_s": idle_s,
        f"dagster_{size.assets}_changed_ratio": theirs.value.changed_s / changed_s,
        f"dagster_{size.assets}_idle_ratio": theirs.value.idle_s / idle_s,
    }


# --- what they share ------------------------------------------------------------------------------


def _raw_partitions(size: Size, turn: int) -> list[Pair]:
    """A hundred partitions of raw tables, spread over the domains and days."""
    raw = range(RAW, size.assets, DOMAIN)
    return [
        (name_of(raw[(turn * CHANGED + i) % len(raw)]), size.keys[(turn * 31 + i * 37) % size.days])
        for i in range(CHANGED)
    ]


@contextmanager
def _borrowed(size: Size) -> Iterator[tuple[Ledger, Reconciler]]:
    """The ledger of that size with a reconciler that knows its graph; a ledger that does not come back is filled anew."""
    file = _file(size)
    used = file.rename(file.with_suffix(".used"))
    ledger, graph = Ledger(f"sqlite:///{used}"), big_graph(size)
    reconciler = Reconciler(graph, ledger)
    reconciler.remember_declared(size.now)
    reconciler.tick(size.now)  # and imports what a tick needs
    yield ledger, reconciler
    assert not ledger.marked()
    ledger.close()
    used.rename(file)


@contextmanager
def _moved(ledger: Ledger, size: Size, pairs: Sequence[Pair]) -> Iterator[None]:
    """Partitions have another version inside the block, and the one from before after it."""
    before = ledger.versions_of(pairs)
    _publish(ledger, size, dict.fromkeys(pairs, uuid.uuid4().hex))
    yield
    _publish(ledger, size, before)


def _publish(ledger: Ledger, size: Size, versions: dict[Pair, str]) -> None:
    cost = Cost(started_ts=size.now, ended_ts=size.now, cpu_s=0.0, peak_rss_bytes=0)
    inputs = ledger.inputs_of(list(versions))
    builds: dict[str, list[Build]] = {}
    for pair, version in versions.items():
        one = Build(
            asset=pair[0],
            partition=pair[1],
            version=version,
            code_version=CODE,
            inputs=inputs[pair],
        )
        builds.setdefault(pair[0], []).append(one)
    for some in builds.values():
        ledger.record(uuid.uuid4().hex, some, cost)


def _timed(fn: Callable[[], object]) -> Spent:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    fn()
    return Spent(wall_s=time.perf_counter() - wall_s, cpu_s=time.process_time() - cpu_s)


def _median(name: str, found: Measured) -> dict[str, float]:
    cpu_s = statistics.median(one.cpu_s for one in found.value)
    return {f"{name}_s": _wall(found), f"{name}_cpu_s": cpu_s}


def _wall(found: Measured) -> float:
    return float(statistics.median(one.wall_s for one in found.value))


def _expect_none(found: set[Pair]) -> None:
    assert not found, found


def _file(size: Size) -> Path:
    return CACHE / f"{size.label}.db"


def _told(what: str, fn: Callable[[], T]) -> T:
    start_s = time.perf_counter()
    found = fn()
    print(f"{what}: {time.perf_counter() - start_s:.1f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
