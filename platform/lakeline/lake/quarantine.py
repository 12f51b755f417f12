"""Rows that a rule rejected, kept beside the table with the rule that rejected them.

One table a published table, ``<namespace>_quarantine.<table>``, parted by the partition the rows came from, so that
building a partition again replaces what it had rejected before. A row is kept as JSON: its columns may change, and the
quarantine must take whatever came.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lakeline.contract.iceberg import METRICS_PREFIX
from lakeline.lake.catalog import CODEC, TABLE_PROPERTIES, Lake
from lakeline.lake.commit import (
    BATCH,
    MAINTENANCE,
    batches_of,
    committed_batches,
    is_maintenance,
    replace_partitions,
)
from lakeline.lake.content import content_version
from lakeline.lake.files import discard
from lakeline.lake.read import scan_polars
from lakeline.lake.stage import stage

if TYPE_CHECKING:
    import polars as pl
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


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
    """Replace what the partitions had rejected before with ``rejected``; nothing where it is the same.

    The caller holds the lock of the published table, so that the newest snapshot of the quarantine always belongs to
    the newest publish, and can be taken back with it.

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
    changed = _changed(target, frames, partitions)
    if not changed:
        return
    staged = stage(target, {key: frame for key, frame in frames.items() if key in changed})
    try:
        with lake.lock(quarantine_name(table)):
            target.refresh()
            replace_partitions(target, staged, changed, (), {BATCH: batch})
    except BaseException:
        if batch not in committed_batches(target.refresh()):
            discard(target, staged)
        raise


def take_back(lake: Lake, table: str, batches: Collection[str]) -> None:
    """Undo what publishes put into quarantine that never reached the table; the caller holds the table's lock.

    They are the newest in it. Maintenance that came after them is undone too, and may be done again.
    """
    found = lake.find(quarantine_name(table)) if batches else None
    if found is None:
        return
    with lake.lock(quarantine_name(table)):
        first = _first_of(found.refresh(), set(batches))
        if first is None:
            return
        before = first.parent_snapshot_id
        if before is not None and found.metadata.snapshot_by_id(before) is not None:
            found.manage_snapshots().set_current_snapshot(before).commit()
        else:
            undone = {BATCH: f"{MAINTENANCE}{uuid.uuid4().hex}"}
            replace_partitions(found, (), _partitions_of(found, batches), (), undone)


def _first_of(table: "Table", batches: set[str]) -> "Snapshot | None":
    """The oldest snapshot of some publishes that has only their own and maintenance above it."""
    from pyiceberg.table.snapshots import ancestors_of

    first = None
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if not batches.isdisjoint(batches_of(snapshot)):
            first = snapshot
        elif not is_maintenance(snapshot):
            break
    return first


def _partitions_of(table: "Table", batches: Collection[str]) -> set[str]:
    """Partitions with rows that some publishes rejected."""
    import polars as pl

    rows = scan_polars(table).filter(pl.col("batch").is_in(list(batches)))
    return set(rows.select("partition").collect()["partition"])


def _changed(
    target: "Table", frames: "Mapping[str, pl.DataFrame]", partitions: Collection[str]
) -> set[str]:
    """Partitions whose rejected rows differ from those in quarantine, whenever and by whom they were rejected."""
    import polars as pl

    said = ["partition", "rule", "row"]
    held = scan_polars(target, columns=said).filter(pl.col("partition").is_in(list(partitions)))
    parts = held.collect().partition_by("partition", as_dict=True)
    before = {str(key[0]): content_version(part) for key, part in parts.items()}
    after = {key: content_version(frame.select(said)) for key, frame in frames.items()}
    return {key for key in {*before, *after} if before.get(key) != after.get(key)}


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
    lake.create_namespace_of(name)
    # Rows hold whatever they hold, personal values too, and a file's bounds would repeat some of them.
    properties = TABLE_PROPERTIES | {CODEC: lake.codec, f"{METRICS_PREFIX}row": "none"}
    return lake.catalog.create_table_if_not_exists(
        name, _schema(), partition_spec=spec, properties=properties
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
