"""Whether assets become the pods that they declare, whoever launches them: what the API server stored, read back.

Twenty assets with different sizes, GPUs, nodes, taints and priorities are built together on each of six launch paths: the
UI, a job, a backfill, a sensor, a schedule and the command line. Beside lakeline stand Dagster's two ways: a pod a step
(``k8s_job_executor``) and all steps in the pod of the run (``in_process_executor``), with the same declarations as op tags.
Then one build takes more memory than it declares, and a training is taken off its node in the middle.

The control plane is real; pods are processes of this machine (``tests/kubernetes``). ``ARGS=--paths=ui,cli`` takes some paths.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import report
from benchmarks.placement.declared import DECLARED, PRIORITY, SPOT, is_right
from benchmarks.placement.world import BATCH, DAY, EPOCHS, EVERY, ROWS
from tests.kubernetes.cluster import Cluster, cluster
from tests.kubernetes.dagster_stack import PARTITION, PATHS, DagsterStack, dagster_stack
from tests.kubernetes.deployment import Deployment
from tests.kubernetes.losing import shut_down
from tests.kubernetes.node import Node
from tests.kubernetes.waiting import until
from tests.kubernetes.webserver import ASSET_JOB
from tests.services import Postgres, postgres

ENV = {"PLACED_STATE": "{state}", "PLACED_NAMESPACE": "{namespace}", "PLACED_KUBECONFIG": "{kubeconfig}"}  # fmt: skip
WORLD = Path(__file__).parent / "placement" / "world.py"
LONGEST_S = 900.0
GPU_NODE = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
SPOT_NODE = {"key": "spot", "value": "yes", "effect": "NoSchedule"}
LAB_NODE = {"key": "lab", "value": "yes", "effect": "NoSchedule"}
FAST = {"disk": "fast"}

NODES = (
    Node(name="fast", labels=FAST),
    Node(name="gpu", gpus=4, taints=(GPU_NODE,)),
    Node(name="spot", labels=SPOT, taints=(SPOT_NODE,)),
    Node(name="spot-gpu", gpus=4, labels={**SPOT, **FAST}, taints=(GPU_NODE, SPOT_NODE)),
    Node(name="lab", labels={"room": "lab"}, taints=(LAB_NODE,)),
)


def main(argv: Sequence[str]) -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", default=",".join(PATHS), help="launch paths, with commas")
    paths = parser.parse_args(argv).paths.split(",")
    figures: dict[str, Any] = {"asked": len(paths) * len(DECLARED)}
    with cluster() as running, postgres() as server:
        prepare(running)
        for kind in ("lakeline", "step_pods", "run_pods"):
            with deployed(running, server, kind) as stack:
                right = {path: pods_right(stack, kind, path) for path in paths}
                figures[f"{kind}_right"] = sum(right.values())
                figures[f"{kind}_by_path"] = right
                print(kind, right, flush=True)
                if kind == "lakeline":
                    figures |= out_of_memory(stack) | taken_away(running, stack)
    met = (
        figures["lakeline_right"] == figures["asked"]
        and figures["memory_is_named"]
        and figures["training_resumed"]
        and figures["training_status"] == "SUCCESS"
        and figures["steps_done_twice"] <= EVERY
    )
    reach = {
        "lakeline_right": "= asked",
        "memory_is_named": "true",
        "training_resumed": "true",
        "training_status": "SUCCESS",
        "steps_done_twice": f"<= {EVERY}, one checkpoint interval",
    }
    return report("placement", figures, reach, met=met)


def prepare(running: Cluster) -> None:
    """Nodes for every declaration, and the priority."""
    for node in NODES:
        running.agent.add(node)
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    running.api.create(path, {"metadata": {"name": PRIORITY}, "value": 1000})


@contextmanager
def deployed(running: Cluster, server: Postgres, kind: str) -> Iterator[DagsterStack]:
    """A deployment of one kind."""
    deployment = Deployment(definitions=WORLD, env={**ENV, "PLACED_KIND": kind})
    with (
        tempfile.TemporaryDirectory() as folder,
        dagster_stack(running, server, deployment, Path(folder)) as stack,
    ):
        own = {name: stack.site.env[name] for name in (*ENV, "PLACED_KIND")}
        stack.namespace.create("ConfigMap", "placed-env", data=own)
        yield stack


def pods_right(stack: DagsterStack, kind: str, path: str) -> int:
    """How many of the twenty were built in a pod that is as declared."""
    try:
        run_id = launched(stack, path)
        stack.wait(run_id, within_s=LONGEST_S)
    except (RuntimeError, TimeoutError) as error:
        print(f"{kind} by {path}: {str(error)[:500]}", file=sys.stderr)
        return 0
    return sum(
        any(is_right(pod, compute) for pod in pods_of(stack, kind, run_id, name))
        for name, compute in DECLARED.items()
    )


def launched(stack: DagsterStack, path: str) -> str:
    """Id of a run of all twenty."""
    keys = [f"placed/{name}" for name in DECLARED]
    if path == "ui":
        return stack.web.launch(ASSET_JOB, keys, tags={PARTITION: DAY})
    if path == "backfill":
        backfill = stack.web.backfill(keys, [DAY])
        return until(lambda: _runs_of(stack, backfill), within_s=120, every_s=0.5)[0]
    if path == "cli":
        chosen = " or ".join(f'key:"{key}"' for key in keys)
        return stack.launch("cli", chosen, DAY)
    return stack.launch(path, "all", DAY)


def _runs_of(stack: DagsterStack, backfill: str) -> list[str]:
    from dagster import RunsFilter

    wanted = RunsFilter(tags={"dagster/backfill": backfill})
    return [run.run_id for run in stack.instance.get_runs(wanted)]


def pods_of(stack: DagsterStack, kind: str, run_id: str, name: str) -> list[dict[str, Any]]:
    """The pods in which an asset was built in a run, as stored."""
    if kind == "lakeline":
        labels = {"lakeline.dev/run-id": run_id, "lakeline.dev/asset": f"placed.{name}"}
        return stack.namespace.listed("Pod", labels)
    if kind == "step_pods":
        found = stack.pods(run_id, "step_worker")
        return [pod for pod in found if pod["metadata"]["labels"].get("dagster/op") == f"placed__{name}"]  # fmt: skip
    return stack.pods(run_id, "run_worker")


def out_of_memory(stack: DagsterStack) -> dict[str, Any]:
    """Whether too much memory is called that."""
    run_id = stack.web.launch(ASSET_JOB, ["placed/eats"], tags={PARTITION: DAY})
    status = stack.wait(run_id)
    said = "\n".join(stack.messages(run_id))
    pods = stack.namespace.listed("Pod", {"lakeline.dev/run-id": run_id})
    is_named = "'placed/eats' ran out of memory: it declares memory='400Mi'" in said
    return {"memory_is_named": is_named and status == "FAILURE", "memory_pods": len(pods)}


def taken_away(running: Cluster, stack: DagsterStack) -> dict[str, Any]:
    """What a training loses whose node goes in the middle."""
    for day in ("2024-03-01", "2024-03-20"):
        built = stack.web.launch(ASSET_JOB, ["placed/examples"], tags={PARTITION: day})
        assert stack.wait(built) == "SUCCESS", stack.messages(built)
    log = stack.site.state / "steps.log"
    run_id = stack.web.launch(ASSET_JOB, ["placed/learns"])
    until(lambda: log.exists() and len(log.read_text().split()) > 5 * EVERY, within_s=180)
    running.agent.add(replace(NODES[2], name="spot-2"))
    begun = time.monotonic()
    shut_down(running.agent, "spot")
    status = stack.wait(run_id, within_s=LONGEST_S)
    said = "\n".join(stack.messages(run_id))
    steps = len(log.read_text().split())
    needed = EPOCHS * -(-ROWS // BATCH)
    return {
        "training_resumed": "goes on from the checkpoint" in said,
        "training_status": status,
        "steps_done_twice": steps - needed,
        "steps": needed,
        "checkpoint_every_steps": EVERY,
        "back_after_s": round(time.monotonic() - begun, 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
