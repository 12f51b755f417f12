"""Types of Iceberg columns as the offline engine sees them: the DuckDB type, and what makes keys comparable."""

from typing import TYPE_CHECKING

from lakeline.lake.read import DUCKDB_TYPES

if TYPE_CHECKING:
    from pyiceberg.types import IcebergType

DATE = "date"
MOMENTS = ("timestamptz", "timestamp", DATE)
"""Iceberg types that can say when; those without a zone are in UTC."""


def duckdb_type(kind: "IcebergType") -> str | None:
    """The DuckDB type that holds an Iceberg type, or None where DuckDB cannot read it by field id."""
    from pyiceberg.types import DecimalType, ListType, MapType, StructType

    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if isinstance(kind, ListType):
        inner = duckdb_type(kind.element_type)
        return f"{inner}[]" if inner else None
    if isinstance(kind, StructType):
        # Their fields are matched by name, and a map's not at all: pyiceberg reads what has a history.
        parts = [(field.name, duckdb_type(field.field_type)) for field in kind.fields]
        if any(inner is None for _, inner in parts):
            return None
        return "STRUCT(" + ", ".join(f'"{name}" {inner}' for name, inner in parts) + ")"
    if isinstance(kind, MapType):
        return None
    return DUCKDB_TYPES.get(str(kind))


def key_kind(duckdb_type: str) -> str:
    """What two keys must share to be comparable: integers of any width are, texts however they are stored.

    >>> key_kind("INTEGER") == key_kind("BIGINT"), key_kind("VARCHAR")
    (True, 'text')
    """
    integers = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
    if duckdb_type.removeprefix("U") in integers:
        return "integer"
    if duckdb_type in {"FLOAT", "DOUBLE"}:
        return "number"
    if duckdb_type == "VARCHAR" or duckdb_type.startswith("ENUM"):
        return "text"
    return duckdb_type.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ").split("(")[0].lower()
