"""A stand-in for kubelets: declares nodes, and runs the pods that the scheduler binds to them on this machine.

What a kubelet does and this does not: images (all bring the same environment), mounts (a volume is ignored, and so is
the token of a service account), a network (a pod's address is one of loopback), probes, hooks, exec, sidecars, logs of an
earlier start, and limits of CPU. A container's first process is not process 1, so a SIGTERM that it does not handle ends
it. Limits of memory hold for the resident memory of the container's session, which is looked at every 50 ms.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.kubernetes import sessions
from tests.kubernetes.api import Api, ApiError, Manifest
from tests.kubernetes.container import Container
from tests.kubernetes.logs import log_server
from tests.kubernetes.node import Node
from tests.kubernetes.pod import Place, Pod, gpus_asked
from tests.kubernetes.quantities import precise_timestamp
from tests.kubernetes.waiting import until

BEAT_EVERY_S = 2.0
LOOK_EVERY_S = 0.05
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class NodeAgent:
    """The kubelets of all nodes in one.

    Args:
        api: The cluster.
        folder: Where pods start.
        image: The environment that every image brings.

    Attributes:
        missing_images: Images that cannot be pulled; a test may add some.
    """

    def __init__(self, api: Api, folder: Path, image: Mapping[str, str]) -> None:
        self.api, self.image = api, dict(image)
        self.missing_images: set[str] = set()
        self.nodes: dict[str, Node] = {}
        self.log_port = 0
        self._folder, self._pods, self._started = folder, dict[str, Pod](), 0
        self._lock, self._stopped = threading.RLock(), threading.Event()

    # --- nodes

    def add(self, node: Node) -> Node:
        """Declare a node; returns once pods may be bound to it."""
        self.api.create("/api/v1/nodes", node.manifest())
        with self._lock:
            self.nodes[node.name] = node
        self.api.patch(f"/api/v1/nodes/{node.name}/status", {"status": node.status(self.log_port)})
        self.api.create(LEASES, {"metadata": {"name": node.name}, "spec": _lease(node.name)})
        until(lambda: not self._is_held_back(node.name), within_s=30)
        return node

    def delete(self, name: str) -> None:
        """Take a node's object off the server, whatever runs there."""
        with self._lock:
            self.nodes.pop(name, None)
        for path in (f"/api/v1/nodes/{name}", f"{LEASES}/{name}"):
            with contextlib.suppress(ApiError):
                self.api.delete(path)

    def forget(self, name: str) -> list[Pod]:
        """Its pods, after which nothing is done for the node."""
        with self._lock:
            self.nodes.pop(name)
            return self.pods_on(name)

    def pods_on(self, name: str) -> list[Pod]:
        """Pods of a node that were not deleted yet."""
        with self._lock:
            return [pod for pod in self._pods.values() if pod.node == name and pod.is_alive()]

    def _is_held_back(self, name: str) -> bool:
        taints = self.api.get(f"/api/v1/nodes/{name}")["spec"].get("taints", [])
        return any(taint["key"].startswith("node.kubernetes.io/") for taint in taints)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_EVERY_S):
            for name in list(self.nodes):
                with contextlib.suppress(ApiError, httpx.HTTPError):  # the next beat tells
                    self.api.patch(f"{LEASES}/{name}", {"spec": _lease(name)})

    # --- pods

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow(self.api.get("/api/v1/pods"))
            except (ApiError, httpx.HTTPError, json.JSONDecodeError):
                self._stopped.wait(0.5)

    def _follow(self, listing: Manifest) -> None:
        listed = {pod["metadata"]["uid"]: pod for pod in listing["items"]}
        for uid in set(self._pods) - set(listed):
            self._removed(uid)
        for pod in listed.values():
            self._seen(pod)
        for kind, pod in self.api.watch("/api/v1/pods", listing["metadata"]["resourceVersion"]):
            if kind == "ERROR":  # most often 410 Gone: list again
                return
            if kind == "DELETED":
                self._removed(pod["metadata"]["uid"])
            else:
                self._seen(pod)

    def _seen(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        with self._lock:
            pod = self._pods.get(metadata["uid"])
            has_ended = manifest["status"].get("phase") in ("Succeeded", "Failed")
            if pod is None and manifest["spec"].get("nodeName") in self.nodes and not has_ended:
                pod = self._pods[metadata["uid"]] = Pod(self.api, manifest, self._place(manifest))
                pod.start()
        if pod and "deletionTimestamp" in metadata:
            pod.want_no_more(metadata.get("deletionGracePeriodSeconds", 0))

    def _removed(self, uid: str) -> None:
        with self._lock:
            pod = self._pods.pop(uid, None)
        if pod:
            pod.lose()

    def _place(self, manifest: Manifest) -> Place:
        self._started += 1
        folder = self._folder / manifest["metadata"]["uid"]
        folder.mkdir()
        return Place(
            image={**self.image, "HOME": str(folder)},
            missing=self.missing_images,
            devices=self._free_gpus(manifest["spec"]["nodeName"])[: gpus_asked(manifest)],
            ip=f"127.1.{self._started >> 8 & 255}.{self._started & 255}",
            folder=folder,
        )

    def _free_gpus(self, node: str) -> list[int]:
        pods = [pod for pod in self.pods_on(node) if pod.is_active]
        taken = {device for pod in pods for device in pod.place.devices}
        return [device for device in range(self.nodes[node].gpus) if device not in taken]

    def _container(self, namespace: str, pod_name: str, name: str) -> Container | None:
        for pod in list(self._pods.values()):
            if (pod.namespace, pod.pod_name) == (namespace, pod_name):
                return next((c for c in pod.containers if c.name == name), None)
        return None

    def kill(self, namespace: str, pod_name: str) -> None:
        """SIGKILL to the containers of a pod, as the kernel may do it: they end with 137."""
        for pod in list(self._pods.values()):
            if (pod.namespace, pod.pod_name) == (namespace, pod_name):
                for container in pod.containers:
                    container.kill()

    def _weigh(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            containers = [c for pod in list(self._pods.values()) for c in pod.containers]
            limited = {c.leader: c for c in containers if c.leader and c.memory_limit}
            for leader, pids in sessions.members(limited).items() if limited else ():
                limited[leader].kill_over_limit(pids)

    # --- its own life

    @contextmanager
    def running(self, *, certificate: Path, key: Path) -> Iterator[None]:
        """Work; at the end no container's process is left, and the server is told nothing."""
        with log_server(self._container, certificate=certificate, key=key) as self.log_port:
            for loop in (self._beat, self._watch, self._weigh):
                threading.Thread(target=loop, name=loop.__name__, daemon=True).start()
            try:
                yield
            finally:
                self._stopped.set()
                with self._lock:
                    pods = list(self._pods.values())
                for pod in pods:
                    pod.lose()
                for pod in pods:
                    pod.join(5)


def _lease(name: str) -> Manifest:
    return {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": precise_timestamp()}
