"""A small domain whose assets declare what they may use: importable, as the processes that build them import it."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import polars as pl

from lakeline.compute import Compute
from lakeline.domain import Check, Rows, Table
from lakeline.window import Window
from tests.shop import SALES, Sale, Total, by_day, new_domain, sales_frame

shop = new_domain("placed")


def folder() -> Path:
    """Where bodies leave notes."""
    return Path(os.environ["PLACED_NOTES"])


def note(name: str, text: str) -> None:
    """Leave a note."""
    (folder() / name).write_text(text)


def asked(name: str) -> bool:
    """Whether a body is to misbehave in this way."""
    return (folder() / f"do_{name}").exists()


@shop.table(contract=Sale, layer="raw", compute=Compute(cpu=1, memory="1Gi"), checks=("tills",))
def sales(window: Window) -> Rows:
    """Sales, in a process of their own."""
    note("pid", str(os.getpid()))
    note("threads", os.environ.get("POLARS_MAX_THREADS", ""))
    note("gpus", os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(1)
    note("cores", str(len(cores)))
    logging.getLogger("lakeline.test").info("the till says hello")
    if asked("fail"):
        raise ZeroDivisionError("the till is empty")
    if asked("refuse"):
        raise dg.Failure("the till is closed", allow_retries=False)
    if asked("die"):
        os._exit(9)
    if asked("hang"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note("child", str(child.pid))
        time.sleep(600)
    frame = sales_frame(SALES, window)
    return Rows(
        frame=frame,
        checks=(Check(name="tills", passed=False, description="One till is slow"),),
        metadata={"tills": 2, "page": dg.MetadataValue.md("**two** tills")},
    )


@shop.table(contract=Total, layer="clean", reads=[sales], compute=Compute(memory="600Mi"))
def totals(window: Window, sales: Table) -> pl.LazyFrame:
    """Totals, which may take more memory than they declare."""
    if asked("eat"):
        eaten = [bytearray(os.urandom(1 << 20) * 64) for _ in range(40)]
        note("eaten", str(len(eaten)))
    return by_day(sales.read(window))


@shop.table(contract=Total, layer="clean", reads=[sales])
def light_totals(window: Window, sales: Table) -> pl.LazyFrame:
    """The same in the process of the run."""
    note("light_pid", str(os.getpid()))
    return by_day(sales.read(window))


@shop.table(contract=Total, layer="clean", reads=[sales], compute=Compute(gpu=1))
def gpu_totals(window: Window, sales: Table) -> pl.LazyFrame:
    """Totals on a GPU where there is one."""
    note("gpu_pid", str(os.getpid()))
    return by_day(sales.read(window))


@shop.table(contract=Total, layer="clean", reads=[sales], compute=Compute(gpu="required"))
def strict_totals(window: Window, sales: Table) -> pl.LazyFrame:
    """Totals that must have a GPU."""
    note("strict_pid", str(os.getpid()))
    return by_day(sales.read(window))
