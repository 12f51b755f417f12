"""What a function says beside its rows, as JSON and Dagster keep it: plain numbers, bools, texts and dates.

Whatever else a number, a bool or a date is, such as NumPy's, becomes a plain one where it is said. What is none is refused
there, before anything is published.
"""

import datetime as dt
import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, cast

import dagster as dg

from lakeline.errors import DomainError

PLAIN = "Give a number, a bool, a text, a date, None, or a list or dict of such"
FORMS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (Integral, int),
    (Real, float),
    (Decimal, float),
    (dt.date, lambda day: day.isoformat()),
)
"""What makes one of a kind plain; a datetime is a date."""


class NotPlainError(DomainError):
    """A function says something that cannot be kept."""

    def __init__(self, where: str, what: str, value: object, wanted: str) -> None:
        super().__init__(f"{where} has {what} as {_kind(value)}, which cannot be kept. {wanted}.")


def as_bool(where: str, what: str, value: object) -> bool:
    """A bool as a plain one.

    Raises:
        NotPlainError: It is none, and whether it counts as true is not guessed.
    """
    if isinstance(value, bool):
        return value
    if _is_numpy_bool(value):
        return bool(value)
    raise NotPlainError(where, what, value, "Give True or False, such as bool(…)")


def as_numbers(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept as JSON, plain.

    Raises:
        NotPlainError: It says where, which of them, and of which type.
    """
    return {name: _made_plain(where, name, value, PLAIN) for name, value in given.items()}


def as_metadata(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown in Dagster's UI, plain or of Dagster's own types.

    Raises:
        NotPlainError: It says where, which of them, and of which type.
    """
    wanted = f"{PLAIN}; or a dg.MetadataValue of such"
    return {
        name: value if _is_dagsters(value) else _made_plain(where, name, value, wanted)
        for name, value in given.items()
    }


def _made_plain(where: str, name: str, value: object, wanted: str) -> Any:
    try:
        return _plain(value)
    except TypeError as error:
        raise NotPlainError(where, repr(name), value, wanted) from error


def _plain(value: Any) -> Any:
    """The plain form of a value; raises TypeError if it has none."""
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if type(value) in {list, tuple}:  # Dagster's own types are tuples too
        return [_plain(one) for one in value]
    for kind, form in FORMS:
        if isinstance(value, kind):
            return form(value)
    if _is_numpy_bool(value):
        return bool(value)
    raise TypeError(_kind(value))


def _is_numpy_bool(value: object) -> bool:
    """Whether it is one of NumPy's, which alone are neither bools nor numbers to Python."""
    import numpy as np

    return isinstance(value, np.bool_)


def _is_dagsters(value: object) -> bool:
    """Whether Dagster takes it as it is; it takes NumPy's numbers in its own types, and cannot keep them."""
    if not isinstance(value, dg.MetadataValue):
        return isinstance(value, dg.AssetKey | dg.TableSchema | dg.TableColumnLineage | os.PathLike)
    from dagster_shared.serdes.errors import SerializationError

    try:
        dg.serialize_value(cast("Any", value))
    except SerializationError:
        return False
    return True


def _kind(value: object) -> str:
    """Name of a value's type, with its package; of what it holds too, for one of Dagster's types."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    name = kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"
    return f"{name} of {_kind(value.value)}" if isinstance(value, dg.MetadataValue) else name
