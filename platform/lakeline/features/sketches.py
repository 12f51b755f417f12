"""The three sketches of a feature, by Apache DataSketches, as bytes that add up: quantiles, distinct values, frequent texts."""

from collections import deque
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

QUANTILES_K = 400
"""Size of KLL: ranks are right within 0.7 % (one quantile, 99 % of the time)."""

DISTINCT_LG_K = 12
"""Base 2 logarithm of HyperLogLog's registers: counts are right within 1.6 % (one standard deviation)."""

FREQUENT_LG_K = 10
"""Base 2 logarithm of the frequent-items map: up to 768 different texts are counted exactly."""


def library() -> Any:
    """Apache DataSketches, which ships no types."""
    return import_module("datasketches")


def quantiles_of(numbers: "pl.Series") -> bytes:
    """KLL sketch of numbers."""
    ds = library()
    sketch = ds.kll_doubles_sketch(QUANTILES_K)
    sketch.update(numbers.to_numpy(writable=True))  # datasketches refuses read-only arrays
    return bytes(sketch.serialize())


def distinct_of(values: "pl.Series") -> bytes:
    """HyperLogLog sketch of values."""
    ds = library()
    sketch = ds.hll_sketch(DISTINCT_LG_K, ds.tgt_hll_type.HLL_4)
    deque(map(sketch.update, values.unique().to_list()), maxlen=0)
    return bytes(sketch.serialize_compact())


def quantiles_from(serialised: bytes) -> Any:
    """KLL sketch from its bytes."""
    return library().kll_doubles_sketch.deserialize(serialised)


def distinct_from(serialised: bytes) -> Any:
    """HyperLogLog sketch from its bytes."""
    return library().hll_sketch.deserialize(serialised)


def merged_quantiles(parts: Sequence[bytes]) -> bytes:
    """KLL sketch of several together; empty if all are."""
    ds = library()
    if not any(parts):
        return b""
    whole = ds.kll_doubles_sketch(QUANTILES_K)
    for part in filter(None, parts):
        whole.merge(quantiles_from(part))
    return bytes(whole.serialize())


def merged_distinct(parts: Sequence[bytes]) -> bytes:
    """HyperLogLog sketch of several together; empty if all are."""
    ds = library()
    if not any(parts):
        return b""
    whole = ds.hll_union(DISTINCT_LG_K)
    for part in filter(None, parts):
        whole.update(distinct_from(part))
    return bytes(whole.get_result(ds.tgt_hll_type.HLL_4).serialize_compact())


def merged_frequent(parts: Sequence[bytes]) -> bytes:
    """Frequent-items sketch of several together; empty if all are."""
    ds = library()
    if not any(parts):
        return b""
    whole = ds.frequent_strings_sketch(FREQUENT_LG_K)
    for part in filter(None, parts):
        whole.merge(ds.frequent_strings_sketch.deserialize(part))
    return bytes(whole.serialize())


def frequent_of(tally: Iterable[tuple[str, int]]) -> bytes:
    """Frequent-items sketch of texts with how often they occur."""
    ds = library()
    sketch = ds.frequent_strings_sketch(FREQUENT_LG_K)
    for text, times in tally:
        sketch.update(text, times)
    return bytes(sketch.serialize())


def frequent_from(serialised: bytes) -> list[tuple[str, int]]:
    """Every text that may be frequent, with how often it occurs, about; the most frequent first."""
    ds = library()
    sketch = ds.frequent_strings_sketch.deserialize(serialised)
    items = sketch.get_frequent_items(ds.frequent_items_error_type.NO_FALSE_NEGATIVES)
    return sorted(((str(one[0]), int(one[1])) for one in items), key=lambda p: (-p[1], p[0]))
