"""Whether the lake holds what the ledger says: each table can be read, and builds on what was published last."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakeline.cli.console import count
from lakeline.cli.finding import Finding, is_gone, is_unborn
from lakeline.errors import LakelineError

if TYPE_CHECKING:
    from lakeline.lake import Lake
    from lakeline.project import Project


def agreement(project: "Project") -> Iterator[Finding]:
    """Whether each table can be read, and still builds on what the ledger saw published last."""
    house = project.house
    if is_unborn(house.ledger_url) or is_unborn(house.catalog_uri):
        return
    published_by = {
        one.asset: house.ledger.last_snapshot(one.asset) for one in house.ledger.summary()
    }
    tables = sum(published is not None for published in published_by.values())
    if tables and is_gone(house.warehouse):
        yield _emptied(house.warehouse, tables)
        return
    agreeing = 0
    for asset, published in published_by.items():
        if (trouble := _trouble(house.lake, asset, published)) is not None:
            yield trouble
        else:
            agreeing += published is not None
    yield Finding(
        status="ok", subject="lake", said=f"{count(agreeing, 'table')} as the ledger knows them"
    )


def _trouble(lake: "Lake", asset: str, published: int | None) -> Finding | None:
    """What is wrong with a table; None where nothing is, or nothing was published and nothing is there."""
    from lakeline.lake.commit import refuse_foreign, refuse_set_back

    try:
        table = lake.find(asset.replace("/", ".", 1))
    except OSError as error:
        return _unreadable(asset, error)
    if table is None or table.current_snapshot() is None:
        return _gone(asset) if published is not None else None
    try:
        refuse_foreign(table)
        refuse_set_back(table, published)
    except LakelineError as error:
        return _lost(f"{asset} is not what was published", str(error))
    return None


def _gone(asset: str) -> Finding:
    return _lost(
        f"the ledger knows {asset}, and the lake has no such table or snapshot",
        "Restore the catalog and the ledger from the same moment, or build the asset again.",
    )


def _emptied(warehouse: str, tables: int) -> Finding:
    return _lost(
        f"the folder {warehouse} is gone, and the ledger knows {count(tables, 'table')} in it",
        "Mount or restore it. If it is gone for good, move the catalog and the ledger away too and build everything again.",
    )


def _unreadable(asset: str, error: OSError) -> Finding:
    return _lost(
        f"{asset} cannot be read: {str(error).splitlines()[0]}",
        "Restore its files from a backup of the same moment as the catalog, or check that their place answers.",
    )


def _lost(said: str, todo: str) -> Finding:
    return Finding(status="fail", subject="lake", said=said, todo=todo)
