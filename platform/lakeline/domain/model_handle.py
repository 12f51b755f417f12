"""The handle on a model: the champion that other assets use, pinned when the run began."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakeline.domain.champion import in_service
from lakeline.domain.handles import MissingInputError
from lakeline.domain.node import Node
from lakeline.domain.reads import Read
from lakeline.errors import DomainError
from lakeline.ledger import Input
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.ledger import Current
    from lakeline.models.training import TrainedModel
    from lakeline.resource import Lakehouse


@dataclass(kw_only=True)
class ModelHandle:
    """The present champion of a model asset."""

    node: Node
    trained: "TrainedModel"
    current: "Current"
    is_read: bool = False
    fetched: set[str] = field(default_factory=set)

    def argument(self) -> "TrainedModel":
        """What the function is given."""
        self.is_read = True
        self.fetched.update(self.trained.features)
        return self.trained

    def upstream(self, _partition: str) -> tuple[str, ...]:
        """The one partition of a model."""
        return (WHOLE,)

    def inputs(self, _partition: str) -> tuple[Input, ...]:
        """What the ledger keeps of this dependency."""
        return (
            Input(
                asset=self.node.asset,
                partition=WHOLE,
                version=self.current.version,
                snapshot_id=None,
                columns=tuple(sorted(self.fetched)),
            ),
        )


def open_model(house: "Lakehouse", read: Read, reader: Node) -> ModelHandle:
    """A handle on the champion.

    Raises:
        MissingInputError: The model has no champion.
        ForeignChampionError: Somebody moved its alias without lakeline.
        DomainError: The upstream asset is no model.
    """
    node = read.node
    if node.layer != "models":
        raise DomainError(
            f"'{reader.asset}' reads '{node.asset}', which is neither a table nor a model."
        )
    champion, held = in_service(house, node)
    if champion is None or held is None:
        raise MissingInputError(reader.asset, node.asset, (WHOLE,))
    trained = house.registry.load(node.table, champion.version)
    return ModelHandle(node=node, trained=trained, current=held)
