"""What of a table decides how its files are written and whether it is as its contract says, to be worked out once.

A table's schemas and partition specs never change under their ids, so that table, ids and properties stand for all of it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Schema, partition specs and properties of a table, quick to compare.

    Attributes:
        table: Of the table itself, which another one of the same name does not share.
        schema_id: Of the present schema.
        spec_ids: Of every partition spec that the table ever had.
        properties: Sorted pairs.
        schema: The present schema.
        specs: Every partition spec.
    """

    table: UUID
    schema_id: int
    spec_ids: tuple[int, ...]
    properties: tuple[tuple[str, str], ...]
    schema: "Schema" = field(compare=False, repr=False)
    specs: "tuple[PartitionSpec, ...]" = field(compare=False, repr=False)

    @classmethod
    def of(cls, table: "Table") -> "Shape":
        """The shape that a table has now."""
        metadata = table.metadata
        return cls(
            table=metadata.table_uuid,
            schema_id=metadata.current_schema_id,
            spec_ids=tuple(one.spec_id for one in metadata.partition_specs),
            properties=tuple(sorted(metadata.properties.items())),
            schema=table.schema(),
            specs=tuple(metadata.partition_specs),
        )
