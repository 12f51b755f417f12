"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(probe: Callable[[], T], *, within_s: float = 20.0, every_s: float = 0.05) -> T:
    """The probe's first true value.

    Raises:
        TimeoutError: It has none in time; the message has the last one.
    """
    deadline = time.monotonic() + within_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not so after {within_s} s, still {value!r}")
        time.sleep(every_s)
    return value
