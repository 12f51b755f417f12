"""Settings that a search found, and how they reach the function that trains.

A model's function takes ``(train, seed)``, or ``(train, seed, params)`` where it can be searched. What a search found goes on
with the champion: the next training takes the champion's settings, and a champion without any leaves the function its own.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lakeline.domain.node import Node

if TYPE_CHECKING:
    from lakeline.models.trial import Train
    from lakeline.models.version_files import RegisteredVersion

CHOSEN = "lakeline.chosen"
"""Tag of a version: the settings that its function was given, JSON."""
PARAMS = "params"


def arguments_of(function: Callable[..., object]) -> tuple[str, ...]:
    """What a model's function is given."""
    is_searchable = PARAMS in inspect.signature(function).parameters
    return ("train", "seed", PARAMS) if is_searchable else ("train", "seed")


def is_searchable(node: Node) -> bool:
    """Whether a model's function takes settings."""
    return PARAMS in arguments_of(node.function)


def trainer(node: Node, chosen: Mapping[str, object]) -> "Train":
    """The model's function with these settings, if it takes any."""
    if not is_searchable(node):
        return node.function
    settings = dict(chosen)
    return lambda train, seed: node.function(train, seed, params=settings)


def chosen_of(node: Node, champion: "RegisteredVersion | None") -> dict[str, object]:
    """The settings that the champion was trained with, beside what its function says itself."""
    if champion is None or not is_searchable(node):
        return {}
    found: dict[str, object] = json.loads(champion.tags.get(CHOSEN, "{}"))
    return found
