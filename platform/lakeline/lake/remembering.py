"""A SQL catalog that reads a table's metadata once: its files never change, and a publish looks at the same one four times.

What the catalog says which file is the present one is asked each time. Imported where a catalog is opened: it brings pyiceberg.
"""

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import CommitTableResponse, Table

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

MOST = 32
"""Tables whose metadata is kept."""


class RememberingCatalog(SqlCatalog):
    """pyiceberg's catalog, with the newest metadata that it read or wrote."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._held: OrderedDict[str, TableMetadata] = OrderedDict()
        self._guard = Lock()

    def commit_table(self, *args: Any, **kwargs: Any) -> CommitTableResponse:
        """As in pyiceberg; what was committed is known from then on."""
        done = super().commit_table(*args, **kwargs)
        self._keep(done.metadata_location, done.metadata)
        return done

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        location = str(orm_table.metadata_location)
        held = self._held.get(location)
        if held is None:
            found = super()._convert_orm_to_iceberg(orm_table)
            self._keep(location, found.metadata)
            return found
        return Table(
            identifier=(*self.identifier_to_tuple(orm_table.table_namespace), orm_table.table_name),
            metadata=held,
            metadata_location=location,
            io=self._load_file_io(held.properties, location),
            catalog=self,
        )

    def _keep(self, location: str, metadata: "TableMetadata") -> None:
        with self._guard:
            self._held[location] = metadata
            self._held.move_to_end(location)
            while len(self._held) > MOST:
                self._held.popitem(last=False)
