"""The ways in which a cluster loses a node, spot or not."""

from typing import Any

from tests.kubernetes.agent import NodeAgent
from tests.kubernetes.pod import Pod
from tests.kubernetes.quantities import timestamp
from tests.kubernetes.waiting import until

SHUTDOWN = "Pod was terminated in response to imminent node shutdown."


def shut_down(agent: NodeAgent, name: str, *, grace_s: float = 0.0) -> None:
    """The kubelet is told: SIGTERM, the grace, SIGKILL; pods end as Failed for the reason ``Terminated``; no node then."""
    _close(agent, name)
    pods = _active(agent, name)
    for pod in pods:
        told = {"reason": "Terminated", "message": SHUTDOWN, "conditions": [_disruption()]}
        pod.ask_to_stop(grace_s, **told)
    until(lambda: not any(pod.is_active for pod in pods), within_s=grace_s + 20)
    agent.delete(name)


def drain(agent: NodeAgent, name: str, *, grace_s: int = 0) -> None:
    """Its pods are evicted through the API, which deletes them, and then the node."""
    _close(agent, name)
    pods = _active(agent, name)
    for pod in pods:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.pod_name, "namespace": pod.namespace},
            "deleteOptions": {"gracePeriodSeconds": grace_s},
        }
        agent.api.create(f"{pod.path}/eviction", eviction)
    until(lambda: not any(pod.is_alive() for pod in pods), within_s=grace_s + 20)
    agent.delete(name)


def vanish(agent: NodeAgent, name: str) -> None:
    """Nobody is told: processes are gone and heartbeats stop. The node turns NotReady after 10 s; its pods stay on the
    server until somebody deletes it (``agent.delete``) and pods are collected, which takes 40 to 60 s more.
    """
    for pod in agent.forget(name):
        pod.lose()
        pod.join(5)


def _close(agent: NodeAgent, name: str) -> None:
    agent.api.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})


def _active(agent: NodeAgent, name: str) -> list[Pod]:
    return [pod for pod in agent.pods_on(name) if pod.is_active]


def _disruption() -> dict[str, Any]:
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": SHUTDOWN,
        "lastTransitionTime": timestamp(),
    }
