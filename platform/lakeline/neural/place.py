"""Where a network is trained: the device, the numbers it computes with, the processes that share the work."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.utils.deterministic

from lakeline.neural.errors import DeviceError
from lakeline.neural.scoring import threads

if TYPE_CHECKING:
    from lakeline.models.surroundings import Device
    from lakeline.neural.plan import Plan, Precision

CUBLAS = ":4096:8"
"""Workspaces with which cuBLAS sums in one order: https://docs.nvidia.com/cuda/cublas, "Results reproducibility"."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one process of a training is.

    Attributes:
        device: Of its network.
        precision: What forward passes compute with, a name in `DTYPES`; weights stay float32.
        rank: Number of this process; 0 reports and writes.
        world: How many share each batch.
    """

    device: torch.device
    precision: str = "float32"
    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    @property
    def is_gpu(self) -> bool:
        """Whether the network is on a GPU."""
        return self.device.type == "cuda"

    def share(self, rows: int) -> tuple[int, int]:
        """First and end of this process's part of a batch; parts differ by a row at most.

        >>> [Place(device=torch.device("cpu"), rank=rank, world=2).share(5) for rank in (0, 1)]
        [(0, 2), (2, 5)]
        """
        return rows * self.rank // self.world, rows * (self.rank + 1) // self.world

    def narrowed(self) -> AbstractContextManager[object]:
        """A block whose forward pass computes with the place's precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])


def find_place(asked: "Device", plan: "Plan", *, rank: int = 0, world: int = 1) -> Place:
    """The place that a training takes.

    Args:
        asked: ``auto`` is a GPU where there is one for each process.
        plan: For its precision.
        rank: Number of this process.
        world: How many there are.

    Raises:
        DeviceError: A GPU is asked for, and there are not enough; or the CPU is asked to compute with half precision.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "cuda" and found < world:
        raise DeviceError("cuda", f"{found} GPUs for {world} processes")
    if asked == "cpu" or found < world:
        if plan.precision in ("bfloat16", "float16"):
            raise DeviceError(plan.precision, "without a GPU it is slower than float32, not faster")
        return Place(device=torch.device("cpu"), rank=rank, world=world)
    device = torch.device("cuda", rank)
    precision = _of_gpu(plan.precision)
    return Place(device=device, precision=precision, rank=rank, world=world)


def _of_gpu(asked: "Precision") -> str:
    if asked == "auto":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return asked


@contextmanager
def repeatable(place: Place, plan: "Plan") -> Iterator[None]:
    """A block in which equal steps give equal bytes, with the plan's threads; what was set before comes back after it."""
    # cuBLAS reads it when its first handle is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS)
    was_asked, warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    memory: Any = torch.utils.deterministic
    is_filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # It would write every new tensor before it is written: nothing here reads memory that it did not write.
    memory.fill_uninitialized_memory = False
    if place.is_gpu:
        torch.cuda.set_device(place.device)
    with threads(plan.threads), torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was_asked, warn_only=warned)
            memory.fill_uninitialized_memory = is_filled
