"""How much work may be under way, and how patiently a failure is tried again."""

import datetime as dt
from dataclasses import dataclass

_PAUSES = tuple(dt.timedelta(minutes=m) for m in (5, 15, 60, 240, 720, 1440, 2880))


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What reconciling may spend.

    Attributes:
        runs: Runs under way at once, those that people started included.
        cpu_s_a_day: Processor time of all builds of the last 24 hours, in seconds; None sets no limit.
        attempts: How often a partition is tried with equal inputs and code.
        pauses: Wait after the first failure, the second, and so on; the last one repeats.
    """

    runs: int = 2
    cpu_s_a_day: float | None = None
    attempts: int = 8
    pauses: tuple[dt.timedelta, ...] = _PAUSES

    def pause(self, failures: int) -> dt.timedelta:
        """Wait before the next attempt after so many failures.

        >>> Budget().pause(1)
        datetime.timedelta(seconds=300)
        """
        return self.pauses[min(failures, len(self.pauses)) - 1]
