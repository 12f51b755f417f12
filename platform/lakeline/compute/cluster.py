"""The few requests to a Kubernetes API server that building in pods takes."""

import contextlib
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

GONE, CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class Cluster:
    """A namespace of a cluster.

    Attributes:
        core: Kubernetes' ``CoreV1Api``, whose results are of any type that a request may have.
        namespace: Where pods are made.
    """

    core: Any
    namespace: str

    def create(self, pod: Manifest, asset: str) -> None:
        """Make a pod.

        Raises:
            PodRefusedError: The API server says no: a quota, an admission rule, a field that it does not take.
            ClusterUnreachableError: It does not answer.
        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            self.core.create_namespaced_pod(self.namespace, pod, _request_timeout=REQUEST_S)
        except ApiException as error:
            raise PodRefusedError(asset, _message(error)) from error
        except HTTPError as error:
            raise ClusterUnreachableError(asset, str(error)) from error

    def pod(self, name: str) -> Manifest | None:
        """A pod as it is now; None if there is none."""
        from kubernetes.client.exceptions import ApiException

        try:
            return self._object(self.core.read_namespaced_pod(name, self.namespace, _request_timeout=REQUEST_S))  # fmt: skip
        except ApiException as error:
            if error.status == GONE:
                return None
            raise

    def delete(self, name: str, *, grace_s: int | None = None) -> None:
        """Ask a pod to go; nothing if it is gone."""
        from kubernetes.client.exceptions import ApiException

        with contextlib.suppress(ApiException):
            more = {} if grace_s is None else {"grace_period_seconds": grace_s}
            self.core.delete_namespaced_pod(
                name, self.namespace, _request_timeout=REQUEST_S, **more
            )

    def run_pod(self, run_id: str) -> tuple[Manifest | None, Manifest]:
        """The pod of a Dagster run: a reference to it as an owner, and its spec; None and nothing for a run in no pod."""
        found = self._list(f"dagster/run-id={run_id}")
        own = [one for one in found if one["status"].get("phase") in {"Running", "Pending"}]
        if not own:
            return None, {}
        metadata = own[0]["metadata"]
        owner = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        return owner, own[0]["spec"]

    def builds(self) -> list[Manifest]:
        """Every pod that lakeline made, ended ones too."""
        return self._list(OF_LAKELINE)

    def why_waiting(self, name: str) -> str:
        """The newest warning among a pod's events; empty without."""
        events = self.core.list_namespaced_event(
            self.namespace, field_selector=f"involvedObject.name={name}", _request_timeout=REQUEST_S
        ).items
        warnings = [one for one in events if one.type == "Warning"]
        return str(warnings[-1].message) if warnings else ""

    def _list(self, selector: str) -> list[Manifest]:
        found = self.core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=REQUEST_S)  # fmt: skip
        return [self._object(one) for one in found.items]

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
        raise ClusterUnreachableError("", str(error)) from error
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
