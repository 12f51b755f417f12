"""Accept what stands for a contract: a `Contract`, a function that gives one, or a Pandera model adapted to one."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

from lakeline.contract.columns import column, is_value
from lakeline.contract.declaration import Contract, ContractMeta
from lakeline.contract.types import Digits, Float32, Int32, LogicalType, parse_annotation
from lakeline.errors import ContractError, DeclarationError

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl

#: A contract, or a zero-argument callable giving one or a Pandera (Polars) model or schema.
ContractSpec: TypeAlias = type[Contract] | Callable[[], Any]

# Pandera's built-in checks that say what a contract's own rules say, with the name of their argument.
BUILT_IN = {
    "greater_than_or_equal_to": ("ge", "min_value"),
    "greater_than": ("gt", "min_value"),
    "less_than_or_equal_to": ("le", "max_value"),
    "less_than": ("lt", "max_value"),
    "isin": ("isin", "allowed_values"),
}


def resolve(spec: ContractSpec) -> type[Contract]:
    """The contract that ``spec`` stands for; a callable is called, so that its imports wait until now.

    A Pandera model keeps all its checks. What else a contract says stands in the metadata of the
    model's fields and of its Config, under ``lakeline``:
    ``pa.Field(ge=0, metadata={"lakeline": {"unit": "min", "on_fail": "reject"}})``. The table is
    always strict, and ``coerce`` means the lossless casts of `lakeline.contract.audit.conform`.

    Raises:
        ContractError: It stands for no contract.
        DeclarationError: The model has something that no table can promise.
    """
    found: object = spec
    if callable(spec) and not isinstance(spec, ContractMeta) and not _is_pandera(spec):
        found = spec()
    if isinstance(found, ContractMeta):
        return cast("type[Contract]", found)
    if _is_pandera(found):
        return _of_model(found) if isinstance(found, type) else _adapted(found, _options(found))
    raise ContractError(
        f"{found!r} is no contract. Give a Contract class, or a function that returns one or a "
        "pandera.polars model: contract=lambda: Model."
    )


def _is_pandera(spec: object) -> bool:
    """Whether it is a Polars model or schema of Pandera, asked without importing Pandera."""
    of = spec if isinstance(spec, type) else type(spec)
    modules = [base.__module__ for base in of.__mro__]
    return any(module.startswith("pandera.api.polars") for module in modules)


@cache
def _of_model(model: Any) -> type[Contract]:
    """The contract of a model class, one for each; its schema leaves the metadata of Config out."""
    made = _adapted(model.to_schema(), _options(model.Config))
    made._model = model
    return made


def _adapted(schema: Any, options: dict[str, Any]) -> type[Contract]:
    """A contract class that promises what the Pandera schema does."""
    name = schema.name or "PanderaSchema"
    _refuse_unsupported(name, schema)
    key, *further = _unique_groups(schema) or [()]
    namespace: dict[str, Any] = {"__doc__": schema.description or schema.title or name}
    namespace["__annotations__"] = annotations = {}
    for column_name, each in schema.columns.items():
        annotations[column_name] = _annotation(name, each)
        namespace[column_name] = _declared(each, schema, is_key=column_name in key)
    checks = [*schema.checks, *(_unique_check(group) for group in further)]
    namespace["table_checks"] = tuple(_given(check) for check in checks)
    return cast("type[Contract]", ContractMeta(name, (Contract,), namespace, **options))


def _refuse_unsupported(name: str, schema: "pa.DataFrameSchema") -> None:
    """Raise for the first feature that would be dropped in silence."""
    if schema.parsers or schema.add_missing_columns or schema.dtype is not None:
        raise DeclarationError(
            name,
            None,
            "has parsers, missing columns to add or one type for all. Do this in the function.",
        )
    for column_name, each in schema.columns.items():
        for bad, problem in (
            (each.regex, "stands for several columns. Declare each by name."),
            (
                not each.required,
                "is optional, and a table always has its columns. Use nullable=True.",
            ),
            (each.default is not None, "has a default. Fill it in the function."),
            (each.parsers, "has a parser. Parse in the function."),
        ):
            if bad:
                raise DeclarationError(name, column_name, problem)


def _options(of: Any) -> dict[str, Any]:
    """What the metadata of a schema, a column or a Config says under ``lakeline``."""
    return dict((of.metadata or {}).get("lakeline", {}))


def _annotation(name: str, each: "pa.Column") -> Any:
    """The Python annotation of a Pandera column's type."""
    found = _python_type(each.dtype.type) if each.dtype else None
    if found is None:
        advice = (
            "Times need a zone: pl.Datetime('us', 'UTC')." if "Datetime" in str(each.dtype) else ""
        )
        raise DeclarationError(
            name, each.name, f"is {each.dtype}, which no table holds. {advice}".strip()
        )
    return found | None if each.nullable else found


def _python_type(dtype: "pl.DataType") -> Any:
    """The annotation whose Polars type holds every value of ``dtype``."""
    import polars as pl

    if isinstance(dtype, pl.Datetime):
        return dt.datetime if dtype.time_zone else None
    if isinstance(dtype, pl.Decimal):
        return Annotated[Decimal, Digits(dtype.precision or 38, dtype.scale)]
    types: dict[Any, Any] = {pl.Int64: int, pl.UInt32: int, pl.Float64: float, pl.String: str}
    types |= dict.fromkeys((pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16), Int32)
    types |= {pl.Float32: Float32, pl.Boolean: bool, pl.Date: dt.date, pl.Binary: bytes}
    return types.get(dtype.base_type())


def _declared(each: "pa.Column", schema: "pa.DataFrameSchema", *, is_key: bool) -> Any:
    """The declaration of a column, with built-in checks as rules and all others attached."""
    dtype, _ = parse_annotation(_annotation("", each))
    rules: dict[str, Any] = {}
    attached = []
    for check in each.checks:
        rule, value = _rule(check, dtype)
        if rule and rule not in rules:
            rules[rule] = value
        else:
            attached.append(_given(check))
    defaults = {
        "doc": each.description or each.title or each.name,
        "key": is_key,
        "on_fail": "reject" if schema.drop_invalid_rows or each.drop_invalid_rows else "fail",
    }
    return column(**{**defaults, **rules, "checks": attached, **_options(each)})


def _rule(check: "pa.Check", dtype: LogicalType) -> tuple[str | None, Any]:
    """The contract's own rule that a check is, with its value; None where it is more than that."""
    rule, argument = BUILT_IN.get(check.name or "", (None, ""))
    statistics = check.statistics or {}
    if rule is None or argument not in statistics or check.element_wise or check.raise_warning:
        return None, None
    value = statistics[argument]
    values = list(value) if rule == "isin" else [value]
    is_plain = bool(values) and check.ignore_na and all(is_value(dtype, each) for each in values)
    is_ordered = rule == "isin" or dtype.is_number or dtype.kind in {"timestamp", "date"}
    return (rule, value) if is_plain and is_ordered else (None, None)


def _unique_groups(schema: "pa.DataFrameSchema") -> list[tuple[str, ...]]:
    """Columns that are unique together; first the one that can be the key, or an empty one."""
    unique = [schema.unique] if isinstance(schema.unique, str) else list(schema.unique or [])
    groups = (
        [tuple(unique)] if all(isinstance(each, str) for each in unique) else [*map(tuple, unique)]
    )
    groups += [(name,) for name, each in schema.columns.items() if each.unique]
    groups = [group for group in groups if group]
    possible = [g for g in groups if not any(schema.columns[name].nullable for name in g)]
    key: tuple[str, ...] = possible[0] if possible else ()
    return [key, *(group for group in groups if group != key)]


def _unique_check(group: tuple[str, ...]) -> "pa.Check":
    """A check that columns beside the key are unique together."""
    import pandera.polars as pa
    import polars as pl

    return pa.Check(
        lambda data: data.lazyframe.select(pl.struct(group).is_first_distinct()),
        name="_".join((*group, "unique")),
    )


@dataclass(frozen=True, slots=True)
class GivenCheck:
    """A maker of a check that is there already.

    Attributes:
        check: The check, which does not show what it does.
        says: What it does, for the code version: name, arguments, options and function.
    """

    check: "pa.Check"
    says: tuple[object, ...]

    def __call__(self) -> "pa.Check":
        """The check."""
        return self.check


def _given(check: "pa.Check") -> GivenCheck:
    options = (check.element_wise, check.ignore_na, check.raise_warning)
    return GivenCheck(check, (check.name, check.statistics, options, check._check_fn))
