"""Builds an asset in a pod of its own, and sweeps up pods whose run is no longer there."""

import datetime as dt
import functools
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.compute.cluster import Cluster, connect, has_been_kept, is_ended, name_of, run_of
from lakeline.compute.declaration import Compute
from lakeline.compute.pod_run import PodRun
from lakeline.compute.pod_spec import Launch, pod_name
from lakeline.domain.node import Node
from lakeline.domain.placing import WORKER, concluded, task_of

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse

PYTHON = "python"
"""In the image; the path of this process's own says nothing there."""


def in_pod(context: dg.AssetExecutionContext, node: Node, compute: Compute) -> Iterator[Any]:
    """Build the asset in a pod; its messages come through its log, as Dagster Pipes has them."""
    from dagster._core.pipes.utils import PipesEnvContextInjector, open_pipes_session
    from dagster_k8s.pipes import PipesK8sPodLogsMessageReader

    house: Lakehouse = context.resources.lakehouse
    cluster, reader = connect(house.pods), PipesK8sPodLogsMessageReader()
    sweep(cluster, context.instance)
    task = task_of(context, node, placement="kubernetes", asks_gpu=compute.gpus > 0)
    with open_pipes_session(
        context=context,
        extras={"task": task.to_json()},
        context_injector=PipesEnvContextInjector(),
        message_reader=reader,
    ) as session:
        # What a pod said that was taken away is said again by the one in its place.
        stale = [0]
        work = PodRun(
            cluster=cluster,
            pods=house.pods,
            compute=compute,
            say=functools.partial(context.log.info, "%s"),
            follow=functools.partial(_follow, reader, context, cluster),
            again=lambda: stale.append(len(session.get_custom_messages())),
        )
        done = work.to_the_end(_launch(context, node, cluster, session.get_bootstrap_env_vars()))
        messages = session.get_custom_messages()[stale[-1] :]
    also = {"placement": f"pod {done.names[-1]}"}
    if before := len(done.names) - 1:
        also["placement_note"] = f"{before} pods before it were taken away"
    yield from concluded(context, node, messages, also, done.fault)


def _launch(
    context: dg.AssetExecutionContext, node: Node, cluster: Cluster, env: Mapping[str, str]
) -> Launch:
    owner, twin = cluster.run_pod(context.run.run_id)
    return Launch(
        name=pod_name(node.asset, uuid.uuid4().hex[:6]),
        asset=node.asset,
        run_id=context.run.run_id,
        command=[PYTHON, "-m", WORKER],
        env=env,
        owner=owner,
        twin=twin,
    )


def _follow(reader: Any, context: dg.AssetExecutionContext, cluster: Cluster, pod: str) -> None:
    reader.consume_pod_logs(
        context=context, core_api=cluster.core, pod_name=pod, namespace=cluster.namespace
    )


def sweep(cluster: Cluster, instance: dg.DagsterInstance) -> list[str]:
    """Ask the pods to go whose run has ended, which a run that was killed could not do itself; gives their names.

    Pods that have ended themselves go too, after an hour. A run that this instance does not know is another deployment's.
    """
    builds, now = cluster.builds(), dt.datetime.now(dt.UTC)
    ids = sorted({run_of(one) for one in builds if not is_ended(one)})
    runs = instance.get_runs(dg.RunsFilter(run_ids=ids)) if ids else []
    over = {one.run_id for one in runs if one.is_finished}
    left = [one for one in builds if not is_ended(one) and run_of(one) in over]
    for one in [*left, *(one for one in builds if has_been_kept(one, now))]:
        cluster.delete(name_of(one))
    return [name_of(one) for one in left]
