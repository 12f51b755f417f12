"""One column of a contract: what it means, which values it takes, and what happens to a value that breaks a rule."""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from lakeline.contract.types import Kind, LogicalType

if TYPE_CHECKING:
    from pandera.polars import Check

Action = Literal["fail", "reject", "blank", "warn"]
Bound: TypeAlias = int | float | Decimal | dt.date | dt.datetime
CheckFactory: TypeAlias = "Callable[[], Check]"

ACTIONS: tuple[str, ...] = get_args(Action)
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
VALUES: dict[Kind, tuple[type, ...]] = {
    "int32": (int,),
    "int64": (int,),
    "float32": (int, float),
    "float64": (int, float),
    "decimal": (int, Decimal),
    "string": (str,),
    "bool": (bool,),
    "timestamp": (dt.datetime,),
    "date": (dt.date,),
    "binary": (bytes,),
}
WORDS = "words"
"""In the metadata of a field that is for people: what it says changes no row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column as declared; `column` makes it and the contract's class gives name and type.

    Attributes:
        nullable: Whether null is a value; a float column that is not nullable refuses NaN too.
        checks: Makers of Pandera checks, called at the first audit.
        renamed_from: Its name in an older version of the contract.
        on_fail: What happens to a row whose value breaks a rule (see `column`).
    """

    name: str
    dtype: LogicalType
    nullable: bool
    doc: str = field(metadata={WORDS: True})
    unit: str | None = None
    key: bool = False
    event_time: bool = False
    knowledge_time: bool = False
    ge: Bound | None = None
    gt: Bound | None = None
    le: Bound | None = None
    lt: Bound | None = None
    isin: tuple[Any, ...] | None = None
    matches: str | None = None
    personal: bool = False
    tags: Mapping[str, str] = field(default_factory=dict, hash=False, metadata={WORDS: True})
    checks: "tuple[CheckFactory, ...]" = ()
    renamed_from: str | None = None
    on_fail: Action = "fail"

    @property
    def bounds(self) -> dict[str, Bound]:
        """The bounds declared, by rule: ``{"ge": -120, "le": 2000}``."""
        found = {"ge": self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {rule: bound for rule, bound in found.items() if bound is not None}

    @property
    def description(self) -> str:
        """The text for catalogs: what it is, and in which unit."""
        return f"{self.doc} ({self.unit})" if self.unit else self.doc

    @property
    def rules(self) -> dict[str, str]:
        """Each rule on a value as people read it: ``{"le": "<= 2000"}``; nulls pass them all."""
        texts = {rule: f"{SIGNS[rule]} {bound}" for rule, bound in self.bounds.items()}
        if self.isin is not None:
            texts["isin"] = "one of " + ", ".join(str(value) for value in self.isin)
        if self.matches is not None:
            texts["matches"] = f"matches {self.matches}"
        return texts


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A column before its class has given it name and type."""

    options: Mapping[str, Any]

    def bind(self, name: str, dtype: LogicalType, *, nullable: bool) -> Column:
        """The column with its name and type."""
        return Column(name=name, dtype=dtype, nullable=nullable, **self.options)


def column(  # noqa: PLR0913 - the vocabulary of a declaration, all by keyword
    doc: str,
    *,
    unit: str | None = None,
    key: bool = False,
    event_time: bool = False,
    knowledge_time: bool = False,
    ge: Bound | None = None,
    gt: Bound | None = None,
    le: Bound | None = None,
    lt: Bound | None = None,
    isin: Collection[Any] | None = None,
    matches: str | None = None,
    personal: bool = False,
    tags: Mapping[str, str] | None = None,
    checks: "Sequence[CheckFactory]" = (),
    renamed_from: str | None = None,
    on_fail: Action = "fail",
) -> Any:
    """Declare one column of a contract; the annotation beside it gives the type.

    Args:
        doc: What a value is, for people who never saw the code.
        unit: Unit of the value; a change of it is a change of meaning and needs a new major version.
        key: Part of the table's key, which names a row once.
        event_time: When the thing happened; the table is partitioned by its UTC day.
        knowledge_time: When the row could first be known, which point-in-time joins respect.
        ge: Smallest value allowed.
        gt: The value that every value is above.
        le: Largest value allowed.
        lt: The value that every value is below.
        isin: The values allowed.
        matches: Regular expression (Rust's syntax) that a whole text value matches.
        personal: Personal data: kept out of file metrics, samples of checks and reports.
        tags: Further facts for the catalog.
        checks: Callables that return a Pandera (Polars) check; called at the first audit.
        renamed_from: Its name in an older version of the contract.
        on_fail: What a broken rule does. ``fail``: nothing is published. ``reject``: the row goes to
            quarantine, the rest is published. ``blank``: a copy of the row goes to quarantine and the
            value becomes null. ``warn``: the row stays and the check says so.
    """
    return Undeclared(
        {
            "doc": doc,
            "unit": unit,
            "key": key,
            "event_time": event_time,
            "knowledge_time": knowledge_time,
            "ge": ge,
            "gt": gt,
            "le": le,
            "lt": lt,
            "isin": None if isin is None else tuple(isin),
            "matches": matches,
            "personal": personal,
            "tags": dict(tags or {}),
            "checks": tuple(checks),
            "renamed_from": renamed_from,
            "on_fail": on_fail,
        }
    )


def problems(column: Column) -> Iterator[str]:
    """What is wrong with a declaration, a sentence each; nothing for a good one."""
    yield from _role_problems(column)
    yield from _bound_problems(column)
    yield from _value_problems(column)


def _role_problems(column: Column) -> Iterator[str]:
    """Contradictions between what the column is and how it is typed."""
    if not column.doc.strip():
        yield "has no description. Say what a value is: column('Departure delay')."
    if column.nullable and (column.key or column.event_time):
        yield "is part of the key or the event time, which are never null. Take `| None` away."
    if (column.event_time or column.knowledge_time) and column.dtype.kind != "timestamp":
        yield f"is a time of the row, so its type is datetime, not {column.dtype}."
    if column.on_fail not in ACTIONS:
        yield f"has on_fail={column.on_fail!r}. Use one of: {', '.join(ACTIONS)}."
    if column.event_time and column.on_fail in {"blank", "warn"}:
        yield f"is the event time, and a row without one has no day to be published in. Instead of on_fail={column.on_fail!r} use 'reject' or 'fail'."
    if column.on_fail == "blank" and not column.nullable:
        yield "is not nullable, so on_fail='blank' cannot empty it. Add `| None` or use 'reject'."


def _bound_problems(column: Column) -> Iterator[str]:
    """Bounds on a type without order, of another type, or that no value meets."""
    is_ordered = column.dtype.is_number or column.dtype.kind in {"timestamp", "date"}
    for rule, bound in column.bounds.items():
        if not is_ordered or not is_value(column.dtype, bound):
            yield f"is {column.dtype}, so {rule}={bound!r} is no bound for it."
            return
    lower = [bound for rule, bound in column.bounds.items() if rule in {"ge", "gt"}]
    upper = [bound for rule, bound in column.bounds.items() if rule in {"le", "lt"}]
    if any(low > high for low in lower for high in upper):  # type: ignore[operator]
        yield f"allows no value: {' and '.join(column.rules.values())}."


def _value_problems(column: Column) -> Iterator[str]:
    """Lists and patterns that do not fit the type; `lakeline.contract.rules` compiles the pattern, with Polars."""
    if column.isin is not None:
        wrong = [value for value in column.isin if not is_value(column.dtype, value)]
        if wrong or not column.isin:
            yield f"is {column.dtype}, so isin={wrong or '[]'} allows no value of it."
    if column.matches is not None and column.dtype.kind != "string":
        yield f"is {column.dtype}; matches= is for text."
    if not isinstance(column.matches, str | None):
        yield f"has matches={column.matches!r}. Give the pattern as text."


def is_value(dtype: LogicalType, value: object) -> bool:
    """Whether ``value`` could stand in a column of this type; times must be aware."""
    if dtype.kind != "bool" and isinstance(value, bool):
        return False
    if isinstance(value, dt.datetime):
        return dtype.kind == "timestamp" and value.tzinfo is not None
    return isinstance(value, VALUES[dtype.kind])
