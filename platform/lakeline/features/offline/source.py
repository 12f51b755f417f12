"""What a planner must know of the rows that it reads, whatever engine holds them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

COLUMNS = "/*columns*/"
"""Stands in a relation where the entries of columns go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The rows of a table at one snapshot, as SQL.

    Attributes:
        relation: What stands after FROM; `COLUMNS` in it is replaced by the entries of the columns that are read.
        position: Expression of a row's place; of two rows the later one has the greater place.
        places: A number above every place.
        kinds: Iceberg type of each time column, by its name.
        is_ordered: Whether places alone order the rows of one event time.
        entries: What the relation says of each column, where it says something: naming 500 columns of a table takes an
            engine longer than reading three of them.
    """

    relation: str
    position: str
    places: int
    kinds: Mapping[str, str]
    is_ordered: bool = False
    entries: Mapping[str, str] = field(default_factory=dict)

    def reading(self, columns: Iterable[str]) -> str:
        """What stands after FROM to read these columns."""
        if not self.entries:
            return self.relation
        said = ", ".join(self.entries[column] for column in dict.fromkeys(columns))
        return self.relation.replace(COLUMNS, said)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The earliest and the latest moment of an entity frame, in microseconds since 1970."""

    earliest: int
    latest: int
