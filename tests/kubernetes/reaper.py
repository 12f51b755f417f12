"""Ends every process that the tests started, also where the tests themselves are killed.

The processes carry a variable in their environment. Run as a script, this waits until its standard input ends,
which its parent's death brings about too, and then kills all that carry it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "LAKELINE_TEST_RUN"


@contextmanager
def marked() -> Iterator[dict[str, str]]:
    """A variable for the environment of children; no process that carries it is left at the end."""
    name = uuid.uuid4().hex
    script = [sys.executable, "-I", "-S", __file__, name]
    reaper = subprocess.Popen(script, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield {MARK: name}
    finally:
        reaper.communicate()


def carriers(name: str) -> list[int]:
    """Live processes that carry the mark."""
    word = f"{MARK}={name}".encode()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _has(pid, word)]  # noqa: PTH208


def _has(pid: int, word: bytes) -> bool:
    try:
        return word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or is another user's
        return False


def _reap(name: str) -> None:
    while found := carriers(name):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    sys.stdin.read()
    _reap(sys.argv[1])
