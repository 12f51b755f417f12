"""What each partition was built from, how far its data reaches and what it cost, in one SQL store.

The records import only the standard library; ``Ledger`` brings in SQLAlchemy when it is first named.
"""

from typing import TYPE_CHECKING

from lakeline.ledger.records import (
    ABSENT,
    AssetSummary,
    Attempt,
    Build,
    BuildRecord,
    Changes,
    Consumer,
    Cost,
    Current,
    Input,
    Mark,
    Pair,
    Reach,
    SourceState,
    State,
    StateChange,
    Used,
    place,
)
from lakeline.ledger.recovery import Recovery, recover

if TYPE_CHECKING:
    from lakeline.ledger.store import Ledger

__all__ = [
    "ABSENT",
    "AssetSummary",
    "Attempt",
    "Build",
    "BuildRecord",
    "Changes",
    "Consumer",
    "Cost",
    "Current",
    "Input",
    "Ledger",
    "Mark",
    "Pair",
    "Reach",
    "Recovery",
    "SourceState",
    "State",
    "StateChange",
    "Used",
    "place",
    "recover",
]


def __getattr__(name: str) -> object:
    if name == "Ledger":
        from lakeline.ledger.store import Ledger

        return Ledger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
