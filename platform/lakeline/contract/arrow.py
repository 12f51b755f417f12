"""The Arrow and Polars schemas of a contract."""

from functools import cache
from typing import TYPE_CHECKING

from lakeline.contract.declaration import Contract
from lakeline.contract.types import LogicalType

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


@cache
def arrow_schema(contract: type[Contract]) -> "pa.Schema":
    """Arrow schema in declared order; fields carry their description and are nullable as declared."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(
                column.name,
                arrow_type(column.dtype),
                nullable=column.nullable,
                metadata={"doc": column.description},
            )
            for column in contract.columns.values()
        ],
        metadata={"doc": contract.doc},
    )


@cache
def polars_schema(contract: type[Contract]) -> "pl.Schema":
    """Polars schema in declared order."""
    import polars as pl

    return pl.Schema({name: polars_type(column.dtype) for name, column in contract.columns.items()})


def arrow_type(dtype: LogicalType) -> "pa.DataType":
    """The Arrow type that holds a logical type."""
    import pyarrow as pa

    if dtype.kind == "decimal":
        return pa.decimal128(dtype.precision, dtype.scale)
    types = {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "string": pa.string(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
        "binary": pa.binary(),
    }
    return types[dtype.kind]


def polars_type(dtype: LogicalType) -> "pl.DataType":
    """The Polars type that holds a logical type."""
    import polars as pl

    if dtype.kind == "decimal":
        return pl.Decimal(dtype.precision, dtype.scale)
    types: dict[str, pl.DataType] = {
        "int32": pl.Int32(),
        "int64": pl.Int64(),
        "float32": pl.Float32(),
        "float64": pl.Float64(),
        "string": pl.String(),
        "bool": pl.Boolean(),
        "timestamp": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
        "binary": pl.Binary(),
    }
    return types[dtype.kind]
