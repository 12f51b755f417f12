"""What a deployment says of its cluster once, for the pods of all its assets."""

import dagster as dg
from pydantic import Field


class Pods(dg.Config):
    """How pods are made in a deployment's cluster."""

    image: str = Field(
        default="", description="Image of the pods; empty: that of the pod that launches them"
    )
    namespace: str = Field(
        default="", description="Namespace; empty: that of the launching pod, else 'default'"
    )
    kubeconfig: str = Field(
        default="", description="Kubeconfig file; empty: the pod's own service account"
    )
    context: str = Field(
        default="", description="Context of the kubeconfig; empty: its present one"
    )
    service_account: str = Field(
        default="", description="Service account of the pods; empty: the launching pod's"
    )
    env_from: list[str] = Field(
        default=[],
        description="configmap/NAME and secret/NAME whose entries the pods have as environment",
    )
    gpu_resource: str = Field(
        default="nvidia.com/gpu", description="Name of GPUs among a node's resources"
    )
    gpu_tolerations: list[str] = Field(
        default=["nvidia.com/gpu:NoSchedule"], description="Taints of GPU nodes"
    )
    spot_selector: dict[str, str] = Field(
        default={}, description="Labels of the nodes that may be taken away"
    )
    spot_tolerations: list[str] = Field(
        default=[], description="Taints of the nodes that may be taken away"
    )
    start_timeout_s: float = Field(
        default=900, gt=0, description="Longest wait for a node that can take a pod, seconds"
    )
    preemptions: int = Field(
        default=5, ge=0, description="Times that a pod is started again after it was taken away"
    )
    grace_s: int = Field(
        default=30, ge=0, description="Time that a pod has to end when it is taken away, seconds"
    )
