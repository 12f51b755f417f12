"""What a piece of work cost this process and its children: wall and CPU seconds, memory, and what it used of GPUs."""

import datetime as dt
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.compute.usage import present

if TYPE_CHECKING:
    from lakeline.ledger import Cost


_STATUS = Path("/proc/self/status")
_HIGH_WATER = Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Set the kernel's mark of the most memory held to what is held now; only Linux can."""
    with suppress(OSError):
        _HIGH_WATER.write_text("5")


def peak_rss_bytes() -> int:
    """The most memory held since `reset_peak`, or since the process began where the system has no such mark."""
    with suppress(OSError, StopIteration):
        line = next(row for row in _STATUS.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """Started when it is made, read with `cost`."""

    started_ts: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    cpu_s: float = field(default_factory=lambda: _cpu_s())  # noqa: PLW0108

    def __post_init__(self) -> None:
        reset_peak()

    def cost(self) -> "Cost":
        """What was used since the start."""
        from lakeline.ledger import Cost

        usage, ended_ts = present(), dt.datetime.now(dt.UTC)
        return Cost(
            started_ts=self.started_ts,
            ended_ts=ended_ts,
            cpu_s=_cpu_s() - self.cpu_s,
            peak_rss_bytes=max(peak_rss_bytes(), usage.peak_rss_bytes),
            gpu_s=len(usage.gpus) * (ended_ts - self.started_ts).total_seconds(),
            gpu_busy=usage.gpu_busy,
            peak_gpu_bytes=usage.peak_gpu_bytes,
            placement=usage.placement,
        )


def _cpu_s() -> float:
    """Processor time of this process and of its children that have ended, seconds."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
