"""The column table that Dagster shows for an asset: types, descriptions with units, constraints and tags."""

import dagster as dg

from lakeline.contract.columns import Column
from lakeline.contract.declaration import Contract

ON_FAIL = {
    "fail": "else nothing is published",
    "reject": "else the row goes to quarantine",
    "blank": "else the value becomes null",
    "warn": "else a warning",
}


def column_schema(contract: type[Contract]) -> dg.TableSchema:
    """The contract as Dagster's ``dagster/column_schema`` metadata."""
    return dg.TableSchema(
        columns=[_column(column, contract) for column in contract.columns.values()],
        constraints=dg.TableConstraints(other=_table_constraints(contract)),
    )


def _column(column: Column, contract: type[Contract]) -> dg.TableColumn:
    """One line of the table."""
    return dg.TableColumn(
        name=column.name,
        type=str(column.dtype),
        description=column.description,
        constraints=dg.TableColumnConstraints(
            nullable=column.nullable,
            unique=contract.keys == (column.name,),
            other=_constraints(column),
        ),
        tags=_tags(column),
    )


def _constraints(column: Column) -> list[str]:
    """The rules on values, each with what happens when one breaks it."""
    after = ON_FAIL[column.on_fail]
    rules = [f"{text}, {after}" for text in column.rules.values()]
    return [*rules, *["attached check"] * len(column.checks)]


def _tags(column: Column) -> dict[str, str]:
    """What the column is for; a tag that only marks has an empty value."""
    roles = ("key", "event_time", "knowledge_time", "personal")
    marks = {role: "" for role in roles if getattr(column, role)}
    return marks | ({"unit": column.unit} if column.unit else {}) | dict(column.tags)


def _table_constraints(contract: type[Contract]) -> list[str]:
    """What holds for the table as a whole."""
    key = [f"key: {', '.join(contract.keys)}"] if contract.keys else []
    checks = ["attached check"] * len(contract.table_checks)
    return [*key, *checks, f"contract {contract.__name__} {contract.version}"]
