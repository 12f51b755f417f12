"""Making things ready ahead, in a thread: reading and encoding leave the interpreter, so that training goes on meanwhile."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Prefetched(Generic[T]):
    """An iterator whose next values are made in a thread, in the same order.

    What fails in the thread is raised where the value would have been.

    Attributes:
        source: Gives the values; None is no value.
        ahead: Values that are made before they are asked for; 0 makes each in the thread that asks.
        pool: One thread, which several may use one after another: memory that a thread of the C library's allocator gave
            back is found again by the same thread alone.
        waited_s: Time that its user waited for values so far.
    """

    source: Iterator[T]
    ahead: int
    pool: ThreadPoolExecutor
    waited_s: float = 0.0
    _coming: "deque[Future[T | None]]" = field(default_factory=deque, init=False, repr=False)

    def __iter__(self) -> Iterator[T]:
        """The values; once."""
        for _ in range(self.ahead):
            self._ask()
        while (value := self._next()) is not None:
            yield value

    def close(self) -> None:
        """Make no more values, and wait for the one that is being made; twice is as once."""
        coming = list(self._coming)
        self._coming.clear()
        for one in reversed(coming):
            if not one.cancel():
                one.exception()  # waits, and leaves what failed to whoever asks for it

    def _ask(self) -> None:
        self._coming.append(self.pool.submit(next, self.source, None))

    def _next(self) -> T | None:
        begun_s = time.perf_counter()
        try:
            if not self.ahead:
                return next(self.source, None)
            value = self._coming.popleft().result()
            self._ask()
            return value
        finally:
            self.waited_s += time.perf_counter() - begun_s
