"""What tags hold of a table, and what that costs: the files that only a held snapshot still needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.lake.files import sizes_bytes
from lakeline.lake.maintenance import tags
from lakeline.lake.reach import reach

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakeline.lake import Lake

PREFIX = "lakeline.model."


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
