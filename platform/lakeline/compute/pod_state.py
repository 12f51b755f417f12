"""What a pod's status says, in the few words that matter to whoever waits for it.

Conditions and reasons are Kubernetes' own (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["waiting", "running", "done", "failed", "memory", "taken"]

TAKEN_REASONS = frozenset({"Evicted", "Preempting", "NodeLost", "NodeShutdown", "Terminated", "Shutdown"})  # fmt: skip
HOPELESS = frozenset({"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"})
"""What a container waits for and time alone does not bring."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodState:
    """How a pod stands.

    Attributes:
        kind: ``taken`` where the cluster took it away, ``memory`` where it was ended for its memory.
        why: In the cluster's words; empty where there is nothing to say.
        is_hopeless: Whether waiting is no use.
        code: Exit code, once it has ended.
        deleted_ts: When it was asked to go; None where it was not.
    """

    kind: Kind
    why: str = ""
    is_hopeless: bool = False
    code: int | None = None
    deleted_ts: dt.datetime | None = None


def state_of(pod: Mapping[str, Any]) -> PodState:
    """How a pod stands, from its object as the API server has it."""
    status = pod.get("status") or {}
    deleted = pod["metadata"].get("deletionTimestamp")
    deleted_ts = dt.datetime.fromisoformat(deleted) if deleted else None
    ended = _ended(status)
    if status.get("phase") == "Succeeded":
        return PodState(kind="done", code=0, deleted_ts=deleted_ts)
    if ended and ended.get("reason") == "OOMKilled":
        return PodState(kind="memory", code=ended.get("exitCode"), why="OOMKilled", deleted_ts=deleted_ts)  # fmt: skip
    taken = _taken(status)
    if status.get("phase") == "Failed" or ended:
        code = ended.get("exitCode") if ended else None
        if taken or deleted_ts is not None:
            return PodState(kind="taken", why=taken or "it was deleted", code=code, deleted_ts=deleted_ts)  # fmt: skip
        why = status.get("message") or (ended or {}).get("message") or ""
        return PodState(kind="failed", why=why, code=code, deleted_ts=deleted_ts)
    if status.get("phase") == "Running":
        return PodState(kind="running", why=taken, deleted_ts=deleted_ts)
    return _waiting(status, deleted_ts)


def _ended(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How its container ended; None while it has not."""
    for one in status.get("containerStatuses") or ():
        if ended := (one.get("state") or {}).get("terminated"):
            return dict(ended)
    return None


def _taken(status: Mapping[str, Any]) -> str:
    """Why the cluster takes it away; empty where it does not."""
    for one in status.get("conditions") or ():
        if one["type"] == "DisruptionTarget" and one["status"] == "True":
            return f"{one.get('reason', '')}: {one.get('message', '')}".strip(": ")
    if status.get("reason") in TAKEN_REASONS:
        return f"{status['reason']}: {status.get('message', '')}".strip(": ")
    return ""


def _waiting(status: Mapping[str, Any], deleted_ts: dt.datetime | None) -> PodState:
    for one in status.get("conditions") or ():
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return PodState(kind="waiting", why=one.get("message", ""), deleted_ts=deleted_ts)
    for one in status.get("containerStatuses") or ():
        held = (one.get("state") or {}).get("waiting") or {}
        if held.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            why = f"{held['reason']}: {held.get('message', '')}".strip(": ")
            return PodState(kind="waiting", why=why, is_hopeless=held["reason"] in HOPELESS, deleted_ts=deleted_ts)  # fmt: skip
    return PodState(kind="waiting", deleted_ts=deleted_ts)
