"""What this machine has: cores that this process may use, and GPUs as NVIDIA's driver shows them."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuReading:
    """One look at a GPU.

    Attributes:
        busy: Share of the last moments in which a kernel ran, 0 to 1.
        memory_bytes: Memory in use on it, by whoever.
    """

    busy: float
    memory_bytes: int


def usable_cores() -> list[int]:
    """The cores that this process may run on."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def gpu_names() -> list[str]:
    """The GPUs that this process may use, in the driver's order; none without driver, library or GPU.

    ``CUDA_VISIBLE_DEVICES``, where it is set, is heeded as CUDA heeds it: numbers or UUIDs.
    """
    with nvml() as driver:
        if driver is None:
            return []
        handles = [driver.nvmlDeviceGetHandleByIndex(i) for i in range(driver.nvmlDeviceGetCount())]
        found = [str(driver.nvmlDeviceGetUUID(one)) for one in handles]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    asked = [one.strip() for one in visible.split(",") if one.strip()]
    by_number = {str(i): name for i, name in enumerate(found)}
    return [by_number.get(one, one) for one in asked if one in by_number or one in found]


def read_gpu(name: str) -> GpuReading | None:
    """How busy a GPU is; None where the driver does not say.

    Args:
        name: Its UUID.
    """
    with nvml() as driver:
        if driver is None:
            return None
        try:
            handle = driver.nvmlDeviceGetHandleByUUID(name)
            busy = driver.nvmlDeviceGetUtilizationRates(handle).gpu
            memory = driver.nvmlDeviceGetMemoryInfo(handle).used
        except driver.NVMLError:
            return None
    return GpuReading(busy=busy / 100, memory_bytes=int(memory))


@contextlib.contextmanager
def nvml() -> Iterator[Any]:
    """NVIDIA's management library, opened; None where it or the driver is missing."""
    try:
        pynvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()
