"""The snapshot that replaces whole partitions: each manifest is read once, and few of them are left behind.

pyiceberg's own overwrite reads a manifest that it may touch three times, and each commit leaves one for what it added and
one for what it removed, for good. With 200 days, committed and then corrected, that made 400 files to read before the
first row, and a commit twice as slow as the first. Here manifests without files go, many small ones are written as one,
and a large one is parted when it is touched.

Imported where a commit is made: it brings pyiceberg.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _SnapshotProducer
from pyiceberg.typedef import KeyDefaultDict
from pyiceberg.utils.concurrent import ExecutorFactory

from lakeline.lake.partitions import partition_key

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Transaction

    from lakeline.lake.stage import StagedFile

MOST_FILES = 512
"""Files of a manifest that is written again."""

SMALL, MOST_SMALL = MOST_FILES // 2, 32
"""Files below which a manifest is small, and how many such there may be: to a reader each is a request to the bucket."""


@dataclass(kw_only=True, slots=True)
class _Fate:
    """What becomes of the present manifests and the files in them.

    Attributes:
        untouched: Manifests that stay.
        kept: Files that stay, while their manifests do not.
        removed: Files that go.
    """

    untouched: "list[ManifestFile]" = field(default_factory=list)
    kept: list[ManifestEntry] = field(default_factory=list)
    removed: list[ManifestEntry] = field(default_factory=list)


class Replacing(_SnapshotProducer["Replacing"]):
    """A commit that puts files in the place of all that some partitions have.

    Args:
        transaction: Of the table.
        partitions: Keys of those whose present files go.
        within: Rows that these hold, and that no other engine may have changed meanwhile.
        staged: The files that come.
        properties: Put into the snapshot's summary.
    """

    def __init__(
        self,
        transaction: "Transaction",
        partitions: Collection[str],
        within: "BooleanExpression",
        staged: "Sequence[StagedFile]",
        properties: Mapping[str, str],
    ) -> None:
        table = transaction._table
        operation = Operation.OVERWRITE if table.current_snapshot() else Operation.APPEND
        super().__init__(operation, transaction, table.io, snapshot_properties=dict(properties))
        self._isolation_operation = Operation.OVERWRITE  # as Table.overwrite does
        self._partitions = partitions
        self.delete_by_predicate(within)
        for one in staged:
            self.append_data_file(one.file)
        self._deleted_data_files = {one.data_file for one in self._fate.removed}

    @property
    def is_void(self) -> bool:
        """Whether there is nothing to remove and nothing to add."""
        return not self._deleted_data_files and not self._added_data_files

    @cached_property
    def _fate(self) -> _Fate:
        fate = _Fate()
        may_hold: Mapping[int, Any] = KeyDefaultDict(self._build_manifest_evaluator)
        near: list[ManifestFile] = []
        for manifest in self._present():
            if manifest.content != ManifestContent.DATA:
                fate.untouched.append(manifest)
            elif manifest.has_added_files() or manifest.has_existing_files():
                is_near = may_hold[manifest.partition_spec_id](manifest)
                (near if is_near else fate.untouched).append(manifest)
        for manifest, entries in self._read(near):
            staying = [one for one in entries if not self._goes(one)]
            if len(staying) == len(entries):
                fate.untouched.append(manifest)
            else:
                fate.kept += staying
                fate.removed += [one for one in entries if self._goes(one)]
        self._gather_small(fate)
        return fate

    def _gather_small(self, fate: _Fate) -> None:
        """Where too many manifests are small, their files go into new ones."""
        small = [one for one in fate.untouched if _is_small(one)]
        if len(small) > MOST_SMALL:
            fate.untouched = [one for one in fate.untouched if not _is_small(one)]
            fate.kept += [one for _, entries in self._read(small) for one in entries]

    def _goes(self, entry: ManifestEntry) -> bool:
        return partition_key(entry.data_file) in self._partitions

    def _present(self) -> "Sequence[ManifestFile]":
        snapshot = self._transaction.table_metadata.snapshot_by_name(self._target_branch)
        return snapshot.manifests(self._io) if snapshot is not None else ()

    def _read(
        self, manifests: "Sequence[ManifestFile]"
    ) -> "Iterator[tuple[ManifestFile, list[ManifestEntry]]]":
        """The files of each manifest, asked for at once: a bucket takes its time for each."""
        entries = ExecutorFactory.get_or_create().map(self.fetch_manifest_entry, manifests)
        return zip(manifests, entries, strict=True)

    def _deleted_entries(self) -> list[ManifestEntry]:
        return [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.DELETED,
                snapshot_id=self._snapshot_id,
                sequence_number=one.sequence_number,
                file_sequence_number=one.file_sequence_number,
                data_file=one.data_file,
            )
            for one in self._fate.removed
        ]

    def _existing_manifests(self) -> "list[ManifestFile]":
        kept = sorted(self._fate.kept, key=_place)
        by_spec = groupby(kept, lambda one: one.data_file.spec_id)
        written = [
            self._written(spec_id, part)
            for spec_id, entries in by_spec
            for part in _parted(list(entries))
        ]
        return [*self._fate.untouched, *written]

    def _written(self, spec_id: int, entries: Sequence[ManifestEntry]) -> "ManifestFile":
        with self.new_manifest_writer(self.spec(spec_id)) as writer:
            for one in entries:
                writer.existing(one)
        return writer.to_manifest_file()

    def _refresh_for_retry(self) -> None:
        super()._refresh_for_retry()
        del self._fate  # of another snapshot


def _is_small(manifest: "ManifestFile") -> bool:
    files = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
    return manifest.content == ManifestContent.DATA and files < SMALL


def _place(entry: ManifestEntry) -> tuple[int, str]:
    """By days, so that a reader can pass over most manifests."""
    return entry.data_file.spec_id, partition_key(entry.data_file)


def _parted(entries: Sequence[ManifestEntry]) -> Iterator[Sequence[ManifestEntry]]:
    """Parts of about the same length, none longer than a manifest may be."""
    parts = -(-len(entries) // MOST_FILES)
    for part in range(parts):
        yield entries[len(entries) * part // parts : len(entries) * (part + 1) // parts]
