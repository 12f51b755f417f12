"""What a piece of work cost this process: wall and CPU seconds, and the most memory it ever held."""

import datetime as dt
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeline.ledger import Cost


def peak_rss_bytes() -> int:
    """The most memory this process has held since it began; the system keeps no peak for a part of its life."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """Started when it is made, read with `cost`."""

    started_ts: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    cpu_s: float = field(default_factory=time.process_time)

    def cost(self) -> "Cost":
        """What was used since the start."""
        from lakeline.ledger import Cost

        return Cost(
            started_ts=self.started_ts,
            ended_ts=dt.datetime.now(dt.UTC),
            cpu_s=time.process_time() - self.cpu_s,
            peak_rss_bytes=peak_rss_bytes(),
        )
