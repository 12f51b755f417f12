"""Whether a table is parted as its asset says: by the day, or not at all.

A publish replaces the files of its own partitions, and a file stays in the one that it was written for. So rows by day would
stand beside those of an unpartitioned table, and the other way round, and be there twice: only another table can follow.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakeline.contract.declaration import Contract
from lakeline.errors import EvolutionError

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec


def refuse_other_parting(
    table: str, specs: "Sequence[PartitionSpec]", contract: type[Contract], *, daily: bool
) -> None:
    """Refuse a table that has always been parted the other way; what else other engines part by is left alone.

    Args:
        table: Name for messages.
        specs: Every partition spec that the table ever had.
        contract: What the table shall promise.
        daily: Whether its asset is daily.

    Raises:
        EvolutionError: Says how the table is parted, how it should be, and the way out.
    """
    if len(specs) != 1 or not _is_other(specs[0], daily=daily):
        return
    kinds = {True: "by UTC day", False: "none"}
    way_out = (
        "What is there would stay beside what is built, and its rows be counted twice. "
        f"Go back to daily={not daily}, or give the asset another name and so a new table."
    )
    change = ("partitions", kinds[not daily], f"{kinds[daily]} (daily={daily})", way_out)
    raise EvolutionError(table, f"{contract.__name__} {contract.version}", [change])


def _is_other(spec: "PartitionSpec", *, daily: bool) -> bool:
    from pyiceberg.transforms import DayTransform

    transforms = [one.transform for one in spec.fields]
    if daily:
        return not transforms
    return len(transforms) == 1 and isinstance(transforms[0], DayTransform)
