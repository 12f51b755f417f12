"""A declared size held against what builds used: too small soon fails, too large takes room from others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lakeline.compute.declaration import Compute

ROOM = 1.5
"""How much more than the most that was seen is advised."""

IDLE, FULL = 1 / 3, 0.9
"""Shares of a declared size below and above which it is said."""

SMALL_BYTES = 512 << 20
"""Below this nothing is gained by declaring less memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What builds used at most.

    Attributes:
        peak_rss_bytes: Memory.
        cores: Processor time for each second.
        gpu_busy: Mean share of the time in which the GPU computed; None without.
    """

    peak_rss_bytes: int
    cores: float | None = None
    gpu_busy: float | None = None


def advice(declared: Compute | None, seen: Seen) -> list[str]:
    """What to change, a sentence each; nothing where the sizes fit or none is declared.

    >>> advice(Compute(memory="16Gi", cpu=4), Seen(peak_rss_bytes=2**30, cores=0.7))
    ['declares 16Gi and held 1.0 GiB at most: 1536Mi would do', 'declares 4 cpu and used 0.7 at most: 2 would do']
    """
    return [] if declared is None else [*_memory(declared, seen), *_cores(declared, seen), *_gpu(declared, seen)]  # fmt: skip


def _memory(declared: Compute, seen: Seen) -> Iterator[str]:
    limit, peak = declared.memory_bytes, seen.peak_rss_bytes
    if limit is None or not peak:
        return
    held = f"{peak / 2**30:.1f} GiB" if peak >= 2**30 else f"{peak / 2**20:.0f} MiB"
    if peak > FULL * limit:
        yield f"declares {declared.memory} and held {held}: declare {_rounded(peak)}"
    elif peak < IDLE * limit and limit > SMALL_BYTES:
        yield f"declares {declared.memory} and held {held} at most: {_rounded(peak)} would do"


def _cores(declared: Compute, seen: Seen) -> Iterator[str]:
    if declared.cpu is None or seen.cores is None or declared.cpu <= 1:
        return
    if seen.cores < IDLE * declared.cpu:
        enough = max(1, math.ceil(seen.cores * ROOM))
        yield f"declares {declared.cpu:g} cpu and used {seen.cores:.1f} at most: {enough} would do"


def _gpu(declared: Compute, seen: Seen) -> Iterator[str]:
    if declared.gpus and seen.gpu_busy is not None and seen.gpu_busy < IDLE:
        yield f"holds {declared.gpus} GPU that computed {seen.gpu_busy:.0%} of the time: see what it waits for with a profiler trace"


def _rounded(peak: int) -> str:
    """Half as much again as the peak, in whole GiB or half ones, as people write it."""
    wanted = peak * ROOM
    step = 2**30 if wanted > 4 * 2**30 else 2**29 if wanted > 2**29 else 2**26
    mebibytes = math.ceil(wanted / step) * step >> 20
    return f"{mebibytes >> 10}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
