"""What an object holds, as plain values: asked where no statement shows what it was made from, as in a closure.

Of a library's objects only those are known that are values through and through; what else they hold may be a path of the
machine, a connection or a setting. An object of the project is known by its members, if no class of a library is among its
bases.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol

from lakeline.domain.reach import is_in_project

UNKNOWN = object()
_BARE = frozenset({object, abc.ABC, Generic, Protocol})
"""Bases that bring no members."""
_PLACES = (" at 0x", ".so:", ".pyd:", ".dll:", ".dylib:")
"""What stands in an expression's short form around an object, and behind the file of a plugin."""


def held(value: object) -> object:
    """Plain values, and objects in them, that say what an object holds; `UNKNOWN` where that is not to be told."""
    bases = type(value).__mro__
    for base in bases:
        read = _VALUES.get((base.__module__.partition(".")[0], base.__name__))
        if read is not None:
            return read(value)
    if all(base in _BARE or is_in_project(base) for base in bases):
        return object.__getstate__(value)
    return UNKNOWN


def _of_expression(value: Any) -> object:
    """As Polars writes it; in its short form where a Python function or a plugin would be written with its place."""
    from polars.exceptions import PolarsError

    try:
        written: bytes = value.meta.serialize()
    except PolarsError:  # a Python function that cannot be pickled, or no package that does it
        return _short(value)
    return _short(value) if b"PLPY" in written or b"FfiPlugin" in written else written


def _short(value: Any) -> object:
    said = str(value)
    return value.meta.root_names() if any(place in said for place in _PLACES) else said


def _of_series(value: Any) -> object:
    return [value.name, repr(value.dtype), value.to_list()]


def _of_frame(value: Any) -> object:
    return [_of_series(one) for one in value.get_columns()]


def _of_array(value: Any) -> object:
    return [repr(value.dtype), value.shape, value.tolist()]


def _of_arguments(value: Any) -> object:
    return value.__reduce__()[1]


_VALUES: Mapping[tuple[str, str], Callable[[Any], object]] = {
    ("builtins", "bytearray"): bytes,
    ("builtins", "range"): repr,
    ("builtins", "slice"): _of_arguments,
    ("collections", "deque"): list,
    ("numpy", "generic"): repr,
    ("numpy", "ndarray"): _of_array,
    ("numpy", "ufunc"): repr,
    ("operator", "attrgetter"): _of_arguments,
    ("operator", "itemgetter"): _of_arguments,
    ("operator", "methodcaller"): _of_arguments,
    ("polars", "DataFrame"): _of_frame,
    ("polars", "DataType"): repr,
    ("polars", "Expr"): _of_expression,
    ("polars", "Series"): _of_series,
    ("types", "GenericAlias"): _of_arguments,
    ("types", "SimpleNamespace"): vars,
    ("uuid", "UUID"): repr,
    ("zoneinfo", "ZoneInfo"): repr,
}
"""By package and class of a value: what reads it."""
