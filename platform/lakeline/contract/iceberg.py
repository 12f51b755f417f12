"""The Iceberg schema, partition spec and table properties of a contract."""

from functools import cache
from typing import TYPE_CHECKING

from lakeline.contract.declaration import Contract
from lakeline.contract.types import LogicalType
from lakeline.errors import DeclarationError

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.types import PrimitiveType

VERSION_PROPERTY = "lakeline.contract.version"
EVENT_TIME_PROPERTY = "lakeline.contract.event-time"
UNIT_PREFIX = "lakeline.unit."
METRICS_PREFIX = "write.metadata.metrics.column."
FIRST_PARTITION_FIELD_ID = 1000  # Iceberg's specification, "Partition Field IDs"


@cache
def iceberg_schema(contract: type[Contract]) -> "Schema":
    """Iceberg schema with field ids from 1 and descriptions.

    Every field is optional: null rules belong to the audit, and a rule can then change without a
    change of the schema.
    """
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    return Schema(
        *[
            NestedField(
                field_id=position,
                name=column.name,
                field_type=iceberg_type(column.dtype),
                required=False,
                doc=column.description,
            )
            for position, column in enumerate(contract.columns.values(), start=1)
        ]
    )


def partition_spec(contract: type[Contract], schema: "Schema", *, daily: bool) -> "PartitionSpec":
    """One partition a UTC day of the event time, called ``<event time>_day``; or none at all.

    Args:
        contract: What the table promises.
        schema: The table's schema, which knows the field's id.
        daily: Whether the table is partitioned.

    Raises:
        DeclarationError: A daily table without an event time.
    """
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import DayTransform

    if not daily:
        return PartitionSpec()
    if contract.event_time is None:
        raise DeclarationError(
            contract.__name__,
            None,
            "has no event time, so it cannot have daily partitions. Mark one datetime column with event_time=True.",
        )
    field = PartitionField(
        source_id=schema.find_field(contract.event_time).field_id,
        field_id=FIRST_PARTITION_FIELD_ID,
        transform=DayTransform(),
        name=f"{contract.event_time}_day",
    )
    return PartitionSpec(field)


def table_properties(contract: type[Contract]) -> dict[str, str]:
    """What the table itself remembers of its contract: version, event time, units, columns without metrics.

    Personal columns get no metrics: file bounds would keep a person's value in the manifests after
    the row is erased.
    """
    columns = contract.columns.values()
    times = {EVENT_TIME_PROPERTY: contract.event_time} if contract.event_time else {}
    return {
        VERSION_PROPERTY: contract.version,
        **times,
        **{UNIT_PREFIX + column.name: column.unit for column in columns if column.unit},
        **{METRICS_PREFIX + column.name: "none" for column in columns if column.personal},
    }


def iceberg_type(dtype: LogicalType) -> "PrimitiveType":
    """The Iceberg type that holds a logical type."""
    from pyiceberg import types as ice

    if dtype.kind == "decimal":
        return ice.DecimalType(dtype.precision, dtype.scale)
    types: dict[str, PrimitiveType] = {
        "int32": ice.IntegerType(),
        "int64": ice.LongType(),
        "float32": ice.FloatType(),
        "float64": ice.DoubleType(),
        "string": ice.StringType(),
        "bool": ice.BooleanType(),
        "timestamp": ice.TimestamptzType(),
        "date": ice.DateType(),
        "binary": ice.BinaryType(),
    }
    return types[dtype.kind]
