"""How pods are taken away in the cluster that other tests stand on, and that none outlives them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kubernetes.api import Manifest
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.losing import drain, shut_down, vanish
from tests.kubernetes.namespace import Namespace, condition
from tests.kubernetes.node import AddNode
from tests.kubernetes.reaper import carriers
from tests.kubernetes.waiting import until

pytestmark = pytest.mark.kubernetes

ROOT = Path(__file__).parents[2]
GPU = {"nvidia.com/gpu": "1"}
POLITE = "trap 'echo bye; exit 0' TERM; echo hello; sleep 60 & wait"
DEAF = "trap 'echo heard' TERM; echo hello; while :; do sleep 0.3; echo alive; done"
LEFT_ALONE = """
import subprocess, sys, time
from tests.kubernetes.reaper import marked
with marked() as env:
    subprocess.Popen(["setsid", "sleep", "60"], env={**env, "PATH": "/usr/bin:/bin"})
    print(*env.values(), flush=True)
    time.sleep(60)
"""


def job(namespace: Namespace, name: str, *command: str, **spec: object) -> None:
    """A Job whose pod is not tried again."""
    limits = spec.pop("limits", {})
    container: Manifest = {"name": "main", "image": "any", "command": command}
    container["resources"] = {"limits": limits}
    template = {"spec": {"restartPolicy": "Never", "containers": [container], **spec}}
    namespace.create("Job", name, spec={"backoffLimit": 0, "template": template})


def running_pod_of(namespace: Namespace, job_name: str) -> Manifest:
    until(
        lambda: [
            p for p in namespace.pods({"job-name": job_name}) if p["status"]["phase"] == "Running"
        ]
    )
    return namespace.pods({"job-name": job_name})[0]


def test_a_deleted_pod_may_end_in_its_own_way(namespace: Namespace) -> None:
    namespace.run("polite", "sh", "-c", POLITE)
    namespace.wait("polite", "Running")
    printed = namespace.follow("polite")
    assert next(printed) == "hello"
    namespace.delete("Pod", "polite")
    assert list(printed) == ["bye"]
    until(lambda: namespace.api.find(namespace.path("Pod", "polite")) is None)


def test_a_pod_that_does_not_heed_the_signal_is_killed_after_its_grace(
    namespace: Namespace,
) -> None:
    namespace.run("deaf", "sh", "-c", DEAF, terminationGracePeriodSeconds=2)
    namespace.wait("deaf", "Running")
    printed = namespace.follow("deaf")
    assert next(printed) == "hello"
    namespace.delete("Pod", "deaf")
    assert namespace.pod("deaf")["metadata"]["deletionGracePeriodSeconds"] == 2
    said = list(printed)
    assert said[said.index("heard") :].count("alive") >= 3, "its grace is its own"
    until(lambda: namespace.api.find(namespace.path("Pod", "deaf")) is None)


def test_a_pod_of_higher_priority_takes_the_place_of_another(
    cluster: Cluster, namespace: Namespace, add_node: AddNode
) -> None:
    add_node(name="gpu", gpus=1)
    urgent = {"metadata": {"name": namespace.name}, "value": 1000, "description": "of one test"}
    cluster.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", urgent)
    job(namespace, "victim", "sleep", "60", limits=GPU, terminationGracePeriodSeconds=1)
    victim = running_pod_of(namespace, "victim")
    namespace.run("urgent", "true", limits=GPU, priorityClassName=namespace.name)
    assert namespace.wait("urgent", "Succeeded")["spec"]["nodeName"] == "gpu"
    told = namespace.events(victim["metadata"]["name"])
    assert "Preempted" in [event["reason"] for event in told]
    until(lambda: condition(namespace.jobs()[0], "Failed"))


def test_a_shutdown_of_its_node_fails_the_job(
    cluster: Cluster, namespace: Namespace, add_node: AddNode
) -> None:
    add_node(name="spot", gpus=1)
    job(namespace, "shut", "sh", "-c", POLITE, limits=GPU)
    running_pod_of(namespace, "shut")
    shut_down(cluster.agent, "spot", grace_s=2)
    status = namespace.pods({"job-name": "shut"})[0]["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
    assert condition({"status": status}, "DisruptionTarget")["reason"] == "TerminationByKubelet"
    until(lambda: condition(namespace.jobs()[0], "Failed"))


def test_a_drain_of_its_node_deletes_the_pod(
    cluster: Cluster, namespace: Namespace, add_node: AddNode
) -> None:
    add_node(name="spot", gpus=1)
    job(namespace, "drained", "sleep", "60", limits=GPU)
    running_pod_of(namespace, "drained")
    drain(cluster.agent, "spot", grace_s=2)
    until(lambda: namespace.pods({"job-name": "drained"}) == [])  # once its Job has counted it
    until(lambda: condition(namespace.jobs()[0], "Failed"))


@pytest.mark.slow
def test_a_node_that_vanishes_leaves_its_pod_until_it_is_deleted(
    cluster: Cluster, namespace: Namespace, add_node: AddNode
) -> None:
    add_node(name="spot", gpus=1)
    job(namespace, "lost", "sleep", "60", limits=GPU)
    running_pod_of(namespace, "lost")
    vanish(cluster.agent, "spot")
    path = "/api/v1/nodes/spot"
    until(lambda: condition(cluster.api.get(path), "Ready")["status"] == "Unknown", within_s=40)
    until(lambda: condition(namespace.pods({"job-name": "lost"})[0], "Ready")["status"] == "False")
    assert namespace.pods({"job-name": "lost"})[0]["status"]["phase"] == "Running"
    cluster.agent.delete("spot")
    until(lambda: condition(namespace.jobs()[0], "Failed"), within_s=90)


def test_nothing_is_left_where_the_tests_are_killed() -> None:
    script = [sys.executable, "-c", LEFT_ALONE]
    with subprocess.Popen(script, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout
        name = tests.stdout.readline().strip()
        until(
            lambda: carriers(name)
        )  # the process it starts may not have become the other program yet
        tests.kill()
    until(lambda: not carriers(name))


def test_a_pod_deleted_by_force_leaves_no_process(namespace: Namespace) -> None:
    namespace.run("stays", "sh", "-c", "echo $$$$; sleep 60")
    namespace.wait("stays", "Running")
    pid = int(until(lambda: namespace.log("stays")))
    namespace.delete("Pod", "stays", gracePeriodSeconds=0)
    until(lambda: not Path(f"/proc/{pid}").exists())
