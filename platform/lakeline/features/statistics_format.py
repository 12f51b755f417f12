"""Statistics as bytes: a mark, a version, a JSON header with the counts, and the sketches one after another.

The layout of version 1: ``LKST``, one byte of version, four bytes of header length (little endian), the header, the
sketches. The header lists the features in order, each with its counts and the lengths of its three sketches. The sketches
are in Apache DataSketches' own portable format, which its Java and C++ libraries read too.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from lakeline.errors import ModelError
from lakeline.features.statistics import FeatureStatistics

MARK, VERSION = b"LKST", 1
START = struct.Struct("<4sBI")
SKETCHES = ("quantiles", "values", "frequent")
COUNTS = ("feature", "kind", "rows", "nulls", "total")


class CorruptStatisticsError(ModelError):
    """Bytes that are no statistics, or not all of them."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"These bytes are no feature statistics: {why}. Build the partition again to measure it anew."
        )


class NewerStatisticsError(ModelError):
    """Statistics that a newer lakeline wrote."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(
            f"Feature statistics have version {version}, and this lakeline reads up to {VERSION}. "
            "Update lakeline, or build the partition again with this one."
        )


def to_bytes(statistics: Mapping[str, FeatureStatistics]) -> bytes:
    """Statistics of a partition, for `from_bytes`."""
    header = [
        {name: getattr(one, name) for name in COUNTS}
        | {"sizes": [len(getattr(one, sketch)) for sketch in SKETCHES]}
        for one in statistics.values()
    ]
    told = json.dumps(header, ensure_ascii=False).encode()
    sketches = (getattr(one, sketch) for one in statistics.values() for sketch in SKETCHES)
    return b"".join([START.pack(MARK, VERSION, len(told)), told, *sketches])


def from_bytes(data: bytes) -> dict[str, FeatureStatistics]:
    """Statistics of a partition, as `to_bytes` wrote them.

    Raises:
        CorruptStatisticsError: They are no statistics, or cut off.
        NewerStatisticsError: A newer lakeline wrote them.
    """
    header, rest = _header(data)
    sizes = [size for one in header for size in one["sizes"]]
    if sum(sizes) != len(rest):
        raise CorruptStatisticsError(
            f"{len(rest):,} bytes of sketches where {sum(sizes):,} are announced"
        )
    pieces = _cut(rest, sizes)
    # In the order of SKETCHES, as they were written.
    return {
        one["feature"]: FeatureStatistics(
            feature=one["feature"],
            kind=one["kind"],
            rows=one["rows"],
            nulls=one["nulls"],
            total=one["total"],
            quantiles=next(pieces),
            values=next(pieces),
            frequent=next(pieces),
        )
        for one in header
    }


def _header(data: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The header, and what follows it."""
    if len(data) < START.size:
        raise CorruptStatisticsError(f"there are only {len(data)}")
    mark, version, length = START.unpack_from(data)
    if mark != MARK:
        raise CorruptStatisticsError("they do not begin as such")
    if version > VERSION:
        raise NewerStatisticsError(version)
    end = START.size + length
    if len(data) < end:
        raise CorruptStatisticsError("their header is cut off")
    try:
        return json.loads(data[START.size : end]), data[end:]
    except ValueError as cause:
        raise CorruptStatisticsError("their header cannot be read") from cause


def _cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
