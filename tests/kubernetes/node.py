"""A machine of the cluster, as it is declared to the API server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.kubernetes.api import Manifest
from tests.kubernetes.quantities import timestamp

GPU = "nvidia.com/gpu"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What a machine has, and which pods it bears.

    Attributes:
        name: Its name, and its host name.
        cpu: Cores, for the scheduler alone: nothing is measured or held back.
        memory: Memory, for the scheduler alone.
        pods: How many pods it takes.
        gpus: How many ``nvidia.com/gpu`` it has.
        labels: Labels besides its host name and operating system.
        taints: Its taints, as manifests.
    """

    name: str
    cpu: str = "16"
    memory: str = "64Gi"
    pods: int = 110
    gpus: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()

    def manifest(self) -> Manifest:
        """The node to be created."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", **self.labels}
        return {"metadata": {"name": self.name, "labels": labels}, "spec": {"taints": self.taints}}

    def status(self, log_port: int) -> dict[str, Any]:
        """Its status: ready, with what it has, and where its logs are read."""
        resources = {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods)}
        if self.gpus:
            resources[GPU] = str(self.gpus)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        seen = {"lastHeartbeatTime": timestamp(), "lastTransitionTime": timestamp()}
        return {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [ready | seen],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": self.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": log_port}},
        }


AddNode = Callable[..., Node]
