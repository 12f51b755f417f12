"""What a process with its children uses, sampled while it works: memory of the whole tree, and of its GPUs what the driver says."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.compute.machine import read_gpu

if TYPE_CHECKING:
    import psutil

EVERY_S = 0.25


@dataclass(kw_only=True, slots=True)
class Usage:
    """The most that was seen so far.

    Attributes:
        placement: Where it runs: ``in_process``, ``subprocess`` or ``kubernetes``.
        gpus: UUIDs of the GPUs that it holds.
        peak_rss_bytes: Most memory of the process and its children together.
        peak_gpu_bytes: Most memory in use on its GPUs together.
    """

    placement: str = "in_process"
    gpus: Sequence[str] = ()
    peak_rss_bytes: int = 0
    peak_gpu_bytes: int = 0
    _busy: list[float] = field(default_factory=list)

    @property
    def gpu_busy(self) -> float | None:
        """Mean share of the time in which its GPUs computed, 0 to 1; None without."""
        return sum(self._busy) / len(self._busy) if self._busy else None

    def look(self, root: "psutil.Process") -> None:
        """Take one sample."""
        self.peak_rss_bytes = max(self.peak_rss_bytes, tree_bytes(root))
        seen = [one for name in self.gpus if (one := read_gpu(name)) is not None]
        if seen:
            self._busy.append(sum(one.busy for one in seen) / len(seen))
            self.peak_gpu_bytes = max(self.peak_gpu_bytes, sum(one.memory_bytes for one in seen))


PRESENT = Usage()
"""Of this process; replaced where a worker begins."""


def present() -> Usage:
    """What this process is known to use."""
    return PRESENT


@contextmanager
def sampling(placement: str, gpus: Sequence[str] = ()) -> Iterator[Usage]:
    """Sample this process and its children while the block lasts."""
    global PRESENT  # noqa: PLW0603 - one a process, as the process is
    import psutil

    usage, before, done = Usage(placement=placement, gpus=gpus), PRESENT, threading.Event()
    root = psutil.Process()

    def sample() -> None:
        while not done.wait(EVERY_S):
            usage.look(root)

    thread = threading.Thread(target=sample, daemon=True, name="lakeline-usage")
    PRESENT = usage
    thread.start()
    try:
        yield usage
    finally:
        done.set()
        thread.join()
        usage.look(root)
        PRESENT = before


def tree_bytes(root: "psutil.Process") -> int:
    """Resident memory of a process and its children. Pages that they share count once for each."""
    import psutil

    total = 0
    with suppress(psutil.NoSuchProcess):
        for one in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


def own_bytes(root: "psutil.Process") -> int:
    """The same with shared pages counted once, as a cgroup counts them; on systems that do not say, `tree_bytes`."""
    import psutil

    total = 0
    with suppress(psutil.NoSuchProcess):
        for one in (root, *root.children(recursive=True)):
            share = _proportional(one.pid)
            if share is None:
                return tree_bytes(root)
            total += share
    return total


def _proportional(pid: int) -> int | None:
    """A process's share of the pages that it maps; 0 for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0 if Path("/proc/self").exists() else None
    except OSError:
        return None
    line = next((row for row in text.splitlines() if row.startswith("Pss:")), None)
    return int(line.split()[1]) * 1024 if line else 0
