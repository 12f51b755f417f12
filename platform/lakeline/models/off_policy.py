"""What a policy would have earned, from what other policies logged: estimates with intervals, and which policy is better.

A policy gives each action of a context a probability; a logger is a policy that ran, and logged one action a row, the
probability that it gave that action (the propensity) and what the action earned. Three estimators, all of them a sum over
rows divided by another:

- ``ips``, inverse propensity scores: unbiased, and of great variance (Horvitz and Thompson 1952; for policies Strehl,
  Langford, Li and Kakade 2010, https://arxiv.org/abs/1003.0120);
- ``snips``, the same divided by the sum of the weights: never outside what was earned, its bias vanishes with the rows
  (Swaminathan and Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning");
- ``dr``, doubly robust: what a model of the earnings expects, and the weighted rest; unbiased where either the propensities
  or the model are right, provided that the model has not seen the rows (Dudík, Langford and Li 2011,
  https://arxiv.org/abs/1103.4601).

Where several loggers ran, each gives its own estimate, and those are averaged by how evenly their rows are weighted, which
is the weighted estimator of Agarwal, Basu, Schnabel and Joachims (2017, https://arxiv.org/abs/1703.06180) with the variance
of the weights in place of that of the weighted earnings, so that no chance click decides which logger counts.

Shapes: N rows, A actions, L loggers, B blocks of rows that are drawn together, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from lakeline.errors import EvaluationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Sums = Callable[["Logged", "Policy"], tuple[Floats, Floats]]
    """Numerator and denominator of each row, shape ``(N,)`` each."""

Verdict = Literal["better", "worse", "tie", "unknown"]

RESAMPLES = 2000
LEVEL = 0.95
FEWEST_REWARDED = 5
"""Rewarded rows that a policy would have chosen too, below which its interval says nothing: resamples of no click have none."""


class PropensityError(EvaluationError):
    """What a logger says of its probabilities cannot be."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Logged:
    """What was logged, one action a row.

    Attributes:
        rewards_N: What each action earned.
        propensities_N: Probability that its logger gave it, above 0 and at most 1.
        loggers_N: Name of the logger of each row.
        blocks_N: What rows are drawn together: a user, a day.
    """

    rewards_N: "Floats"  # noqa: N815 - arrays carry their shape
    propensities_N: "Floats"  # noqa: N815
    loggers_N: "npt.NDArray[Any]"  # noqa: N815
    blocks_N: "npt.NDArray[Any]"  # noqa: N815

    def __post_init__(self) -> None:
        rows = len(self.rewards_N)
        if not rows:
            raise EvaluationError("there are no logged rows")
        for name in ("propensities_N", "loggers_N", "blocks_N"):
            if len(getattr(self, name)) != rows:
                raise EvaluationError(f"{len(getattr(self, name)):,} {name} for {rows:,} rows")
        wrong = int((~((self.propensities_N > 0) & (self.propensities_N <= 1))).sum())
        if wrong:
            raise PropensityError(f"{wrong:,} of {rows:,} propensities are not above 0 and at most 1")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Policy:
    """A policy as the estimators need it, on the rows of a log.

    Attributes:
        name: What it is called.
        probability_N: What it gives the logged action; NaN where that is not known, and the row is left out.
        expected_N: What a model expects it to earn in each row's context: the sum over the actions of its probability
            times the model's value. Only ``dr`` reads it.
        predicted_N: What the model expects of the logged action. Only ``dr`` reads it.
    """

    name: str
    probability_N: "Floats"  # noqa: N815 - arrays carry their shape
    expected_N: "Floats | None" = None  # noqa: N815
    predicted_N: "Floats | None" = None  # noqa: N815


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Value:
    """An estimate of what a policy earns a row.

    Attributes:
        low, high: Interval over resampled blocks, with equal tails.
        effective_rows: Rows that weigh alike would tell as much: Kish's (sum of weights)^2 / (sum of squares), added up over
            the loggers.
        rewarded_rows: Rows with a reward that the policy might have chosen too.
        rows: Rows that were used.
        drawn_R: The estimate on each resample.
    """

    policy: str
    estimator: str
    value: float
    low: float
    high: float
    effective_rows: float
    rewarded_rows: int
    rows: int
    drawn_R: "Floats" = field(repr=False)  # noqa: N815 - arrays carry their shape

    @property
    def is_known(self) -> bool:
        """Whether enough rewards were seen for the interval to mean something."""
        return self.rewarded_rows >= FEWEST_REWARDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One policy against another on the same resamples.

    Attributes:
        gain: By how much the first earns more a row.
        low, high: Interval of the gain.
        verdict: ``better`` or ``worse`` where the interval leaves out 0, ``tie`` where it does not, ``unknown`` where one of
            the two was hardly ever chosen by the loggers where something was earned.
    """

    first: str
    second: str
    gain: float
    low: float
    high: float
    verdict: Verdict

    @property
    def words(self) -> str:
        """The verdict as a sentence, rates in percent."""
        by = f"by {self.gain:+.2%} points ({self.low:+.2%} to {self.high:+.2%})"
        return {
            "better": f"{self.first} is better than {self.second}, {by}.",
            "worse": f"{self.first} is worse than {self.second}, {by}.",
            "tie": f"{self.first} and {self.second} are a tie: they differ {by}, which chance explains.",
            "unknown": f"{self.first} and {self.second} cannot be told apart: fewer than {FEWEST_REWARDED} rewards "
            "were logged for what one of them would choose.",
        }[self.verdict]


def evaluate_policies(
    logged: Logged,
    policies: Sequence[Policy],
    estimator: str,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Value]:
    """What each policy earns a row, by its name; all of them on the same resamples, so that they can be contrasted.

    Args:
        logged: What loggers wrote down.
        policies: On the rows of ``logged``.
        estimator: One of ``ESTIMATORS``.
        resamples: How often blocks are drawn.
        level: Confidence of the intervals.
        seed: Of the draws.

    Raises:
        EvaluationError: There is no such estimator, a policy is of other rows or has none, or ``dr`` is asked for a policy
            without a model's expectations.
    """
    import numpy as np

    if estimator not in ESTIMATORS:
        raise EvaluationError(f"there is no estimator '{estimator}'. Use one of {', '.join(ESTIMATORS)}")  # fmt: skip
    _, block_N = np.unique(logged.blocks_N, return_inverse=True)
    blocks = int(block_N.max()) + 1
    draw = np.random.default_rng(seed)
    often_RB = draw.multinomial(blocks, np.full(blocks, 1 / blocks), size=resamples).astype(float)
    return {one.name: _value(logged, one, estimator, block_N, often_RB, level) for one in policies}


def contrast(first: Value, second: Value, *, level: float = LEVEL) -> Contrast:
    """How two policies of one call of :func:`evaluate_policies` compare."""
    low, high = _interval(first.drawn_R - second.drawn_R, level)
    verdict: Verdict = "better" if low > 0 else "worse" if high < 0 else "tie"
    return Contrast(
        first=first.policy,
        second=second.policy,
        gain=first.value - second.value,
        low=low,
        high=high,
        verdict=verdict if first.is_known and second.is_known else "unknown",
    )


def weights(logged: Logged, policy: Policy) -> "Floats":
    """How much each row stands for under the policy: its probability over the logger's, shape ``(N,)``.

    Raises:
        EvaluationError: The policy is of other rows, or a probability is none.
    """
    import numpy as np

    if len(policy.probability_N) != len(logged.rewards_N):
        raise EvaluationError(f"policy '{policy.name}' has {len(policy.probability_N):,} rows, the log {len(logged.rewards_N):,}")  # fmt: skip
    is_wrong_N = (policy.probability_N < 0) | (policy.probability_N > 1 + 1e-9)
    if wrong := int(np.sum(is_wrong_N)):
        raise EvaluationError(f"{wrong:,} probabilities of policy '{policy.name}' are below 0 or above 1")  # fmt: skip
    return policy.probability_N / logged.propensities_N


def effective_rows(weights_N: "Floats") -> float:
    """Rows of equal weight that tell as much as these (Kish 1965): all of them where all weigh alike.

    >>> import numpy as np
    >>> effective_rows(np.array([2.0, 2.0, 0.0, 0.0]))
    2.0
    """
    squares = float((weights_N**2).sum())
    return float(weights_N.sum()) ** 2 / squares if squares else 0.0


def _value(
    logged: Logged,
    policy: Policy,
    estimator: str,
    block_N: "npt.NDArray[np.int64]",
    often_RB: "Floats",
    level: float,
) -> Value:
    import numpy as np

    weight_N = weights(logged, policy)
    is_known_N = ~np.isnan(weight_N)
    if not is_known_N.any():
        raise EvaluationError(f"policy '{policy.name}' says no probability of any logged action")
    numerator_N, denominator_N = ESTIMATORS[estimator](logged, policy)
    names = np.unique(logged.loggers_N[is_known_N])
    of_L = [is_known_N & (logged.loggers_N == name) for name in names]
    share_L = _shares([weight_N[one] for one in of_L])
    value, drawn_R, blocks = 0.0, np.zeros(len(often_RB)), often_RB.shape[1]
    for share, one in zip(share_L, of_L, strict=True):
        numerator_B = np.bincount(block_N[one], numerator_N[one], blocks)
        denominator_B = np.bincount(block_N[one], denominator_N[one], blocks)
        value += share * _ratio(numerator_B.sum(), denominator_B.sum())
        drawn_R += share * _ratio(often_RB @ numerator_B, often_RB @ denominator_B)
    low, high = _interval(drawn_R, level)
    return Value(
        policy=policy.name,
        estimator=estimator,
        value=float(value),
        low=low,
        high=high,
        effective_rows=sum(effective_rows(weight_N[one]) for one in of_L),
        rewarded_rows=int(((weight_N > 0) & (logged.rewards_N != 0)).sum()),
        rows=int(is_known_N.sum()),
        drawn_R=drawn_R,
    )


def _shares(weights_L: "Sequence[Floats]") -> list[float]:
    """How much the estimate of each logger counts: as its rows over the mean square of their weights; sums to 1.

    A logger whose rows the policy would never have chosen tells nothing, and a policy that none chose is told by all alike.
    """
    precision = [len(one) / max(float((one**2).mean()), 1e-12) if one.any() else 0.0 for one in weights_L]  # fmt: skip
    total = sum(precision)
    return [one / total if total else 1 / len(precision) for one in precision]


def _ratio(numerator: "Any", denominator: "Any") -> "Any":
    """One over the other; 0 where nothing was weighed."""
    import numpy as np

    above, below = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _interval(drawn_R: "Floats", level: float) -> tuple[float, float]:
    import numpy as np

    tail = (1 - level) / 2
    low, high = np.quantile(drawn_R, [tail, 1 - tail])
    return float(low), float(high)


def _ips(logged: Logged, policy: Policy) -> "tuple[Floats, Floats]":
    import numpy as np

    return weights(logged, policy) * logged.rewards_N, np.ones(len(logged.rewards_N))


def _snips(logged: Logged, policy: Policy) -> "tuple[Floats, Floats]":
    weight_N = weights(logged, policy)
    return weight_N * logged.rewards_N, weight_N


def _dr(logged: Logged, policy: Policy) -> "tuple[Floats, Floats]":
    import numpy as np

    if policy.expected_N is None or policy.predicted_N is None:
        raise EvaluationError(f"policy '{policy.name}' comes without a model's expectations, which dr needs")  # fmt: skip
    rest_N = weights(logged, policy) * (logged.rewards_N - policy.predicted_N)
    return policy.expected_N + rest_N, np.ones(len(logged.rewards_N))


ESTIMATORS: "Mapping[str, Sums]" = MappingProxyType({"ips": _ips, "snips": _snips, "dr": _dr})
"""Estimators by name, each as numerator and denominator of every row."""
