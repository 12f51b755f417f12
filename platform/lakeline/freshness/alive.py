"""Whether the process that does a run in itself still lives: Dagster watches over the runs that its daemon launched alone.

A command that is killed would leave its run under way for ever, and what it was to build would be waited for.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

PROCESS = "lakeline/process"
"""Run tag: where the process is, its number there, and when it began."""


def process_tag() -> dict[str, str]:
    """The tag of a run that this process does itself."""
    import psutil

    return {PROCESS: f"{_where()} {os.getpid()} {psutil.Process().create_time()}"}


def living(
    instance: "dg.DagsterInstance", runs: "Iterable[dg.DagsterRun]"
) -> "Iterator[dg.DagsterRun]":
    """The runs but those whose process is gone, which are told to have failed."""
    for run in runs:
        if _is_lost(run.tags.get(PROCESS, "")):
            instance.report_run_failed(run, "Its process was killed before it ended.")
        else:
            yield run


def _is_lost(tag: str) -> bool:
    """Whether a process of this machine is gone; of another machine's nobody here can tell."""
    import psutil

    where, _, rest = tag.partition(" ")
    if where != _where():
        return False
    number, _, began = rest.partition(" ")
    try:
        return str(psutil.Process(int(number)).create_time()) != began
    except psutil.NoSuchProcess:
        return True


def _where() -> str:
    """The machine, and within it the container, whose processes have numbers of their own."""
    space = ""
    with suppress(OSError):  # not on Linux
        space = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}/{space}"
