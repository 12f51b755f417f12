"""What a table promises, declared once as a light class and compiled to every engine on first use.

Importing this package imports the standard library alone; Polars, Pandera, PyIceberg and Dagster are
imported by the modules that compile for them.
"""

from lakeline.contract.adapt import ContractSpec, resolve
from lakeline.contract.columns import Action, Column, column
from lakeline.contract.declaration import Contract, ContractMeta, Duplicates
from lakeline.contract.types import Digits, Float32, Int32, LogicalType

__all__ = [
    "Action",
    "Column",
    "Contract",
    "ContractMeta",
    "ContractSpec",
    "Digits",
    "Duplicates",
    "Float32",
    "Int32",
    "LogicalType",
    "column",
    "resolve",
]
