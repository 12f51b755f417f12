"""A command run as a child that cannot outlive its parent, use more memory than it may, or leave anything behind."""

import contextlib
import math
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import psutil

from lakeline.compute.machine import usable_cores
from lakeline.compute.usage import own_bytes, tree_bytes

LOOK_EVERY_S = 0.05
"""Between two looks at the memory: what fills 1 GiB a second passes its limit by 50 MiB at most."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a command may use.

    Attributes:
        cpu: Cores, of which parts are rounded up; None for all.
        memory_bytes: Of the command and its children; None for all.
        grace_s: Time between asking it to end and ending it.
    """

    cpu: float | None = None
    memory_bytes: int | None = None
    grace_s: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a command ended.

    Attributes:
        reason: ``exited`` by itself, or for its ``memory``.
        code: Exit code; below 0 the signal that ended it.
        peak_bytes: Most memory that was seen.
    """

    reason: Literal["exited", "memory"]
    code: int
    peak_bytes: int


@dataclass(kw_only=True)
class _Watched:
    process: "subprocess.Popen[bytes]"
    limits: Limits
    root: psutil.Process = field(init=False)
    peak_bytes: int = 0

    def __post_init__(self) -> None:
        self.root = psutil.Process(self.process.pid)

    def is_over(self) -> bool:
        """Whether it holds more than it may. Counting shared pages once costs more, and is done near the limit alone."""
        held = tree_bytes(self.root)
        limit = self.limits.memory_bytes
        if limit is not None and held > limit:
            held = own_bytes(self.root)
        self.peak_bytes = max(self.peak_bytes, held)
        return limit is not None and held > limit


def run_limited(
    command: Sequence[str], *, env: Mapping[str, str], limits: Limits, cwd: str | None = None
) -> Ending:
    """Run a command to its end. Whatever interrupts the wait ends the command with all its children first.

    The command's standard input is a pipe that nothing is written to: it closes when this process dies, however it
    dies, and `end_with_parent` makes a Python command end then.

    Args:
        command: Program and arguments.
        env: Its whole environment; threads are set from ``limits``.
        limits: What it may use.
        cwd: Where it runs.
    """
    with _started(command, env=dict(env) | _threads(limits), limits=limits, cwd=cwd) as watched:
        while watched.process.poll() is None:
            if watched.is_over():
                end_tree(watched.process, grace_s=0)
                return Ending(
                    reason="memory", code=watched.process.wait(), peak_bytes=watched.peak_bytes
                )
            _wait(watched.process, LOOK_EVERY_S)
        return Ending(
            reason="exited", code=watched.process.returncode, peak_bytes=watched.peak_bytes
        )


@contextlib.contextmanager
def _started(
    command: Sequence[str], *, env: Mapping[str, str], limits: Limits, cwd: str | None
) -> Iterator[_Watched]:
    process = subprocess.Popen(  # noqa: S603 - of our own making
        command, env=dict(env), cwd=cwd, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        _pin(process.pid, limits.cpu)
        yield _Watched(process=process, limits=limits)
    finally:
        end_tree(process, grace_s=limits.grace_s)
        if process.stdin is not None:
            process.stdin.close()


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


def _threads(limits: Limits) -> dict[str, str]:
    """As many threads as cores, for the libraries that would take one for each core of the machine."""
    if limits.cpu is None:
        return {}
    return dict.fromkeys(THREAD_VARIABLES, str(math.ceil(limits.cpu)))


def _pin(pid: int, cpu: float | None) -> None:
    """Let a process run on as many cores as it may use, the first of them chosen by its number; Linux alone can."""
    cores = usable_cores()
    wanted = len(cores) if cpu is None else min(math.ceil(cpu), len(cores))
    if wanted == len(cores) or not hasattr(os, "sched_setaffinity"):
        return
    first = pid % len(cores)
    with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(pid, {cores[(first + i) % len(cores)] for i in range(wanted)})


def end_tree(process: "subprocess.Popen[bytes]", *, grace_s: float) -> None:
    """End a process and everything that it started: asked first, with time to say farewell, then by force.

    Nothing where all are gone. Children that have left the process's session are found too.
    """
    family = family_of(process)
    if process.poll() is None and grace_s > 0:
        _signal([one for one in family if one.pid == process.pid], signal.SIGTERM)
        _wait(process, grace_s)
        family = [*family, *family_of(process)]
    _signal(family, signal.SIGKILL)
    psutil.wait_procs([one for one in family if one.pid != process.pid], timeout=5)
    process.wait()


def family_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """A process and its descendants, and what else is left of its session."""
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        found = {one.pid: one for one in (root, *root.children(recursive=True))}
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if one.pid not in found and os.getsid(one.pid) == process.pid:
                found[one.pid] = one
    return list(found.values())


def _signal(family: Sequence[psutil.Process], number: signal.Signals) -> None:
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def end_with_parent() -> None:
    """In a command of `run_limited`: end it, with its children, when the process that started it dies."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 64):
                pass
        _signal(psutil.Process().children(recursive=True), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lakeline-parent").start()
