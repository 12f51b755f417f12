"""A small domain that is built in pods, and what its bodies do when a test asks for it."""

import os
import time
from pathlib import Path

import dagster as dg
import polars as pl

from lakeline.compute import Compute
from lakeline.compute.profile import Pods
from lakeline.domain import Rows
from lakeline.resource import Lakehouse
from lakeline.window import Window
from tests.kubernetes.launchers import launchers
from tests.shop import SALES, Sale, Shop, new_domain, sales_frame

GPU_POOL, SPOT_POOL = "gpu-pool", "spot-pool"
STEPS = 40

shop = new_domain("placed")


def state() -> Path:
    """The deployment's folder."""
    return Path(os.environ["PLACED_STATE"])


def whole() -> pl.DataFrame:
    """Rows of a table without days."""
    return pl.DataFrame({"shop": ["north"], "sales": [1]})


@shop.table(
    contract=Sale, layer="raw", compute=Compute(cpu=0.5, memory="700Mi", selector={"disk": "fast"})
)
def sales(window: Window) -> Rows:
    """Sales, sized."""
    return Rows(frame=sales_frame(SALES, window), metadata={"tills": 2})


@shop.table(contract=Shop, layer="clean", daily=False, compute=Compute(memory="500Mi"))
def eats() -> pl.DataFrame:
    """Takes more memory than it declares."""
    eaten = [bytearray(os.urandom(1 << 20) * 64) for _ in range(40)]
    return whole().filter(pl.lit(bool(eaten)))


@shop.table(contract=Shop, layer="clean", daily=False, compute=Compute(gpu=1, memory="1Gi"))
def trains() -> pl.DataFrame:
    """Takes a GPU."""
    return whole()


@shop.table(contract=Shop, layer="clean", daily=False, compute=Compute())
def fails() -> pl.DataFrame:
    """Fails."""
    raise ZeroDivisionError("the till is empty")


@shop.table(contract=Shop, layer="clean", daily=False, compute=Compute(), retries=0)
def sleeps() -> pl.DataFrame:
    """Is there for a while."""
    time.sleep(300)
    return whole()


@shop.table(contract=Shop, layer="clean", daily=False, compute=Compute(spot=True), retries=0)
def resumes() -> pl.DataFrame:
    """Goes on where it was when it was taken away, and writes down each step that it takes."""
    done, log = state() / "resumes.step", state() / "resumes.log"
    first = int(done.read_text()) if done.exists() else 0
    for step in range(first, STEPS):
        time.sleep(0.5)
        with log.open("a") as file:
            file.write(f"{step}\n")
        done.write_text(str(step + 1))
    return whole()


@dg.definitions
def defs() -> dg.Definitions:
    """The domain, with a lakehouse in the deployment's folder."""
    house = Lakehouse.in_folder(state()).model_dump()
    pods = Pods(
        namespace=os.environ["PLACED_NAMESPACE"],
        kubeconfig=os.environ["PLACED_KUBECONFIG"],
        image="lakeline/test:1",
        env_from=["configmap/placed-env"],
        start_timeout_s=float(os.environ.get("PLACED_TIMEOUT_S", "45")),
        spot_selector={"pool": SPOT_POOL},
        spot_tolerations=["spot:NoSchedule"],
        grace_s=2,
    )
    resources = {"lakehouse": Lakehouse(**(house | {"compute": "kubernetes", "pods": pods}))}
    own = dg.Definitions(assets=shop.assets, resources=resources, executor=dg.in_process_executor)
    return dg.Definitions.merge(
        own,
        launchers(
            "placed/sales", dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-04-01")
        ),
    )
