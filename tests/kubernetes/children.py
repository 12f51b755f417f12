"""Servers as child processes, each with a log in a shared folder."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

READY_S = 90.0


class Children:
    """Named processes.

    Args:
        folder: Where they run, and where their logs are.
        env: Their whole environment.
    """

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.env = dict(env)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str | Path], **env: str) -> None:
        """Start a process in a session of its own."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, name: str, probe: Callable[[], object]) -> None:
        """Return once the probe of a process says so; an error is a no.

        Raises:
            RuntimeError: A process ended, or this one is not ready in time; the message has the end of its log.
        """
        deadline = time.monotonic() + READY_S
        while not _answers(probe):
            for other, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{other} ended: {self.log(other)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not ready after {READY_S} s: {self.log(name)}")
            time.sleep(0.1)

    def log(self, name: str) -> str:
        """The last of what a process printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def resident_mb(self) -> dict[str, int]:
        """Resident memory of each."""
        pages = {
            name: int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            for name, process in self.processes.items()
        }
        return {name: count * os.sysconf("SC_PAGE_SIZE") >> 20 for name, count in pages.items()}

    def stop(self) -> None:
        """Kill them, last started first, with the sessions they lead: nothing of theirs is worth a graceful end."""
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()


def _answers(probe: Callable[[], object]) -> bool:
    try:
        return bool(probe())
    except Exception:  # noqa: BLE001 - every client has its own family
        return False
