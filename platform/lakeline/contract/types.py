"""The types a column can have: ten logical types, written as Python annotations and known to every engine below."""

import datetime as dt
import types
import typing
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

Kind = Literal[
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "bool",
    "timestamp",
    "date",
    "binary",
    "decimal",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogicalType:
    """What a value is, whichever engine holds it.

    Attributes:
        kind: Its name; ``timestamp`` is an instant in microseconds, UTC.
        precision: Significant digits of a decimal; 0 otherwise.
        scale: Digits after the point of a decimal; 0 otherwise.
    """

    kind: Kind
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        """The type as people read it, ``decimal(12, 2)`` say."""
        if self.kind == "decimal":
            return f"decimal({self.precision}, {self.scale})"
        return "timestamp[us, UTC]" if self.kind == "timestamp" else self.kind

    @property
    def is_number(self) -> bool:
        """Whether bounds on it are numbers."""
        return self.kind in {"int32", "int64", "float32", "float64", "decimal"}

    @property
    def is_float(self) -> bool:
        """Whether it can hold NaN."""
        return self.kind in {"float32", "float64"}


@dataclass(frozen=True, slots=True)
class Digits:
    """Digits of a decimal column: ``Annotated[Decimal, Digits(12, 2)]`` holds 9999999999.99.

    Attributes:
        precision: Significant digits in all, 1 to 38.
        scale: Digits after the point, 0 to ``precision``.
    """

    precision: int
    scale: int

    def __post_init__(self) -> None:
        """Refuse digits that no engine holds."""
        if not (1 <= self.precision <= 38 and 0 <= self.scale <= self.precision):
            raise ValueError(
                f"{self} is impossible: precision is 1 to 38 and scale at most precision"
            )


@dataclass(frozen=True, slots=True)
class Bits:
    """Width of a narrow number; use the names `Int32` and `Float32`."""

    width: int


Int32: TypeAlias = Annotated[int, Bits(32)]
Float32: TypeAlias = Annotated[float, Bits(32)]

PLAIN: dict[object, Kind] = {
    int: "int64",
    float: "float64",
    str: "string",
    bool: "bool",
    dt.datetime: "timestamp",
    dt.date: "date",
    bytes: "binary",
}
NARROW: dict[object, Kind] = {int: "int32", float: "float32"}
ACCEPTED = (
    "int, float, str, bool, datetime, date, bytes, Int32, Float32, "
    "Annotated[Decimal, Digits(12, 2)], each also with `| None`"
)


def parse_annotation(annotation: object) -> tuple[LogicalType, bool]:
    """The logical type an annotation stands for, and whether it may be null.

    >>> parse_annotation(float | None)
    (LogicalType(kind='float64', precision=0, scale=0), True)

    Raises:
        ValueError: No column can have this type.
    """
    inner, is_nullable = _without_none(annotation)
    if typing.get_origin(inner) is Annotated:
        base, *marks = typing.get_args(inner)
        return _marked(base, marks), is_nullable
    if inner in PLAIN:
        return LogicalType(kind=PLAIN[inner]), is_nullable
    shown = getattr(inner, "__name__", inner)
    raise ValueError(f"has the type {shown}, which no table holds. Use one of: {ACCEPTED}.")


def _without_none(annotation: object) -> tuple[object, bool]:
    """The annotation without ``None``, and whether it had one."""
    if typing.get_origin(annotation) not in {types.UnionType, typing.Union}:
        return annotation, False
    members = typing.get_args(annotation)
    others = [member for member in members if member is not type(None)]
    if len(others) != 1:
        raise ValueError(f"has more than one type: {annotation}. Use one of: {ACCEPTED}.")
    return others[0], len(others) < len(members)


def _marked(base: object, marks: list[object]) -> LogicalType:
    """Type of ``Annotated[base, *marks]``; marks of other libraries say nothing here."""
    for mark in marks:
        if isinstance(mark, Digits) and base is Decimal:
            return LogicalType(kind="decimal", precision=mark.precision, scale=mark.scale)
        if isinstance(mark, Bits) and base in NARROW:
            return LogicalType(kind=NARROW[base])
    if base in PLAIN:
        return LogicalType(kind=PLAIN[base])
    raise ValueError(f"has the type {base}, which no table holds. Use one of: {ACCEPTED}.")
