"""What people may do about a champion: promote a version, or go back to the one before; recorded with who and why."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.domain.champion import (
    build_of_last_training,
    enthrone,
    mend_champion,
    version_of,
)
from lakeline.errors import DomainError
from lakeline.meter import Meter
from lakeline.models.gate import Promotion, previous_champion
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse


class NeverTrainedError(DomainError):
    """The ledger knows no training of a model."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The ledger knows no training of '{model}', so a version of it cannot serve. "
            f"Train it with: lakeline backfill --from DAY --to DAY --select {model}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Who serves now.

    Attributes:
        version: The champion.
        before: Number of the champion before; None where there was none.
        is_change: Whether anything was to be done.
        readers: Partitions that are to be built again because of it.
    """

    version: "RegisteredVersion"
    before: int | None
    is_change: bool
    readers: int


def promote(house: "Lakehouse", node: "Node", version: int, *, by: str, because: str) -> Change:
    """Make a version the champion, whatever the gate said. The champion stays if it is the version already.

    Args:
        house: Where the model is.
        node: The model asset.
        version: Number of the version.
        by: Who decides.
        because: Why.

    Raises:
        UnknownModelError: There is no such version.
        NeverTrainedError: The ledger knows no training of the model.
        ChampionMovedError: Somebody else promoted a version at the same time.
    """
    mend_champion(house, node)
    found = house.registry.version(node.table, version)
    return _enthroned(house, node, found, Promotion(by=by, because=because))


def roll_back(house: "Lakehouse", node: "Node", *, by: str, because: str) -> Change:
    """Make the version the champion again that the present one took over from; done twice, it goes two back.

    Raises:
        NothingToRollBackError: The present champion is the first.
        NeverTrainedError: The ledger knows no training of the model.
        ChampionMovedError: Somebody else promoted a version at the same time.
    """
    mend_champion(house, node)
    found = previous_champion(house.registry, node.table)
    return _enthroned(house, node, found, Promotion(by=by, because=because, is_rollback=True))


def _enthroned(
    house: "Lakehouse", node: "Node", found: "RegisteredVersion", promotion: Promotion
) -> Change:
    meter = Meter()
    present = house.registry.champion(node.table)
    before = present.version if present else None
    held = house.ledger.current(node.asset).get(WHOLE)
    is_change = before != found.version or held is None or held.version != version_of(found)
    if is_change:
        build = build_of_last_training(house, node, found)
        if build is None:
            raise NeverTrainedError(node.asset)
        enthrone(
            house, node, found, build, cost=meter.cost(), promotion=promotion, instead_of=before
        )
    readers = [one for one in house.ledger.marked() if one.because_asset == node.asset]
    return Change(version=found, before=before, is_change=is_change, readers=len(readers))
