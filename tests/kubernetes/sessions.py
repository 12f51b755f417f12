"""The processes of a container: all of one session, which its first process leads."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Collection
from pathlib import Path

_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def members(leaders: Collection[int]) -> dict[int, list[int]]:
    """Live processes of each leader's session; sessions without any are left out."""
    found: dict[int, list[int]] = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):  # noqa: PTH208
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            session = os.getsid(pid)
            if session in leaders and _state(pid) not in "ZX":
                found.setdefault(session, []).append(pid)
    return found


def resident_bytes(pids: Collection[int]) -> int:
    """Resident memory, with what processes share counted for each: an upper bound, and quick to read."""
    return sum(_stat(pid, 21) for pid in pids) * os.sysconf("SC_PAGE_SIZE")


def charged_bytes(pids: Collection[int]) -> int:
    """Resident memory, with what processes share divided among them: what a cgroup would charge."""
    return sum(_proportional(pid) for pid in pids)


def kill(leader: int) -> None:
    """Kill a whole session; returns when none is left."""
    while pids := members({leader}).get(leader):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _stat(pid: int, field: int) -> int:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[field])
    return 0


def _proportional(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError, PermissionError):
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0
