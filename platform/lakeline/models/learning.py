"""What a model learns from, and how its challengers are judged, as its asset declares them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.errors import DomainError, names
from lakeline.models.metrics import LEVEL

if TYPE_CHECKING:
    from lakeline.contract import Contract


class LearningError(DomainError):
    """A model is declared so that it could not learn, or would learn what it is to predict."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"Model '{model}' {problem}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Learning:
    """What a model learns from.

    Attributes:
        features: Columns of the training set that the model reads, in its order.
        categorical: Those whose values are names, not amounts.
        label: Column that it predicts, null while unknown.
        at: Column with the time of each decision.
        known: Column with the time when the label was known; rows whose label came after the split are not trained on.
        schedule: Features known long before; a model on these alone is the baseline to beat.
        refit: Whether a challenger that wins is trained again, on the days that judged it too, before it serves.
    """

    features: tuple[str, ...]
    label: str
    at: str
    known: str
    categorical: tuple[str, ...] = ()
    schedule: tuple[str, ...] = ()
    refit: bool = True

    @property
    def columns(self) -> list[str]:
        """Every column that training and evaluating take, each once."""
        named = (*self.features, *self.schedule, self.label, self.at, self.known)
        return list(dict.fromkeys(named))


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRules:
    """How challengers are judged.

    Attributes:
        metric: What is compared, one of `lakeline.models.metrics.METRICS`.
        days: Newest labelled days that are compared on, at most.
        min_days: With fewer days outside both training windows nothing can be told, and the champion stays.
        level: Confidence of the interval, which has equal tails.
    """

    metric: str = "brier"
    days: int = 14
    min_days: int = 7
    level: float = LEVEL

    def over(self, days: int) -> "GateRules":
        """The same rules over other days."""
        return replace(self, days=days, min_days=min(self.min_days, days))


def require_learnable(model: str, learning: Learning, contract: "type[Contract]") -> None:
    """Refuse a declaration that no training could follow.

    Args:
        model: ``domain/name``.
        learning: What is declared.
        contract: Columns of its training set.

    Raises:
        LearningError: It says which argument, and what to do.
    """
    if not learning.features:
        raise LearningError(model, "has no features=. Name the columns that it predicts from.")
    _refuse_label(model, learning)
    for argument in ("features", "categorical", "schedule"):
        _refuse_twice(model, argument, getattr(learning, argument))
    missing = [name for name in learning.columns if name not in contract.columns]
    if missing:
        raise LearningError(
            model,
            f"names {names(missing)}, which its training set does not have. It has {names(contract.columns, 40)}.",
        )
    strangers = [name for name in learning.categorical if name not in learning.features]
    if strangers:
        raise LearningError(
            model,
            f"has {names(strangers)} in categorical= but not in features=. Put it into both, or take it out of categorical=.",
        )


def _refuse_label(model: str, learning: Learning) -> None:
    for argument in ("features", "schedule"):
        if learning.label in getattr(learning, argument):
            raise LearningError(
                model,
                f"has its label '{learning.label}' in {argument}=: it would be told what it is to predict. Take it out.",
            )


def _refuse_twice(model: str, argument: str, columns: Sequence[str]) -> None:
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise LearningError(
            model, f"has {names(twice)} more than once in {argument}=. Name each once."
        )
