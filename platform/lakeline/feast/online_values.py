"""Feast's protobuf values as columns of an online view, and back."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import (
    Bool,
    Bytes,
    FeastType,
    Float32,
    Float64,
    Int32,
    Int64,
    PrimitiveFeastType,
    String,
    UnixTimestamp,
)

from lakeline.online import View
from lakeline.online.answer import Block
from lakeline.online.keys import keys_of
from lakeline.online.rows import micros, moment
from lakeline.online.view import NO_TIME, EntityType, FeatureType

Row = tuple[EntityKey, dict[str, Value], dt.datetime, dt.datetime | None]
"""What Feast writes: key, values, event time, and when the row was created."""
Read = tuple[dt.datetime | None, dict[str, Value] | None]
"""What Feast reads."""

EVENT = "event_timestamp"
"""Event time of views whose source names none."""
CREATED = "__created_ts"
WHOLE_KEY = "__entity_key"
"""Entity of views that Feast makes up without entities and yet writes keys of any kind to."""

_FEATURES: Mapping[PrimitiveFeastType, FeatureType] = {
    Float32: "float32",
    Float64: "float64",
    Int32: "int32",
    Int64: "int64",
    Bool: "bool",
    String: "string",
    Bytes: "binary",
    UnixTimestamp: "timestamp",
}
_ENTITIES: Mapping[PrimitiveFeastType, EntityType] = {
    String: "string",
    Int32: "int64",
    Int64: "int64",
    Bool: "int64",
    UnixTimestamp: "int64",
    Bytes: "binary",
}
_DTYPES: Mapping[str, Any] = {
    "float32": pl.Float32,
    "float64": pl.Float64,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "bool": pl.Boolean,
    "string": pl.String,
    "binary": pl.Binary,
    "proto": pl.Binary,
    "timestamp": pl.Datetime("us", "UTC"),
}


def view_of(table: FeatureView) -> View:
    """The online view of a feature view: what the direct reader is built from to read what Feast wrote.

    Lists, sets, maps and other values without a type of their own are kept as Feast's serialised message. A time to live of
    zero is none, as for Feast. A view without entities has none here, either.
    """
    entities: dict[str, EntityType] = {
        field.name: _entity_type(field.dtype)
        for field in table.entity_columns
        if field.name != DUMMY_ENTITY_ID
    }
    if table.name.startswith("__precomputed__"):
        entities = {WHOLE_KEY: "binary"}
    ttl = getattr(table, "ttl", None)  # an on-demand view, written as it is, has none
    return View(
        name=table.name,
        entities=entities,
        features={field.name: _feature_type(field.dtype) for field in table.features},
        ttl=ttl or None,
        event_time=getattr(getattr(table, "batch_source", None), "timestamp_field", "") or EVENT,
    )


def keys_from(view: View, keys: Sequence[EntityKey]) -> list[bytes]:
    """Online keys of Feast's entity keys.

    Raises:
        EntityMissingError: A key lacks an entity of the view.
        EntityTypeError: An entity has another type than in the view.
    """
    found = keys_of(view, _entity_columns(view, keys))
    return found if view.entities else found * len(keys)


def frame_of(view: View, rows: Sequence[Row]) -> pl.DataFrame:
    """Rows that Feast writes as a frame of the view, those created later behind; absent features are null."""
    columns: dict[str, pl.Series] = {}
    for name, kind in view.features.items():
        values = [_python(row[1].get(name), kind) for row in rows]
        columns[name] = pl.Series(name, values, _DTYPES[kind])
    entities = _entity_columns(view, [key for key, *_ in rows])
    columns |= {name: pl.Series(name, each) for name, each in entities.items()}
    times: list[tuple[str, list[dt.datetime | None]]] = [
        (view.event_time, [row[2] for row in rows]),
        (CREATED, [row[3] for row in rows]),
    ]
    for name, moments in times:
        us = [None if each is None else micros(each) for each in moments]
        columns[name] = pl.Series(name, us, pl.Int64).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame(columns).sort(CREATED, nulls_last=False, maintain_order=True)


def reads_of(block: Block, view: View, names: Sequence[str]) -> list[Read]:
    """What Feast expects of each entity: no values where there is no row or it is too old, empty ones for nulls."""
    wanted = block.wanted.names
    columns = dict(zip(wanted, block.columns(), strict=True))
    missing = dict(zip(wanted, block.missing(), strict=True))
    old = np.zeros(block.rows, np.bool_) if block.expired is None else block.expired
    protos = [
        _protos(columns[name], (missing[name] | old).tolist(), view.features[name])
        for name in names
    ]
    expired = old.tolist()
    reads: list[Read] = []
    for row, event_us in enumerate(block.events_us.tolist()):
        event = None if event_us == NO_TIME else moment(event_us)
        is_there = event is not None and not expired[row]
        values = {name: each[row] for name, each in zip(names, protos, strict=True)}
        reads.append((event, values if is_there else None))
    return reads


def _feature_type(dtype: FeastType) -> FeatureType:
    return _FEATURES.get(dtype, "proto") if isinstance(dtype, PrimitiveFeastType) else "proto"


def _entity_type(dtype: FeastType) -> EntityType:
    return _ENTITIES.get(dtype, "binary") if isinstance(dtype, PrimitiveFeastType) else "binary"


def _entity_columns(view: View, keys: Sequence[EntityKey]) -> dict[str, list[Any]]:
    if WHOLE_KEY in view.entities:
        return {WHOLE_KEY: [serialize_entity_key(key) for key in keys]}
    columns: dict[str, list[Any]] = {name: [] for name in view.entities}
    for key in keys:
        values = dict(zip(key.join_keys, key.entity_values, strict=True))
        for name, column in columns.items():
            column.append(_entity(values.get(name), view.entities[name]))
    return columns


def _entity(value: Value | None, kind: EntityType) -> Any:
    field = None if value is None else value.WhichOneof("val")
    if value is None or field is None:
        return None
    found = getattr(value, field)
    if kind == "int64" and isinstance(found, bool):
        return int(found)
    return value.SerializeToString() if kind == "binary" and not isinstance(found, bytes) else found


def _python(value: Value | None, kind: FeatureType) -> Any:
    """A value as Polars takes it, None for null."""
    field = None if value is None else value.WhichOneof("val")
    if value is None or field is None or field == "null_val":
        return None
    if kind == "proto":
        return value.SerializeToString()
    found = getattr(value, field)
    return moment(found * 1_000_000) if kind == "timestamp" else found


def _protos(column: Any, missing: Iterable[bool], kind: FeatureType) -> list[Value]:
    make = _MAKERS[kind]
    values = column.astype("int64") // 1_000_000 if kind == "timestamp" else column
    return [
        Value() if gone else make(value)
        for value, gone in zip(values.tolist(), missing, strict=True)
    ]


_MAKERS: Mapping[str, Callable[[Any], Value]] = {
    "float32": lambda value: Value(float_val=value),
    "float64": lambda value: Value(double_val=value),
    "int32": lambda value: Value(int32_val=value),
    "int64": lambda value: Value(int64_val=value),
    "bool": lambda value: Value(bool_val=value),
    "string": lambda value: Value(string_val=value),
    "binary": lambda value: Value(bytes_val=value),
    "timestamp": lambda value: Value(unix_timestamp_val=value),
    "proto": Value.FromString,
}
