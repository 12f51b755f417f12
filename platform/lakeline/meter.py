"""What a piece of work cost this process: wall and CPU seconds, and the most memory it held meanwhile."""

import datetime as dt
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
    cpu_s: float = field(default_factory=time.process_time)

    def __post_init__(self) -> None:
        reset_peak()

    def cost(self) -> "Cost":
        """What was used since the start."""
        from lakeline.ledger import Cost

        return Cost(
            started_ts=self.started_ts,
            ended_ts=dt.datetime.now(dt.UTC),
            cpu_s=time.process_time() - self.cpu_s,
            peak_rss_bytes=peak_rss_bytes(),
        )
