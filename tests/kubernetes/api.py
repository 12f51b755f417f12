"""A Kubernetes API server over HTTP, in few lines; objects are dicts, as the server stores them."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import yaml

Manifest: TypeAlias = dict[str, Any]

MERGE = "application/strategic-merge-patch+json"


class ApiError(RuntimeError):
    """The server said no, in its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """A client; all threads may use one.

    Args:
        server: The server's url.
        ca: File with the certificate that signed the server's.
        token: Who asks.
    """

    def __init__(self, server: str, *, ca: Path, token: str) -> None:
        self.server, self.ca, self.token = server, ca, token
        self._client = httpx.Client(
            base_url=server,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=ca),
            trust_env=False,  # no proxy lies between, and no other authority signs
            timeout=30,
            limits=httpx.Limits(max_connections=None),
        )

    def get(self, path: str, **params: object) -> Manifest:
        """An object, or a list with its objects under ``items``."""
        return dict(self._ask("GET", path, params=params).json())

    def find(self, path: str) -> Manifest | None:
        """An object, or None where the server has none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def text(self, path: str, **params: object) -> str:
        """What is no JSON, such as a log."""
        return self._ask("GET", path, params=params).text

    def create(self, path: str, body: Manifest) -> Manifest:
        """The object as the server stored it."""
        return dict(self._ask("POST", path, json=body).json())

    def patch(self, path: str, body: Manifest) -> Manifest:
        """The object after a strategic merge."""
        answer = self._ask("PATCH", path, content=json.dumps(body), headers={"Content-Type": MERGE})
        return dict(answer.json())

    def delete(self, path: str, body: Manifest | None = None) -> None:
        """Delete an object or, by the path of a list, all of it; ``body`` holds the options."""
        self._ask("DELETE", path, json=body or {})

    def close(self) -> None:
        """Give back its connections."""
        self._client.close()

    def watch(self, path: str, resource_version: str) -> Iterator[tuple[str, Manifest]]:
        """Type and object of each event, until the server ends the watch."""
        params: dict[str, str | int] = {
            "watch": 1,
            "resourceVersion": resource_version,
            "timeoutSeconds": 240,
        }
        for line in self.lines(path, **params):
            event = json.loads(line)
            yield event["type"], event["object"]

    def lines(self, path: str, **params: str | int) -> Iterator[str]:
        """Lines as the server sends them, until it ends."""
        timeout = httpx.Timeout(10, read=300)
        with self._client.stream("GET", path, params=params, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                raise ApiError(answer.status_code, _message(answer))
            yield from answer.iter_lines()

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        answer = self._client.request(method, path, **request)
        if answer.is_error:
            raise ApiError(answer.status_code, _message(answer))
        return answer


def write_kubeconfig(path: Path, api: Api, *, namespace: str = "default") -> Path:
    """What kubectl and the Python client read to reach the server in a namespace."""
    cluster = {"server": api.server, "certificate-authority": str(api.ca)}
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": api.token}}],
        "contexts": [{"name": "test", "context": context}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text
