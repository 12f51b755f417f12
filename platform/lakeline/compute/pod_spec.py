"""The pod of a build as Kubernetes takes it, from what its asset declares and what the deployment says of its cluster."""

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakeline.compute.declaration import Compute, toleration_of
from lakeline.compute.processes import THREAD_VARIABLES
from lakeline.compute.profile import Pods

Manifest = dict[str, Any]
CONTAINER = "build"
MANAGED_BY = "lakeline"
RUN_LABEL, ASSET_LABEL = "lakeline.dev/run-id", "lakeline.dev/asset"
LOST_NODE_S = 30
"""How long a pod that may be taken away stays bound to a node that does not answer; Kubernetes' own default is 300."""

OF_THE_TWIN = ("serviceAccountName", "imagePullSecrets", "securityContext", "volumes", "dnsPolicy")
OF_ITS_CONTAINER = ("env", "envFrom", "volumeMounts", "imagePullPolicy", "workingDir", "securityContext")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One pod to be made.

    Attributes:
        name: Of the pod.
        asset: ``domain/name``.
        run_id: Of Dagster's run.
        command: What it runs.
        env: Its environment beside what the deployment gives.
        owner: Owner reference, with which the pod goes; None for a run that is in no pod itself.
        twin: Pod spec of the run's own pod, whose image, environment and volumes it shares.
    """

    name: str
    asset: str
    run_id: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    owner: Manifest | None = None
    twin: Manifest = field(default_factory=dict)


def pod_of(launch: Launch, compute: Compute, pods: Pods) -> Manifest:
    """The pod's manifest."""
    metadata: Manifest = {
        "name": launch.name,
        "labels": {
            "app.kubernetes.io/managed-by": MANAGED_BY,
            RUN_LABEL: launch.run_id,
            ASSET_LABEL: label(launch.asset),
        },
        "annotations": {ASSET_LABEL: launch.asset},
    }
    if launch.owner is not None:
        metadata["ownerReferences"] = [launch.owner]
    spec = {name: copy.deepcopy(launch.twin[name]) for name in OF_THE_TWIN if launch.twin.get(name)}
    if pods.service_account:
        spec["serviceAccountName"] = pods.service_account
    spec |= {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": pods.grace_s,
        "containers": [_container(launch, compute, pods)],
    }
    spec |= _where(compute, pods)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _container(launch: Launch, compute: Compute, pods: Pods) -> Manifest:
    twin = (launch.twin.get("containers") or [{}])[0]
    found = {name: copy.deepcopy(twin[name]) for name in OF_ITS_CONTAINER if twin.get(name)}
    env = [one for one in found.get("env", []) if one["name"] not in launch.env]
    given = dict(launch.env) | _threads(compute)
    found["env"] = [*env, *({"name": name, "value": value} for name, value in given.items())]
    more = [_env_from(one) for one in pods.env_from]
    if more or found.get("envFrom"):
        found["envFrom"] = [*found.get("envFrom", []), *more]
    return found | {
        "name": CONTAINER,
        "image": pods.image or twin.get("image", ""),
        "command": list(launch.command),
        "resources": resources_of(compute, pods.gpu_resource),
    }


def resources_of(compute: Compute, gpu_resource: str) -> Manifest:
    """Requests and limits, which are equal: what is declared is what there is, no more and no less."""
    sizes: dict[str, str] = {}
    if compute.cpu is not None:
        sizes["cpu"] = f"{compute.cpu:g}"
    if compute.memory is not None:
        sizes["memory"] = compute.memory
    if compute.gpus:
        sizes[gpu_resource] = str(compute.gpus)
    return {"requests": dict(sizes), "limits": dict(sizes)} if sizes else {}


def _where(compute: Compute, pods: Pods) -> Manifest:
    """Which nodes may take it."""
    borne = [toleration_of(one) for one in compute.tolerations]
    selector = dict(compute.selector)
    if compute.gpus:
        borne += [toleration_of(one) for one in pods.gpu_tolerations]
    if compute.spot:
        borne += [toleration_of(one) for one in pods.spot_tolerations]
        borne += [_for_a_while(f"node.kubernetes.io/{one}") for one in ("not-ready", "unreachable")]
        selector |= pods.spot_selector
    found: Manifest = {"tolerations": borne} if borne else {}
    found |= {"nodeSelector": selector} if selector else {}
    return found | ({"priorityClassName": compute.priority} if compute.priority else {})


def _for_a_while(taint: str) -> Manifest:
    return {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_NODE_S}  # fmt: skip


def _threads(compute: Compute) -> dict[str, str]:
    given = {} if compute.gpus else {"CUDA_VISIBLE_DEVICES": ""}
    if compute.cpu is None:
        return given
    return given | dict.fromkeys(THREAD_VARIABLES, str(math.ceil(compute.cpu)))


def _env_from(text: str) -> Manifest:
    kind, _, name = text.partition("/")
    return {"secretRef" if kind == "secret" else "configMapRef": {"name": name}}


def label(text: str) -> str:
    """A text as the value of a label.

    >>> label("flights/delay_mlp")
    'flights.delay_mlp'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", ".", text)[:63].strip("._-")


def pod_name(asset: str, suffix: str) -> str:
    """A name for a pod of an asset, with room for the number of an attempt.

    >>> pod_name("flights/delay_mlp", "3f9a2c-1")
    'lakeline-flights-delay-mlp-3f9a2c-1'
    """
    middle = re.sub(r"[^a-z0-9]+", "-", asset.lower()).strip("-")
    return f"lakeline-{middle[: 58 - len('lakeline-') - len(suffix)].rstrip('-')}-{suffix}"
