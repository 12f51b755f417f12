"""The environment of a container, put together as a kubelet does it."""

import base64
import math
import re
from collections.abc import Mapping

from tests.kubernetes.api import Api, ApiError, Manifest
from tests.kubernetes.quantities import number

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


class ContainerConfigError(Exception):
    """What keeps a container waiting: a reason, and words for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def expand(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced in a command or a value; ``$$`` is a dollar sign, and unknown names stay.

    >>> expand("$(A) $(B) $$(A)", {"A": "x"})
    'x $(B) $(A)'
    """
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)


class Environment:
    """What the containers of a pod find in their environment.

    Args:
        api: Where its Secrets and ConfigMaps are.
        pod: Its manifest.
        ip: Its address.
    """

    def __init__(self, api: Api, pod: Manifest, ip: str) -> None:
        self._api, self._metadata, self._spec, self._ip = api, pod["metadata"], pod["spec"], ip

    def of(self, container: Manifest, image: Mapping[str, str]) -> dict[str, str]:
        """The environment of one container, on top of what its image brings.

        Raises:
            ContainerConfigError: A Secret, ConfigMap or key is not there.
        """
        env = dict(image)
        for source in container.get("envFrom", []):
            kind = "secret" if "secretRef" in source else "configmap"
            data = self._data(kind, source.get("secretRef") or source["configMapRef"]) or {}
            env |= {source.get("prefix", "") + key: value for key, value in data.items()}
        for item in container.get("env", []):
            value = (
                self._from(item["valueFrom"], container)
                if "valueFrom" in item
                else expand(item.get("value", ""), env)
            )
            if value is not None:
                env[item["name"]] = value
        return env

    def _from(self, source: Manifest, container: Manifest) -> str | None:
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            return _resource(source["resourceFieldRef"], container)
        if "secretKeyRef" in source:
            return self._key("secret", source["secretKeyRef"])
        if "configMapKeyRef" in source:
            return self._key("configmap", source["configMapKeyRef"])
        raise ContainerConfigError("CreateContainerConfigError", f"{source} is not emulated")

    def _field(self, path: str) -> str:
        if keyed := _KEYED.fullmatch(path):
            return str(self._metadata.get(keyed[1], {}).get(keyed[2], ""))
        fields: dict[str, str] = {
            "metadata.name": self._metadata["name"],
            "metadata.namespace": self._metadata["namespace"],
            "metadata.uid": self._metadata["uid"],
            "spec.nodeName": self._spec["nodeName"],
            "spec.serviceAccountName": self._spec.get("serviceAccountName", ""),
            "status.hostIP": "127.0.0.1",
            "status.podIP": self._ip,
            "status.podIPs": self._ip,
        }
        return fields[path]

    def _key(self, kind: str, reference: Manifest) -> str | None:
        data = self._data(kind, reference)
        if data is not None and reference["key"] not in data and not reference.get("optional"):
            where = f"{self._metadata['namespace']}/{reference['name']}"
            message = f"couldn't find key {reference['key']} in {where}"
            raise ContainerConfigError("CreateContainerConfigError", message)
        return (data or {}).get(reference["key"])

    def _data(self, kind: str, reference: Manifest) -> dict[str, str] | None:
        path = f"/api/v1/namespaces/{self._metadata['namespace']}/{kind}s/{reference['name']}"
        try:
            data = self._api.get(path).get("data", {})
        except ApiError as error:
            if error.status == 404 and reference.get("optional"):
                return None
            message = f'{kind} "{reference["name"]}" not found'
            raise ContainerConfigError("CreateContainerConfigError", message) from error
        if kind == "secret":
            return {key: base64.b64decode(value).decode() for key, value in data.items()}
        return dict(data)


def _resource(reference: Manifest, container: Manifest) -> str:
    kind, _, name = reference["resource"].partition(".")
    amount = number(container.get("resources", {}).get(kind, {}).get(name, 0))
    return str(math.ceil(amount / (number(reference.get("divisor", 1)) or 1)))  # stored 0 means 1
