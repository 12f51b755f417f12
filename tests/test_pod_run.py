"""A build in a pod is seen through an API server that refuses, forgets and goes away for a while."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lakeline.compute import Compute
from lakeline.compute import pod_run as module
from lakeline.compute.cluster import Cluster
from lakeline.compute.errors import ClusterUnreachableError, PodRefusedError, UnschedulableError
from lakeline.compute.pod_run import PodRun
from lakeline.compute.pod_spec import Launch
from lakeline.compute.profile import Pods

exceptions = pytest.importorskip(
    "kubernetes.client.exceptions", reason="Run: pip install 'lakeline[kubernetes]'"
)
LAUNCH = Launch(name="lakeline-x", asset="a/b", run_id="run", command=["python"])
Answer = dict[str, Any] | Exception | None


def refused(status: int, message: str = "no") -> Exception:
    error: Exception = exceptions.ApiException(status=status, reason="Reason")
    error.body = f'{{"message": "{message}"}}'  # type: ignore[attr-defined]
    return error


def pod(phase: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "lakeline-x-1"}, "status": {"phase": phase, **status}}


class Core:
    """A client whose server gives one answer after the other when it is asked for a pod; the last one again and again."""

    api_client = SimpleNamespace(sanitize_for_serialization=lambda found: found)

    def __init__(self, *answers: Answer, refuses: Exception | None = None) -> None:
        self.answers, self.refuses = list(answers), refuses
        self.deleted: list[str] = []

    def create_namespaced_pod(self, **_: Any) -> None:
        if self.refuses is not None:
            raise self.refuses

    def read_namespaced_pod(self, **_: Any) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    def delete_namespaced_pod(self, *, name: str, **_: Any) -> None:
        self.deleted.append(name)

    def list_namespaced_event(self, **_: Any) -> Any:
        raise refused(403, "events are not for you")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that take no time."""
    for name in ("LOOK_EVERY_S", "LOOK_AGAIN_S", "QUIET_S"):
        monkeypatch.setattr(module, name, 0.0)


def work(core: Core, said: list[str], **pods: Any) -> PodRun:
    def follow(_: str) -> None:
        return

    again: Callable[[], None] = lambda: None  # noqa: E731
    return PodRun(
        cluster=Cluster(core, "ml"), pods=Pods(**pods), compute=Compute(memory="1Gi"),
        say=said.append, follow=follow, again=again,
    )  # fmt: skip


def test_an_api_server_that_is_away_for_a_while_ends_no_build() -> None:
    said: list[str] = []
    core = Core(pod("Running"), refused(503), refused(503), refused(429), pod("Succeeded"))
    done = work(core, said).to_the_end(LAUNCH)
    assert (done.names, done.fault) == (("lakeline-x-1",), None)
    away = [one for one in said if "cannot be seen at present" in one]
    assert len(away) == 1, "the same is said once a minute"
    assert core.deleted == []


def test_an_api_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AWAY_S", 0.0)
    core = Core(pod("Running"), refused(500))
    with pytest.raises(ClusterUnreachableError, match="cannot be reached"):
        work(core, []).to_the_end(LAUNCH)
    assert core.deleted == ["lakeline-x-1"]


def test_a_refused_pod_is_told_in_the_servers_words() -> None:
    core = Core(None, refuses=refused(403, "exceeded quota: gpus"))
    with pytest.raises(PodRefusedError) as caught:
        work(core, []).to_the_end(LAUNCH)
    assert str(caught.value) == "Kubernetes refused the pod of 'a/b': exceeded quota: gpus"


def test_a_pod_that_waits_without_a_reason_is_given_up_though_events_are_forbidden() -> None:
    core = Core(pod("Pending"))
    with pytest.raises(UnschedulableError, match="without a reason"):
        work(core, [], start_timeout_s=0.05).to_the_end(LAUNCH)
    assert core.deleted == ["lakeline-x-1"]


def test_a_pod_that_nobody_may_look_at_is_no_pod_that_is_gone() -> None:
    with pytest.raises(PodRefusedError, match="refused to show pod lakeline-x-1: not yours"):
        work(Core(refused(403, "not yours")), []).to_the_end(LAUNCH)
