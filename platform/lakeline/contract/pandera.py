"""The Pandera schema of a contract: the schema of the audit, usable wherever Pandera is."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lakeline.contract.columns import Action, Column
from lakeline.contract.declaration import Contract

if TYPE_CHECKING:
    import pandera.polars as pa

    from lakeline.contract.rules import Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A Pandera check that a user gave to a column, or to the table.

    Attributes:
        name: ``column.check`` or ``table.check``.
        column: The column; None for a check of the table.
    """

    name: str
    column: str | None
    action: Action
    check: "pa.Check"


@cache
def pandera_schema(contract: type[Contract]) -> "pa.DataFrameSchema":
    """The strict Pandera schema; each check is named ``column.rule``.

    It refuses a frame exactly when the audit finds a violation other than a warning; for rules that
    only warn it emits Pandera's ``SchemaWarning``. It knows no partitions, so keys are unique over all rows.
    """
    import pandera.polars as pa

    refuses_repeats = bool(contract.keys) and contract.duplicates != "warn"
    return pa.DataFrameSchema(
        {name: _column(contract, column) for name, column in contract.columns.items()},
        checks=list(_table_checks(contract)),
        unique=list(contract.keys) if refuses_repeats else None,
        strict=True,
        name=contract.__name__,
        description=contract.doc,
    )


@cache
def attached_checks(contract: type[Contract]) -> tuple[Attached, ...]:
    """The checks that users attached, made by their factories, with stable and distinct names."""
    found: list[Attached] = []
    for column in contract.columns.values():
        for make in column.checks:
            found.append(_attached(make(), column.name, column.on_fail, found))
    for make in contract.table_checks:
        found.append(_attached(make(), None, "fail", found))
    return tuple(found)


def rule_check(rule: "Rule") -> "pa.Check":
    """The Pandera check of a declared rule."""
    import pandera.polars as pa

    return pa.Check(
        lambda data: data.lazyframe.select(rule.passes),
        name=rule.name,
        error=f"{rule.column} {rule.text}",
        ignore_na=not rule.is_null_rule,
        raise_warning=rule.action == "warn",
    )


def _column(contract: type[Contract], column: Column) -> "pa.Column":
    """A column with the checks of its rules, then those attached to it."""
    import pandera.polars as pa

    from lakeline.contract.arrow import polars_type
    from lakeline.contract.rules import value_rules

    # Pandera's own null rule cannot warn, so a column that only warns gets it as a check.
    is_lenient = column.nullable or column.on_fail == "warn"
    rules = [rule for rule in value_rules(contract) if rule.column == column.name]
    own = [rule_check(rule) for rule in rules if is_lenient or not rule.is_null_rule]
    attached = [each.check for each in attached_checks(contract) if each.column == column.name]
    return pa.Column(
        polars_type(column.dtype),
        checks=[*own, *attached],
        nullable=is_lenient,
        description=column.description,
        metadata={"unit": column.unit, "tags": dict(column.tags)},
    )


def _table_checks(contract: type[Contract]) -> "Iterator[pa.Check]":
    """Checks of the whole table, with the key's when a repeated key only warns."""
    import pandera.polars as pa
    import polars as pl

    from lakeline.contract.rules import KEY_RULE

    if contract.keys and contract.duplicates == "warn":
        yield pa.Check(
            lambda data: data.lazyframe.select(pl.struct(contract.keys).is_first_distinct()),
            name=KEY_RULE,
            error=f"{', '.join(contract.keys)} names a row once",
            raise_warning=True,
        )
    for each in attached_checks(contract):
        if each.column is None:
            yield each.check


def _attached(
    check: "pa.Check", column: str | None, action: Action, others: list[Attached]
) -> Attached:
    """A copy of the user's check with its full name, which warns where its column or itself does."""
    name = base = f"{column or 'table'}.{check.name or 'check'}"
    taken = {other.name for other in others}
    count = 1
    while name in taken:
        count += 1
        name = f"{base}_{count}"
    named = copy.copy(check)
    named.name = name
    named.raise_warning = check.raise_warning or action == "warn"
    return Attached(
        name=name, column=column, action="warn" if named.raise_warning else action, check=named
    )
