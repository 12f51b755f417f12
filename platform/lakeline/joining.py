"""Who else goes into a commit: the publishes that wait for the table and would be committed as they are, were they alone."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lakeline.handover import Handover, loads
from lakeline.lake.files import missing

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakeline.lake.lock import Turn
    from lakeline.ledger import Ledger

MOST_TOGETHER = 64
"""Publishes in one commit: its snapshot names them all, and every reader of the table's metadata reads the names."""


def joining(
    ledger: "Ledger", asset: str, table: "Table", own: Handover, turn: "Turn"
) -> list[Handover]:
    """Those that wait and go along with ``own``, in the order they came; the caller holds the table's lock.

    Of two that build one partition only the first goes: the second must see what the first has published. Whoever does
    not go along stays in the queue, comes to the lock itself and meets its error there. Those whose writers are dead
    are given up: who started them starts them again.
    """
    queued = {batch: text for batch, text in ledger.queued(asset).items() if batch != own.batch}
    alive = turn.waiting(queued)
    for batch in queued.keys() - alive:
        ledger.abandon(batch)
    waiting = [loads(text) for batch, text in queued.items() if batch in alive]
    fitting = _fitting(ledger, asset, table, waiting)
    taken = {*own.versions}
    found: list[Handover] = []
    for one in fitting[:MOST_TOGETHER]:
        if taken.isdisjoint(one.versions):
            found.append(one)
            taken.update(one.versions)
    return found


def _fitting(
    ledger: "Ledger", asset: str, table: "Table", waiting: Collection[Handover]
) -> list[Handover]:
    if not waiting:
        return []
    present = ledger.current(asset, [partition for one in waiting for partition in one.versions])
    versions = {partition: held.version for partition, held in present.items()}
    gone = set(missing(table, [path for one in waiting for path in _paths(one)]))
    return [one for one in waiting if _fits(table, one, versions, gone)]


def _fits(
    table: "Table", waiting: Handover, present: Mapping[str, str], gone: Collection[str]
) -> bool:
    of_table = all(one.file.spec_id == table.spec().spec_id for one in waiting.staged)
    is_whole = not any(path in gone for path in _paths(waiting))
    return of_table and is_whole and waiting.conflict(present) is None


def _paths(waiting: Handover) -> list[str]:
    return [one.file.file_path for one in waiting.staged]
