"""What an asset asks of the machine that builds it: cores, memory, GPUs, and whether it may be interrupted.

Sizes are written as Kubernetes writes them (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from lakeline.compute.errors import ComputeDeclarationError

UNITS = MappingProxyType(
    {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    | {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(|k|M|G|T|Ki|Mi|Gi|Ti)")
_TOLERATION = re.compile(r"([^=:\s]+)(?:=([^=:\s]*))?(?::(NoSchedule|PreferNoSchedule|NoExecute))?")
LEAST_MEMORY = "64Mi"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """What a build of an asset may use. An asset that declares it runs in a process or a pod of its own.

    Attributes:
        cpu: Cores; None for as many as there are.
        memory: Most memory of the process with its children, such as ``16Gi``; more ends it. None for no limit.
        gpu: Number of GPUs; fewer are taken where there are fewer, and the CPU where there is none. ``required`` is one
            GPU and an error where there is none.
        spot: Whether it may run on machines that are taken away; it is started again, and a training goes on from its
            last checkpoint.
        max_parallel: Builds of the asset under way at once; None for no limit.
        share_gpu: Whether its GPU may be used by other such builds at the same time. On this machine only: in a
            cluster that is the device plugin's to allow.
        priority: PriorityClass of its pods.
        selector: Labels of the nodes that it may run on.
        tolerations: Taints of nodes that it bears, written ``key=value:NoSchedule``, ``key:NoSchedule`` or ``key``.

    Raises:
        ComputeDeclarationError: A value cannot be honoured.
    """

    cpu: float | None = None
    memory: str | None = None
    gpu: int | Literal["required"] = 0
    spot: bool = False
    max_parallel: int | None = None
    share_gpu: bool = False
    priority: str = ""
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.cpu is not None and not self.cpu > 0:
            raise ComputeDeclarationError("cpu", self.cpu, "a number of cores above 0, such as 2")
        if self.memory is not None and size_of(self.memory) < size_of(LEAST_MEMORY):
            said = f"at least {LEAST_MEMORY}, which Python alone needs"
            raise ComputeDeclarationError("memory", self.memory, said)
        is_number = isinstance(self.gpu, int) and not isinstance(self.gpu, bool) and self.gpu >= 0
        if not is_number and self.gpu != "required":
            raise ComputeDeclarationError("gpu", self.gpu, 'a number of GPUs, or "required"')
        if self.max_parallel is not None and self.max_parallel < 1:
            raise ComputeDeclarationError("max_parallel", self.max_parallel, "1 or more")
        if self.share_gpu and not self.gpus:
            raise ComputeDeclarationError("share_gpu", self.share_gpu, "False without a gpu")
        for one in self.tolerations:
            if not _TOLERATION.fullmatch(one):
                raise ComputeDeclarationError(
                    "tolerations", one, "key=value:NoSchedule, key:NoSchedule or key"
                )

    @property
    def gpus(self) -> int:
        """GPUs that it asks for."""
        return 1 if self.gpu == "required" else int(self.gpu)

    @property
    def needs_gpu(self) -> bool:
        """Whether it cannot run without."""
        return self.gpu == "required"

    @property
    def memory_bytes(self) -> int | None:
        """Its limit in bytes."""
        return None if self.memory is None else size_of(self.memory)

    def __str__(self) -> str:
        """In words, such as ``2 cpu, 16Gi, 1 gpu, spot``."""
        said = [f"{self.cpu:g} cpu"] if self.cpu is not None else []
        said += [self.memory] if self.memory is not None else []
        said += [f"{self.gpus} gpu{' required' if self.needs_gpu else ''}"] if self.gpus else []
        said += ["spot"] if self.spot else []
        said += [f"at most {self.max_parallel} at once"] if self.max_parallel else []
        return ", ".join(said) or "a process of its own"


def size_of(text: str) -> int:
    """Bytes of a size.

    Raises:
        ComputeDeclarationError: The text is none.

    >>> size_of("16Gi"), size_of("1.5G")
    (17179869184, 1500000000)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ComputeDeclarationError("memory", text, "a number and a unit, such as 500Mi or 16Gi")
    return int(float(found[1]) * UNITS[found[2]])


def toleration_of(text: str) -> dict[str, str]:
    """A toleration as Kubernetes takes it.

    >>> toleration_of("dedicated=ml:NoSchedule")
    {'key': 'dedicated', 'operator': 'Equal', 'value': 'ml', 'effect': 'NoSchedule'}
    >>> toleration_of("spot")
    {'key': 'spot', 'operator': 'Exists'}
    """
    found = _TOLERATION.fullmatch(text)
    if found is None:
        raise ComputeDeclarationError("tolerations", text, "key=value:NoSchedule")
    key, value, effect = found.groups()
    said = {"key": key}
    said |= {"operator": "Exists"} if value is None else {"operator": "Equal", "value": value}
    return said | ({"effect": effect} if effect else {})
