"""Bring a frame to the columns, order and types of its contract, without losing a value."""

from typing import TypeAlias

import polars as pl

from lakeline.contract.arrow import polars_schema, polars_type
from lakeline.contract.declaration import Contract
from lakeline.contract.types import LogicalType
from lakeline.errors import ExtraColumns, MissingColumns, WrongType

Types: TypeAlias = set[type[pl.DataType]]

SMALL_INTEGERS: Types = {pl.Int8, pl.Int16, pl.UInt8, pl.UInt16}
INTEGERS: Types = SMALL_INTEGERS | {pl.Int32, pl.Int64, pl.UInt32, pl.UInt64}
# What a cast can bring to each logical type. Integers are checked value by value.
SOURCES: dict[str, Types] = {
    "int32": INTEGERS,
    "int64": INTEGERS,
    "float32": SMALL_INTEGERS,
    "float64": INTEGERS | {pl.Float32},
    "string": {pl.Categorical, pl.Enum},
}
RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "float64": (-(2**53), 2**53),  # beyond it float64 leaves integers out
}


def conform(frame: pl.DataFrame, contract: type[Contract], table: str) -> pl.DataFrame:
    """The frame with the contract's columns in declared order and type.

    Casts only what keeps every value: narrower to wider numbers, wider integers whose values all fit,
    all-null columns to any type, aware times to UTC microseconds (finer ones are cut there),
    categories to text. A naive time never becomes aware: nobody said of which zone it is.

    Args:
        frame: What a function returned.
        contract: What its table promises.
        table: Name of the table, for messages.

    Raises:
        MissingColumns: Declared columns are not there.
        ExtraColumns: Columns are not declared.
        WrongType: No such cast leads to the declared type.
    """
    schema = polars_schema(contract)
    if list(frame.schema.items()) == list(schema.items()):
        return frame
    _check_names(frame, contract, table)
    wrong = [
        (name, str(found), str(column.dtype), _advice(found, column.dtype))
        for name, column in contract.columns.items()
        if not _is_castable(frame[name], found := frame.schema[name], column.dtype)
    ]
    if wrong:
        raise WrongType(table, wrong, contract.__name__)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _check_names(frame: pl.DataFrame, contract: type[Contract], table: str) -> None:
    """Refuse a frame with other columns than declared."""
    missing = [name for name in contract.columns if name not in frame.columns]
    if missing:
        raise MissingColumns(table, missing, frame.columns, contract.__name__)
    extra = [name for name in frame.columns if name not in contract.columns]
    if extra:
        raise ExtraColumns(table, extra, contract.columns, contract.__name__)


def _is_castable(series: pl.Series, found: pl.DataType, wanted: LogicalType) -> bool:
    """Whether a cast to the type declared keeps every value of the column."""
    target = polars_type(wanted)
    if found in (target, pl.Null):
        return True
    if isinstance(found, pl.Datetime):
        return wanted.kind == "timestamp" and found.time_zone is not None
    if isinstance(found, pl.Decimal):
        return wanted.kind == "decimal" and _holds(found, wanted)
    if type(found) not in SOURCES.get(wanted.kind, set()):
        return False
    return type(found) not in INTEGERS or _fits(series, wanted)


def _holds(found: pl.Decimal, wanted: LogicalType) -> bool:
    """Whether the declared decimal has the digits, before and after the point, of the one found."""
    before = (found.precision or 38) - found.scale
    return wanted.scale >= found.scale and wanted.precision - wanted.scale >= before


def _fits(series: pl.Series, wanted: LogicalType) -> bool:
    """Whether every integer is in the range that the type declared holds exactly."""
    lowest, highest = series.min(), series.max()
    if wanted.kind not in RANGES or not isinstance(lowest, int) or not isinstance(highest, int):
        return True
    least, most = RANGES[wanted.kind]
    return least <= lowest and highest <= most


def _advice(found: pl.DataType, wanted: LogicalType) -> str:
    """What to do about a column of the wrong type."""
    if isinstance(found, pl.Datetime) and wanted.kind == "timestamp":
        return "a time without a zone could be any instant. Use .dt.replace_time_zone('UTC') or the true zone."
    if type(found) in INTEGERS and wanted.kind in SOURCES:
        return "some values do not fit. Declare a wider type."
    return f"cast it in the function (pl.col(...).cast(pl.{polars_type(wanted)})), or declare what it is."
