"""The process that builds one asset for another: ``python -m lakeline.domain.worker``, told what to do through Dagster Pipes."""

import importlib
import importlib.util
import logging
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dagster_pipes import open_dagster_pipes

from lakeline.collecting import importing
from lakeline.compute.errors import UnfoundAssetError
from lakeline.compute.machine import gpu_names
from lakeline.compute.processes import end_with_parent
from lakeline.compute.task import Task, unpacked
from lakeline.compute.usage import sampling
from lakeline.domain.loading import load_domain
from lakeline.domain.node import nodes
from lakeline.domain.remote import Message, RemoteContext, failure_message, message_of
from lakeline.meter import Meter

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

    from lakeline.domain.node import Node

FAILED = 3
"""Exit code of a worker that has said why it failed."""


def main() -> int:
    """Build what the task says, and tell everything through Pipes."""
    with open_dagster_pipes() as pipes:
        task = Task.from_json(pipes.extras["task"])
        if task.placement == "subprocess":
            end_with_parent()
        else:
            unwind_when_asked()
        try:
            # In a pod the cluster has chosen the GPUs, and shows no others.
            gpus = task.gpus or (gpu_names() if task.asks_gpu else ())
            with _logging_to(pipes), sampling(task.placement, gpus):
                meter = Meter()
                _build(pipes, task)
                pipes.report_custom_message(_usage(meter))
        except Exception as error:  # noqa: BLE001 - whatever a function raises is told to the run, in its own words
            text = traceback.format_exc()
            sys.stderr.write(text)
            pipes.report_custom_message(failure_message(error, text))
            return FAILED
    return 0


def unwind_when_asked() -> None:
    """In a pod: leave at SIGTERM, taking away on the way out what was staged.

    The first process of a container ignores the signal otherwise, and is killed when the grace is over.
    """

    def leave(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)


def _usage(meter: Meter) -> Message:
    """What the whole build used."""
    cost = meter.cost()
    return {
        "kind": "usage",
        "wall_s": (cost.ended_ts - cost.started_ts).total_seconds(),
        "cpu_s": round(cost.cpu_s, 2),
        "peak_rss_bytes": cost.peak_rss_bytes,
        "gpu_s": round(cost.gpu_s, 2),
        "gpu_busy": cost.gpu_busy,
        "peak_gpu_bytes": cost.peak_gpu_bytes,
    }


def _build(pipes: "PipesContext", task: Task) -> None:
    node = _find(task)
    with ExitStack() as held:
        context = RemoteContext(
            task=task,
            resources=SimpleNamespace(**_resources(task, node, held)),
            log=pipes.log,
            send=pipes.report_custom_message,
        )
        for event in node.extras["run"](context):
            pipes.report_custom_message(message_of(event))


def _find(task: Task) -> "Node":
    """What the domain knows of the asset, once the module of its function, or else its whole domain, is imported.

    Raises:
        UnfoundAssetError: Neither declares it.
    """
    try:
        with importing():
            _import(task.module, Path(task.file) if task.file else None)
            if task.asset not in nodes() and task.package:
                load_domain(importlib.import_module(task.package))
    except ModuleNotFoundError as error:
        raise UnfoundAssetError(task.asset, task.module, str(error)) from error
    found = nodes().get(task.asset)
    if found is None:
        raise UnfoundAssetError(task.asset, task.module, "importing it does not declare the asset")
    return found


def _import(name: str, file: Path | None) -> None:
    """Import a module by its name; one that has none, such as a script, from its file."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name) or file is None:
            raise
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def _resources(task: Task, node: "Node", held: ExitStack) -> Mapping[str, Any]:
    """What the asset asks for: as the run has it, or, in another place than the run's, as the code location defines it there."""
    if task.resources is not None:
        return unpacked(task.resources)
    import dagster as dg

    from lakeline.domain.location import resources_of

    defined = resources_of(task.definitions)
    keys = node.extras["resources"]
    built = held.enter_context(dg.build_resources({key: defined[key] for key in keys}))
    return {key: getattr(built, key) for key in keys}


@contextmanager
def _logging_to(pipes: "PipesContext") -> Iterator[None]:
    """Send what lakeline and the project log to the run's log."""
    root = logging.getLogger()
    handler = _ToRun(pipes)
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


class _ToRun(logging.Handler):
    """Hands records of INFO and above on, other packages' only from WARNING on."""

    def __init__(self, pipes: "PipesContext") -> None:
        super().__init__(logging.INFO)
        self.pipes = pipes

    def emit(self, record: logging.LogRecord) -> None:
        is_ours = record.name.partition(".")[0] in {"lakeline", "assets", "root"}
        if is_ours or record.levelno >= logging.WARNING:
            self.pipes.log.log(record.levelno, record.getMessage())


if __name__ == "__main__":
    sys.exit(main())
