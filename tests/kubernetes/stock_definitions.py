"""Assets that ask for resources as dagster-k8s's documentation says, without anything of lakeline's."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from tests.kubernetes.launchers import launchers

DAYS = dg.StaticPartitionsDefinition(["monday"])


def asks(**limits: str) -> Mapping[str, Any]:
    """Op tags that ask for limits in the pod."""
    return {"dagster-k8s/config": {"container_config": {"resources": {"limits": limits}}}}


@dg.asset(op_tags=asks(memory="1Gi"), partitions_def=DAYS)
def large() -> None:
    """Asks for memory."""


@dg.asset(op_tags=asks(memory="400Mi"))
def eats() -> None:
    """Takes more memory than it asks for."""
    eaten = bytearray(800 << 20)
    time.sleep(60)
    del eaten


@dg.asset
def sleeps() -> None:
    """Is there for a while."""
    time.sleep(300)


@dg.asset(op_tags=asks(**{"nvidia.com/gpu": "1"}))
def trains() -> None:
    """Asks for a GPU."""


@dg.definitions
def defs() -> dg.Definitions:
    """All of them, each step in a pod; and a job whose steps are not."""
    from dagster_k8s import k8s_job_executor

    in_one_pod = dg.define_asset_job("in_one_pod", [large], executor_def=dg.in_process_executor)
    own = dg.Definitions(
        assets=[large, eats, sleeps, trains], jobs=[in_one_pod], executor=k8s_job_executor
    )
    return dg.Definitions.merge(own, launchers("large", DAYS))
