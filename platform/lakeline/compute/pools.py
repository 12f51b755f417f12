"""Dagster's pools: how many builds of an asset, or of all that take a GPU, are under way at once on every launch path."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakeline.compute.declaration import Compute

if TYPE_CHECKING:
    from dagster import DagsterInstance

GPUS = "lakeline/gpu"
"""Pool of the assets that take a GPU of this machine, as many at once as there are GPUs."""

NO_LIMIT = 1000
"""The most slots that Dagster gives a pool. In a cluster the scheduler gives GPUs out."""


def pool_of(asset: str, compute: Compute | None) -> str | None:
    """The pool that an asset's builds take a slot of; Dagster knows one for each asset."""
    if compute is None:
        return None
    if compute.max_parallel is not None:
        return f"lakeline/{asset}"
    return GPUS if compute.gpus and not compute.share_gpu else None


def limits_of(declared: Mapping[str, Compute | None], *, is_local: bool) -> dict[str, int]:
    """Slots of each pool that assets need, by the pool's name.

    Args:
        declared: What each asset declares, by its name.
        is_local: Whether they are built on this machine.
    """
    from lakeline.compute.machine import gpu_names

    found = {}
    for asset, compute in declared.items():
        pool = pool_of(asset, compute)
        if pool is None or compute is None:
            continue
        by_machine = max(1, len(gpu_names())) if is_local else NO_LIMIT
        found[pool] = compute.max_parallel or by_machine
    return found


def ensure_pools(instance: "DagsterInstance", limits: Mapping[str, int]) -> None:
    """Give pools their slots; nothing where they have them already, or the instance keeps no pools."""
    log = instance.event_log_storage
    if not limits or not log.supports_global_concurrency_limits:
        return
    have = {one.name: one.limit for one in log.get_pool_limits()}
    for pool, slots in limits.items():
        if have.get(pool) != slots:
            log.set_concurrency_slots(pool, slots)
