"""What went past lakeline: tables that another engine changed, that were set back or dropped, or that a restored ledger forgot.

The lake is the truth. A table that does not follow from what the ledger published last is adopted: read, audited, and
recorded with the versions that it holds, so that what was built from other versions is inconsistent and built again, and
so is the partition itself, from what it reads. A publish that was killed halfway is finished. A few tables are looked at each tick; one whose newest snapshot is the one
seen before costs the reading of a line.
"""

import datetime as dt
import logging
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from lakeline.errors import LakelineError
from lakeline.ledger import State

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from lakeline.lake import Lake
    from lakeline.ledger import Ledger
    from lakeline.publishing import Target

log = logging.getLogger(__name__)

TABLES_A_TICK = 4
STATE, REFUSED = "table", "refused"
"""Name of the ledger's state: ``ours``, ``adopted``, or ``refused`` where the rows break the contract."""


class Watch:
    """Looks at tables in turn.

    Args:
        targets: The tables of all assets.
    """

    def __init__(self, targets: "Sequence[Target]") -> None:
        self._targets = list(targets)
        self._next = 0
        self._seen: dict[str, tuple[int | None, int | None]] = {}  # head and last publish

    def look(
        self, lake: "Lake", ledger: "Ledger", now: dt.datetime, *, busy: Collection[str] = ()
    ) -> list[State]:
        """Take up what went past lakeline in the next few tables; returns how those stand that were not as expected.

        Args:
            lake: Where the tables are.
            ledger: What was published.
            now: The present.
            busy: Assets that runs under way build; what these have begun is theirs to finish.
        """
        found = []
        self._mend(lake, ledger, busy)
        for _ in range(min(TABLES_A_TICK, len(self._targets))):
            target = self._targets[self._next % len(self._targets)]
            self._next += 1
            if (state := self._one(lake, ledger, target)) is not None:
                found.append(state)
        ledger.set_states(found, now)
        return found

    def _mend(self, lake: "Lake", ledger: "Ledger", busy: Collection[str]) -> None:
        """Finish what killed processes left of their publishes, which the lake has and the ledger does not know of yet."""
        from lakeline.recording import mend

        unfinished = ledger.unfinished()
        for target in self._targets:
            if target.asset in unfinished and target.asset not in busy:
                mend(lake, ledger, target.asset)

    def _one(self, lake: "Lake", ledger: "Ledger", target: "Target") -> State | None:
        # In this order a publish that ends meanwhile is never taken for another engine's.
        published = ledger.last_snapshot(target.asset)
        table = lake.find(target.table)
        if ledger.pending(target.asset):
            return None  # a publish is under way
        seen = (None if table is None else table.metadata.current_snapshot_id, published)
        if self._seen.get(target.asset) == seen:
            return None
        state = self._taken(lake, ledger, target, table, published)
        if state is None or state.state == REFUSED:
            self._seen[target.asset] = seen
        return state

    def _taken(
        self,
        lake: "Lake",
        ledger: "Ledger",
        target: "Target",
        table: "Table | None",
        published: int | None,
    ) -> State | None:
        if table is None:
            return _dropped(lake, ledger, target)
        if _is_published(table, ledger, target.asset, published):
            return None
        from lakeline.adopting import adopt

        try:
            done = adopt(lake, ledger, target)
        except LakelineError as error:
            log.warning("%s was changed by another engine and is refused: %s", target.asset, error)
            return _state(target, REFUSED, str(error))
        said = f"Another engine changed it: {len(done.changed)} partition(s) differ, {len(done.forgotten)} are gone."
        return _state(target, "adopted", said)


def _dropped(lake: "Lake", ledger: "Ledger", target: "Target") -> State | None:
    from lakeline.recording import forget_lost

    if not ledger.versions(target.asset):
        return None
    lost = forget_lost(lake, ledger, target.asset)
    return (
        _state(target, "adopted", f"Its table is gone, with {lost} partition(s).") if lost else None
    )


def _is_published(table: "Table", ledger: "Ledger", asset: str, published: int | None) -> bool:
    """Whether the newest snapshot is lakeline's and the ledger knows all that was published up to it."""
    from pyiceberg.table.snapshots import ancestors_of

    from lakeline.lake.commit import batches_of, is_ancestor, is_maintenance, is_ours

    head = table.current_snapshot()
    if head is None:
        return not ledger.versions(asset)
    if not is_ours(head) or published is None or not is_ancestor(table, published, head):
        return False
    since = takewhile(lambda one: one.snapshot_id != published, ancestors_of(head, table.metadata))
    batches = [batch for one in since if not is_maintenance(one) for batch in batches_of(one)]
    return all(ledger.committed(batch) is not None for batch in batches)


def _state(target: "Target", state: str, said: str) -> State:
    return State(asset=target.asset, name=STATE, state=state, detail={"said": said})
