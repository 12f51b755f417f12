"""Entity keys as bytes: what a row of a view is found by.

The only entity column of a view is its text in UTF-8, or its integer in 8 bytes. Where there are several, or one is
binary, they follow each other ordered by name, texts and binaries behind their length. So no key is `HEADER`, a byte
that begins no UTF-8.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lakeline.online.errors import EntityLengthError, EntityMissingError, EntityTypeError
from lakeline.online.view import EntityType, View

HEADER = b"\xff"
"""The place among a view's rows where its state is kept."""
NOBODY = b"\xff\xff"
"""Key of an entity that is null; no row has it."""

_INT64 = struct.Struct("<q")
_LENGTH = struct.Struct("<I")
_IS_BOOL = frozenset({bool})


def keys_of(view: View, columns: Mapping[str, Any]) -> list[bytes]:
    """The key of each row; of a view without entities one key, however many columns are given.

    Args:
        view: Whose rows.
        columns: For each entity a list, NumPy array, Polars or Arrow column, all equally long. Others are ignored.

    Raises:
        EntityMissingError: A column is missing.
        EntityTypeError: A value is no text, or no integer, as the view says.
        EntityLengthError: Columns differ in length.
    """
    entities = view.layout.entities
    if not entities:
        return [b""]
    parts = [_part(view, entity, kind, columns) for entity, kind in entities]
    if len(parts) == 1 and entities[0][1] != "binary":
        return parts[0]
    if len({len(part) for part in parts}) > 1:
        raise EntityLengthError({e: len(p) for (e, _), p in zip(entities, parts, strict=True)})
    framed = [
        part if kind == "int64" else [_LENGTH.pack(len(value)) + value for value in part]
        for part, (_, kind) in zip(parts, entities, strict=True)
    ]
    keys = list(map(b"".join, zip(*framed, strict=True)))
    for part in parts:
        for row, value in enumerate(part):
            if value is NOBODY:  # not ==: a binary entity may be these bytes
                keys[row] = NOBODY
    return keys


def _part(view: View, entity: str, kind: EntityType, columns: Mapping[str, Any]) -> list[bytes]:
    if entity not in columns:
        raise EntityMissingError(view.name, entity, columns)
    given = columns[entity]
    try:
        return _ENCODERS[kind](given)
    except (TypeError, AttributeError, OverflowError) as error:
        listed = _listed(given)
        found = [value for value in listed if value is not None]
        if len(found) == len(listed):
            raise _type_error(view, entity, kind, given) from error
    # Rows without an entity are rare: their places are put back once the rest is encoded.
    encoded = iter(_part(view, entity, kind, {entity: found}))
    return [NOBODY if value is None else next(encoded) for value in listed]


def _texts(given: Any) -> list[bytes]:
    return [value.encode() for value in _listed(given)]


def _integers(given: Any) -> list[bytes]:
    listed = _listed(given)
    if _wrong_integers(listed):
        raise TypeError(listed)
    return [_INT64.pack(value) for value in _int64(listed)]


def _int64(listed: Sequence[int]) -> Sequence[int]:
    if listed and not -(2**63) <= min(listed) <= max(listed) < 2**63:
        raise OverflowError("beyond 64 bits")
    return listed


def _wrong_integers(values: Sequence[object]) -> bool:
    # A bool is an int to Python, and True would silently read entity 1.
    kinds = {type(value) for value in values}
    return bool(kinds & _IS_BOOL) or not all(issubclass(kind, int | np.integer) for kind in kinds)


def _binaries(given: Any) -> list[bytes]:
    listed = _listed(given)
    if not all(isinstance(value, bytes) for value in listed):
        raise TypeError("not bytes")
    return list(listed)


def _listed(given: Any) -> Sequence[Any]:
    """Python's own values: quicker to encode one by one than those of NumPy or Arrow."""
    if isinstance(given, list | tuple):
        return given
    for way in ("tolist", "to_list", "to_pylist"):
        if hasattr(given, way):
            values: list[Any] = getattr(given, way)()
            return values
    return list(given)


def _type_error(view: View, entity: str, kind: str, given: Any) -> Exception:  # fmt: skip
    listed = _listed(given)
    expected = {"string": str, "binary": bytes}.get(kind)
    odd = next(
        (v for v in listed if (not isinstance(v, expected) if expected else _wrong_integers([v]))),
        listed[0] if listed else None,
    )
    return EntityTypeError(
        view.name, entity, declared=kind, found=f"{odd!r} ({type(odd).__name__})"
    )


_ENCODERS: Mapping[EntityType, Callable[[Any], list[bytes]]] = {
    "string": _texts,
    "int64": _integers,
    "binary": _binaries,
}
