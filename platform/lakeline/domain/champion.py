"""A model's champion in two places, the registry's alias and the ledger's version, which move together or are mended.

    begin (ledger: pending) → alias (registry) → publish (ledger)

under the lock of the model. Whatever ends the process in between, the alias is the truth: whoever next asks for the
model finds the pending build, and publishes it where its version is the champion's, or abandons it.
"""

import uuid
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from lakeline.errors import DomainError
from lakeline.ledger import Build, State
from lakeline.models.gate import Promotion, crown
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.ledger import Cost, Current
    from lakeline.models.version_files import RegisteredVersion
    from lakeline.resource import Lakehouse

CHAMPION_STATE = "champion"
"""Name of the state in which the ledger holds who made the present champion, and why."""

ROWS, SIZE = "lakeline.rows", "lakeline.bytes"
CODE = "lakeline.code_version"


class ForeignChampionError(DomainError):
    """Somebody moved the alias of a model without lakeline."""

    def __init__(self, model: str, champion: int, known: str) -> None:
        super().__init__(
            f"The alias champion of '{model}' points at version {champion}, which lakeline did not promote: the ledger "
            f"has the model with digest {known[:12]}. Accept it with: lakeline promote {model} {champion} --because … "
            "Or promote the version that served before."
        )


class ChampionMovedError(DomainError):
    """The champion became another while a challenger was compared with it."""

    can_retry = True

    def __init__(self, model: str, expected: int | None, found: int | None) -> None:
        super().__init__(
            f"The champion of '{model}' became version {found} while a challenger was compared with "
            f"{f'version {expected}' if expected else 'none'}. Nothing was promoted. Run again to compare with the new one."
        )


def version_of(found: "RegisteredVersion") -> str:
    """The ledger's version of a model asset whose champion is ``found``."""
    return found.digest[:32]


def in_service(
    house: "Lakehouse", node: "Node"
) -> "tuple[RegisteredVersion | None, Current | None]":
    """The champion as the registry and as the ledger have it, the same in both; None where there is none.

    Raises:
        ForeignChampionError: The two differ, and not because a process died in between.
    """
    asked_before = False
    while True:
        mend_champion(house, node)
        held = house.ledger.current(node.asset).get(WHOLE)
        champion = house.registry.champion(node.table)
        if champion is None or held is None or version_of(champion) == held.version:
            return champion, held
        if asked_before:  # twice, since a promotion may come between the two questions
            raise ForeignChampionError(node.asset, champion.version, held.version)
        asked_before = True


def mend_champion(house: "Lakehouse", node: "Node") -> None:
    """Finish what a process left that died while it promoted; nothing if none did.

    Waits for the model's lock only where a promotion is unfinished, which may be one that is running well.
    """
    if house.ledger.pending(node.asset):
        with house.lake.lock(node.table):
            _settle(house, node)


def enthrone(
    house: "Lakehouse",
    node: "Node",
    found: "RegisteredVersion",
    build: Build,
    *,
    cost: "Cost",
    promotion: Promotion,
    instead_of: int | None,
) -> None:
    """Make a version the champion, in the registry and in the ledger.

    Args:
        house: Where both are.
        node: The model asset.
        found: The version.
        build: What the ledger is to say of it.
        cost: What it took.
        promotion: Who decided, and why.
        instead_of: Number of the champion that was there when it was decided.

    Raises:
        ChampionMovedError: Another one is there now.
    """
    batch = uuid.uuid4().hex
    with house.lake.lock(node.table):
        _settle(house, node)
        present = house.registry.champion(node.table)
        if (present.version if present else None) != instead_of:
            raise ChampionMovedError(node.asset, instead_of, present.version if present else None)
        house.ledger.begin(batch, [build], cost.started_ts)
        crown(house.registry, node.table, found.version, promotion)
        house.ledger.publish(batch, None, cost)
    detail = {**asdict(promotion), "version": found.version, "instead_of": instead_of}
    said = f"version {found.version} by {promotion.by}"
    state = State(asset=node.asset, partition=WHOLE, name=CHAMPION_STATE, state=said, detail=detail)
    house.ledger.set_states([state], now=cost.ended_ts)


def build_of_last_training(
    house: "Lakehouse", node: "Node", found: "RegisteredVersion"
) -> Build | None:
    """What the ledger is to say of a version that a person promotes: its own reach, and what was trained on last.

    The inputs stay those of the last training, so that promoting is no reason to train again. None for a model that was
    never trained.
    """
    records = house.ledger.history(node.asset, WHOLE, limit=1)
    current = house.ledger.current(node.asset).get(WHOLE)
    if current is None and not records:
        return None
    build_id = current.build_id if current else records[0].build_id
    return Build(
        asset=node.asset,
        partition=WHOLE,
        version=version_of(found),
        watermark=found.learned_until,
        code_version=current.code_version if current else records[0].code_version,
        rows=int(found.tags.get(ROWS, 0)),
        bytes=int(found.tags.get(SIZE, 0)),
        inputs=house.ledger.inputs_of_build(build_id),
    )


def keep_champion(
    house: "Lakehouse", build: Build, champion: "RegisteredVersion", cost: "Cost"
) -> None:
    """Record a training whose challenger was refused: the asset is what it was, and what was read is noted.

    The watermark stays the champion's: a refused challenger makes nothing fresher.
    """
    kept = replace(
        build,
        version=version_of(champion),
        watermark=champion.learned_until,
        rows=int(champion.tags.get(ROWS, 0)),
        bytes=int(champion.tags.get(SIZE, 0)),
    )
    house.ledger.record(uuid.uuid4().hex, [kept], cost)


def note_refused(house: "Lakehouse", build: Build, cost: "Cost") -> None:
    """Record a first training that nothing serves: its history is kept, and the asset does not exist."""
    batch = uuid.uuid4().hex
    house.ledger.begin(batch, [build], cost.started_ts)
    house.ledger.abandon(batch)


def _settle(house: "Lakehouse", node: "Node") -> None:
    """Publish or abandon what is pending, for a caller that holds the lock: nobody else is at it."""
    pending = set(house.ledger.pending(node.asset))
    if not pending:
        return
    champion = house.registry.champion(node.table)
    for one in house.ledger.history(node.asset, WHOLE, limit=1000):
        if one.batch not in pending:
            continue
        if champion is not None and one.version == version_of(champion):
            house.ledger.publish(one.batch, None, None)
        else:
            house.ledger.abandon(one.batch)
