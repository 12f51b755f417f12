"""What of a table decides how its files are written and whether it is as its contract says, to be worked out once.

A table's schema never changes under its id, so that table, id and properties stand for all of it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Schema and properties of a table, quick to compare.

    Attributes:
        table: Of the table itself, which another one of the same name does not share.
        schema_id: Of the present schema.
        properties: Sorted pairs.
        schema: The present schema.
    """

    table: UUID
    schema_id: int
    properties: tuple[tuple[str, str], ...]
    schema: "Schema" = field(compare=False, repr=False)

    @classmethod
    def of(cls, table: "Table") -> "Shape":
        """The shape that a table has now."""
        metadata = table.metadata
        return cls(
            table=metadata.table_uuid,
            schema_id=metadata.current_schema_id,
            properties=tuple(sorted(metadata.properties.items())),
            schema=table.schema(),
        )
