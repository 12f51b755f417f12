"""How much work may be under way, and how patiently a failure is tried again."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BUDGET = "lakeline/budget"
"""Name of the sensor's metadata that holds its budget."""

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

    def as_json(self) -> dict[str, Any]:
        """As the sensor's metadata holds it, so that the command line reckons with the same."""
        pauses = [pause.total_seconds() for pause in self.pauses]
        return {"runs": self.runs, "cpu_s_a_day": self.cpu_s_a_day, "attempts": self.attempts, "pauses_s": pauses}  # fmt: skip

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Budget":
        """What `as_json` wrote.

        >>> Budget.from_json(Budget(runs=3).as_json()) == Budget(runs=3)
        True
        """
        pauses = tuple(dt.timedelta(seconds=pause) for pause in said["pauses_s"])
        return cls(runs=said["runs"], cpu_s_a_day=said["cpu_s_a_day"], attempts=said["attempts"], pauses=pauses)  # fmt: skip
