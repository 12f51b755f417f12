"""Twenty declarations, no two alike, and whether a pod that the API server stored is what one of them says."""

from collections.abc import Mapping
from typing import Any

from lakeline.compute import Compute
from lakeline.compute.declaration import toleration_of

PRIORITY = "urgent"
SPOT = {"pool": "spot"}
SPOT_TAINT = "spot=yes:NoSchedule"
GPU_TAINT = "nvidia.com/gpu:NoSchedule"
LAB = "lab=yes:NoSchedule"

DECLARED: Mapping[str, Compute] = {
    "cpu_small": Compute(cpu=0.25),
    "cpu_large": Compute(cpu=3),
    "memory_small": Compute(memory="640Mi"),
    "memory_large": Compute(memory="6Gi"),
    "both_small": Compute(cpu=0.5, memory="768Mi"),
    "both_large": Compute(cpu=4, memory="8Gi"),
    "gpu_one": Compute(gpu=1),
    "gpu_two": Compute(gpu=2, memory="2Gi"),
    "gpu_required": Compute(gpu="required", cpu=1),
    "gpu_spot": Compute(gpu=1, spot=True),
    "spot_plain": Compute(spot=True),
    "spot_sized": Compute(spot=True, cpu=1, memory="1Gi"),
    "urgent": Compute(priority=PRIORITY),
    "urgent_sized": Compute(priority=PRIORITY, memory="1500Mi"),
    "selected": Compute(selector={"disk": "fast"}),
    "selected_sized": Compute(selector={"disk": "fast"}, cpu=2),
    "tolerant": Compute(tolerations=(LAB,)),
    "tolerant_selected": Compute(tolerations=(LAB,), selector={"room": "lab"}),
    "everything": Compute(
        cpu=1.5,
        memory="3Gi",
        gpu=1,
        spot=True,
        priority=PRIORITY,
        selector={"disk": "fast"},
        tolerations=(LAB,),
    ),
    "one_at_a_time": Compute(max_parallel=1, memory="700Mi"),
}


def resources_of(compute: Compute) -> dict[str, str]:
    """Requests and limits that follow."""
    found = {"cpu": f"{compute.cpu:g}" if compute.cpu else "", "memory": compute.memory or ""}
    found["nvidia.com/gpu"] = str(compute.gpus) if compute.gpus else ""
    return {name: size for name, size in found.items() if size}


def selector_of(compute: Compute) -> dict[str, str]:
    """Labels of nodes that follow."""
    return {**compute.selector, **(SPOT if compute.spot else {})}


def tolerations_of(compute: Compute) -> list[dict[str, str]]:
    """Taints that are borne."""
    borne = [*compute.tolerations]
    borne += [GPU_TAINT] if compute.gpus else []
    borne += [SPOT_TAINT] if compute.spot else []
    return [toleration_of(one) for one in borne]


def stock_tags(compute: Compute) -> dict[str, Any]:
    """The same declaration as op tags, the way of dagster-k8s's documentation."""
    spec: dict[str, Any] = {"tolerations": tolerations_of(compute)}
    spec |= {"node_selector": selector_of(compute)} if selector_of(compute) else {}
    spec |= {"priority_class_name": compute.priority} if compute.priority else {}
    sizes = resources_of(compute)
    container = {"resources": {"requests": sizes, "limits": sizes}}
    return {"dagster-k8s/config": {"container_config": container, "pod_spec_config": spec}}


def is_right(pod: Mapping[str, Any], compute: Compute) -> bool:
    """Whether a stored pod is what a declaration says, in sizes, nodes, taints and priority."""
    from tests.kubernetes.quantities import number

    spec = pod["spec"]
    stored = spec["containers"][0].get("resources", {})
    wanted = {name: number(size) for name, size in resources_of(compute).items()}
    sizes = [
        {name: number(size) for name, size in stored.get(part, {}).items()}
        for part in ("requests", "limits")
    ]
    borne = spec.get("tolerations", [])
    return (
        sizes == [wanted, wanted]
        and spec.get("nodeSelector", {}) == selector_of(compute)
        and all(one in borne for one in tolerations_of(compute))
        and spec.get("priorityClassName", "") == compute.priority
    )
