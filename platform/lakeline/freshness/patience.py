"""Several tasks at once that may hang, each in a thread of its own, waited for so long and no longer.

A connection that never answers must not keep a sensor's tick from everything else. What does not end in time goes on
in its thread and is not started again before it has ended; its result is not looked at.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


class PatienceError(TimeoutError):
    """A task did not end in time."""

    def __init__(self, within_s: float) -> None:
        super().__init__(f"no answer within {within_s:g} s")


@dataclass(kw_only=True)
class Patience(Generic[T]):
    """Runs tasks side by side and waits ``within_s`` seconds for all of them together."""

    within_s: float
    _busy: dict[str, threading.Thread] = field(default_factory=dict)

    def run(self, tasks: Mapping[str, Callable[[], T]]) -> dict[str, T | Exception]:
        """What each task returned or raised, by its name; `PatienceError` for one that still runs."""
        found: dict[str, T | Exception] = {}

        def work(name: str, task: Callable[[], T]) -> None:
            try:
                found[name] = task()
            except Exception as error:  # noqa: BLE001 - the caller is told, whatever it is
                found[name] = error

        self._busy = {name: one for name, one in self._busy.items() if one.is_alive()}
        for name, task in tasks.items():
            if name not in self._busy:
                self._busy[name] = threading.Thread(target=work, args=(name, task), daemon=True)
                self._busy[name].start()
        ends = time.monotonic() + self.within_s
        for name in tasks:
            self._busy[name].join(max(0.0, ends - time.monotonic()))
        late = PatienceError(self.within_s)
        return {name: found.get(name, late) for name in tasks}
