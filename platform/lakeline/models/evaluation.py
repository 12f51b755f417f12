"""How good scores are: ranking, precision, probability and calibration, beside two baselines.

Definitions follow scikit-learn's metrics of the same names; they are written out here because importing scikit-learn
costs three times what importing Dagster does. Shapes: N rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.errors import EvaluationError
from lakeline.models.booster import ROUNDS, train_booster
from lakeline.models.training_set import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.models.rows import Rows

    Floats = npt.NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-15
"""Scores are kept this far from 0 and 1 in the log loss, which would be infinite there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Quality of scores against labels.

    Attributes:
        auc: Area under the ROC curve: chance that a positive row scores above a negative one. NaN if one kind is absent.
        average_precision: Precision averaged over recall. NaN without positive rows.
        brier: Mean squared distance of score and label.
        log_loss: Mean negative log likelihood, in nats.
        calibration_gap: Mean score minus share of positive rows; above 0 the scores promise too much.
        rows: Rows compared.
        share: Share of positive rows.
    """

    auc: float
    average_precision: float
    brier: float
    log_loss: float
    calibration_gap: float
    rows: int
    share: float


def evaluate(
    labels: "npt.ArrayLike | pl.Series",
    scores: "npt.ArrayLike | pl.Series",
) -> Metrics:
    """Quality of ``scores``, which are probabilities, against ``labels``, which are 0 or 1.

    Raises:
        EvaluationError: There are no rows, lengths differ, a label is not 0 or 1, a score is null or no probability.
    """
    import numpy as np

    labels_N, scores_N = require_comparable(labels, scores)
    share = float(labels_N.mean())
    ranking = Ranking.of(labels_N, scores_N)
    return Metrics(
        auc=ranking.auc(),
        average_precision=ranking.average_precision(),
        brier=float(np.mean((scores_N - labels_N) ** 2)),
        log_loss=float(log_losses(labels_N, scores_N).mean()),
        calibration_gap=float(scores_N.mean()) - share,
        rows=len(labels_N),
        share=share,
    )


def evaluate_by(
    groups: "Sequence[object] | npt.NDArray[Any] | pl.Series",
    labels: "npt.ArrayLike | pl.Series",
    scores: "npt.ArrayLike | pl.Series",
) -> Mapping[str, Metrics]:
    """Quality within each group, by the group's text, in its order.

    Raises:
        EvaluationError: As :func:`evaluate`, or there are more or fewer groups than rows.
    """
    import numpy as np

    labels_N, scores_N = require_comparable(labels, scores)
    names_N = np.array([str(group) for group in groups])
    if len(names_N) != len(labels_N):
        raise EvaluationError(f"{len(names_N):,} groups for {len(labels_N):,} rows")
    return {
        str(name): evaluate(labels_N[names_N == name], scores_N[names_N == name])
        for name in np.unique(names_N)
    }


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Rows by their distinct scores, lowest first, so that weighing them again and again is cheap.

    Attributes:
        labels_N: 0 or 1, shape ``(N,)``.
        place_N: Place of each row's score among the distinct ones, shape ``(N,)``.
    """

    labels_N: "Floats"  # noqa: N815 - arrays carry their shape
    place_N: "npt.NDArray[np.int64]"  # noqa: N815 - likewise

    @classmethod
    def of(cls, labels_N: "Floats", scores_N: "Floats") -> "Ranking":
        """The ranking of rows by any numbers."""
        import numpy as np

        _, place_N = np.unique(scores_N, return_inverse=True)
        return cls(labels_N, place_N)

    def auc(self, weights_N: "Floats | None" = None) -> float:
        """Area under the ROC curve, ties counting half; NaN if all labels are equal.

        Args:
            weights_N: How often each row counts, shape ``(N,)``; once without.
        """
        import numpy as np

        positive, negative = self._totals(weights_N)
        if not positive.sum() or not negative.sum():
            return float("nan")
        below = np.cumsum(negative) - negative
        pairs = float(np.sum(positive * (below + negative / 2)))
        return pairs / float(positive.sum() * negative.sum())

    def average_precision(self, weights_N: "Floats | None" = None) -> float:
        """Sum over the distinct scores, from the highest, of precision times the recall gained; NaN without positives."""
        import numpy as np

        positive, negative = self._totals(weights_N)
        if not positive.sum():
            return float("nan")
        gained = positive[::-1]
        found = np.cumsum(gained)
        reached = found + np.cumsum(negative[::-1])
        # Where nothing was drawn yet there is no precision, and nothing was gained either.
        precision = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
        return float(np.sum(precision * gained) / found[-1])

    def _totals(self, weights_N: "Floats | None") -> "tuple[Floats, Floats]":
        """Weight of positive and of negative rows at each distinct score."""
        import numpy as np

        often_N = np.ones(len(self.labels_N)) if weights_N is None else weights_N
        positive = np.bincount(self.place_N, often_N * self.labels_N).astype(np.float64)
        return positive, np.bincount(self.place_N, often_N).astype(np.float64) - positive


def auc(labels_N: "Floats", scores_N: "Floats", weights_N: "Floats | None" = None) -> float:
    """Area under the ROC curve; see `Ranking.auc`."""
    return Ranking.of(labels_N, scores_N).auc(weights_N)


def average_precision(labels_N: "Floats", scores_N: "Floats") -> float:
    """Mean of the precision over the recall; see `Ranking.average_precision`."""
    return Ranking.of(labels_N, scores_N).average_precision()


def log_losses(labels_N: "Floats", scores_N: "Floats") -> "Floats":
    """Negative log likelihood of each row, in nats, shape ``(N,)``."""
    import numpy as np

    safe_N = np.clip(scores_N, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -np.where(labels_N == 1, np.log(safe_N), np.log1p(-safe_N))


def share_baseline(train: "Rows", test: TrainingSet) -> Metrics:
    """Quality of giving every row of ``test`` the share of positive rows in ``train``: what knowing nothing is worth."""
    return evaluate(test.labels(), share_scores(train, test))


def share_scores(train: "Rows", test: TrainingSet) -> "Floats":
    """The share of positive rows in ``train`` for each row of ``test``, shape ``(N,)``."""
    import numpy as np

    return np.full(test.frame.height, train.share)


def schedule_baseline(
    train: "Rows",
    test: TrainingSet,
    columns: Sequence[str],
    *,
    params: Mapping[str, object] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Metrics:
    """Quality of a booster that reads ``columns`` alone: what the features beyond them are worth is the difference."""
    scores_N = schedule_scores(train, test, columns, params=params, rounds=rounds, seed=seed)
    return evaluate(test.labels(), scores_N)


def schedule_scores(
    train: "Rows",
    test: TrainingSet,
    columns: Sequence[str],
    *,
    params: Mapping[str, object] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> "Floats":
    """Scores of ``test`` by a booster that reads ``columns`` alone, shape ``(N,)``."""
    model = train_booster(train.only(columns), params=params, rounds=rounds, seed=seed)
    return model.predict(test.frame)


def require_comparable(
    labels: "npt.ArrayLike | pl.Series", scores: "npt.ArrayLike | pl.Series"
) -> "tuple[Floats, Floats]":
    """Labels and scores as arrays, shape ``(N,)`` each.

    Raises:
        EvaluationError: There are no rows, lengths differ, a label is not 0 or 1, a score is null or no probability.
    """
    labels_N, scores_N = floats(labels), floats(scores)
    if len(labels_N) != len(scores_N):
        raise EvaluationError(f"{len(labels_N):,} labels for {len(scores_N):,} scores")
    if not len(labels_N):
        raise EvaluationError("there are no rows")
    odd = int(((labels_N != 0) & (labels_N != 1)).sum())
    if odd:
        raise EvaluationError(f"{odd:,} of {len(labels_N):,} labels are neither 0 nor 1")
    odd = int((~((scores_N >= 0) & (scores_N <= 1))).sum())
    if odd:
        raise EvaluationError(f"{odd:,} of {len(scores_N):,} scores are no probability")
    return labels_N, scores_N


def floats(values: "npt.ArrayLike | pl.Series") -> "Floats":
    """Shape ``(N,)``; nulls become NaN."""
    import numpy as np
    import polars as pl

    if isinstance(values, pl.Series):
        return values.cast(pl.Float64).to_numpy()
    return np.asarray(values, dtype=np.float64)
