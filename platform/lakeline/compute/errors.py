"""What can go wrong between the declaration of a placement and the end of what ran there."""

from collections.abc import Sequence

from lakeline.errors import ComputeError


class ComputeDeclarationError(ComputeError):
    """A `Compute` says something that cannot be honoured."""

    def __init__(self, argument: str, value: object, wanted: str) -> None:
        super().__init__(f"Compute({argument}={value!r}) cannot be honoured. Use {wanted}.")


class OutOfMemoryError(ComputeError):
    """A build held more memory than its asset declares; trying again with the same limit is no use."""

    def __init__(self, asset: str, declared: str, seen: str, what_ran: str) -> None:
        super().__init__(
            f"'{asset}' ran out of memory: it declares memory='{declared}', and its {what_ran} was ended {seen}. "
            f"Declare more (see what it used before with: lakeline compute {asset}), or read fewer columns or days at once."
        )


class WorkerLostError(ComputeError):
    """A process or pod ended without a word; the next try may do better."""

    can_retry = True

    def __init__(self, asset: str, what_ran: str, how: str) -> None:
        super().__init__(f"'{asset}' was lost: its {what_ran} {how}.")


class NoGpuError(ComputeError):
    """An asset requires a GPU, and the machine has none."""

    def __init__(self, asset: str) -> None:
        super().__init__(
            f"'{asset}' requires a GPU and this machine has none that the NVIDIA driver shows. "
            'Run it where there is one, or declare gpu=1, which takes the CPU where there is none, instead of gpu="required".'
        )


class UnsendableResourceError(ComputeError):
    """A resource that an asset asks for cannot be given to another process."""

    def __init__(self, asset: str, resource: str, why: str) -> None:
        super().__init__(
            f"Resource '{resource}' of '{asset}' cannot be sent to the process that builds it ({why}). "
            "Make it a dg.ConfigurableResource defined in a module, or take compute= off the asset."
        )


class UnfoundAssetError(ComputeError):
    """The process that is to build an asset cannot find it."""

    def __init__(self, asset: str, module: str, why: str) -> None:
        super().__init__(
            f"The process that is to build '{asset}' cannot find it in module '{module}': {why}. "
            "An asset with compute= must be declared when its module is imported, not inside a function; one that lakeline "
            "makes, of a dbt model or beside a feature view, in the folder of a domain that load_domain loads."
        )


class RemoteError(ComputeError):
    """What a function raised in another process, in its own words."""

    can_retry = True

    def __init__(self, asset: str, kind: str, said: str) -> None:
        super().__init__(f"'{asset}' failed with {kind}: {said}")


class UnschedulableError(ComputeError):
    """No node of the cluster can take a pod, and waiting has not helped."""

    can_retry = True

    def __init__(self, asset: str, pod: str, why: str, waited_s: float) -> None:
        super().__init__(
            f"'{asset}' found no place in the cluster within {waited_s:.0f} s: pod {pod} is unschedulable, "
            f"{why.rstrip('.')}. Add such nodes, change compute= of the asset, or wait longer with LAKELINE_PODS_START_TIMEOUT_S."
        )


class PodRefusedError(ComputeError):
    """The API server does not do what it is asked."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"Kubernetes refused {what}: {why}")


class ClusterUnreachableError(ComputeError):
    """There is no API server where the deployment says, or it does not answer."""

    can_retry = True

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The Kubernetes cluster cannot be reached: {why}. Outside a cluster set LAKELINE_PODS_KUBECONFIG; "
            "to build on this machine set LAKELINE_COMPUTE=local."
        )


class PreemptedError(ComputeError):
    """A pod was taken away more often than is borne."""

    can_retry = True

    def __init__(self, asset: str, times: int, reasons: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' was taken off its node {times} times ({'; '.join(dict.fromkeys(reasons))}). "
            "Nothing of it was published. Declare spot=False, a priority, or more LAKELINE_PODS_PREEMPTIONS."
        )
