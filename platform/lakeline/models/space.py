"""What a search is declared with: a space of settings, in words that need no library, and the bounds of searching it.

space = {"learning_rate": ("log", 0.01, 0.3), "num_leaves": ("int", 15, 255), "boosting": ("choice", "gbdt", "dart")}
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.errors import DomainError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Mapping[str, Sequence[Any]]
KINDS = ("float", "log", "int", "logint", "choice")
PLAIN = (bool, int, float, str, type(None))


class SpaceError(DomainError):
    """A space that cannot be searched."""

    def __init__(self, search: str, name: str, problem: str) -> None:
        where = f", '{name}'" if name else ""
        super().__init__(
            f"The space of '{search}'{where} {problem}. Write for example "
            '{"learning_rate": ("log", 0.01, 0.3), "num_leaves": ("int", 15, 255), "boosting": ("choice", "gbdt", "dart")}.'
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One setting.

    Attributes:
        name: As the model's function is given it.
        kind: One of ``KINDS``: evenly over a range, evenly over its logarithm, whole numbers, or a choice.
        values: The two ends, both included, or what is chosen from.
    """

    name: str
    kind: str
    values: tuple[Any, ...]

    def distribution(self) -> "BaseDistribution":
        """As Optuna draws it."""
        from optuna import distributions

        if self.kind == "choice":
            return distributions.CategoricalDistribution(self.values)
        low, high = self.values
        if self.kind in ("int", "logint"):
            return distributions.IntDistribution(low, high, log=self.kind == "logint")
        return distributions.FloatDistribution(low, high, log=self.kind == "log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A search as it was declared.

    Attributes:
        name: ``domain/name`` of its asset.
        dimensions: What is searched.
        trials: How many, at most.
        seconds: How long, over all its runs; a trial under way is ended first.
        metric: One of `lakeline.models.metrics.METRICS`.
        seed: Of the settings and of every training.
        is_pruning: Whether a trial ends early that is behind the median of the others on the folds so far.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    trials: int
    seconds: float
    metric: str
    seed: int = 0
    is_pruning: bool = False

    def key(self, *more: object) -> str:
        """Name of the study: another one where a trial would have another result."""
        told = [
            self.name,
            self.metric,
            self.seed,
            self.is_pruning,
            str(self.dimensions),
            *map(str, more),
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def dimensions(search: str, space: Space) -> tuple[Dimension, ...]:
    """The settings of a space, by name.

    Args:
        search: The search asset, for errors.
        space: As it was declared.

    Raises:
        SpaceError: It says which setting, and what is wrong with it.
    """
    if not space:
        raise SpaceError(search, "", "is empty")
    return tuple(_dimension(search, name, space[name]) for name in sorted(space))


def _dimension(search: str, name: str, told: Sequence[Any]) -> Dimension:
    if isinstance(told, str) or not told or told[0] not in KINDS:
        raise SpaceError(
            search, name, f"is {told!r}, and its first word is none of {', '.join(KINDS)}"
        )
    kind, *values = told
    problem = _choice_problem(values) if kind == "choice" else _range_problem(kind, values)
    if problem:
        raise SpaceError(search, name, problem)
    if kind in ("float", "log"):
        values = [float(one) for one in values]
    return Dimension(name=name, kind=kind, values=tuple(values))


def _choice_problem(values: Sequence[Any]) -> str:
    if len(values) < 2:
        return f"has {len(values)} to choose from, and a choice has two or more"
    odd = [one for one in values if not isinstance(one, PLAIN)]
    return f"has {odd[0]!r}, and a choice is of numbers, texts, truths and None" if odd else ""


def _range_problem(kind: str, values: Sequence[Any]) -> str:
    wanted = (int,) if kind in ("int", "logint") else (int, float)
    is_pair = len(values) == 2 and all(
        isinstance(one, wanted) and not isinstance(one, bool) and math.isfinite(one)
        for one in values
    )
    if not is_pair:
        number = "whole number" if len(wanted) == 1 else "number"
        return f"has {tuple(values)!r} for its ends, and they are a lower and an upper {number}"
    low, high = values
    if low >= high:
        return f"goes from {low} to {high}, which is no range"
    if kind in ("log", "logint") and low <= 0:
        return f"begins at {low}, and a logarithm begins above 0"
    return ""
