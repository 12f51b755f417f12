"""Runs the body of an asset where its `Compute` says: here, in a process of its own, or in a pod.

This is the body of the step itself, so it holds whoever launched the run: the UI, a backfill, a sensor, a schedule, a job
or the command line. Dagster's own way, a tag that the executor reads, is lost on some of them.
"""

import inspect
import os
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
from lakeline.compute.task import Task, packed
from lakeline.domain.build import as_failure, window_of
from lakeline.domain.location import location_of
from lakeline.domain.node import Node
from lakeline.domain.remote import Message, events_of, raise_failure
from lakeline.domain.results import skipped
from lakeline.domain.selection import to_build
from lakeline.lake.partitions import WHOLE

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

    sent = packed(node.asset, {key: getattr(context.resources, key) for key in node.extras["resources"]})  # fmt: skip
    with claimed(compute, node.asset, Path(house.locks) / "gpus", note=note) as gpus:
        task = task_of(context, node, placement="subprocess", gpus=gpus, asks_gpu=compute.gpus > 0, spot=compute.spot, resources=sent)  # fmt: skip
        ending, messages = _run(context, task, compute)
    also = {"placement": "a process of its own", "declared": str(compute)}
    also |= {"placement_note": "; ".join(notes)} if notes else {}
    also |= {"gpu": ", ".join(gpus)} if gpus else {}
    yield from concluded(context, node.asset, messages, also)
    _require_end(node.asset, compute, ending)


def concluded(
    context: dg.AssetExecutionContext,
    asset: str,
    messages: Sequence[Message],
    also: Mapping[str, Any],
) -> Iterator[Any]:
    """What a worker told, as this run's events, with what it used; fails as the worker did.

    Raises:
        dagster.Failure, RemoteError: The body failed.
    """
    peak = max((one["peak_rss_bytes"] for one in messages if one["kind"] == "usage"), default=0)
    shown = {**also, "peak_memory_mib": round(peak / 2**20)} if peak else also
    yield from events_of(context, asset, messages, shown)
    raise_failure(asset, messages)


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
        env = {**os.environ, **_visible(task.gpus), **_path(), **session.get_bootstrap_env_vars()}
        ending = run_limited([sys.executable, "-m", WORKER], env=env, limits=limits)
    return ending, session.get_custom_messages()


def _require_end(asset: str, compute: Compute, ending: Ending) -> None:
    """Nothing where a worker ended well.

    Raises:
        OutOfMemoryError, WorkerLostError: It did not.
    """
    what_ran = "process"
    if ending.reason == "memory":
        seen = f"when it held {ending.peak_bytes / 2**20:,.0f} MiB"
        raise OutOfMemoryError(asset, str(compute.memory), seen, what_ran)
    if ending.code < 0:
        how = f"was ended by signal {-ending.code}"
        how += ", as the system does when the machine runs out of memory" if ending.code == -9 else ""  # fmt: skip
        raise WorkerLostError(asset, what_ran, how)
    if ending.code:
        raise WorkerLostError(asset, what_ran, f"ended with code {ending.code}, see its stderr")


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
