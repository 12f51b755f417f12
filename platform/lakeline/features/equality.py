"""When two values of a feature are the same: exact, except for floats where somebody says how far apart they may lie.

Integers, texts, booleans, times and lists are the same only if they are equal. Floats are the same if they are equal as
numbers, or lie at most ``ulps`` steps of their own precision apart. A store that hands out numpy columns has no other
null than NaN, so that the two count as the same unless told otherwise.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far apart two values may lie and still be the same.

    Attributes:
        ulps: Steps between neighbouring doubles, at the larger of the two floats; 0 for equal numbers alone.
        is_nan_null: Whether a float that is NaN counts as no value.
    """

    ulps: int = 0
    is_nan_null: bool = True


EXACT = Tolerance()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of each read of one feature; shape ``(N,)`` each, and exactly one holds for a row.

    Attributes:
        equal: Both have the same value, or none.
        differing: Both have a value, and not the same.
        missing: Only the offline path has one.
        extra: Only the online store has one.
    """

    equal: "Flags"
    differing: "Flags"
    missing: "Flags"
    extra: "Flags"


def outcome(served: "pl.Series", offline: "pl.Series", tolerance: Tolerance = EXACT) -> Outcome:
    """Served values against those of the offline path, row by row."""
    first, second = aligned(served, offline, tolerance)
    has_first, has_second = first.is_not_null().to_numpy(), second.is_not_null().to_numpy()
    same = _is_same(first, second, tolerance) & has_first & has_second
    return Outcome(
        equal=same | ~(has_first | has_second),
        differing=has_first & has_second & ~same,
        missing=has_second & ~has_first,
        extra=has_first & ~has_second,
    )


def is_same(
    first: "pl.Series", second: "pl.Series", tolerance: Tolerance = EXACT
) -> "npt.NDArray[np.bool_]":
    """Whether both have the same value, or none; shape ``(N,)``."""
    return outcome(first, second, tolerance).equal


def aligned(
    first: "pl.Series", second: "pl.Series", tolerance: Tolerance = EXACT
) -> "tuple[pl.Series, pl.Series]":
    """Both in one type in which they can be compared; text where there is no other."""
    import polars as pl

    dtypes = (first.dtype, second.dtype)
    if any(dtype == pl.Null for dtype in dtypes):
        known = dtypes[0] if dtypes[1] == pl.Null else dtypes[1]
        return _plain(first.cast(known), tolerance), _plain(second.cast(known), tolerance)
    first, second = _plain(first, tolerance), _plain(second, tolerance)
    if first.dtype == second.dtype:
        return first, second
    if first.dtype.is_numeric() and second.dtype.is_numeric():
        return _as_numbers(first, second)
    return first.cast(pl.String), second.cast(pl.String)


def _plain(values: "pl.Series", tolerance: Tolerance) -> "pl.Series":
    """Widest type of the same kind: integers, doubles, microseconds in UTC, text."""
    import polars as pl

    dtype = values.dtype
    if dtype.is_float():
        doubles = values.cast(pl.Float64)
        return doubles.fill_nan(None) if tolerance.is_nan_null else doubles
    if dtype.is_integer() and dtype != pl.UInt64:
        return values.cast(pl.Int64)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return values.cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        zone = dtype.time_zone and "UTC"
        return values.cast(pl.Datetime("us", dtype.time_zone)).cast(pl.Datetime("us", zone))
    return values


def _as_numbers(first: "pl.Series", second: "pl.Series") -> "tuple[pl.Series, pl.Series]":
    """Integers if a float has nothing behind its point, because doubles cannot tell large integers apart."""
    import polars as pl

    whole = [_whole(values) for values in (first, second)]
    if whole[0] is not None and whole[1] is not None:
        return whole[0], whole[1]
    return first.cast(pl.Float64), second.cast(pl.Float64)


def _whole(values: "pl.Series") -> "pl.Series | None":
    import polars as pl

    if not values.dtype.is_float():
        return values.cast(pl.Int64, strict=False) if values.dtype != pl.UInt64 else None
    integers = values.cast(pl.Int64, strict=False)
    return integers if values.eq_missing(integers.cast(pl.Float64)).all() else None


def _is_same(first: "pl.Series", second: "pl.Series", tolerance: Tolerance) -> "Flags":
    import numpy as np

    same = first.eq_missing(second).to_numpy()
    if not tolerance.ulps or not first.dtype.is_float():
        return np.asarray(same, dtype=np.bool_)
    a, b = first.to_numpy(), second.to_numpy()
    with np.errstate(invalid="ignore"):
        step = np.spacing(np.maximum(np.abs(a), np.abs(b)))
        return np.asarray(same | (np.abs(a - b) <= tolerance.ulps * step), dtype=np.bool_)
