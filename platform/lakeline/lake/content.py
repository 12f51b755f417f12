"""The version of a table's content: a hash that is equal for equal rows in any order.

Hand-written because no library promises it: Polars' and DuckDB's hashes may change with their release, and a version
must outlive upgrades. A value is turned into 64 bits (numbers by themselves, text by xxHash64, whose definition is
fixed), mixed with its column's name by multiply and shift (the finaliser of MurmurHash3), summed over the row, mixed
again, and summed over the rows. Sums wrap at 2**64 and do not depend on order. Nulls add nothing, and integers and
floats count by value at 64 bits: so a new empty column or a widened type leaves the version as it was.

Hashing takes about a quarter of the time that writing the same rows as Parquet takes.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import polars_hash as plh

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIX_A = np.uint64(0xFF51AFD7ED558CCD)
_MIX_B = np.uint64(0xC4CEB9FE1A85EC53)
_SECOND_SUM = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(33)

EMPTY = "empty"
"""Version of a partition without rows."""


def content_version(frame: pl.DataFrame) -> str:
    """Version of the rows of ``frame``: 32 hexadecimal digits, or `EMPTY`.

    >>> ab = pl.DataFrame({"x": [1, 2], "y": ["a", None]})
    >>> content_version(ab) == content_version(ab.reverse().select("y", "x"))
    True
    >>> content_version(ab) == content_version(ab.with_columns(y=pl.lit("a")))
    False
    """
    return content_version_of([frame])


def content_version_of(parts: Iterable[pl.DataFrame]) -> str:
    """Version of the rows of several frames with the same columns: that of one frame with all of them."""
    rows = first = second = 0
    for part in parts:
        if part.height:
            sums = _sums(part)
            rows, first, second = rows + part.height, first + sums[0], second + sums[1]
    if not rows:
        return EMPTY
    total = f"{rows}:{first % 2**64}:{second % 2**64}"
    return hashlib.blake2b(total.encode(), digest_size=16).hexdigest()


def _sums(frame: pl.DataFrame) -> tuple[int, int]:
    """The two sums over the rows; there is at least one."""
    # One select for all columns: a call for each costs more than the hashing.
    values = frame.select(_value(name, dtype) for name, dtype in frame.schema.items())
    rows, scratch = np.zeros((2, frame.height), dtype=np.uint64)
    for column in values.iter_columns():
        hashed = column.to_numpy().view(np.uint64) + _seed(column.name)
        _mix(hashed, scratch)
        if frame[column.name].null_count():
            hashed[frame[column.name].is_null().to_numpy()] = 0
        rows += hashed
    again = rows + _SECOND_SUM
    _mix(rows, scratch)
    _mix(again, scratch)
    return int(rows.sum(dtype=np.uint64)), int(again.sum(dtype=np.uint64))


def _value(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as numbers of 64 bits; anything where it is null."""
    column = pl.col(name)
    if dtype.is_float():
        # -0.0 + 0.0 is 0.0, and every NaN becomes the same one.
        return (column.cast(pl.Float64) + 0.0).fill_nan(float("nan")).fill_null(0.0)
    if dtype == pl.Datetime:
        return column.cast(pl.Datetime("us", "UTC")).to_physical().fill_null(0)
    if dtype == pl.Boolean or dtype.is_integer() or dtype in {pl.Date, pl.Time}:
        return column.to_physical().cast(pl.Int64).fill_null(0)
    text = column if dtype in {pl.String, pl.Binary} else column.cast(pl.String)
    return plh.NonCryptographicHashingNameSpace(text).xxhash64().fill_null(0)


def _mix(bits: "NDArray[np.uint64]", scratch: "NDArray[np.uint64]") -> None:
    """Scatter each number over all 64 bits, in place; ``scratch`` is overwritten."""
    for factor in (_MIX_A, _MIX_B):
        np.right_shift(bits, _SHIFT, out=scratch)
        bits ^= scratch
        bits *= factor
    np.right_shift(bits, _SHIFT, out=scratch)
    bits ^= scratch


@cache
def _seed(name: str) -> np.uint64:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))
