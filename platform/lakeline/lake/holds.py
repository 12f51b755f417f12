"""Snapshots that tags hold, for as long as something needs them, and what that costs: the files that nothing else needs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import LakeError, names
from lakeline.lake.files import sizes_bytes
from lakeline.lake.reach import reach

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakeline.lake import Lake

PREFIX = "lakeline.model."


class UnknownSnapshotError(LakeError):
    """A table does not remember a snapshot."""

    def __init__(self, table: str, snapshot_id: int, known: Collection[int]) -> None:
        shown = names([str(one) for one in known], limit=5) or "none"
        super().__init__(f"Table '{table}' has no snapshot {snapshot_id}. Its newest are {shown}.")


class TagError(LakeError):
    """A tag cannot be set or taken away."""

    def __init__(self, table: str, tag: str, why: str, known: Collection[str]) -> None:
        super().__init__(
            f"Tag '{tag}' of table '{table}' {why}. Its tags are {names(known) or 'none'}."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A snapshot that a tag keeps.

    Attributes:
        table: ``namespace.table``.
        tag: Name of the tag.
        snapshot_id: What it keeps.
        size_bytes: What would be freed if this one alone were released and the table maintained.
    """

    table: str
    tag: str
    snapshot_id: int
    size_bytes: int

    @property
    def version(self) -> tuple[str, int] | None:
        """Registered model and version that it is held for; None where it is held for something else."""
        name, _, number = self.tag.removeprefix(PREFIX).rpartition(".")
        is_ours = self.tag.startswith(PREFIX) and name and number.isdigit()
        return (name, int(number)) if is_ours else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Holds:
    """Everything that is held of one table.

    Attributes:
        table: ``namespace.table``.
        held: Each hold, by the name of its tag.
        size_bytes: What all of them keep together that the present snapshot does not need.
        present_bytes: What the present snapshot needs.
    """

    table: str
    held: tuple[Hold, ...]
    size_bytes: int
    present_bytes: int

    @property
    def share(self) -> float:
        """Cost of the holds as a share of the present; 0 for a table without rows."""
        return self.size_bytes / self.present_bytes if self.present_bytes else 0.0


def tag_of(name: str, version: int) -> str:
    """Tag that holds what a version of a registered model learned from.

    >>> tag_of("flights.delay_lightgbm", 3)
    'lakeline.model.flights.delay_lightgbm.3'
    """
    return f"{PREFIX}{name}.{version}"


def tags(table: "Table") -> list[str]:
    """Names of the tags of a table, sorted."""
    from pyiceberg.table.refs import SnapshotRefType

    refs = table.metadata.refs.items()
    return sorted(tag for tag, ref in refs if ref.snapshot_ref_type == SnapshotRefType.TAG)


def hold(lake: "Lake", name: str, snapshot_id: int, tag: str) -> None:
    """Keep a snapshot with all its files until the tag is released; holding it twice is as once.

    Raises:
        TableMissingError: The table was never written.
        UnknownSnapshotError: The table does not remember the snapshot.
        TagError: The tag holds another snapshot.
    """
    with lake.lock(name):
        table = lake.load(name)
        held = table.metadata.refs.get(tag)
        if held is not None and held.snapshot_id == snapshot_id:
            return
        if held is not None:
            raise TagError(name, tag, f"holds snapshot {held.snapshot_id}", tags(table))
        if table.metadata.snapshot_by_id(snapshot_id) is None:
            newest = [one.snapshot_id for one in reversed(table.metadata.snapshots)]
            raise UnknownSnapshotError(name, snapshot_id, newest)
        table.manage_snapshots().create_tag(snapshot_id, tag).commit()


def release(lake: "Lake", name: str, tag: str) -> None:
    """Let go of what a tag held; the next `expire` may take it.

    Raises:
        TableMissingError: The table was never written.
        TagError: There is no such tag.
    """
    with lake.lock(name):
        table = lake.load(name)
        if tag not in tags(table):
            raise TagError(name, tag, "does not exist", tags(table))
        table.manage_snapshots().remove_tag(tag).commit()


def holds_of(lake: "Lake", name: str) -> Holds:
    """What tags hold of a table, with its cost.

    Raises:
        TableMissingError: It was never written.
    """
    table = lake.load(name)
    head = table.current_snapshot()
    present = reach(table, [head] if head else []).files
    needs = {tag: _files(table, tag) for tag in tags(table)}
    beyond = frozenset().union(*needs.values()) - present
    return Holds(
        table=name,
        held=tuple(_held(table, name, needs, present)),
        size_bytes=sizes_bytes(table, sorted(beyond)) if beyond else 0,
        present_bytes=sizes_bytes(table, sorted(present)) if present else 0,
    )


def _held(
    table: "Table", name: str, needs: dict[str, frozenset[str]], present: frozenset[str]
) -> Iterator[Hold]:
    for tag, files in needs.items():
        others = (theirs for other, theirs in needs.items() if other != tag)
        alone = sorted(files - present.union(*others))
        yield Hold(
            table=name,
            tag=tag,
            snapshot_id=table.metadata.refs[tag].snapshot_id,
            size_bytes=sizes_bytes(table, alone) if alone else 0,
        )


def _files(table: "Table", tag: str) -> frozenset[str]:
    snapshot = table.metadata.snapshot_by_id(table.metadata.refs[tag].snapshot_id)
    return reach(table, [snapshot] if snapshot else []).files
