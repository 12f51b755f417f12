"""The lake's tables that a command is about."""

from typing import TYPE_CHECKING

from lakeline.cli.keys import find_asset
from lakeline.lake.quarantine import quarantine_name

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakeline.domain.node import Node
    from lakeline.project import Project


def table_of(project: "Project", key: str) -> "Table":
    """The table of an asset, or of a quarantine named as the lake names it.

    Raises:
        UnknownAssetError: There is no such asset.
        DomainError: The asset is a model or a report, which has no table.
        TableMissingError: It was never built.
    """
    return project.house.lake.load(table_name(project, key))


def table_name(project: "Project", key: str) -> str:
    """Name of that table, ``namespace.table``."""
    known = project.nodes
    quarantines = {
        quarantine_name(node.table) for node in known.values() if node.contract is not None
    }
    if (wanted := key.replace("/", ".", 1)) in quarantines:
        return wanted
    return node_named(project, key).table


def node_named(project: "Project", key: str) -> "Node":
    """The asset with a table that is meant.

    Raises:
        UnknownAssetError: There is no such asset.
        DomainError: The asset is a model or a report, which has no table.
    """
    known = project.nodes
    node = known[find_asset(key, known)]
    _ = node.columns  # refuses what is no table
    return node
