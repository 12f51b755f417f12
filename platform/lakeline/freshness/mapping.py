"""Partition mappings: which upstream partitions a partition is made from, and which partitions a change reaches.

Keys are those of the ledger: ``YYYY-MM-DD`` for a day, any text for a static partition, ``""`` for the one partition of
an unpartitioned asset. ``known`` is always the sorted keys that exist at present.
"""

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakeline.errors import DomainError
from lakeline.window import WHOLE, shift

if TYPE_CHECKING:
    import dagster as dg

Keys = tuple[str, ...]


class UnknownMappingError(DomainError):
    """A partition mapping that freshness cannot follow."""

    def __init__(self, reader: str, upstream: str, mapping: object) -> None:
        super().__init__(
            f"'{reader}' reads '{upstream}' through {type(mapping).__name__}, which freshness cannot follow. Use the same "
            "partition, a time window with offsets, all partitions, the last one, or static partitions into days."
        )


class Mapping(Protocol):
    """How the partitions of a reader correspond to those of one upstream asset."""

    @property
    def is_open(self) -> bool:
        """Whether a partition that comes into being is read by partitions that exist already."""
        ...

    @property
    def needs_keys(self) -> bool:
        """Whether a change reaches every partition of the reader, so that one must know which there can be."""
        ...

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """What the reader's partition ``key`` reads, in order; ``known`` are the upstream keys."""
        ...

    def required(self, key: str, known: Sequence[str]) -> Keys:
        """What of it must exist before ``key`` can be built."""
        ...

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """Partitions of the reader that a change of upstream's ``key`` reaches; ``known`` are the reader's keys."""
        ...


@dataclass(frozen=True, slots=True)
class SamePartition:
    """The partition of the same key.

    >>> SamePartition().upstream("2026-01-02", [])
    ('2026-01-02',)
    """

    is_open = False
    needs_keys = False

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """The same key."""
        return (key,)

    required = upstream
    downstream = upstream


@dataclass(frozen=True, kw_only=True, slots=True)
class DayWindow:
    """A stretch of days around the reader's: from ``start`` to ``end``, both included, in days from its own.

    Days before the upstream's ``first`` day are not read. The reader's own day must exist, if the stretch holds it, and
    otherwise the nearest one; the others are read where they are there, and waited for where they are about to come.

    >>> DayWindow(start=-1).upstream("2026-01-02", [])
    ('2026-01-01', '2026-01-02')
    >>> DayWindow(start=-1).downstream("2026-01-02", [])
    ('2026-01-02', '2026-01-03')
    """

    start: int = 0
    end: int = 0
    first: str = ""

    is_open = False
    needs_keys = False

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """Each day of the stretch that the upstream can have."""
        days = (shift(key, offset) for offset in range(self.start, self.end + 1))
        return tuple(day for day in days if day >= self.first)

    def required(self, key: str, known: Sequence[str]) -> Keys:
        """The day itself, or the day of the stretch that is nearest to it."""
        nearest = shift(key, min(max(0, self.start), self.end))
        return (nearest,) if nearest >= self.first else ()

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """Each day whose stretch holds ``key``."""
        return tuple(shift(key, -offset) for offset in range(self.end, self.start - 1, -1))


@dataclass(frozen=True, slots=True)
class EveryPartition:
    """All partitions that exist, into a reader without partitions."""

    is_open = True
    needs_keys = False

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """All of them."""
        return tuple(known)

    def required(self, key: str, known: Sequence[str]) -> Keys:
        """One of them, whichever; the newest stands for it."""
        return tuple(known[-1:]) or (WHOLE,)

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """The one partition of the reader."""
        return (WHOLE,)


@dataclass(frozen=True, slots=True)
class NewestPartitions:
    """The ``count`` newest partitions, into a reader without partitions.

    >>> NewestPartitions(2).upstream("", ["2026-01-01", "2026-01-02", "2026-01-03"])
    ('2026-01-02', '2026-01-03')
    """

    count: int

    is_open = True
    needs_keys = False

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """The newest of them."""
        return tuple(known[-self.count :])

    def required(self, key: str, known: Sequence[str]) -> Keys:
        """The newest one."""
        return tuple(known[-1:]) or (WHOLE,)

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """The one partition of the reader."""
        return (WHOLE,)


@dataclass(frozen=True, slots=True)
class WholeAsset:
    """An upstream asset without partitions, into every partition of the reader."""

    is_open = False
    needs_keys = True

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """Its one partition."""
        return (WHOLE,)

    required = upstream

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """Every partition of the reader."""
        return tuple(known)


@dataclass(frozen=True, slots=True)
class StaticPartitions:
    """Static partitions (regions, say), each read by every partition of a reader that is parted otherwise."""

    keys: Keys

    is_open = False
    needs_keys = True

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """All static keys."""
        return self.keys

    required = upstream

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """Every partition of the reader, if the upstream's key is one that is read."""
        return tuple(known) if key in self.keys else ()


@dataclass(frozen=True, slots=True)
class StaticPairs:
    """Static partitions into others by a table from each of the reader's keys to upstream's."""

    pairs: AnyMapping[str, Keys]

    is_open = False
    needs_keys = False

    def upstream(self, key: str, known: Sequence[str]) -> Keys:
        """What the table says."""
        return self.pairs.get(key, ())

    required = upstream

    def downstream(self, key: str, known: Sequence[str]) -> Keys:
        """What the table says, backwards."""
        return tuple(reader for reader, keys in self.pairs.items() if key in keys)


def mapping_from_dagster(
    mapping: "dg.PartitionMapping | None", *, reader: str, upstream: str, first: str = ""
) -> Mapping:
    """The mapping that a Dagster dependency declares; None is the same partition.

    Raises:
        UnknownMappingError: Of a kind that freshness cannot follow.
    """
    import dagster as dg

    if mapping is None or isinstance(mapping, dg.IdentityPartitionMapping):
        return SamePartition()
    if isinstance(mapping, dg.TimeWindowPartitionMapping):
        return DayWindow(start=mapping.start_offset, end=mapping.end_offset, first=first)
    if isinstance(mapping, dg.AllPartitionMapping):
        return EveryPartition()
    if isinstance(mapping, dg.LastPartitionMapping):
        return NewestPartitions(1)
    if isinstance(mapping, dg.StaticPartitionMapping):
        return StaticPairs(_inverted(mapping.downstream_partition_keys_by_upstream_partition_key))
    raise UnknownMappingError(reader, upstream, mapping)


def _inverted(table: AnyMapping[str, object]) -> dict[str, Keys]:
    found: dict[str, list[str]] = {}
    for upstream, readers in table.items():
        for reader in [readers] if isinstance(readers, str) else list(readers):  # type: ignore[call-overload]
            found.setdefault(reader, []).append(upstream)
    return {reader: tuple(keys) for reader, keys in found.items()}
