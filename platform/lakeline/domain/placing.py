"""Runs the body of an asset where its `Compute` says: here, in a process of its own, or in a pod.

This is the body of the step itself, so it holds whoever launched the run: the UI, a backfill, a sensor, a schedule, a job
or the command line. Dagster's own way, a tag that the executor reads, is lost on some of them.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.compute.declaration import Compute
from lakeline.compute.errors import OutOfMemoryError, WorkerLostError
from lakeline.compute.gpus import claimed
from lakeline.compute.pools import ensure_pools, limits_of
from lakeline.compute.processes import Ending, Limits, run_limited
from lakeline.compute.sizing import Seen, advice
from lakeline.compute.task import Task, packed
from lakeline.domain.build import as_failure, window_of
from lakeline.domain.location import location_of
from lakeline.domain.node import Node
from lakeline.domain.remote import Message, events_of, raise_failure
from lakeline.domain.results import skipped
from lakeline.domain.selection import to_build
from lakeline.errors import ComputeError
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse

WORKER = "lakeline.domain.worker"
Run = Callable[[dg.AssetExecutionContext], Iterator[Any]]


def placed(context: dg.AssetExecutionContext, node: Node, run: Run) -> Iterator[Any]:
    """Run the body of an asset where it belongs."""
    compute: Compute | None = node.extras.get("compute")
    if compute is None:
        yield from run(context)
        return
    with as_failure(context):
        house: Lakehouse = context.resources.lakehouse
        # A deployment that nobody prepared learns its limits from the first run.
        ensure_pools(context.instance, limits_of({node.asset: compute}, is_local=house.compute == "local"))  # fmt: skip
        keys = _idle(context, node, house)
        if keys:
            yield from skipped(context, keys, house.ledger.current(node.asset, keys))
        elif house.compute == "kubernetes":
            from lakeline.domain.pods import in_pod

            yield from in_pod(context, node, compute)
        else:
            yield from _in_process(context, node, compute)


def task_of(context: dg.AssetExecutionContext, node: Node, **fields: Any) -> Task:
    """What a worker is told of this step.

    Args:
        context: Of the step.
        node: The asset.
        fields: Where it runs, and with what.
    """
    module = inspect.getmodule(inspect.unwrap(node.function))
    window = window_of(context, node)
    keys = window.partitions if window is not None else None
    return Task(
        asset=node.asset,
        module=_module_name(module),
        package=node.extras.get("package", ""),
        file=str(Path(module.__file__).absolute()) if module and module.__file__ else "",
        run_id=context.run.run_id,
        tags=dict(context.run.tags),
        partitions=(keys[0], keys[-1]) if keys else None,
        config=dict(context.op_execution_context.op_config or {}),
        definitions=location_of(context.run),
        **fields,
    )


def _idle(context: dg.AssetExecutionContext, node: Node, house: "Lakehouse") -> list[str]:
    """The partitions of a run that has nothing to build, so that no process is started to find that out.

    Empty where there is something, or only reading a source could tell.
    """
    config = node.extras.get("config")
    is_asked = config is not None and config(**context.op_execution_context.op_config) != config()
    if node.source is not None or is_asked:
        return []
    window = window_of(context, node)
    keys = list(window.partitions) if window is not None else [WHOLE]
    return [] if to_build(house.ledger, node, keys, context.run.tags) else keys


def _in_process(context: dg.AssetExecutionContext, node: Node, compute: Compute) -> Iterator[Any]:
    """In a process of its own on this machine, within the limits."""
    house: Lakehouse = context.resources.lakehouse
    notes: list[str] = []

    def note(said: str) -> None:
        notes.append(said)
        context.log.info("%s", said)

    held = {key: getattr(context.resources, key) for key in node.extras["resources"]}
    given = {"placement": "subprocess", "asks_gpu": compute.gpus > 0}
    with claimed(compute, node.asset, Path(house.locks) / "gpus", note=note) as gpus:
        task = task_of(context, node, gpus=gpus, resources=packed(node.asset, held), **given)
        ending, messages = _run(context, task, compute)
    also = {"placement": "a process of its own"}
    also |= {"placement_note": "; ".join(notes)} if notes else {}
    also |= {"gpu": ", ".join(gpus)} if gpus else {}
    fault = _fault(node.asset, compute, ending)
    yield from concluded(context, node, messages, also, fault)


def concluded(
    context: dg.AssetExecutionContext,
    node: Node,
    messages: Sequence[Message],
    also: Mapping[str, Any],
    fault: ComputeError | None,
) -> Iterator[Any]:
    """What a worker told, as this run's events, with what it used; fails as the worker did.

    Args:
        context: Of the step.
        node: The asset.
        messages: Of the worker, in order.
        also: Shown with the materialization.
        fault: What is wrong with how the worker ended; where it has failed by itself, its own words are better.

    Raises:
        dagster.Failure, RemoteError: The body failed.
        ComputeError: The worker did not end well, or nothing came of it.
    """
    yield from events_of(context, node.asset, messages, {**also, **used(node, messages)})
    raise_failure(node.asset, messages)
    if fault is not None:
        raise fault
    if not any(one["kind"] in {"result", "skipped"} for one in messages):
        raise WorkerLostError(
            node.asset, "worker", "ended without a result, so its last words were lost"
        )


def used(node: Node, messages: Sequence[Message]) -> dict[str, Any]:
    """What was declared and what a worker says that it used, for the UI; with advice where the two are far apart."""
    compute: Compute = node.extras["compute"]
    shown: dict[str, Any] = {"declared": str(compute)}
    for one in (one for one in messages if one["kind"] == "usage"):
        shown |= {"cpu_s": one["cpu_s"], "peak_memory_mib": round(one["peak_rss_bytes"] / 2**20)}
        if one["gpu_s"]:
            shown |= {"gpu_s": one["gpu_s"], "gpu_busy": one["gpu_busy"], "peak_gpu_memory_mib": round(one["peak_gpu_bytes"] / 2**20)}  # fmt: skip
        cores = one["cpu_s"] / max(one["wall_s"], 1e-3)
        seen = Seen(peak_rss_bytes=one["peak_rss_bytes"], cores=cores, gpu_busy=one["gpu_busy"])
        shown |= {"size": "; ".join(said)} if (said := advice(compute, seen)) else {}
    return shown


def _run(
    context: dg.AssetExecutionContext, task: Task, compute: Compute
) -> tuple[Ending, Sequence[Message]]:
    from dagster._core.pipes.utils import (
        PipesTempFileContextInjector,
        PipesTempFileMessageReader,
        open_pipes_session,
    )

    limits = Limits(cpu=compute.cpu, memory_bytes=compute.memory_bytes)
    with open_pipes_session(
        context=context,
        extras={"task": task.to_json()},
        context_injector=PipesTempFileContextInjector(),
        message_reader=PipesTempFileMessageReader(),
    ) as session:
        env = {
            **os.environ,
            **_visible(task.gpus),
            **_path(),
            **session.get_bootstrap_env_vars(),
        }
        ending = run_limited([sys.executable, "-m", WORKER], env=env, limits=limits)
    return ending, session.get_custom_messages()


def _fault(asset: str, compute: Compute, ending: Ending) -> ComputeError | None:
    """What is wrong with how a process ended; None where it ended well."""
    if ending.reason == "memory":
        seen = f"when it held {ending.peak_bytes / 2**20:,.0f} MiB"
        return OutOfMemoryError(asset, str(compute.memory), seen, "process")
    if ending.code == -signal.SIGKILL:
        how = "was ended by signal 9, as the system does when the machine runs out of memory"
        return WorkerLostError(asset, "process", how)
    if ending.code < 0:
        return WorkerLostError(asset, "process", f"was ended by signal {-ending.code}")
    if ending.code:
        return WorkerLostError(asset, "process", f"ended with code {ending.code}, see its stderr")
    return None


def _visible(gpus: Sequence[str]) -> dict[str, str]:
    """Only the GPUs that were given; none else, for a library takes every GPU that it sees."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}


def _path() -> dict[str, str]:
    """What is importable here is importable there."""
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(one or str(Path.cwd()) for one in sys.path))
    }


def _module_name(module: Any) -> str:
    return module.__name__ if module is not None else "__main__"
