"""A Kubernetes cluster for tests: the real API server, controllers and scheduler; pods are processes of this machine.

``make test-kubernetes`` gets what it takes and runs these tests. A test module of one's own::

    pytestmark = pytest.mark.kubernetes


    def test_it(namespace: Namespace, add_node: AddNode, cluster: Cluster) -> None:
        add_node(name="gpu", gpus=1, labels={"pool": "spot"}, taints=(TAINT,))  # for this test
        namespace.run("name", "python", "-c", "print(1)", limits={"nvidia.com/gpu": "1"})
        pod = namespace.wait("name", "Succeeded", "Failed")  # as the server stored it
        assert ended(pod)["exitCode"] == 0
        assert namespace.log("name") == "1\\n"

``namespace`` is the test's own: ``pods(labels)``, ``jobs(labels)``, ``listed(kind, labels)``, ``pod(name)``, ``events(name)``,
``create(kind, name, **fields)``, ``delete(kind, name)``, ``kubeconfig``, and ``as_account(name)`` for one who may do less.
``cluster.api`` is the server with all namespaces, ``cluster.agent`` the nodes: ``agent.kill(namespace, pod)`` is the kernel's
SIGKILL, ``agent.missing_images.add(image)`` an image that is not there. ``tests.kubernetes.losing`` takes nodes away:
``shut_down``, ``drain``, ``vanish``. Without ``add_node`` there is one node, ``plain``, without GPUs, labels or taints.

With Dagster, a module declares what is deployed, and modules that declare the same share it::

    DEPLOYMENT = Deployment(
        definitions=Path(__file__).with_name("shop_definitions.py"),
        env={"LAKELINE_PODS_NAMESPACE": "{namespace}", "LAKELINE_PODS_KUBECONFIG": "{kubeconfig}"},
        image="lakeline/test:1",
        launching=in_run_pods,  # or in_local_processes, or a function of the site that gives a part of dagster.yaml
    )


    @pytest.mark.parametrize("path", PATHS)  # ui, backfill, sensor, job, schedule, cli
    def test_it(stack: DagsterStack, path: str) -> None:
        run_id = stack.launch(path, "shop/sales", partition="2013-01-01")
        assert stack.wait(run_id) == "SUCCESS"
        assert stack.jobs(
            run_id, "run_worker"
        )  # and pods(), run(), messages(), stack.namespace, stack.instance

The file of definitions merges ``launchers("shop/sales", partitions)``, which define the job, the sensor and the schedule
by which ``launch`` goes. ``stack.cli("asset", "wipe", …)`` is Dagster's command line, ``stack.web`` what the pages can do.

What a pod is not, ``tests.kubernetes.agent`` says: no images, no mounts, no network. Pods share this machine's files, so a
folder of the test's is a folder of the pod's; their ``PATH`` begins with the programs of this Python, and nothing of the
tests' environment reaches them. When the tests end, however they do, no process of all this is left.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.cluster import cluster as start_cluster
from tests.kubernetes.dagster_stack import DagsterStack, Stacks
from tests.kubernetes.namespace import Namespace, fresh_namespace
from tests.kubernetes.node import AddNode, Node
from tests.services import Postgres, ServiceMissingError

REQUIRED = "LAKELINE_REQUIRE_SERVICES"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster for all tests."""
    try:
        with start_cluster() as running:
            yield running
    except ServiceMissingError as error:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{error}, and {REQUIRED} is set")
        pytest.skip(str(error))


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    with fresh_namespace(cluster) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def stacks(
    cluster: Cluster, postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stacks]:
    """Deployments of Dagster, one at a time."""
    pytest.importorskip("dagster_k8s", reason="Run: pip install 'lakeline[kubernetes]'")
    deployed = Stacks(cluster, postgres_server, tmp_path_factory.mktemp("stacks"))
    yield deployed
    deployed.close()


@pytest.fixture
def stack(request: pytest.FixtureRequest, stacks: Stacks) -> DagsterStack:
    """The deployment that the test's module declares as ``DEPLOYMENT``."""
    return stacks.of(request.module.DEPLOYMENT)


@pytest.fixture
def add_node(cluster: Cluster) -> Iterator[AddNode]:
    """Adds a node for the length of the test: ``add_node(name="gpu", gpus=1, labels=..., taints=...)``."""
    added: list[str] = []

    def add(**declared: Any) -> Node:
        node = cluster.agent.add(Node(**declared))
        added.append(node.name)
        return node

    yield add
    for name in added:
        cluster.agent.delete(name)
