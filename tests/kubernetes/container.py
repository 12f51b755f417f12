"""One container of a pod as a process of this machine, with its output and its state."""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tests.kubernetes import sessions
from tests.kubernetes.api import Manifest
from tests.kubernetes.environment import expand
from tests.kubernetes.quantities import number, timestamp


class Container:
    """A container that may be started, and started again.

    Attributes:
        state: The ``state`` of its entry in ``containerStatuses``.
        lines: What it printed, with the time of each line; both streams in one, as they came.
        changed: Notified when it prints or ends.
    """

    def __init__(self, spec: Manifest, *, pod_uid: str, waiting: str) -> None:
        self.spec, self.name = spec, str(spec["name"])
        self.state: Manifest = {"waiting": {"reason": waiting}}
        self.last_state: Manifest = {}
        self.lines: list[tuple[datetime, bytes]] = []
        self.changed = threading.Condition()
        self.restarts = 0
        limit = spec.get("resources", {}).get("limits", {}).get("memory")
        self.memory_limit = number(limit) if limit else None
        self._uid, self._is_oom_killed = pod_uid, False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process runs, as far as was seen."""
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """What it ended with, or None while it has not."""
        code: int | None = self.state.get("terminated", {}).get("exitCode")
        return code

    @property
    def leader(self) -> int | None:
        """Its first process, which leads its session."""
        return self._process.pid if self._process and self.is_running else None

    def start(self, env: Mapping[str, str], folder: Path) -> None:
        """Start its command, or end with ``StartError`` where that cannot be."""
        words = [*self.spec.get("command", []), *self.spec.get("args", [])]
        words = [expand(word, env) for word in words]
        program = shutil.which(words[0], path=env.get("PATH", "")) if words else None
        self._started, self._is_oom_killed = timestamp(), False
        if program is None:
            missing = words[0] if words else "no command"
            self._end(128, "StartError", f"exec: {missing}: executable file not found in $PATH")
            return
        try:
            self._process = subprocess.Popen(
                [program, *words[1:]],
                env=env,
                cwd=self.spec.get("workingDir") or folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._end(128, "StartError", str(error))
            return
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        self.state = {"running": {"startedAt": self._started}}

    def has_ended(self) -> bool:
        """True once after each end. What its first process leaves behind is killed, as with a container."""
        if self._process is None or not self.is_running or self._process.poll() is None:
            return False
        sessions.kill(self._process.pid)
        self._reader.join(5)  # what left the session may still hold the pipe
        code = self._process.returncode
        code = code if code >= 0 else 128 - code
        self._end(code, "OOMKilled" if self._is_oom_killed else "Error" if code else "Completed")
        return True

    def again(self) -> None:
        """Get ready for another start."""
        self.restarts += 1
        self.last_state = self.state
        self.state = {"waiting": {"reason": "CrashLoopBackOff"}}

    def terminate(self) -> None:
        """SIGTERM to the first process alone, as a container runtime does it."""
        if self._process and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        if self._process:
            sessions.kill(self._process.pid)

    def kill_over_limit(self, pids: list[int]) -> None:
        """Kill it where its processes hold more memory than its limit."""
        limit = self.memory_limit
        if limit and sessions.resident_bytes(pids) > limit < sessions.charged_bytes(pids):
            self._is_oom_killed = True
            self.kill()

    def status(self) -> Manifest:
        """Its entry in ``containerStatuses``."""
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": f"local://{self.spec['image']}",
            "containerID": f"local://{self._uid}/{self.name}/{self.restarts}",
            "restartCount": self.restarts,
            "ready": self.is_running,
            "started": self.is_running,
            "state": self.state,
            "lastState": self.last_state,
        }

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                with self.changed:
                    self.lines.append((datetime.now(UTC), line))
                    self.changed.notify_all()

    def _end(self, code: int, reason: str, message: str = "") -> None:
        ended = {"exitCode": code, "reason": reason, "message": message}
        self.state = {
            "terminated": {**ended, "startedAt": self._started, "finishedAt": timestamp()}
        }
        with self.changed:
            self.changed.notify_all()
