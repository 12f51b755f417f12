"""The life of one pod, from the moment it is bound to a node until it is deleted."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.api import Api, ApiError, Manifest
from tests.kubernetes.container import Container
from tests.kubernetes.environment import ContainerConfigError, Environment
from tests.kubernetes.node import GPU
from tests.kubernetes.quantities import number, timestamp

LOOK_EVERY_S = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a node gives to a pod.

    Attributes:
        image: The environment that every image brings.
        missing: Images that cannot be pulled; looked at each time.
        devices: Numbers of the GPUs that the pod may use.
        ip: Its address.
        folder: Where its containers start.
    """

    image: Mapping[str, str]
    missing: set[str]
    devices: list[int]
    ip: str
    folder: Path


@dataclass(kw_only=True)
class _Ending:
    grace_s: float
    status: Manifest
    since: float
    is_sent: bool = False


class Pod(threading.Thread):
    """A thread that runs a pod's containers and reports them.

    Attributes:
        unwanted: Set once the server marked the pod for deletion.
        gone: Set once nothing more is to be reported: the pod is off the server, or its node is lost.
    """

    def __init__(self, api: Api, manifest: Manifest, place: Place) -> None:
        metadata, self.spec = manifest["metadata"], manifest["spec"]
        self.namespace, self.pod_name = str(metadata["namespace"]), str(metadata["name"])
        self.uid, self.node = str(metadata["uid"]), str(self.spec["nodeName"])
        super().__init__(name=f"pod {self.pod_name}", daemon=True)
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.pod_name}"
        self.place, self.phase = place, "Pending"
        self.unwanted, self.gone = threading.Event(), threading.Event()
        first, then = self.spec.get("initContainers", []), self.spec["containers"]
        waiting = "PodInitializing" if first else "ContainerCreating"
        self.init = [Container(c, pod_uid=self.uid, waiting=waiting) for c in first]
        self.main = [Container(c, pod_uid=self.uid, waiting=waiting) for c in then]
        self._api, self._environment = api, Environment(api, manifest, place.ip)
        self._began, self._started_at = time.monotonic(), timestamp()
        self._conditions: dict[str, Manifest] = {}
        self._ending: _Ending | None = None
        self._wake = threading.Event()

    @property
    def containers(self) -> list[Container]:
        """All its containers, those that run first at the front."""
        return [*self.init, *self.main]

    @property
    def is_active(self) -> bool:
        """Whether it holds what its node gave it."""
        return self.is_alive() and self.phase in ("Pending", "Running")

    def ask_to_stop(self, grace_s: float, **status: object) -> None:
        """SIGTERM now and SIGKILL after the grace; then it has failed with this status. A shorter grace wins."""
        if self._ending is None or grace_s < self._ending.grace_s:
            self._ending = _Ending(grace_s=grace_s, status=status, since=time.monotonic())
            self._wake.set()

    def want_no_more(self, grace_s: float) -> None:
        """The server marked it for deletion."""
        self.ask_to_stop(grace_s)
        self.unwanted.set()

    def lose(self) -> None:
        """Kill it and report nothing."""
        self.gone.set()
        self.unwanted.set()
        self.ask_to_stop(0)

    def run(self) -> None:
        """Run it, keep its logs until it is deleted, and tell the server that it may be."""
        try:
            self._live()
            self.unwanted.wait()
            if not self.gone.is_set():
                self._api.delete(
                    self.path, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
                )
        except ApiError as error:
            if error.status not in (404, 409):  # deleted by force, perhaps made anew
                raise
        finally:
            for container in self.containers:
                container.kill()

    def _live(self) -> None:
        self._report("Pending")
        for container in self.init:
            self._start(container)
            self._run_while(lambda c=container: c.is_running)  # type: ignore[misc]
            if container.exit_code != 0:
                self._report("Failed")
                return
        for container in self.main:
            self._start(container)
        self._report("Running")
        self._run_while(lambda: any(container.is_running for container in self.main))
        failed = any(container.exit_code != 0 for container in self.main)
        failed = failed or bool(self._ending and self._ending.status)
        self._report("Failed" if failed else "Succeeded")

    def _run_while(self, is_running: Callable[[], bool]) -> None:
        while is_running():
            self._pause()
            self._heed_the_end()
            if ended := [container for container in self.containers if container.has_ended()]:
                for container in ended:
                    self._start_again(container)
                if is_running():
                    self._report(self.phase)

    def _pause(self) -> None:
        self._wake.wait(LOOK_EVERY_S)
        self._wake.clear()

    def _start(self, container: Container) -> None:
        while self._ending is None:
            try:
                container.start(self._env(container.spec), self.place.folder)
            except ContainerConfigError as error:
                container.state = {"waiting": {"reason": error.reason, "message": str(error)}}
                self._report("Pending")
                self.unwanted.wait(1)
            else:
                return

    def _start_again(self, container: Container) -> None:
        policy = self.spec.get("restartPolicy", "Always")
        again = policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)
        if container in self.main and again and self._ending is None:
            container.again()
            self._report(self.phase)
            self.unwanted.wait(min(2**container.restarts, 30))
            self._start(container)

    def _heed_the_end(self) -> None:
        limit = self.spec.get("activeDeadlineSeconds")
        if limit and time.monotonic() - self._began > limit:
            message = "Pod was active on the node longer than the specified deadline"
            grace_s = self.spec["terminationGracePeriodSeconds"]
            self.ask_to_stop(grace_s, reason="DeadlineExceeded", message=message)
        if self._ending is None:
            return
        if not self._ending.is_sent:
            self._ending.is_sent = True
            for container in self.containers:
                container.terminate()
        if time.monotonic() - self._ending.since > self._ending.grace_s:
            for container in self.containers:
                container.kill()

    def _env(self, container: Manifest) -> dict[str, str]:
        image = container["image"]
        if image in self.place.missing:
            raise ContainerConfigError("ImagePullBackOff", f'Back-off pulling image "{image}"')
        devices = ",".join(map(str, self.place.devices)) or "void"
        brought = {"HOSTNAME": self.pod_name, "NVIDIA_VISIBLE_DEVICES": devices}
        return self._environment.of(container, {**self.place.image, **brought})

    def _report(self, phase: str) -> None:
        if self.gone.is_set():
            return
        self.phase = phase
        status = dict(self._ending.status) if self._ending and phase == "Failed" else {}
        conditions = [*self._conditions_of(phase), *status.pop("conditions", ())]
        body = {
            "phase": phase,
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "podIP": self.place.ip,
            "podIPs": [{"ip": self.place.ip}],
            "startTime": self._started_at,
            "initContainerStatuses": [container.status() for container in self.init],
            "containerStatuses": [container.status() for container in self.main],
            "conditions": conditions,
            **status,
        }
        self._api.patch(f"{self.path}/status", {"metadata": {"uid": self.uid}, "status": body})

    def _conditions_of(self, phase: str) -> list[Manifest]:
        is_initialized = all(container.exit_code == 0 for container in self.init)
        is_ready = phase == "Running" and all(container.is_running for container in self.main)
        why = {"reason": "PodCompleted"} if phase in ("Succeeded", "Failed") else {}
        values = {"Initialized": is_initialized, "ContainersReady": is_ready, "Ready": is_ready}
        for kind, value in values.items():
            if self._conditions.get(kind, {}).get("status") != str(value):
                told = {"type": kind, "status": str(value), "lastTransitionTime": timestamp()}
                self._conditions[kind] = told | why
        return list(self._conditions.values())


def gpus_asked(manifest: Manifest) -> int:
    """How many GPUs the containers of a pod ask for."""
    limits = [c.get("resources", {}).get("limits", {}) for c in manifest["spec"]["containers"]]
    return int(sum(number(limit.get(GPU, 0)) for limit in limits))
