"""Pods as they are declared, and what their status means, without a cluster."""

import datetime as dt
from typing import Any

import pytest

from lakeline.compute import Compute
from lakeline.compute.cluster import has_been_kept, is_ended
from lakeline.compute.pod_spec import Launch, pod_name, pod_of
from lakeline.compute.pod_state import state_of
from lakeline.compute.profile import Pods

NOW = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
TWIN = {
    "serviceAccountName": "dagster",
    "volumes": [{"name": "state"}],
    "containers": [
        {
            "image": "team/image:7",
            "env": [{"name": "DAGSTER_PIPES_CONTEXT", "value": "old"}, {"name": "A", "value": "1"}],
            "envFrom": [{"secretRef": {"name": "own"}}],
            "volumeMounts": [{"name": "state", "mountPath": "/state"}],
            "resources": {"limits": {"memory": "256Mi"}},
        }
    ],
}


def made(compute: Compute, pods: Pods | None = None, **fields: Any) -> dict[str, Any]:
    launch = Launch(
        name="lakeline-x-1", asset="flights/delay_mlp", run_id="run", command=["python"], **fields
    )
    return pod_of(launch, compute, pods or Pods())


def test_a_pod_is_its_runs_twin_with_a_size_of_its_own() -> None:
    pod = made(
        Compute(cpu=1.5, memory="2Gi"), twin=TWIN, env={"DAGSTER_PIPES_CONTEXT": "new"}, owner={"uid": "u"}
    )  # fmt: skip
    [container] = pod["spec"]["containers"]
    assert container["image"] == "team/image:7"
    assert container["resources"] == {
        "requests": {"cpu": "1.5", "memory": "2Gi"},
        "limits": {"cpu": "1.5", "memory": "2Gi"},
    }
    env = {one["name"]: one["value"] for one in container["env"]}
    assert env["DAGSTER_PIPES_CONTEXT"] == "new"
    assert (env["A"], env["OMP_NUM_THREADS"], env["CUDA_VISIBLE_DEVICES"]) == ("1", "2", "")
    assert container["volumeMounts"] == [{"name": "state", "mountPath": "/state"}]
    assert pod["spec"]["serviceAccountName"] == "dagster"
    assert pod["metadata"]["ownerReferences"] == [{"uid": "u"}]
    assert pod["metadata"]["labels"]["lakeline.dev/asset"] == "flights.delay_mlp"
    assert TWIN["containers"][0]["resources"] == {"limits": {"memory": "256Mi"}}  # type: ignore[index]


def test_what_a_deployment_says_comes_before_the_twin() -> None:
    pods = Pods(image="other:1", service_account="builder", env_from=["secret/s3", "configmap/all"])
    pod = made(Compute(), pods, twin=TWIN)
    [container] = pod["spec"]["containers"]
    assert (container["image"], pod["spec"]["serviceAccountName"]) == ("other:1", "builder")
    assert container["envFrom"] == [
        {"secretRef": {"name": "own"}},
        {"secretRef": {"name": "s3"}},
        {"configMapRef": {"name": "all"}},
    ]
    assert container["resources"] == {}


def test_gpus_spot_and_priority_choose_the_nodes() -> None:
    pods = Pods(spot_selector={"pool": "spot"}, spot_tolerations=["spot=yes:NoSchedule"])
    asked = Compute(gpu="required", spot=True, priority="urgent", selector={"disk": "fast"}, tolerations=("lab",))  # fmt: skip
    spec = made(asked, pods)["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert not [
        one for one in spec["containers"][0]["env"] if one["name"] == "CUDA_VISIBLE_DEVICES"
    ]
    assert spec["nodeSelector"] == {"disk": "fast", "pool": "spot"}
    assert spec["priorityClassName"] == "urgent"
    assert [one["key"] for one in spec["tolerations"]] == [
        "lab",
        "nvidia.com/gpu",
        "spot",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]


def test_names_of_pods_are_names_of_pods() -> None:
    name = pod_name("flights/" + "a_very_long_name" * 6, "3f9a2c")
    assert len(f"{name}-1") <= 63
    assert name.endswith("-3f9a2c")


def status(phase: str, **fields: Any) -> dict[str, Any]:
    deleted = fields.pop("deleted", None)
    metadata = {"deletionTimestamp": deleted} if deleted else {}
    return {"metadata": metadata, "status": {"phase": phase, **fields}}


def terminated(reason: str, code: int) -> dict[str, Any]:
    ended = {"reason": reason, "exitCode": code, "finishedAt": "2024-03-01T10:00:00Z"}
    return {"containerStatuses": [{"state": {"terminated": ended}}]}


def waiting(reason: str) -> dict[str, Any]:
    held = {"reason": reason, "message": "no such image"}
    return {"containerStatuses": [{"state": {"waiting": held}}]}


def condition(kind: str, is_true: bool, reason: str, message: str) -> dict[str, Any]:  # noqa: FBT001
    said = {"type": kind, "status": str(is_true), "reason": reason, "message": message}
    return {"conditions": [said]}


DISRUPTED = condition("DisruptionTarget", True, "PreemptionByScheduler", "for another pod")


@pytest.mark.parametrize(
    ("pod", "kind", "why"),
    [
        (status("Pending", **condition("PodScheduled", False, "Unschedulable", "0/3 nodes")), "waiting", "0/3 nodes"),
        (status("Pending"), "waiting", ""),
        (status("Pending", **waiting("ImagePullBackOff")), "waiting", "ImagePullBackOff: no such image"),
        (status("Running"), "running", ""),
        (status("Succeeded", **terminated("Completed", 0)), "done", ""),
        (status("Failed", **terminated("Error", 3)), "failed", ""),
        (status("Failed", **terminated("OOMKilled", 137)), "memory", "OOMKilled"),
        (status("Failed", reason="Evicted", message="low on disk"), "taken", "Evicted: low on disk"),
        (status("Failed", **terminated("Error", 143), **DISRUPTED), "taken", "PreemptionByScheduler: for another pod"),
        (status("Failed", deleted="2024-03-01T11:00:00Z", **terminated("Error", 143)), "taken", "it was deleted"),
    ],
)  # fmt: skip
def test_a_status_means_one_thing(pod: dict[str, Any], kind: str, why: str) -> None:
    found = state_of(pod)
    assert (found.kind, found.why) == (kind, why)


def test_an_image_that_can_never_be_is_not_waited_for() -> None:
    assert state_of(status("Pending", **waiting("InvalidImageName"))).is_hopeless
    assert not state_of(status("Pending", **waiting("ImagePullBackOff"))).is_hopeless


def test_ended_pods_stay_for_an_hour() -> None:
    pod = status("Failed", **terminated("Error", 1))
    assert is_ended(pod)
    assert has_been_kept(pod, NOW)
    assert not has_been_kept(pod, NOW - dt.timedelta(hours=1, minutes=30))
    assert not has_been_kept(status("Running"), NOW)
