"""The dbt documentation of contracts: YAML for the sources that dbt reads and the models that it builds."""

from collections.abc import Mapping
from typing import Any

from lakeline.contract.columns import Column
from lakeline.contract.declaration import Contract
from lakeline.contract.types import LogicalType

DUCKDB_TYPES = {
    "int32": "integer",
    "int64": "bigint",
    "float32": "float",
    "float64": "double",
    "string": "varchar",
    "bool": "boolean",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "binary": "blob",
}


def source_yaml(
    source_name: str,
    tables: Mapping[str, type[Contract]],
    *,
    meta: Mapping[str, object] | None = None,
) -> str:
    """A dbt properties file that declares ``tables`` as one source.

    Args:
        source_name: Name for ``{{ source(source_name, table) }}``.
        tables: The contract of each table, by the table's name.
        meta: Meta of the source, its plugin say.
    """
    source: dict[str, Any] = {"name": source_name}
    if meta:
        source["config"] = {"meta": dict(meta)}
    source["tables"] = [_table(name, contract) for name, contract in tables.items()]
    return _text({"version": 2, "sources": [source]})


def model_yaml(models: Mapping[str, type[Contract]]) -> str:
    """A dbt properties file that documents ``models``, each by the contract of what it returns."""
    found = [_table(name, contract) for name, contract in models.items()]
    return _text({"version": 2, "models": found})


def data_type(dtype: LogicalType) -> str:
    """The type in DuckDB's words, ``decimal(12, 2)`` say."""
    return str(dtype) if dtype.kind == "decimal" else DUCKDB_TYPES[dtype.kind]


def _table(name: str, contract: type[Contract]) -> dict[str, Any]:
    """Entry of a table or model."""
    return {
        "name": name,
        "description": contract.doc,
        "config": {"meta": {"contract": contract.__name__, "version": contract.version}},
        "columns": [_column(column) for column in contract.columns.values()],
    }


def _column(column: Column) -> dict[str, Any]:
    """Entry of a column; its meta holds what is not the default."""
    roles = ("key", "event_time", "knowledge_time", "personal")
    meta: dict[str, object] = {role: True for role in roles if getattr(column, role)}
    if column.unit:
        meta["unit"] = column.unit
    entry = {
        "name": column.name,
        "description": column.doc,
        "data_type": data_type(column.dtype),
    }
    meta |= column.tags
    return {**entry, "config": {"meta": meta}} if meta else entry


def _text(content: Mapping[str, Any]) -> str:
    """The content as YAML, in the order given."""
    import yaml

    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)
