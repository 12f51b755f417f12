"""Mends what a crash left between a commit to the lake and its record in the ledger; the lake is the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeline.ledger.store import Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """What was mended.

    Attributes:
        published: Batches that the lake had and the ledger now has, in the order of their commits.
        abandoned: Batches that never reached the lake.
    """

    published: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()


def recover(ledger: "Ledger", asset: str, committed: Mapping[str, int]) -> Recovery:
    """Publish the unfinished batches that reached the lake and abandon the others. Twice is as once.

    The caller holds the lock of the table, and calls ``begin``, the commit and ``publish`` under the same lock, so that
    a pending batch is one whose process is gone. Doing it before every publish keeps the order of the lake; if another
    batch was published in between all the same, its partitions keep their newer build. What a lost process had spent
    is unknown and counts as nothing.

    Args:
        ledger: Where the batches are recorded.
        asset: The table, as ``domain/name``.
        committed: Snapshot id by batch, from the summaries of the table's snapshots, oldest commit first.
    """
    unpublished = ledger.unpublished(asset)
    order = list(committed)
    published = tuple(name for name in order if name in unpublished)
    for name in published:
        later = order[order.index(name) + 1 :]
        ledger.publish(
            name,
            committed[name],
            None,
            overtaken_by=[other for other in later if other not in unpublished],
        )
    abandoned = tuple(name for name in ledger.pending(asset) if name not in committed)
    for name in abandoned:
        ledger.abandon(name)
    return Recovery(published=published, abandoned=abandoned)
