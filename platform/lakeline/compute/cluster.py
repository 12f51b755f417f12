"""The few requests to a Kubernetes API server that building in pods takes."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lakeline.compute.errors import ClusterUnreachableError, PodRefusedError
from lakeline.compute.pod_spec import MANAGED_BY, RUN_LABEL, Manifest
from lakeline.compute.profile import Pods
from lakeline.errors import MissingExtraError

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
OF_LAKELINE = f"app.kubernetes.io/managed-by={MANAGED_BY}"
REQUEST_S = 30
KEPT = dt.timedelta(hours=1)
"""How long an ended pod stays, for ``kubectl logs`` and ``kubectl describe``."""

GONE, TOO_MANY, FIRST_OF_SERVER = 404, 429, 500


@dataclass(frozen=True, slots=True)
class Cluster:
    """A namespace of a cluster. What the API server refuses is `PodRefusedError`, and `ClusterUnreachableError` that it does not answer.

    Attributes:
        core: Kubernetes' ``CoreV1Api``, whose results are of any type that a request may have.
        namespace: Where pods are made.
    """

    core: Any
    namespace: str

    def create(self, pod: Manifest, asset: str) -> None:
        """Make a pod. A quota, an admission rule or a field that it does not take may refuse it."""
        self._ask("create_namespaced_pod", f"the pod of '{asset}'", body=pod)

    def pod(self, name: str) -> Manifest | None:
        """A pod as it is now; None if there is none."""
        found = self._ask("read_namespaced_pod", f"to show pod {name}", name=name)
        return None if found is None else self._object(found)

    def delete(self, name: str, *, grace_s: int | None = None) -> None:
        """Ask a pod to go; nothing if it is gone."""
        more = {} if grace_s is None else {"grace_period_seconds": grace_s}
        self._ask("delete_namespaced_pod", f"to delete pod {name}", name=name, **more)

    def run_pod(self, run_id: str) -> tuple[Manifest | None, Manifest]:
        """The pod of a Dagster run: a reference to it as an owner, and its spec; None and nothing for a run in no pod."""
        for one in self._list(f"dagster/run-id={run_id}"):
            if not is_ended(one):
                named = {key: one["metadata"][key] for key in ("name", "uid")}
                return {"apiVersion": "v1", "kind": "Pod", **named}, one["spec"]
        return None, {}

    def builds(self) -> list[Manifest]:
        """Every pod that lakeline made, ended ones too."""
        return self._list(OF_LAKELINE)

    def why_waiting(self, name: str) -> str:
        """The newest warning among a pod's events; empty without."""
        of_pod = f"involvedObject.name={name},type=Warning"
        found = self._ask("list_namespaced_event", f"to show events of pod {name}", field_selector=of_pod)  # fmt: skip
        return str(found.items[-1].message) if found.items else ""

    def _list(self, selector: str) -> list[Manifest]:
        found = self._ask("list_namespaced_pod", "to list pods", label_selector=selector)
        return [self._object(one) for one in found.items]

    def _ask(self, request: str, what: str, **more: object) -> Any:
        """The answer to a request; None where what it is about is gone."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        asked = {"namespace": self.namespace, "_request_timeout": REQUEST_S, **more}
        try:
            return getattr(self.core, request)(**asked)
        except ApiException as error:
            if error.status == GONE and "name" in more:
                return None
            if error.status == TOO_MANY or (error.status or 0) >= FIRST_OF_SERVER:
                raise ClusterUnreachableError(_message(error)) from error
            raise PodRefusedError(what, _message(error)) from error
        except HTTPError as error:
            raise ClusterUnreachableError(str(error)) from error

    def _object(self, found: Any) -> Manifest:
        return dict(self.core.api_client.sanitize_for_serialization(found))


def run_of(pod: Mapping[str, Any]) -> str:
    """Id of the run that a pod was made for."""
    return str(pod["metadata"]["labels"][RUN_LABEL])


def name_of(pod: Mapping[str, Any]) -> str:
    """Name of a pod."""
    return str(pod["metadata"]["name"])


def connect(pods: Pods) -> Cluster:
    """The cluster that a deployment names, or that this process runs in.

    Raises:
        MissingExtraError: Kubernetes' client is not installed.
        ClusterUnreachableError: There is no such cluster.
    """
    return _connect(pods.kubeconfig, pods.context, pods.namespace)


@lru_cache(maxsize=8)
def _connect(kubeconfig: str, context: str, namespace: str) -> Cluster:
    try:
        from kubernetes import client, config
    except ModuleNotFoundError as error:
        raise MissingExtraError("Building in pods", "kubernetes") from error
    configuration = client.Configuration()
    try:
        if kubeconfig:
            config.load_kube_config(kubeconfig, context or None, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise ClusterUnreachableError(str(error)) from error
    own = NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"
    return Cluster(client.CoreV1Api(client.ApiClient(configuration)), namespace or own)


def _message(error: Any) -> str:
    """The API server's words."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def is_ended(pod: Manifest) -> bool:
    """Whether a pod has come to its end."""
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def has_been_kept(pod: Manifest, now: dt.datetime) -> bool:
    """Whether a pod ended long enough ago that nobody will look at it."""
    found = [
        ended["finishedAt"]
        for one in pod["status"].get("containerStatuses") or ()
        if (ended := (one.get("state") or {}).get("terminated")) and ended.get("finishedAt")
    ]
    return bool(found) and now - dt.datetime.fromisoformat(max(found)) > KEPT
