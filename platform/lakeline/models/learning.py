"""What a model learns from, and how its challengers are judged, as its asset declares them."""

from dataclasses import dataclass, replace

from lakeline.models.metrics import LEVEL


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
