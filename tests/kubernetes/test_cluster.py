"""The cluster that other tests stand on does what a cluster does; all is read from what its server stored."""

from pathlib import Path

import pytest

from tests.kubernetes.api import ApiError, Manifest
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.namespace import Namespace, condition, ended
from tests.kubernetes.node import AddNode
from tests.kubernetes.quantities import parse_timestamp
from tests.kubernetes.waiting import until

pytestmark = pytest.mark.kubernetes

ROOT = Path(__file__).parents[2]
GPU = {"nvidia.com/gpu": "1"}
TAINT = {"key": "spot", "value": "true", "effect": "NoSchedule"}
BEARS: Manifest = {"tolerations": [{"key": "spot", "operator": "Exists"}]}
HUNGRY = "import time; kept = bytearray(300 << 20); time.sleep(60)"


# --- what a pod is


def test_a_pod_runs_and_its_log_is_read_through_the_server(namespace: Namespace) -> None:
    namespace.run("hello", "sh", "-c", "echo one; echo two")
    assert namespace.wait("hello", "Succeeded")["spec"]["nodeName"] == "plain"
    assert namespace.log("hello") == "one\ntwo\n"
    assert namespace.log("hello", tailLines=1) == "two\n"


def test_a_pod_that_fails_says_with_what(namespace: Namespace) -> None:
    namespace.run("fails", "sh", "-c", "exit 3")
    end = ended(namespace.wait("fails", "Failed"))
    assert (end["reason"], end["exitCode"]) == ("Error", 3)


def test_a_pod_finds_its_environment(namespace: Namespace) -> None:
    namespace.create("Secret", "login", stringData={"password": "s3cret"})
    namespace.create("ConfigMap", "settings", data={"COLOUR": "blue"})
    env = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "SHADE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "COLOUR"}}},
        {"name": "BOTH", "value": "$(POD):$(PASSWORD)"},
    ]
    container = {
        "name": "main",
        "image": "any",
        "command": ["sh", "-c", "echo $BOTH $SHADE $COLOUR $MEMORY [$TEAM] $PWD"],
        "resources": {"limits": {"memory": "64Mi"}},
        "env": env,
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "workingDir": "/usr",
    }
    pod = {"metadata": {"name": "env", "labels": {"team": "data"}}}
    spec = {"restartPolicy": "Never", "containers": [container]}
    namespace.api.create(namespace.path("Pod"), {**pod, "spec": spec})
    namespace.wait("env", "Succeeded")
    assert namespace.log("env") == "env:s3cret blue blue 67108864 [data] /usr\n"


def test_a_pod_waits_for_the_secret_that_it_names(namespace: Namespace) -> None:
    wanted = {"secretKeyRef": {"name": "late", "key": "x"}}
    namespace.run("waits", "sh", "-c", "echo $X", env=[{"name": "X", "valueFrom": wanted}])
    assert waiting_for(namespace, "waits") == "CreateContainerConfigError"
    namespace.create("Secret", "late", stringData={"x": "here"})
    namespace.wait("waits", "Succeeded")
    assert namespace.log("waits") == "here\n"


def test_an_image_that_is_not_there_is_not_pulled(cluster: Cluster, namespace: Namespace) -> None:
    cluster.agent.missing_images.add("nobody/nothing:1")
    namespace.run("no-image", "true", container={"image": "nobody/nothing:1"})
    assert waiting_for(namespace, "no-image") == "ImagePullBackOff"


def waiting_for(namespace: Namespace, name: str) -> str:
    """The reason why a pod's container has not started, once it says a real one."""

    def reason() -> str:
        statuses = namespace.pod(name)["status"].get("containerStatuses", [{}])
        said = str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))
        return said if said != "ContainerCreating" else ""

    return until(reason)


def test_a_pod_fails_at_its_deadline(namespace: Namespace) -> None:
    namespace.run("slow", "sleep", "60", activeDeadlineSeconds=1)
    assert namespace.wait("slow", "Failed")["status"]["reason"] == "DeadlineExceeded"


def test_a_pod_over_its_memory_is_killed(namespace: Namespace) -> None:
    namespace.run("hungry", "python", "-c", HUNGRY, limits={"memory": "100Mi"})
    end = ended(namespace.wait("hungry", "Failed"))
    assert (end["reason"], end["exitCode"]) == ("OOMKilled", 137)


def test_memory_that_processes_share_counts_once(namespace: Namespace) -> None:
    forks = (
        "import os, time; kept = b'x' * (80 << 20); [os.fork() for _ in range(2)]; time.sleep(1)"
    )
    namespace.run("forks", "python", "-c", forks, limits={"memory": "160Mi"})
    assert ended(namespace.wait("forks", "Succeeded"))["exitCode"] == 0


# --- where a pod goes


def test_a_gpu_binds_a_pod_to_its_node(namespace: Namespace, add_node: AddNode) -> None:
    add_node(name="gpu", gpus=2)
    namespace.run("trains", "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES", limits=GPU)
    pod = namespace.wait("trains", "Succeeded")
    assert pod["spec"]["nodeName"] == "gpu"
    assert pod["spec"]["containers"][0]["resources"]["requests"] == GPU
    assert namespace.log("trains") in ("0\n", "1\n")


def test_one_gpu_runs_one_pod_after_the_other(namespace: Namespace, add_node: AddNode) -> None:
    add_node(name="gpu", gpus=1)
    for name in ("a", "b"):
        namespace.run(name, "sleep", "1.2", limits=GPU)
    ends = [ended(namespace.wait(name, "Succeeded")) for name in ("a", "b")]
    first, second = sorted(ends, key=lambda end: str(end["startedAt"]))
    assert parse_timestamp(first["finishedAt"]) <= parse_timestamp(second["startedAt"])


def test_without_a_gpu_a_pod_is_not_scheduled(namespace: Namespace) -> None:
    namespace.run("alone", "true", limits=GPU)
    assert unschedulable(namespace, "alone").startswith(
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    assert "FailedScheduling" in [event["reason"] for event in namespace.events("alone")]


def test_a_taint_keeps_away_who_does_not_bear_it(namespace: Namespace, add_node: AddNode) -> None:
    add_node(name="spot", gpus=1, taints=(TAINT,))
    namespace.run("unbearing", "true", limits=GPU)
    assert "untolerated taint" in unschedulable(namespace, "unbearing")
    namespace.run("bearing", "true", limits=GPU, **BEARS)
    assert namespace.wait("bearing", "Succeeded")["spec"]["nodeName"] == "spot"


def test_a_selector_chooses_the_node(namespace: Namespace, add_node: AddNode) -> None:
    add_node(name="large", labels={"pool": "large"})
    namespace.run("chooses", "true", nodeSelector={"pool": "large"})
    assert namespace.wait("chooses", "Succeeded")["spec"]["nodeName"] == "large"


def unschedulable(namespace: Namespace, name: str) -> str:
    """Why the scheduler finds no node for a pod."""
    told = until(lambda: condition(namespace.pod(name), "PodScheduled"))
    assert (told["status"], told["reason"]) == ("False", "Unschedulable")
    return str(told["message"])


def test_a_quota_refuses_what_goes_over_it(namespace: Namespace) -> None:
    hard = {"requests.nvidia.com/gpu": "1"}
    namespace.create("ResourceQuota", "gpus", spec={"hard": hard})
    until(lambda: namespace.listed("ResourceQuota")[0].get("status", {}).get("hard") == hard)
    with pytest.raises(ApiError, match="exceeded quota: gpus") as refused:
        namespace.run("greedy", "true", limits={"nvidia.com/gpu": "2"})
    assert refused.value.status == 403
    assert namespace.pods() == []


def test_an_account_does_what_its_role_allows(namespace: Namespace) -> None:
    namespace.create("ServiceAccount", "reader")
    allowed = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    namespace.create("Role", "reads", rules=allowed)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"}
    namespace.create(
        "RoleBinding",
        "reader",
        roleRef=role,
        subjects=[{"kind": "ServiceAccount", "name": "reader", "namespace": namespace.name}],
    )
    with namespace.as_account("reader") as reader:
        assert reader.pods() == []
        with pytest.raises(ApiError, match="cannot create resource"):
            reader.run("forbidden", "true")
