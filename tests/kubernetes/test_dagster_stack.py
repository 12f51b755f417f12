"""The deployment that other tests stand on."""

from pathlib import Path

import pytest

from tests.kubernetes.dagster_stack import PARTITION, DagsterStack
from tests.kubernetes.deployment import Deployment, in_local_processes

pytestmark = pytest.mark.kubernetes

DEPLOYMENT = Deployment(
    definitions=Path(__file__).with_name("stock_definitions.py"),
    env={"WHERE": "{namespace} {image}"},
    image="shop/code:7",
    launching=in_local_processes,
)


def test_runs_may_be_processes_beside_the_code_server(stack: DagsterStack) -> None:
    run_id = stack.web.launch("in_one_pod", tags={PARTITION: "monday"})
    assert stack.wait(run_id) == "SUCCESS"
    assert stack.jobs(run_id) == []


def test_the_environment_knows_the_site(stack: DagsterStack) -> None:
    assert stack.site.env["WHERE"] == f"{stack.namespace.name} shop/code:7"
    assert stack.site.env["KUBECONFIG"] == str(stack.namespace.kubeconfig)


def test_the_command_line_reads_the_same_instance(stack: DagsterStack) -> None:
    done = stack.cli("instance", "info")
    assert str(stack.site.home) in done.stdout
