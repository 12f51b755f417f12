"""What a person types for a version of a model, ``delay_lightgbm@3``, and what it means."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import DomainError, UnknownModelError

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.project import Project


class VersionSyntaxError(DomainError):
    """A version of a model is not written as one."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"'{given}' names no version of a model. Write MODEL@VERSION, such as delay_lightgbm@3, "
            "or MODEL@champion."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A version that a person named.

    Attributes:
        node: The model asset.
        number: Of the version.
    """

    node: "Node"
    number: int

    def __str__(self) -> str:
        """As a person would write it, in full."""
        return f"{self.node.asset}@{self.number}"


def find_version(project: "Project", given: str) -> Named:
    """The version that is meant by ``model@number`` or ``model@alias``.

    Raises:
        VersionSyntaxError: It is written in another way.
        UnknownAssetError, NoModelError: There is no such model.
        UnknownModelError: It has no such version or alias.
    """
    from lakeline.cli.promoting import model_named

    model, at, which = given.rpartition("@")
    if not (at and model and which):
        raise VersionSyntaxError(given)
    node = model_named(project, model)
    registry = project.house.registry
    if which.isdigit():
        return Named(node=node, number=registry.version(node.table, int(which)).version)
    number = registry.aliased(node.table, which)
    if number is None:
        known = [f"version {one.version}" for one in registry.versions(node.table)]
        raise UnknownModelError(node.table, which, known)
    return Named(node=node, number=number)
