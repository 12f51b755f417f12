"""The version of a table's content: a hash that is equal for equal rows in any order.

Hand-written because no library promises it: Polars' and DuckDB's hashes may change with their release, and a version
must outlive upgrades. A value is turned into 64 bits (numbers by themselves, text by xxHash64, whose definition is
fixed), mixed with its column's name by multiply and shift (the finaliser of MurmurHash3), summed over the row, mixed
again, and summed over the rows. Sums wrap at 2**64 and do not depend on order. Nulls add nothing, and integers and
floats count by value at 64 bits: so a new empty column or a widened type leaves the version as it was.

A frame of 500,000 rows x 15 columns takes about a tenth of the time that writing it as Parquet takes.
"""

import hashlib
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
    if frame.height == 0:
        return EMPTY
    rows = np.zeros(frame.height, dtype=np.uint64)
    for column in frame.iter_columns():
        rows += _hashed(column)
    first = _mixed(rows)
    second = _mixed(rows + _SECOND_SUM)
    total = f"{frame.height}:{int(first.sum(dtype=np.uint64))}:{int(second.sum(dtype=np.uint64))}"
    return hashlib.blake2b(total.encode(), digest_size=16).hexdigest()


def _hashed(column: pl.Series) -> "NDArray[np.uint64]":
    """Mixed 64-bit value of each row of a column, shape ``(rows,)``; 0 for nulls."""
    bits = _bits(column)
    hashed = _mixed(bits + _seed(column.name))
    if column.null_count():
        hashed[column.is_null().to_numpy()] = 0
    return hashed


def _bits(column: pl.Series) -> "NDArray[np.uint64]":
    if column.dtype.is_float():
        # -0.0 + 0.0 is 0.0, and every NaN becomes the same one.
        numbers = (column.cast(pl.Float64) + 0.0).fill_nan(float("nan")).fill_null(0.0)
        return numbers.to_numpy().view(np.uint64)
    if (
        column.dtype == pl.Boolean
        or column.dtype.is_integer()
        or column.dtype in {pl.Date, pl.Time}
    ):
        return column.to_physical().cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
    if column.dtype == pl.Datetime:
        return (
            column.cast(pl.Datetime("us", "UTC"))
            .to_physical()
            .fill_null(0)
            .to_numpy()
            .view(np.uint64)
        )
    text = column if column.dtype in {pl.String, pl.Binary} else column.cast(pl.String)
    hashed = text.to_frame("text").select(plh.col("text").nchash.xxhash64())
    return hashed.to_series().fill_null(0).to_numpy()


def _mixed(bits: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    mixed = bits ^ (bits >> _SHIFT)
    mixed *= _MIX_A
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX_B
    mixed ^= mixed >> _SHIFT
    return mixed


def _seed(name: str) -> np.uint64:
    return np.uint64(
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    )
