"""What every benchmark shares: a function measured in a process of its own, ratios, and one JSON line at the end."""

import datetime as dt
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dagster import AssetsDefinition, DagsterInstance, PartitionsDefinition

MIB = 2**20

LogKind = Literal["stock", "pooled"]
"""Dagster's own SQLite event log, or lakeline's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One call of a function in a fresh process.

    Attributes:
        wall_s: Time by the clock, imports inside the function included.
        cpu_s: Processor time of the process and of the children it waited for.
        peak_rss_mib: Most memory of the process at one moment, children left out.
        base_rss_mib: Memory of the process before the call, so that the peak over it can be told.
        value: What the function returned.
    """

    wall_s: float
    cpu_s: float
    peak_rss_mib: float
    base_rss_mib: float
    value: Any


def measure(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Measured:
    """Call ``fn`` in a fresh, spawned process; it and its arguments must pickle.

    An error in ``fn`` is raised here.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_measured, fn, args, kwargs).result()


def measure_rounds(
    functions: Mapping[str, Callable[..., Any]], rounds: int, *args: Any, **kwargs: Any
) -> dict[str, list[Measured]]:
    """Each function once a round, taking turns, so that a slow minute of the machine hits them all."""
    results: dict[str, list[Measured]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, fn in functions.items():
            results[name].append(measure(fn, *args, **kwargs))
    return results


def peak_over(fn: Callable[[], object]) -> float:
    """Most memory of this process during a call over what it held before, in MiB; call it inside `measure`."""
    _reset_peak()
    base_mib = _peak_mib()
    fn()
    return _peak_mib() - base_mib


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the ratios of each round.

    >>> ratio([10.0, 30.0, 8.0], [5.0, 10.0, 4.0])
    2.0
    """
    return statistics.median(n / d for n, d in zip(numerators, denominators, strict=True))


def report(
    benchmark: str, figures: Mapping[str, object], reach: Mapping[str, str], *, met: bool
) -> int:
    """Print the one JSON line that ends a benchmark; returns the exit code, 0 where the reach is met.

    Args:
        benchmark: Its name, as in ``make bench-NAME``.
        figures: What was measured, units in the names; floats are rounded to four digits.
        reach: What was to be reached, as a person would write it, by figure.
        met: Whether it was.
    """
    line = {"benchmark": benchmark, "figures": _rounded(figures), "reach": dict(reach), "met": met}
    print(json.dumps(line), flush=True)
    return 0 if met else 1


@dataclass(slots=True)
class EventLogTime:
    """What writing to Dagster's event log took, so far."""

    events: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def event_log_time(instance: "DagsterInstance") -> Iterator[EventLogTime]:
    """Count the time that the instance spends in storing events."""
    log: Any = instance.event_log_storage
    spent = EventLogTime()
    depth = 0

    def timed(store: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(events: Any) -> None:
            nonlocal depth
            depth += 1
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            try:
                store(events)
            finally:
                depth -= 1
                if not depth:  # the stock batch stores its events one by one
                    spent.wall_s += time.perf_counter() - wall_s
                    spent.cpu_s += time.process_time() - cpu_s
                    spent.events += len(events) if isinstance(events, list) else 1

        return call

    log.store_event, log.store_event_batch = timed(log.store_event), timed(log.store_event_batch)
    try:
        yield spent
    finally:
        del log.store_event, log.store_event_batch


def open_logged(folder: Path, log: LogKind) -> "DagsterInstance":
    """An instance as lakeline makes it, with lakeline's event log or with Dagster's own."""
    import yaml

    from lakeline.instance import CONFIG_FILE, dagster_home, open_instance

    if log == "stock":
        file = dagster_home(folder) / CONFIG_FILE
        config = yaml.safe_load(file.read_text())
        config.pop("event_log_storage", None)
        file.write_text(yaml.safe_dump(config))
    return open_instance(folder)


def materialize_chain(
    folder: Path, log: LogKind, assets: int = 12, days: int = 181
) -> EventLogTime:
    """One run over all days of a chain of idle assets with a check each: all of it is Dagster's time."""
    import dagster as dg

    first = dt.date(2013, 1, 1)
    keys = [(first + dt.timedelta(days=day)).isoformat() for day in range(days + 1)]
    daily = dg.DailyPartitionsDefinition(keys[0], end_date=keys[-1])
    chain: list[dg.AssetsDefinition] = []
    for number in range(assets):
        chain += [_idle_asset(f"asset_{number}", daily, chain[-1:])]
    tags = {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-2],
    }
    with open_logged(folder, log) as instance, event_log_time(instance) as spent:
        if not dg.materialize(chain, instance=instance, tags=tags).success:
            raise RuntimeError("the run failed")
    return spent


def _idle_asset(
    name: str, partitions: "PartitionsDefinition[str]", deps: "list[AssetsDefinition]"
) -> "AssetsDefinition":
    import dagster as dg

    def idle(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        for key in context.partition_keys:
            context.add_asset_metadata({"dagster/row_count": 1000}, partition_key=key)
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    return dg.asset(
        name=name,
        deps=deps,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("contract", asset=name)],
    )(idle)


def _measured(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Measured:
    _reset_peak()
    base_mib, cpu_s, start_s = _peak_mib(), _cpu_s(), time.perf_counter()
    value = fn(*args, **kwargs)
    return Measured(
        wall_s=time.perf_counter() - start_s,
        cpu_s=_cpu_s() - cpu_s,
        peak_rss_mib=_peak_mib(),
        base_rss_mib=base_mib,
        value=value,
    )


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _reset_peak() -> None:
    """Set the kernel's high-water mark to the present; without Linux's file for it the peak is since start."""
    try:
        Path(f"/proc/{os.getpid()}/clear_refs").write_text("5")
    except OSError:
        return


def _peak_mib() -> float:
    # Not getrusage on Linux: its peak is inherited from the process that spawned this one.
    status = Path(f"/proc/{os.getpid()}/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return value
