"""A training on several processes of this machine, started by torchrun and ended with whoever started them.

Each process runs `lakeline.neural.worker` on the same job: it sees the same rows in the same order, takes its part of every
batch and averages its gradients with the others'. torchrun gives its workers sessions of their own, so that no signal to its
group reaches them: they hold on to a lock of ours instead, and end as soon as nobody holds it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from lakeline.models.table_rows import TableRows
from lakeline.models.training_set import TrainingSet
from lakeline.neural.errors import ProcessesError
from lakeline.neural.files import restore

if TYPE_CHECKING:
    from lakeline.models.rows import Rows
    from lakeline.models.surroundings import Report, Surroundings
    from lakeline.neural.model import NetworkModel
    from lakeline.neural.plan import Plan

JOB, ROWS, LOCK, LOGS = "job.json", "rows.arrow", "alive.lock", "logs"
PAYLOAD, DESCRIPTION, ERROR, HISTORY = "payload", "description.json", "error", "history.json"
MARK = "lakeline-report "
"""What a line of the first process begins with that is a report."""

PATIENCE_S = 10
LAST_LINES = 3


def fit_apart(rows: "Rows", plan: "Plan", *, name: str, around: "Surroundings") -> "NetworkModel":
    """What `lakeline.neural.fit.fit` gives, trained by ``plan.processes`` processes.

    Whatever ends this call, an error or a signal, no process is left.

    Raises:
        ProcessesError: One of them failed; it says with what.
    """
    with TemporaryDirectory(prefix="lakeline-training-") as scratch:
        folder = Path(scratch)
        _write_job(folder, rows, plan, name=name, around=around)
        with FileLock(folder / LOCK):
            code, said = _run(folder, plan, around.report)
        if not (folder / DESCRIPTION).is_file():
            raise ProcessesError(name, plan.processes, _why(folder, code, said))
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        model = restore(name, described, (folder / PAYLOAD).read_bytes())
    from dataclasses import replace

    return replace(model, history=tuple(history))


def read_job(folder: Path) -> tuple["Rows", dict[str, Any]]:
    """The rows of a job, and what else it says."""
    import datetime as dt

    import polars as pl

    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    told = job["rows"]
    if job["is_table"]:
        return TableRows.from_dict(told), job
    frame = pl.read_ipc(folder / ROWS)
    moments = {name: dt.datetime.fromisoformat(told[name]) for name in ("start", "end")}
    lists = {name: tuple(told[name]) for name in ("features", "categorical")}
    return TrainingSet(frame=frame, **{**told, **moments, **lists}), job


def _write_job(
    folder: Path, rows: "Rows", plan: "Plan", *, name: str, around: "Surroundings"
) -> None:
    if isinstance(rows, TrainingSet):
        kept = dict.fromkeys((*rows.features, rows.label, rows.at))
        rows.frame.select(list(kept)).write_ipc(folder / ROWS)
        told: Mapping[str, Any] = {
            "features": rows.features,
            "categorical": rows.categorical,
            "label": rows.label,
            "at": rows.at,
            "start": rows.start.isoformat(),
            "end": rows.end.isoformat(),
        }
    else:
        assert isinstance(rows, TableRows)
        told = rows.to_dict()
    job = {
        "name": name,
        "plan": asdict(plan),
        "rows": told,
        "is_table": isinstance(rows, TableRows),
        "checkpoints": around.checkpoints,
        "properties": dict(around.properties),
        "device": around.device,
    }
    # The folder is this user's alone: a table's properties may hold the keys of a bucket.
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")


def _run(folder: Path, plan: "Plan", report: "Report") -> tuple[int, list[str]]:
    """Run the processes to their end; the exit code of torchrun, and the last lines that were said."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nproc-per-node", str(plan.processes), "--max-restarts", "0"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"),  # a port that is free
        *("--local-addr", "127.0.0.1", "--log-dir", str(folder / LOGS)),
        *("-m", "lakeline.neural.worker", str(folder)),
    ]
    said: list[str] = []
    with _started(command, _environment(plan)) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        complaints = threading.Thread(target=_keep, args=(running.stderr, said), daemon=True)
        complaints.start()
        for line in running.stdout:
            if line.startswith(MARK):
                report(json.loads(line.removeprefix(MARK)))
        code = running.wait()
        complaints.join()
    return code, said


@contextmanager
def _started(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that leads a group of its own, which is ended with the block."""
    running = subprocess.Popen(  # noqa: S603 - our own words
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with running:
            try:
                yield running
            except BaseException:
                _end(running)
                raise
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(running.pid, signal.SIGKILL)


def _end(running: "subprocess.Popen[str]") -> None:
    """Ask torchrun to end its workers and itself, and insist where it does not."""
    running.terminate()
    try:
        running.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def _environment(plan: "Plan") -> dict[str, str]:
    told = {"OMP_NUM_THREADS": str(plan.threads), "PYTHONUNBUFFERED": "1"}
    # Host names need not resolve: all processes are on this machine.
    given = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    return {**given, **os.environ, **told}


def _keep(stream: IO[str], said: list[str]) -> None:
    for line in stream:
        said.append(line.strip())
        del said[:-200]


def _why(folder: Path, code: int, said: list[str]) -> str:
    error = folder / ERROR
    if error.is_file():
        return error.read_text(encoding="utf-8")
    # Of a worker that a signal ended, torchrun's summary says the rank and the signal.
    lines = [line for line in said if line.startswith(("rank", "exitcode", "traceback : Signal"))]
    return f"torchrun ended with code {code}. {' '.join(lines[-LAST_LINES:])}".strip()
