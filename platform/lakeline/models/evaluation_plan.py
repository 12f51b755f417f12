"""How a model's declaration wants its trainings evaluated and described."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import DomainError, names

if TYPE_CHECKING:
    from lakeline.contract import Contract
    from lakeline.models.thresholds import Costs

DERIVED = ("month", "weekday", "hour")
"""Slices that are taken from the time of the decision, in UTC, where the rows have no column of the name."""


class SlicesError(DomainError):
    """A model is to be measured by a column that its training set does not have."""

    def __init__(self, model: str, missing: Sequence[str], has: Sequence[str]) -> None:
        super().__init__(
            f"'{model}' has {names(missing)} in slices=, which its training set does not have. "
            f"Its columns are {names(has, 40)}; {', '.join(DERIVED)} are taken from the time of the decision."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationPlan:
    """How a model's trainings are evaluated and described; changing it is no reason to train again.

    Attributes:
        slices: Columns that the rows are parted by.
        costs: Of wrong decisions, for the table of thresholds.
        limits: What the model cannot do, in sentences.
        intended_use: What it is for; empty for what the function's docstring says.
        evidently: Whether each training writes Evidently's page too, which takes seconds.
    """

    slices: tuple[str, ...] = ()
    costs: "Costs | None" = None
    limits: tuple[str, ...] = ()
    intended_use: str = ""
    evidently: bool = False


def require_slices(model: str, plan: EvaluationPlan, contract: "type[Contract]") -> None:
    """Refuse slices that cannot be made.

    Raises:
        SlicesError: It says which.
    """
    has = list(contract.columns)
    missing = [name for name in plan.slices if name not in has and name not in DERIVED]
    if missing:
        raise SlicesError(model, missing, has)
