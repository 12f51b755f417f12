"""Which upstream columns each column of a SQL query comes from, and which columns the query reads at all (sqlglot)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Columns = Mapping[str, Mapping[str, str]]
"""``schema.table`` → column → SQL type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnLineage:
    """Lineage of one query.

    Attributes:
        origins: For each output column the upstream ``(table, column)`` pairs that its value comes from.
        used: For each upstream table every column that is read, in filters and joins too.
    """

    origins: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    used: Mapping[str, frozenset[str]] = field(default_factory=dict)


def column_lineage(sql: str, upstream: Columns, *, dialect: str = "duckdb") -> ColumnLineage:
    """Lineage of a query over tables whose columns are known.

    Args:
        sql: One select.
        upstream: Columns of every table that the query reads.
        dialect: How sqlglot reads it.

    >>> found = column_lineage(
    ...     "select a + b as c from s.t where d > 0", {"s.t": {"a": "int", "b": "int", "d": "int"}}
    ... )
    >>> found.origins["c"], sorted(found.used["s.t"])
    ((('s.t', 'a'), ('s.t', 'b')), ['a', 'b', 'd'])
    """
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import traverse_scope
    from sqlglot.schema import MappingSchema

    schema = MappingSchema(dialect=dialect)
    for table, columns in upstream.items():
        schema.add_table(table, dict(columns), dialect=dialect)
    tree = parse_one(sql, dialect=dialect)
    for node in tree.find_all(exp.Table):
        node.set("catalog", None)  # the session's own database
    qualified = qualify(tree, schema=schema, dialect=dialect, quote_identifiers=False)
    used: dict[str, set[str]] = {}
    for scope in traverse_scope(qualified):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table):
                used.setdefault(f"{source.db}.{source.name}", set()).add(column.name)
    text = qualified.sql(dialect=dialect)
    origins = {
        name: tuple(
            sorted(
                {
                    (f"{leaf.source.db}.{leaf.source.name}", leaf.name.rpartition(".")[2])
                    for leaf in lineage(name, text, schema=schema, dialect=dialect).walk()
                    if isinstance(leaf.source, exp.Table)
                }
            )
        )
        for name in (qualified.named_selects if isinstance(qualified, exp.Query) else ())
    }
    return ColumnLineage(
        origins=origins, used={table: frozenset(columns) for table, columns in used.items()}
    )
