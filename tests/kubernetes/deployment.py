"""What a deployment of Dagster on the cluster consists of, as a test declares it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.namespace import Namespace

ACCOUNT = "dagster"
INSTANCE_CONFIG = "dagster-instance"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where a deployment came to be.

    Attributes:
        namespace: Where its pods are; ``namespace.kubeconfig`` is the way to them.
        home: ``DAGSTER_HOME``, the same for servers and pods, because pods share this machine's files.
        state: An empty folder, for what the definitions keep.
        env: What every process of the deployment and every pod has in its environment.
        image: Name of the image.
    """

    namespace: Namespace
    home: Path
    state: Path
    env: Mapping[str, str]
    image: str


def in_run_pods(site: Site) -> dict[str, Any]:
    """Part of ``dagster.yaml``: each run in a pod, by Dagster's own launcher."""
    launcher = {
        "job_namespace": site.namespace.name,
        "service_account_name": ACCOUNT,
        "load_incluster_config": False,
        "kubeconfig_file": str(site.namespace.kubeconfig),
        "dagster_home": str(site.home),
        "instance_config_map": INSTANCE_CONFIG,
        "env_vars": [f"{name}={value}" for name, value in site.env.items()],
    }
    return {
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher}
    }


def in_local_processes(_: Site) -> dict[str, Any]:
    """Part of ``dagster.yaml``: each run in a process beside the code server, by Dagster's default."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A deployment.

    Attributes:
        definitions: File with the definitions, which every process loads.
        env: What every process of the deployment and every pod has in its environment, besides ``PATH`` and ``KUBECONFIG``.
            ``{namespace}``, ``{kubeconfig}``, ``{home}``, ``{state}`` and ``{image}`` stand for what the site has.
        image: Name of the image; nothing is in it but this machine.
        launching: Gives the part of ``dagster.yaml`` that says where runs run, and more if wanted.
    """

    definitions: Path
    env: Mapping[str, str] = field(default_factory=dict)
    image: str = "lakeline/test:1"
    launching: Callable[[Site], dict[str, Any]] = in_run_pods

    def at(self, namespace: Namespace, *, home: Path, state: Path) -> Site:
        """The site, with the environment that it makes."""
        kubeconfig = str(namespace.kubeconfig)
        known = {"namespace": namespace.name, "kubeconfig": kubeconfig, "home": home}
        known |= {"state": state, "image": self.image}
        env = {name: value.format(**known) for name, value in self.env.items()}
        return Site(
            namespace=namespace,
            home=home,
            state=state,
            env={"KUBECONFIG": kubeconfig, **env},
            image=self.image,
        )
