"""One build in a pod, from its making to its end: waits with words, starts it again where it was taken away, leaves nothing behind."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from lakeline.compute.cluster import Cluster
from lakeline.compute.declaration import Compute
from lakeline.compute.errors import (
    ClusterUnreachableError,
    OutOfMemoryError,
    PreemptedError,
    UnschedulableError,
    WorkerLostError,
)
from lakeline.compute.pod_spec import Launch, Manifest, pod_of
from lakeline.compute.pod_state import PodState, state_of
from lakeline.compute.profile import Pods
from lakeline.errors import ComputeError

LOOK_EVERY_S, LOOK_AGAIN_S = 0.5, 5.0
AWAY_S = 900.0
"""How long an API server that does not answer is waited for while a pod is under way."""

SAY_EVERY_S, QUIET_S = 60.0, 10.0
"""Between two times that the same is said; and how long a pod may be made without its events being looked at."""

LOGS_END_S = 15.0
"""Longest wait for the last lines of a pod that has ended."""

LOST_S = 20.0
"""How long after its grace a pod on a node that does not answer is given up."""

Follow = Callable[[str], None]
"""Hands on what a pod writes, by its name, until it ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltInPods:
    """How a build in pods ended.

    Attributes:
        names: The pods that it took, the last one to its end.
        fault: What is wrong with that end; None where nothing is.
    """

    names: tuple[str, ...]
    fault: ComputeError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PodRun:
    """What it takes to see a build through.

    Attributes:
        cluster: Where.
        pods: What the deployment says of it.
        compute: What the asset declares.
        say: Tells people what is worth knowing meanwhile.
        follow: Hands on what a pod writes.
        again: Called before a pod is started in place of one that was taken.
    """

    cluster: Cluster
    pods: Pods
    compute: Compute
    say: Callable[[str], None]
    follow: Follow
    again: Callable[[], None]
    _said: dict[str, float] = field(default_factory=dict)

    def to_the_end(self, launch: Launch) -> BuiltInPods:
        """Build. A pod that is taken away is replaced if the asset may be interrupted.

        Raises:
            ComputeError: No pod came to its end; the class says why.
        """
        names: list[str] = []
        taken: list[str] = []
        while True:
            attempt = replace(launch, name=f"{launch.name}-{len(names) + 1}")
            names.append(attempt.name)
            ended = self._build(attempt)
            if ended.kind != "taken":
                return BuiltInPods(names=tuple(names), fault=_fault(attempt, self.compute, ended))
            taken.append(ended.why)
            allowed = self.pods.preemptions if self.compute.spot else 0
            if len(taken) > allowed:
                raise PreemptedError(launch.asset, len(taken), taken)
            self.say(f"{attempt.name} was taken away ({ended.why}); starting again, {len(taken)} of {allowed} times")  # fmt: skip
            self.again()

    def _build(self, launch: Launch) -> PodState:
        """How a pod ended. It stays for whoever wants to look at it, but for one that is no longer waited for."""
        self.cluster.create(pod_of(launch, self.compute, self.pods), launch.asset)
        self.say(f"Building in pod {launch.name}: {self.compute}")
        try:
            return self._wait(launch)
        except BaseException:
            with suppress(ComputeError):  # what ended the wait is what is to be told
                self.cluster.delete(launch.name)
            raise

    def _wait(self, launch: Launch) -> PodState:
        """Until the pod has ended, its last lines included."""
        started, lines = time.monotonic(), None
        while True:
            state = self._look(launch.name)
            if state.kind == "waiting":
                self._require_patience(launch, state, time.monotonic() - started)
            elif lines is None:
                lines = threading.Thread(target=self.follow, args=(launch.name,), daemon=True)
                lines.start()
            if state.kind in {"done", "failed", "memory", "taken"}:
                if lines is not None and state.kind != "taken":
                    lines.join(LOGS_END_S)
                return state
            time.sleep(LOOK_EVERY_S)

    def _look(self, name: str) -> PodState:
        pod = self._patiently(name)
        if pod is None:
            return PodState(kind="taken", why="it is gone")
        state = state_of(pod)
        if state.deleted_ts is not None and state.kind in {"running", "waiting"}:
            # Its node may never say that it has ended.
            waited_s = (dt.datetime.now(dt.UTC) - state.deleted_ts).total_seconds()
            if waited_s > LOST_S:
                self.cluster.delete(name, grace_s=0)
                return PodState(kind="taken", why=state.why or "its node does not answer")
        return state

    def _patiently(self, name: str) -> Manifest | None:
        """A pod as it is now. An API server that is away for a while ends no training: the pod goes on without it."""
        until = time.monotonic() + AWAY_S
        while True:
            try:
                return self.cluster.pod(name)
            except ClusterUnreachableError as error:
                if time.monotonic() > until:
                    raise
                self._say_at_times(f"Pod {name} cannot be seen at present: {error}")
                time.sleep(LOOK_AGAIN_S)

    def _say_at_times(self, words: str) -> None:
        """Tell the same at most once a minute."""
        now = time.monotonic()
        if now - self._said.get(words, -SAY_EVERY_S) >= SAY_EVERY_S:
            self._said[words] = now
            self.say(words)

    def _require_patience(self, launch: Launch, state: PodState, waited_s: float) -> None:
        why = state.why
        if not why and waited_s > QUIET_S:
            with suppress(ComputeError):  # events help, and may be forbidden
                why = self.cluster.why_waiting(launch.name)
        if why:
            self._say_at_times(f"Pod {launch.name} waits: {why}")
        if state.is_hopeless or waited_s > self.pods.start_timeout_s:
            raise UnschedulableError(launch.asset, launch.name, why or "without a reason", waited_s)


def _fault(launch: Launch, compute: Compute, ended: PodState) -> ComputeError | None:
    """What is wrong with how a pod ended; None where it ended well."""
    if ended.kind == "memory":
        declared = compute.memory or "no limit of its own"
        seen = f"by its node at that limit (OOMKilled, pod {launch.name})"
        return OutOfMemoryError(launch.asset, declared, seen, "pod")
    if ended.kind == "failed":
        why = f", {ended.why}" if ended.why else ""
        how = f"{launch.name} ended with code {ended.code}{why}"
        return WorkerLostError(launch.asset, "pod", how)
    return None
