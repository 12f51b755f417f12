"""What the policies would have earned on logged days: estimates, contrasts and the words for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.shop.files import KEY
from assets.shop.policies import POLICIES, RECOMMENDERS

if TYPE_CHECKING:
    import polars as pl

    from lakeline.models.off_policy import Contrast, Logged, Policy, Value

LOGGING = {"logged_random": "random", "logged_bts": "bts"}
"""The logging policies themselves, each told by its own rows alone: what it gave on the other's is not logged."""
RIVALS = ("popularity_greedy", "popularity_softmax", "uniform", "logged_bts")
DECIDING = "dr"
"""Estimator whose intervals decide: it takes from the model what the few clicks cannot say."""
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyValues:
    """The values of all policies on some days.

    Attributes:
        values: By estimator and policy.
        contrasts: The recommenders against their rivals, by the deciding estimator.
        weight_errors: For each policy and log, how many standard errors the mean weight is off 1.
        from_chance: Share of each policy's choices that differ from those of chance (total variation), told by the
            uniform log.
        days, rows, clicks: What was logged.
    """

    values: "Mapping[str, Mapping[str, Value]]"
    contrasts: "tuple[Contrast, ...]"
    weight_errors: Mapping[str, float]
    from_chance: Mapping[str, float]
    days: tuple[str, ...]
    rows: int
    clicks: int

    @property
    def worse(self) -> "tuple[Contrast, ...]":
        """The contrasts that a recommender lost beyond its interval."""
        return tuple(one for one in self.contrasts if one.verdict == "worse")

    def of(self, policy: str, estimator: str = DECIDING) -> "Value":
        """One estimate."""
        return self.values[estimator][policy]


def policy_values(
    choices: "pl.DataFrame",
    impressions: "pl.DataFrame",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PolicyValues:
    """The value of every policy on the impressions whose click is known.

    Rows of one profile of visitors are drawn together: it is what is nearest to a visitor in the data.

    Args:
        choices: What each policy would have done, as `assets.shop.contracts.Choice` has it.
        impressions: The same impressions with propensity, click and profile.
        resamples: How often profiles are drawn.
        seed: Of the draws.

    Raises:
        EvaluationError: There are no rows.
    """
    import polars as pl

    from lakeline.models.off_policy import ESTIMATORS, Logged, contrast, evaluate_policies

    rows = impressions.drop_nulls("is_clicked").sort(KEY)
    logged = Logged(
        rewards_N=rows["is_clicked"].cast(pl.Float64).to_numpy(),
        propensities_N=rows["propensity"].to_numpy(),
        loggers_N=rows["log"].to_numpy(),
        blocks_N=rows["profile"].to_numpy(),
    )
    asked = [*_asked(choices, rows), *_logging(logged)]
    values = {
        name: evaluate_policies(logged, asked, name, resamples=resamples, seed=seed)
        for name in ESTIMATORS
    }
    decided = values[DECIDING]
    return PolicyValues(
        values=values,
        contrasts=tuple(
            contrast(decided[one], decided[rival]) for one in RECOMMENDERS for rival in RIVALS
        ),
        weight_errors=dict(_weight_errors(logged, asked)),
        from_chance=dict(_from_chance(logged, asked)),
        days=tuple(rows["event_ts"].dt.strftime("%Y-%m-%d").unique().sort()),
        rows=rows.height,
        clicks=int(logged.rewards_N.sum()),
    )


def _asked(choices: "pl.DataFrame", rows: "pl.DataFrame") -> "Iterator[Policy]":
    import polars as pl

    from lakeline.models.off_policy import Policy

    for name in POLICIES:
        of_policy = choices.filter(pl.col("policy") == name)
        on = rows.select(KEY).join(of_policy, on=KEY, how="left", maintain_order="left")
        yield Policy(
            name=name,
            probability_N=on["probability"].to_numpy(),
            expected_N=on["expected_click_rate"].to_numpy(),
            predicted_N=on["predicted_click_rate"].to_numpy(),
        )


def _logging(logged: "Logged") -> "Iterator[Policy]":
    """The loggers as policies: all weights are 1 on their own rows, and every estimator is the share of clicks."""
    import numpy as np

    from lakeline.models.off_policy import Policy

    nothing_N = np.zeros(len(logged.rewards_N))
    for name, log in LOGGING.items():
        own_N = np.where(logged.loggers_N == log, logged.propensities_N, np.nan)
        yield Policy(name=name, probability_N=own_N, expected_N=nothing_N, predicted_N=nothing_N)


def _weight_errors(logged: "Logged", policies: "Sequence[Policy]") -> Iterator[tuple[str, float]]:
    import numpy as np

    from lakeline.models.off_policy import weights

    for policy in policies:
        weight_N = weights(logged, policy)
        for log in np.unique(logged.loggers_N):
            own = weight_N[(logged.loggers_N == log) & ~np.isnan(weight_N)]
            if len(own) > 1 and own.std() > 0:
                error = own.std(ddof=1) / len(own) ** 0.5
                yield f"{policy.name} on {log}", float((own.mean() - 1) / error)


def _from_chance(logged: "Logged", policies: "Sequence[Policy]") -> Iterator[tuple[str, float]]:
    """Half the mean distance of the weights from 1 where each item was shown alike."""
    import numpy as np

    from lakeline.models.off_policy import weights

    is_uniform_N = logged.loggers_N == LOGGING["logged_random"]
    for policy in policies:
        apart = np.abs(weights(logged, policy)[is_uniform_N] - 1)
        if len(apart) and not np.isnan(apart).any():
            yield policy.name, float(apart.mean() / 2)
