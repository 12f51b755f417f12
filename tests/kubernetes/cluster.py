"""A Kubernetes cluster on loopback: the real control plane, and nodes whose pods are processes of this machine."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.kubernetes import control_plane
from tests.kubernetes.agent import NodeAgent
from tests.kubernetes.api import Api, write_kubeconfig
from tests.kubernetes.children import Children
from tests.kubernetes.node import Node
from tests.kubernetes.reaper import marked
from tests.services import HOST, ServiceMissingError, free_ports

TOKEN = "lakeline-administrator"
FAST = ["--kube-api-qps=500", "--kube-api-burst=1000"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A running cluster.

    Attributes:
        api: Its API server, as the administrator.
        agent: Its nodes: ``agent.add(Node(...))``, and ``agent.missing_images``. The node ``plain`` is there, without GPUs.
        folder: Where its logs are, one a program.
        env: What carries the mark by which processes end with the tests; for children that are part of it.
        children: Its programs.
        start_s: How long it took to be ready.
    """

    api: Api
    agent: NodeAgent
    folder: Path
    env: Mapping[str, str]
    children: Children
    start_s: float


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster with one node; everything that runs in it ends with it, and with this process.

    Raises:
        ServiceMissingError: A program is not there.
    """
    etcd = _require_programs()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lakeline-k8s-") as name, marked() as mark:
        folder = Path(name)
        env = {**_image(), **mark}
        children = Children(folder, env)
        try:
            api = _start(children, etcd)
            (folder / "pods").mkdir()
            agent = NodeAgent(api, folder / "pods", env)
            served = folder / "certs"
            with agent.running(certificate=served / "apiserver.crt", key=served / "apiserver.key"):
                agent.add(Node(name="plain"))
                yield Cluster(
                    api=api,
                    agent=agent,
                    folder=folder,
                    env=env,
                    children=children,
                    start_s=time.monotonic() - began,
                )
        finally:
            children.stop()


def _require_programs() -> str:
    if missing := control_plane.missing():
        how = f"Run: {control_plane.HOW}"
        raise ServiceMissingError(f"Kubernetes' {', '.join(missing)} is missing. {how}")
    etcd = shutil.which("etcd")
    if etcd is None:
        raise ServiceMissingError("etcd is missing. Run: sudo apt-get install etcd-server")
    return etcd


def _image() -> dict[str, str]:
    """What an image brings: this Python's programs before the system's."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "LANG": "C.UTF-8",
    }


def _start(children: Children, etcd: str) -> Api:
    client, peer, port = free_ports(3)
    folder, server = children.folder, f"https://{HOST}:{port}"
    _start_etcd(children, etcd, client=f"http://{HOST}:{client}", peer=f"http://{HOST}:{peer}")
    key = _write_key(folder / "accounts.key")
    _start_api_server(children, port, etcd=f"http://{HOST}:{client}", accounts=key)
    # It signs its own certificate; the file holds the authority that did it too.
    ca, key_of_it = (folder / "certs" / f"apiserver.{suffix}" for suffix in ("crt", "key"))
    children.wait("kube-apiserver", lambda: ca.exists() and key_of_it.exists())
    api = Api(server, ca=ca, token=TOKEN)
    children.wait("kube-apiserver", lambda: api.text("/readyz"))
    kubeconfig = write_kubeconfig(folder / "kubeconfig", api)
    _start_controllers(children, kubeconfig, ca=ca, accounts=key)
    _start_scheduler(children, kubeconfig)
    # The controllers make it, and without it pods are refused.
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    children.wait("kube-controller-manager", lambda: api.find(account))
    return api


def _start_etcd(children: Children, program: str, *, client: str, peer: str) -> None:
    flags = {
        "name": "test",
        "data-dir": children.folder / "etcd",
        "unsafe-no-fsync": "true",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"test={peer}",
    }
    children.start("etcd", [program, *(f"--{name}={value}" for name, value in flags.items())])


def _start_api_server(children: Children, port: int, *, etcd: str, accounts: Path) -> None:
    tokens = children.folder / "tokens.csv"
    tokens.write_text(f"{TOKEN},administrator,administrator,system:masters\n")
    flags: dict[str, object] = {
        "etcd-servers": etcd,
        "bind-address": HOST,
        "advertise-address": HOST,
        "secure-port": port,
        "cert-dir": children.folder / "certs",
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": "10.255.0.0/24",
        "service-account-issuer": f"https://{HOST}:{port}",
        "service-account-key-file": accounts,
        "service-account-signing-key-file": accounts,
        "authorization-mode": "RBAC",
        "token-auth-file": tokens,
        "kubelet-preferred-address-types": "InternalIP",  # logs are read where the agent listens
    }
    program = control_plane.folder() / "kube-apiserver"
    words = [f"--{name}={value}" for name, value in flags.items()]
    children.start(program.name, [program, *words])


def _start_controllers(children: Children, kubeconfig: Path, *, ca: Path, accounts: Path) -> None:
    program = control_plane.folder() / "kube-controller-manager"
    command: list[str | Path] = [
        program,
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    command += [f"--service-account-private-key-file={accounts}", f"--root-ca-file={ca}", *FAST]
    # New and lost nodes are noticed soon: a node beats every 2 s.
    command += ["--node-monitor-period=1s", "--node-monitor-grace-period=10s"]
    children.start(program.name, command)


def _start_scheduler(children: Children, kubeconfig: Path) -> None:
    program = control_plane.folder() / "kube-scheduler"
    config = children.folder / "scheduler.yaml"
    settings = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 500, "burst": 1000},
        "leaderElection": {"leaderElect": False},
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    }
    config.write_text(yaml.safe_dump(settings))
    children.start(program.name, [program, f"--config={config}", "--secure-port=0"])


def _write_key(path: Path) -> Path:
    """A key that signs the tokens of service accounts."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    path.write_bytes(pem)
    return path
