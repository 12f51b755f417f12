"""A namespace of a cluster: what a test makes in it, and what the server stored."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kubernetes.api import Api, Manifest, write_kubeconfig
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.waiting import until

GROUPS = {"Job": "/apis/batch/v1", "Role": "/apis/rbac.authorization.k8s.io/v1"}
GROUPS["RoleBinding"] = GROUPS["Role"]


class Namespace:
    """A namespace.

    Attributes:
        name: Its name.
        kubeconfig: A file by which kubectl and clients reach the server in it, as the administrator.
    """

    def __init__(self, api: Api, name: str, folder: Path) -> None:
        self.api, self.name = api, name
        self.kubeconfig = write_kubeconfig(folder / f"{name}.kubeconfig", api, namespace=name)

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are, such as ``Pod``; by name, one of them."""
        group = GROUPS.get(kind, "/api/v1")
        tail = f"/{name}" if name else ""
        return f"{group}/namespaces/{self.name}/{kind.lower()}s{tail}"

    def create(self, kind: str, name: str, **content: Any) -> Manifest:
        """Make an object from its top-level fields besides the name.

        Raises:
            ApiError: The server refuses it; the message has its words.
        """
        return self.api.create(self.path(kind), {"metadata": {"name": name}, **content})

    def run(
        self,
        name: str,
        *command: str,
        limits: Mapping[str, str] | None = None,
        env: Sequence[Manifest] = (),
        container: Manifest | None = None,
        **spec: Any,
    ) -> Manifest:
        """Make a pod of one container that is not started again.

        Args:
            name: Its name.
            command: Its command.
            limits: Its limits of resources, which are its requests too.
            env: Its ``env``.
            container: Further fields of the container.
            spec: Further fields of the pod's spec.
        """
        main: Manifest = {"name": "main", "image": "any", "command": command, "env": env}
        main |= {"resources": {"limits": dict(limits or {})}, **(container or {})}
        return self.create("Pod", name, spec={"restartPolicy": "Never", "containers": [main], **spec})  # fmt: skip

    def pod(self, name: str) -> Manifest:
        """A pod as stored."""
        return self.api.get(self.path("Pod", name))

    def pods(self, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """Pods as stored, those with all labels."""
        return self.listed("Pod", labels)

    def jobs(self, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """Jobs as stored, those with all labels."""
        return self.listed("Job", labels)

    def listed(self, kind: str, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """Objects of a kind, those with all labels."""
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        return list(self.api.get(self.path(kind), labelSelector=selector)["items"])

    def wait(self, name: str, *phases: str, within_s: float = 20.0) -> Manifest:
        """A pod once it is in one of the phases.

        Raises:
            TimeoutError: It is not in time; the message has its status.
        """
        try:
            until(lambda: self.pod(name)["status"].get("phase") in phases, within_s=within_s)
        except TimeoutError as error:
            raise TimeoutError(f"{name} is not {phases}: {self.pod(name)['status']}") from error
        return self.pod(name)

    def log(self, name: str, **options: object) -> str:
        """What a pod printed, read through the API server; options such as ``tailLines=1``."""
        return self.api.text(f"{self.path('Pod', name)}/log", **options)

    def follow(self, name: str) -> Iterator[str]:
        """Lines of a pod's log as they come, until it ends."""
        return self.api.lines(f"{self.path('Pod', name)}/log", follow="true")

    def events(self, name: str) -> list[Manifest]:
        """Events about an object, oldest first."""
        found = self.api.get(self.path("Event"), fieldSelector=f"involvedObject.name={name}")
        return list(found["items"])

    def delete(self, kind: str, name: str, **options: object) -> None:
        """Delete an object; options such as ``gracePeriodSeconds=0``."""
        self.api.delete(self.path(kind, name), dict(options))

    def token(self, account: str) -> str:
        """A token of a service account, good for ten minutes and for what its roles allow."""
        request = {"spec": {"expirationSeconds": 600}}
        answer = self.api.create(f"{self.path('ServiceAccount', account)}/token", request)
        return str(answer["status"]["token"])

    @contextmanager
    def as_account(self, account: str) -> Iterator["Namespace"]:
        """The same namespace for one who is a service account of it."""
        api = Api(self.api.server, ca=self.api.ca, token=self.token(account))
        folder = self.kubeconfig.parent / f"{self.name}-{account}"
        folder.mkdir(exist_ok=True)
        yield Namespace(api, self.name, folder)
        api.close()


@contextmanager
def fresh_namespace(cluster: Cluster, name: str = "") -> Iterator[Namespace]:
    """A namespace of its own, whose pods are killed at the end."""
    name = name or f"test-{uuid.uuid4().hex[:8]}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    namespace = Namespace(cluster.api, name, cluster.folder)
    # Pods are refused until the controllers made it.
    until(lambda: cluster.api.find(namespace.path("ServiceAccount", "default")))
    try:
        yield namespace
    finally:
        for kind in ("Job", "Pod"):
            options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
            cluster.api.delete(namespace.path(kind), options)
        cluster.api.delete(f"/api/v1/namespaces/{name}")


def ended(pod: Manifest) -> Manifest:
    """How the first container of a pod ended: ``exitCode``, ``reason``, times."""
    return dict(pod["status"]["containerStatuses"][0]["state"]["terminated"])


def condition(stored: Manifest, kind: str) -> Manifest:
    """A condition of an object by its type; empty where it has none."""
    found = [c for c in stored["status"].get("conditions", []) if c["type"] == kind]
    return dict(found[0]) if found else {}
