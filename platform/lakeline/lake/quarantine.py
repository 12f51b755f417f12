"""Rows that a rule rejected, kept beside the table with the rule that rejected them.

One table a published table, ``<namespace>_quarantine.<table>``, parted by the partition the rows came from, so that
building a partition again replaces what it had rejected before. A row is kept as JSON: its columns may change, and the
quarantine must take whatever came.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lakeline.lake.catalog import TABLE_PROPERTIES, Lake
from lakeline.lake.commit import BATCH, replace_partitions
from lakeline.lake.content import content_version
from lakeline.lake.stage import stage

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


def quarantine_name(table: str) -> str:
    """Name of the quarantine of ``namespace.table``.

    >>> quarantine_name("flights.weather")
    'flights_quarantine.weather'
    """
    namespace, _, name = table.partition(".")
    return f"{namespace}_quarantine.{name}"


def quarantine(
    lake: Lake,
    table: str,
    rejected: "Mapping[str, pl.DataFrame]",
    partitions: Collection[str],
    batch: str,
) -> None:
    """Replace what the partitions had rejected before with ``rejected``.

    Args:
        lake: Where the quarantine is.
        table: The published table.
        rejected: Rows of each partition, their columns as text and the ``rule`` that rejected them.
        partitions: Every partition built now, also those that rejected nothing.
        batch: The publish that rejected them.
    """
    found = lake.find(quarantine_name(table))
    if found is None and not rejected:
        return
    target = found or _create(lake, quarantine_name(table))
    frames = {key: _packed(frame, key, batch) for key, frame in rejected.items() if frame.height}
    staged = stage(target, frames, {key: content_version(frame) for key, frame in frames.items()})
    with lake.lock(quarantine_name(table)):
        target.refresh()
        replace_partitions(target, staged, set(partitions), None, {BATCH: batch})


def _packed(rejected: "pl.DataFrame", partition: str, batch: str) -> "pl.DataFrame":
    import polars as pl

    row = pl.struct(pl.exclude("rule")).struct.json_encode()
    return rejected.select(
        partition=pl.lit(partition),
        rule="rule",
        row=row,
        batch=pl.lit(batch),
        rejected_ts=pl.lit(dt.datetime.now(dt.UTC)),
    )


def _create(lake: Lake, name: str) -> "Table":
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "partition"))
    lake.catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    return lake.catalog.create_table_if_not_exists(
        name, _schema(), partition_spec=spec, properties=TABLE_PROPERTIES
    )


def _schema() -> "Schema":
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField, StringType, TimestamptzType

    return Schema(
        NestedField(
            1,
            "partition",
            StringType(),
            required=False,
            doc="Partition of the table that the row was for",
        ),
        NestedField(
            2, "rule", StringType(), required=False, doc="Rule that rejected the row, column.rule"
        ),
        NestedField(3, "row", StringType(), required=False, doc="The row as it came, as JSON"),
        NestedField(4, "batch", StringType(), required=False, doc="The publish that rejected it"),
        NestedField(
            5, "rejected_ts", TimestamptzType(), required=False, doc="When it was rejected, UTC"
        ),
    )
