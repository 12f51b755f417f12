"""The class a team writes to say what a table promises: its columns, its key, its times and its version."""

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from lakeline.contract.columns import Column, Undeclared, problems
from lakeline.contract.types import parse_annotation
from lakeline.errors import DeclarationError

if TYPE_CHECKING:
    from pandera.polars import Check

Duplicates = Literal["fail", "reject", "warn"]
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)(\.(0|[1-9]\d*))?")
# `AuditReport.split` adds this column to the rows it rejects.
RULE_COLUMN = "rule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What a contract's class was found to declare."""

    columns: dict[str, Column]
    version: str
    duplicates: Duplicates


class ContractMeta(type):
    """Reads the columns when the class is made; its properties leave every column name free.

    As properties of the class's class they win over columns of the same name, so a table can have
    columns called ``version`` or ``doc``.
    """

    _declared: Declared
    _model: type | None = None

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        version: str = "1.0",
        duplicates: Duplicates = "fail",
    ) -> "ContractMeta":
        """Make the class, or say what is wrong with it.

        Raises:
            DeclarationError: Names the class, the column and the way to mend it.
        """
        made = super().__new__(cls, name, bases, namespace)
        columns = _inherited(bases) | dict(_own_columns(made, namespace))
        made._declared = Declared(columns=columns, version=version, duplicates=duplicates)
        is_root = not any(isinstance(base, ContractMeta) for base in bases)
        for column, problem in () if is_root else _contradictions(made):
            raise DeclarationError(name, column, problem)
        return made

    @property
    def columns(cls) -> dict[str, Column]:
        """The columns by name, in the order they are declared."""
        return cls._declared.columns

    @property
    def model(cls) -> type | None:
        """The Pandera model that it was made from, if it was."""
        return cls._model

    @property
    def version(cls) -> str:
        """Semantic version, ``major.minor`` or ``major.minor.patch``."""
        return cls._declared.version

    @property
    def duplicates(cls) -> Duplicates:
        """What a repeated key does.

        ``fail``: nothing is published; ``reject``: the first row of a key, in the order the function
        returned, is published and later ones go to quarantine; ``warn``: all stay.
        """
        return cls._declared.duplicates

    @property
    def doc(cls) -> str:
        """The class's docstring: what one row is."""
        return inspect.cleandoc(cls.__doc__ or "")

    @property
    def keys(cls) -> tuple[str, ...]:
        """Columns that together name a row once; empty for a table without a key."""
        return tuple(c.name for c in cls.columns.values() if c.key)

    @property
    def event_time(cls) -> str | None:
        """The column that says when the thing happened."""
        return next((c.name for c in cls.columns.values() if c.event_time), None)

    @property
    def knowledge_time(cls) -> str | None:
        """The column that says when the row could first be known."""
        return next((c.name for c in cls.columns.values() if c.knowledge_time), None)


def _inherited(bases: tuple[type, ...]) -> dict[str, Column]:
    """Columns of the base contracts, first base first."""
    found: dict[str, Column] = {}
    for base in reversed(bases):
        if isinstance(base, ContractMeta):
            found |= base.columns
    return found


def _own_columns(made: ContractMeta, namespace: Mapping[str, Any]) -> Iterator[tuple[str, Column]]:
    """Columns of the class's own body, typed by their annotations."""
    annotations = inspect.get_annotations(made)
    for name, value in namespace.items():
        if isinstance(value, Undeclared) and name not in annotations:
            problem = f"has no type. Write `{name}: float = column(...)`."
            raise DeclarationError(made.__name__, name, problem)
    for name, annotation in annotations.items():
        value = namespace.get(name)
        if isinstance(value, Undeclared):
            yield name, _bound(made, name, annotation, value)
        elif name[0] != "_" and name != "table_checks" and "ClassVar" not in str(annotation):
            problem = "has a type and no column(). Write `= column('What it is')`."
            raise DeclarationError(made.__name__, name, problem)


def _bound(made: ContractMeta, name: str, annotation: object, value: Undeclared) -> Column:
    """The finished column, or the first thing wrong with it."""
    try:
        dtype, is_nullable = parse_annotation(_evaluated(made, annotation))
    except ValueError as error:
        raise DeclarationError(made.__name__, name, str(error)) from error
    except NameError as error:
        problem = f"has a type that its module does not know: {error}."
        raise DeclarationError(made.__name__, name, problem) from error
    column = value.bind(name, dtype, nullable=is_nullable)
    for problem in problems(column):
        raise DeclarationError(made.__name__, name, problem)
    return column


def _evaluated(made: ContractMeta, annotation: object) -> object:
    """The annotation as a type; in a module with the future import it is text."""
    if not isinstance(annotation, str):
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    module = vars(sys.modules[made.__module__])
    return typing.get_type_hints(holder, globalns=module, include_extras=True)["it"]


def _contradictions(made: ContractMeta) -> Iterator[tuple[str | None, str]]:
    """Column (or None for the class) and what is wrong."""
    columns = made.columns
    if not columns:
        yield None, "has no columns. Add one: `name: str = column('What it is')`."
    if not VERSION.fullmatch(made.version):
        yield None, f"has version={made.version!r}. Write major.minor: version='1.0'."
    if made.duplicates not in get_args(Duplicates):
        options = ", ".join(get_args(Duplicates))
        yield None, f"has duplicates={made.duplicates!r}. Use one of: {options}."
    for role in ("event_time", "knowledge_time"):
        marked = [c.name for c in columns.values() if getattr(c, role)]
        if len(marked) > 1:
            yield marked[1], f"is a second {role} beside {marked[0]}. Keep one."
    yield from _name_clashes(made)


def _name_clashes(made: ContractMeta) -> Iterator[tuple[str, str]]:
    """Names that engines, renames or the quarantine would confuse."""
    seen: dict[str, str] = {}
    for name, column in made.columns.items():
        if name.lower() in seen:
            yield name, f"differs from {seen[name.lower()]} only by case, which SQL does not see."
        seen[name.lower()] = name
        if column.renamed_from in made.columns:
            yield name, f"was renamed from {column.renamed_from}, which is still a column."
    sources = [c.renamed_from for c in made.columns.values() if c.renamed_from]
    for column in made.columns.values():
        if column.renamed_from and sources.count(column.renamed_from) > 1:
            yield column.name, f"and another column were both renamed from {column.renamed_from}."
    if RULE_COLUMN in made.columns and _can_reject(made):
        yield RULE_COLUMN, "has the name of the quarantine's own column. Use another name."


def _can_reject(made: ContractMeta) -> bool:
    """Whether rows of this table can go to quarantine."""
    actions = {column.on_fail for column in made.columns.values()}
    return bool(actions & {"reject", "blank"}) or made.duplicates == "reject"


class Contract(metaclass=ContractMeta):
    """What a table promises. Subclass it, annotate columns, and give the version as a class argument.

    >>> from lakeline.contract import column
    >>> class Reading(Contract, version="1.2"):
    ...     sensor: str = column("Serial number", key=True)
    ...     level_m: float | None = column("Water level", unit="m", ge=0, on_fail="reject")
    >>> Reading.keys, Reading.columns["level_m"].rules
    (('sensor',), {'ge': '>= 0'})
    """

    #: Makers of Pandera checks over the whole table; one that only warns has ``raise_warning=True``.
    table_checks: "ClassVar[tuple[Callable[[], Check], ...]]" = ()
