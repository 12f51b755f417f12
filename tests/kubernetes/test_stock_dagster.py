"""What dagster-k8s does by itself; each test is a reason why lakeline places assets in its own way (``lakeline.compute``)."""

from pathlib import Path

import pytest

from tests.kubernetes.api import Manifest
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.dagster_stack import PARTITION, DagsterStack
from tests.kubernetes.deployment import Deployment
from tests.kubernetes.namespace import condition, ended
from tests.kubernetes.waiting import until

pytestmark = pytest.mark.kubernetes

DEPLOYMENT = Deployment(definitions=Path(__file__).with_name("stock_definitions.py"))
ASKED = {"memory": "1Gi"}


def limits(job: Manifest) -> Manifest:
    """Limits of the container of a Job as stored."""
    container = job["spec"]["template"]["spec"]["containers"][0]
    return dict(container.get("resources", {}).get("limits", {}))


@pytest.mark.parametrize(
    "path", ["ui", "job", "backfill", "sensor", pytest.param("schedule", marks=pytest.mark.slow)]
)
def test_op_tags_reach_the_pod_of_the_step_and_never_that_of_the_run(
    stack: DagsterStack, path: str
) -> None:
    run_id = stack.launch(path, "large", "monday")
    assert stack.wait(run_id) == "SUCCESS"
    assert [limits(job) for job in stack.jobs(run_id, "step_worker")] == [ASKED]
    assert [limits(job) for job in stack.jobs(run_id, "run_worker")] == [{}]


def test_op_tags_are_lost_where_steps_run_in_the_pod_of_the_run(stack: DagsterStack) -> None:
    run_id = stack.web.launch("in_one_pod", tags={PARTITION: "monday"})
    assert stack.wait(run_id) == "SUCCESS"
    assert [limits(job) for job in stack.jobs(run_id)] == [{}]


def test_the_command_line_does_not_come_to_a_pod(stack: DagsterStack) -> None:
    run_id = stack.launch("cli", "large", "monday")
    assert stack.wait(run_id) == "FAILURE"
    assert "No image included in either executor config or the job" in str(stack.messages(run_id))
    assert stack.jobs(run_id) == []


def test_a_step_that_took_too_much_memory_is_not_told_so(stack: DagsterStack) -> None:
    run_id = stack.launch("ui", "eats")
    assert stack.wait(run_id) == "FAILURE"
    assert ended(stack.pods(run_id, "step_worker")[0])["reason"] == "OOMKilled"
    said = "\n".join(stack.messages(run_id))
    assert "Discovered failed Kubernetes job" in said
    assert "OOM" not in said
    assert "memory" not in said.lower()


def test_a_step_that_finds_no_gpu_waits_and_says_nothing(stack: DagsterStack) -> None:
    run_id = stack.launch("ui", "trains")
    until(lambda: stack.pods(run_id, "step_worker"), within_s=60)
    told = until(lambda: condition(stack.pods(run_id, "step_worker")[0], "PodScheduled"))
    assert "Insufficient nvidia.com/gpu" in told["message"]
    assert "nvidia" not in str(stack.messages(run_id))
    stack.web.terminate(run_id)
    assert stack.wait(run_id) == "CANCELED"


def test_the_step_of_a_killed_run_goes_on(cluster: Cluster, stack: DagsterStack) -> None:
    run_id = stack.launch("ui", "sleeps")
    until(lambda: _is_running(stack.pods(run_id, "step_worker")), within_s=60)
    (worker,) = stack.pods(run_id, "run_worker")
    cluster.agent.kill(worker["metadata"]["namespace"], worker["metadata"]["name"])
    assert stack.wait(run_id) == "FAILURE"
    assert ended(stack.pods(run_id, "run_worker")[0])["exitCode"] == 137
    (step,) = stack.jobs(run_id, "step_worker")
    assert step["status"]["active"] == 1
    assert _is_running(stack.pods(run_id, "step_worker"))


def _is_running(pods: list[Manifest]) -> bool:
    return bool(pods) and all(pod["status"]["phase"] == "Running" for pod in pods)
