"""Columns of a contract as Feast's fields."""

from collections.abc import Iterable

from feast import Field, ValueType
from feast.types import (
    Bool,
    Bytes,
    FeastType,
    Float32,
    Float64,
    Int32,
    Int64,
    String,
    UnixTimestamp,
)

from lakeline.contract import Contract
from lakeline.contract.columns import Column
from lakeline.errors import DomainError

FEAST_TYPES: dict[str, FeastType] = {
    "int32": Int32,
    "int64": Int64,
    "float32": Float32,
    "float64": Float64,
    "string": String,
    "bool": Bool,
    "timestamp": UnixTimestamp,
    "date": UnixTimestamp,
    "binary": Bytes,
}
KEY_TYPES = {
    "int32": ValueType.INT32,
    "int64": ValueType.INT64,
    "string": ValueType.STRING,
    "binary": ValueType.BYTES,
}


class FeastTypeError(DomainError):
    """A column has a type that Feast has none for."""

    def __init__(self, contract: str, column: Column, known: Iterable[str]) -> None:
        super().__init__(
            f"Column '{column.name}' of {contract} is {column.dtype.kind}, which Feast has no type for. Features and keys "
            f"may be {', '.join(known)}."
        )


def fields_of(contract: type[Contract], names: Iterable[str]) -> list[Field]:
    """The columns as Feast's fields, with their descriptions and units.

    Raises:
        FeastTypeError: Feast has no type for one.
    """
    return [_field(contract, contract.columns[name]) for name in names]


def key_type(contract: type[Contract], name: str) -> ValueType:
    """Feast's type of a key.

    Raises:
        FeastTypeError: It cannot be one.
    """
    column = contract.columns[name]
    if column.dtype.kind not in KEY_TYPES:
        raise FeastTypeError(contract.__name__, column, KEY_TYPES)
    return KEY_TYPES[column.dtype.kind]


def _field(contract: type[Contract], column: Column) -> Field:
    if column.dtype.kind not in FEAST_TYPES:
        raise FeastTypeError(contract.__name__, column, FEAST_TYPES)
    return Field(
        name=column.name,
        dtype=FEAST_TYPES[column.dtype.kind],
        description=column.doc,
        tags={"unit": column.unit} if column.unit else {},
    )
