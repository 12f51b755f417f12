"""What one row of a view holds, and how its bytes are laid out.

A row is, little-endian and in this order:

==========  =====================================================================================
event time  int64, microseconds since 1970 UTC
origin      uint32, number of the partition that it came from; 0 for rows that were pushed
nulls       one bit a feature, padded so that what follows lies on a multiple of 8
numbers     float64, int64, timestamp (int64 microseconds), float32, int32, one after the other
ends        uint32 for each text or binary feature: where it ends among the bytes behind
bools       one byte each, padded to a multiple of 8
bytes       texts (UTF-8) and binaries, joined
==========  =====================================================================================

Features lie ordered by type and then name, so that those of one type are one matrix. The digest of names, types and
`VERSION` is part of where rows are kept: rows of two layouts never meet.
"""

import datetime as dt
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from lakeline.online.errors import ViewError

VERSION = 1
EntityType: TypeAlias = Literal["string", "int64", "binary"]
FeatureType: TypeAlias = Literal[
    "float64",
    "int64",
    "timestamp",
    "float32",
    "int32",
    "string",
    "binary",
    "proto",
    "bool",
]
"""``proto`` is a serialised value of Feast that no other type fits; it is stored and read as bytes."""

NUMPY: Mapping[str, str] = MappingProxyType(
    {"float64": "<f8", "int64": "<i8", "timestamp": "<M8[us]", "float32": "<f4", "int32": "<i4", "bool": "?"}
)  # fmt: skip
"""Type of each fixed-width feature, in the order of the layout."""
VARIABLE = ("string", "binary", "proto")
NO_TIME = -(2**63)
"""Event time of a row that is not there; NumPy's NaT."""
HEAD = struct.Struct("<qI")
_NAN = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """Features of the same entities that change together.

    Attributes:
        name: Its name, unique within a store's prefix.
        entities: Type of each column that a row is found by; empty for features that hold for everything.
        features: Type of each feature.
        ttl: Age, against the event time, up to which a row may be used, this age included; None for any age.
        event_time: Column of frames that holds the event time.
        layout: How its rows are laid out; follows from entities and features.

    Raises:
        ViewError: A type is unknown, or there are no features.
    """

    name: str
    entities: Mapping[str, EntityType]
    features: Mapping[str, FeatureType]
    ttl: dt.timedelta | None = None
    event_time: str = "event_ts"
    layout: "Layout" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be laid out."""
        if not self.features:
            raise ViewError(self.name, "has no features")
        for columns, known in (
            (self.entities, get_args(EntityType)),
            (self.features, get_args(FeatureType)),
        ):
            for column, kind in columns.items():
                if kind not in known:
                    raise ViewError(
                        self.name, f"has {column} as {kind}; the types are {', '.join(known)}"
                    )
        layout = layout_of(
            tuple(sorted(self.entities.items())), tuple(sorted(self.features.items()))
        )
        object.__setattr__(self, "layout", layout)  # frozen, and computed once


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Features of one fixed-width type, which lie side by side.

    Attributes:
        numpy: Their type in NumPy's letters.
        width: Bytes of one of them.
        offset: Where the first begins in a row.
        names: The features in their order.
    """

    numpy: str
    width: int
    offset: int
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layout:
    """Where each feature lies in a row.

    Attributes:
        digest: Equal for layouts whose rows mean the same.
        size: Bytes of a row before its texts.
        groups: Fixed-width features by type.
        variable: Text and binary features, in the order of their bytes.
        ends: Where the ends of their bytes lie.
        bits: Which bit of the nulls is each feature's.
        blank: A row without any value.
        entities: Entity columns with their types, ordered by name.
        features: Features with their types, ordered by name.
        null_bytes: Bytes that the nulls take.
    """

    digest: str
    size: int
    groups: tuple[Group, ...]
    variable: tuple[str, ...]
    ends: int
    bits: Mapping[str, int]
    blank: bytes = field(repr=False)
    entities: tuple[tuple[str, EntityType], ...]
    features: tuple[tuple[str, FeatureType], ...]
    null_bytes: int

    def to_json(self) -> str:
        """Names and types, from which `layout_from` makes an equal layout."""
        return json.dumps({"entities": self.entities, "features": self.features})

    def as_view(self, name: str) -> View:
        """A view whose rows are laid out so."""
        return View(name=name, entities=dict(self.entities), features=dict(self.features))

    def changes_to(self, other: "Layout") -> list[str]:
        """What differs in ``other``, a sentence a column."""
        told = []
        for word, mine, theirs in (
            ("entity", dict(self.entities), dict(other.entities)),
            ("feature", dict(self.features), dict(other.features)),
        ):
            for name in sorted(mine.keys() | theirs.keys()):
                here, there = mine.get(name, "absent"), theirs.get(name, "absent")
                if here != there:
                    told.append(f"{word} {name} is {there} there and {here} here")
        return told or [f"it was written by another version of the layout than {VERSION}"]


def layout_from(text: str) -> Layout:
    """The layout that `Layout.to_json` described."""
    told = json.loads(text)
    return layout_of(
        tuple((name, kind) for name, kind in told["entities"]),
        tuple((name, kind) for name, kind in told["features"]),
    )


@lru_cache(maxsize=1024)
def layout_of(
    entities: tuple[tuple[str, EntityType], ...], features: tuple[tuple[str, FeatureType], ...]
) -> Layout:
    """Lay features out; both arguments are ordered by name."""
    fixed = [name for kind in NUMPY if kind != "bool" for name, one in features if one == kind]
    variable = tuple(name for name, kind in features if kind in VARIABLE)
    bools = [name for name, kind in features if kind == "bool"]
    order = [*fixed, *variable, *bools]
    groups, ends, size = _place(dict(features), len(variable), start=_round_up(HEAD.size + -(-len(order) // 8)))  # fmt: skip
    told = json.dumps([VERSION, entities, features])
    return Layout(
        digest=hashlib.sha256(told.encode()).hexdigest()[:16],
        size=size,
        groups=groups,
        variable=variable,
        ends=ends,
        bits={name: bit for bit, name in enumerate(order)},
        blank=_blank(groups, size, len(order)),
        entities=entities,
        features=features,
        null_bytes=-(-len(order) // 8),
    )


def _place(
    features: Mapping[str, str], variable: int, *, start: int
) -> tuple[tuple[Group, ...], int, int]:
    """Groups with their offsets, where the ends lie, and the size of all."""
    groups, at, ends = [], start, start
    for kind, numpy in NUMPY.items():
        if kind == "bool":
            ends, at = at, at + 4 * variable
        names = tuple(name for name, one in features.items() if one == kind)
        width = 1 if kind == "bool" else 4 if kind.endswith("32") else 8
        if names:
            groups.append(Group(numpy=numpy, width=width, offset=at, names=names))
        at += width * len(names)
    return tuple(groups), ends, _round_up(at)


def _blank(groups: tuple[Group, ...], size: int, features: int) -> bytes:
    row = bytearray(size)
    HEAD.pack_into(row, 0, NO_TIME, 0)
    for bit in range(features):
        row[HEAD.size + bit // 8] |= 1 << bit % 8
    for group in groups:
        value = {
            "<f8": struct.pack("<d", _NAN),
            "<f4": struct.pack("<f", _NAN),
            "<M8[us]": struct.pack("<q", NO_TIME),
        }.get(group.numpy, bytes(group.width))
        row[group.offset : group.offset + group.width * len(group.names)] = value * len(group.names)
    return bytes(row)


def _round_up(size: int) -> int:
    return -(-size // 8) * 8
