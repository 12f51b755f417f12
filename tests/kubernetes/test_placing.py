"""Assets with compute= become pods of the declared size on every launch path, and what happens to a pod is said."""

from pathlib import Path

import dagster as dg
import pytest

from tests.kubernetes.api import Manifest
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.dagster_stack import PATHS, DagsterStack
from tests.kubernetes.deployment import Deployment
from tests.kubernetes.losing import shut_down
from tests.kubernetes.namespace import ended
from tests.kubernetes.node import AddNode
from tests.kubernetes.waiting import until

pytestmark = pytest.mark.kubernetes

DEPLOYMENT = Deployment(
    definitions=Path(__file__).with_name("placed_definitions.py"),
    env={
        "PLACED_STATE": "{state}",
        "PLACED_NAMESPACE": "{namespace}",
        "PLACED_KUBECONFIG": "{kubeconfig}",
    },
)
DAY = "2024-03-01"
SIZE = {"cpu": "500m", "memory": "700Mi"}
SPOT = {"key": "spot", "value": "yes", "effect": "NoSchedule"}


@pytest.fixture(autouse=True)
def environment(stack: DagsterStack) -> None:
    """What a pod launched from outside the cluster has in place of what a run's own pod has."""
    if not stack.namespace.listed("ConfigMap", {"app": "placed"}):
        own = {name: stack.site.env[name] for name in DEPLOYMENT.env}
        labels = {"app": "placed"}
        stack.namespace.create(
            "ConfigMap", "placed-env", data=own, metadata={"name": "placed-env", "labels": labels}
        )


def builds(stack: DagsterStack, run_id: str) -> list[Manifest]:
    """The pods that lakeline made for a run, as the server stored them."""
    return stack.namespace.listed("Pod", {"lakeline.dev/run-id": run_id})


def resources(pod: Manifest) -> Manifest:
    """What its container asks for."""
    return dict(pod["spec"]["containers"][0].get("resources", {}))


def told(stack: DagsterStack, run_id: str) -> str:
    """What the run's log says."""
    return "\n".join(stack.messages(run_id))


def is_running(pods: list[Manifest]) -> bool:
    return bool(pods) and all(pod["status"]["phase"] == "Running" for pod in pods)


@pytest.mark.parametrize(
    "path",
    [pytest.param(one, marks=pytest.mark.slow) if one == "schedule" else one for one in PATHS],
)
def test_the_pod_is_as_declared_and_the_pod_of_the_run_stays_small(
    stack: DagsterStack, add_node: AddNode, path: str
) -> None:
    add_node(name=f"fast-{path}", labels={"disk": "fast"})
    run_id = stack.launch(path, "placed/sales", DAY)
    assert stack.wait(run_id) == "SUCCESS", told(stack, run_id)
    [pod] = builds(stack, run_id)
    assert resources(pod) == {"requests": SIZE, "limits": SIZE}
    assert pod["spec"]["nodeSelector"] == {"disk": "fast"}
    assert pod["spec"]["nodeName"] == f"fast-{path}"
    assert pod["status"]["phase"] == "Succeeded"
    for own in stack.pods(run_id):
        assert resources(own) == {}
        assert pod["metadata"]["ownerReferences"][0]["uid"] == own["metadata"]["uid"]
    [made] = stack.instance.fetch_materializations(
        dg.AssetKey(["placed", "sales"]), limit=1
    ).records
    found = made.asset_materialization
    assert found
    assert found.metadata["placement"].value == f"pod {pod['metadata']['name']}"
    assert found.metadata["tills"].value == 2
    # A schedule launches the last day, which has no sales.
    assert found.metadata["dagster/row_count"].value == (0 if path == "schedule" else 2)


def test_memory_is_named_where_it_was_the_reason_and_not_tried_again(stack: DagsterStack) -> None:
    run_id = stack.launch("ui", "placed/eats")
    assert stack.wait(run_id) == "FAILURE"
    [pod] = builds(stack, run_id)
    assert ended(pod)["reason"] == "OOMKilled"
    said = told(stack, run_id)
    assert "'placed/eats' ran out of memory: it declares memory='500Mi'" in said
    assert f"OOMKilled, pod {pod['metadata']['name']}" in said


def test_what_a_function_raises_comes_out_of_the_pod(stack: DagsterStack) -> None:
    run_id = stack.launch("ui", "placed/fails")
    assert stack.wait(run_id) == "FAILURE"
    assert "'placed/fails' failed with ZeroDivisionError: the till is empty" in told(stack, run_id)
    assert len(builds(stack, run_id)) == 2, "it is tried again, as retries= says"


def test_a_pod_that_finds_no_place_is_told_of_at_once(
    stack: DagsterStack, add_node: AddNode
) -> None:
    run_id = stack.launch("ui", "placed/trains")
    waits = "waits: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu"
    until(lambda: waits in told(stack, run_id), within_s=60)
    add_node(name="gpu", gpus=1, taints=({"key": "nvidia.com/gpu", "effect": "NoSchedule"},))
    assert stack.wait(run_id) == "SUCCESS", told(stack, run_id)
    [pod] = builds(stack, run_id)
    assert resources(pod)["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "1"}
    assert pod["spec"]["nodeName"] == "gpu"


def test_a_cancelled_run_takes_its_pod_with_it(stack: DagsterStack) -> None:
    run_id = stack.launch("ui", "placed/sleeps")
    until(lambda: is_running(builds(stack, run_id)), within_s=60)
    stack.web.terminate(run_id)
    assert stack.wait(run_id) == "CANCELED"
    until(lambda: not builds(stack, run_id), within_s=60)


def test_the_pod_of_a_killed_run_goes_too(cluster: Cluster, stack: DagsterStack) -> None:
    from lakeline.compute.cluster import connect
    from lakeline.compute.profile import Pods
    from lakeline.domain.pods import sweep

    run_id = stack.launch("ui", "placed/sleeps")
    until(lambda: is_running(builds(stack, run_id)), within_s=60)
    [worker] = stack.pods(run_id, "run_worker")
    cluster.agent.kill(worker["metadata"]["namespace"], worker["metadata"]["name"])
    assert stack.wait(run_id) == "FAILURE"
    pods = Pods(namespace=stack.namespace.name, kubeconfig=str(stack.namespace.kubeconfig))
    [pod] = builds(stack, run_id)
    assert sweep(connect(pods), stack.instance) == [pod["metadata"]["name"]]
    until(lambda: not builds(stack, run_id), within_s=60)


def test_a_training_that_is_taken_away_goes_on_elsewhere(
    cluster: Cluster, stack: DagsterStack, add_node: AddNode
) -> None:
    log = stack.site.state / "resumes.log"
    add_node(name="spot-1", labels={"pool": "spot-pool"}, taints=(SPOT,))
    run_id = stack.launch("ui", "placed/resumes")
    until(lambda: log.exists() and len(log.read_text().split()) > 3, within_s=60)
    add_node(name="spot-2", labels={"pool": "spot-pool"}, taints=(SPOT,))
    shut_down(cluster.agent, "spot-1")
    assert stack.wait(run_id) == "SUCCESS", told(stack, run_id)
    nodes = [pod["spec"]["nodeName"] for pod in builds(stack, run_id)]
    assert "spot-2" in nodes
    said = told(stack, run_id)
    assert "was taken away (" in said
    assert "starting again, 1 of 5 times" in said
    steps = [int(one) for one in log.read_text().split()]
    assert sorted(set(steps)) == list(range(40))
    assert len(steps) - len(set(steps)) <= 1, (
        "no more than the step that was under way is done twice"
    )
