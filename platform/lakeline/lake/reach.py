"""Which files the snapshots of a table need: what only expired snapshots reached may go, what none reaches is an orphan."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Files that snapshots need, by the locations that Iceberg has of them.

    Attributes:
        data: Data and delete files that are alive in one of them.
        metadata: Manifests and lists of manifests.
    """

    data: frozenset[str]
    metadata: frozenset[str]

    @property
    def files(self) -> frozenset[str]:
        """All of them."""
        return self.data | self.metadata


def reach(table: "Table", snapshots: "Iterable[Snapshot]") -> Reach:
    """Every file that the snapshots need; a manifest that they share is read once."""
    data: set[str] = set()
    metadata: set[str] = set()
    for snapshot in snapshots:
        metadata.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in metadata:
                metadata.add(manifest.manifest_path)
                data.update(_alive(table, manifest))
    return Reach(data=frozenset(data), metadata=frozenset(metadata))


def bookkeeping(metadata: "TableMetadata", location: str) -> set[str]:
    """The table's metadata at ``location``, the older ones that it remembers, and statistics."""
    statistics = [*metadata.statistics, *metadata.partition_statistics]
    return {
        location,
        *(entry.metadata_file for entry in metadata.metadata_log),
        *(one.statistics_path for one in statistics),
    }


def _alive(table: "Table", manifest: "ManifestFile") -> Iterable[str]:
    entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    return (entry.data_file.file_path for entry in entries)
