"""Which partitions of an upstream asset a partition is made from, as Dagster sees it and as the ledger records it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from lakeline.domain.node import Node, node_of
from lakeline.window import WHOLE, shift


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One declared dependency.

    Attributes:
        asset: The upstream asset, made by a domain.
        back_days: Days before the window that are read too, by a daily asset.
        last_days: How many of the newest partitions an unpartitioned asset reads; None reads all.
    """

    asset: dg.AssetsDefinition
    back_days: int = 0
    last_days: int | None = None

    @property
    def node(self) -> Node:
        """What the domain knows of the upstream asset."""
        return node_of(self.asset)

    def mapping(self, reader_is_daily: bool) -> Literal["whole", "days", "all"]:  # noqa: FBT001 - one fact, named at each call
        """How partitions correspond: an unpartitioned upstream, day by day, or many days into one."""
        if not self.node.daily:
            return "whole"
        return "days" if reader_is_daily else "all"

    def dep(self, *, reader_is_daily: bool) -> dg.AssetDep:
        """The dependency as Dagster takes it."""
        kind = self.mapping(reader_is_daily)
        if kind == "all":
            return dg.AssetDep(self.asset, partition_mapping=dg.AllPartitionMapping())
        # Day by day even where days before are read too: those are the ledger's business. Told to Dagster as an offset,
        # they make a backfill of July ask for days of August, in a run a layer, and fail where the newest day ends.
        return dg.AssetDep(self.asset)

    @property
    def span(self) -> str:
        """The upstream days that are read, in words; empty for the days of the run alone.

        >>> Read(asset=None, back_days=2).span  # type: ignore[arg-type]
        'its day and 2 before'
        """
        if self.last_days is not None:
            return f"the newest {self.last_days} days"
        return f"its day and {self.back_days} before" if self.back_days else ""

    def upstream(
        self, partition: str, *, reader_is_daily: bool, known: Sequence[str]
    ) -> tuple[str, ...]:
        """Keys of the upstream partitions that ``partition`` is made from.

        Args:
            partition: Of the reading asset.
            reader_is_daily: Whether the reading asset has a partition a day.
            known: Upstream partitions that exist, sorted.
        """
        kind = self.mapping(reader_is_daily)
        if kind == "whole":
            return (WHOLE,)
        if kind == "all":
            return tuple(known if self.last_days is None else known[-self.last_days :])
        first = self.node.first_partition
        days = (shift(partition, -back) for back in range(self.back_days, -1, -1))
        return tuple(day for day in days if first is None or day >= first)


def past(asset: dg.AssetsDefinition, *, days: int) -> Read:
    """The window of the run and so many days before it, read by a daily asset."""
    return Read(asset=asset, back_days=days)


def latest(asset: dg.AssetsDefinition, *, days: int) -> Read:
    """The newest days of a daily asset, read by an unpartitioned one."""
    return Read(asset=asset, last_days=days)


Dependency = dg.AssetsDefinition | Read
"""What may stand in ``reads=``."""


def as_read(dependency: Dependency) -> Read:
    """What stands in ``reads=``, as a `Read`."""
    return dependency if isinstance(dependency, Read) else Read(asset=dependency)
