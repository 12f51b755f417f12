"""Making things ready ahead, in a thread: reading and encoding leave the interpreter, so that training goes on meanwhile."""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_S = 0.1


@dataclass
class Prefetched(Generic[T]):
    """An iterator whose next values are made in a thread, in the same order.

    What fails in the thread is raised where the value would have been. The thread ends when the iterator does, or when
    :meth:`close` is called; nothing is left behind either way.

    Attributes:
        waited_s: Time that its user waited for values so far.
    """

    source: Iterator[T]
    ahead: int
    waited_s: float = 0.0
    _ready: "queue.Queue[tuple[T | None, BaseException | None]]" = field(init=False, repr=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._ready = queue.Queue(maxsize=max(1, self.ahead))

    def __iter__(self) -> Iterator[T]:
        """The values; once."""
        if not self.ahead:
            yield from self._timed()
            return
        self._thread = threading.Thread(target=self._make, name="prefetch", daemon=True)
        self._thread.start()
        try:
            while (value := self._next()) is not None:
                yield value
        finally:
            self.close()

    def close(self) -> None:
        """End the thread and wait for it; twice is as once."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _timed(self) -> Iterator[T]:
        while True:
            begun_s = time.perf_counter()
            value = next(self.source, None)
            self.waited_s += time.perf_counter() - begun_s
            if value is None:
                return
            yield value

    def _next(self) -> T | None:
        begun_s = time.perf_counter()
        value, error = self._ready.get()
        self.waited_s += time.perf_counter() - begun_s
        if error is not None:
            raise error
        return value

    def _make(self) -> None:
        try:
            for value in self.source:
                if not self._offer((value, None)):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            self._offer((None, error))
            return
        self._offer((None, None))

    def _offer(self, item: tuple[T | None, BaseException | None]) -> bool:
        """Whether it was taken before the user stopped."""
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=PATIENCE_S)
            except queue.Full:
                continue
            return True
        return False
