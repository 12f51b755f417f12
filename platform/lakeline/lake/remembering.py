"""A SQL catalog that reads a table's metadata once: its files never change, and a publish looks at the same one four times.

Which file is the present one is asked each time; that it is still there is not, as long as this process knows what is in it.
Imported where a catalog is opened: it brings pyiceberg.
"""

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.snapshots import Snapshot

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.typedef import Identifier

MOST = 32
"""Tables whose metadata is kept."""


class HeldSnapshot(Snapshot):
    """A snapshot that deep copies of the metadata share: it never changes, and copying 400 took half of a commit's time."""

    def __deepcopy__(self, _: "dict[int, Any] | None" = None) -> "HeldSnapshot":
        return self

    @classmethod
    def of(cls, snapshot: Snapshot) -> "HeldSnapshot":
        """The same, held; itself where it is already."""
        if isinstance(snapshot, cls):
            return snapshot
        return cls.model_construct(snapshot.model_fields_set, **dict(snapshot))


class RememberingCatalog(SqlCatalog):
    """pyiceberg's catalog, with the metadata of each table that it read or wrote last."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._held: OrderedDict[Identifier, tuple[str, TableMetadata]] = OrderedDict()
        self._guard = Lock()

    def commit_table(self, table: Table, *args: Any, **kwargs: Any) -> CommitTableResponse:
        """As in pyiceberg; what was committed is known from then on."""
        done = super().commit_table(table, *args, **kwargs)
        held = self._keep(table.name(), done.metadata_location, done.metadata)
        return done.model_copy(update={"metadata": held})

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        location = str(orm_table.metadata_location)
        name = (*self.identifier_to_tuple(orm_table.table_namespace), orm_table.table_name)
        known, metadata = self._held.get(name, ("", None))
        if metadata is None or known != location:
            found = super()._convert_orm_to_iceberg(orm_table)
            metadata = self._keep(name, location, found.metadata)
        io = self._load_file_io(metadata.properties, location)
        return Table(
            identifier=name, metadata=metadata, metadata_location=location, io=io, catalog=self
        )

    def _keep(
        self, name: "Identifier", location: str, metadata: "TableMetadata"
    ) -> "TableMetadata":
        snapshots = [HeldSnapshot.of(one) for one in metadata.snapshots]
        held = metadata.model_copy(update={"snapshots": snapshots})
        with self._guard:
            self._held[name] = location, held
            self._held.move_to_end(name)
            while len(self._held) > MOST:
                self._held.popitem(last=False)
        return held
