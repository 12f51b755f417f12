"""The estimators against cases that are counted by hand, and against a world in which the truth is known."""

from typing import Any

import numpy as np
import pytest

from lakeline.errors import EvaluationError
from lakeline.models.choosing import greedy, softmax
from lakeline.models.off_policy import (
    ESTIMATORS,
    FEWEST_REWARDED,
    Logged,
    Policy,
    PropensityError,
    contrast,
    effective_rows,
    evaluate_policies,
)

ACTIONS = 4
TRUTH = np.array([0.1, 0.2, 0.3, 0.6])
"""What each action earns on average, in every context."""
WORLDS = 200


def logged(rewards: Any, propensities: Any, loggers: Any = None, blocks: Any = None) -> Logged:
    rows = len(rewards)
    return Logged(
        rewards_N=np.array(rewards, float),
        propensities_N=np.array(propensities, float),
        loggers_N=np.array(["one"] * rows if loggers is None else loggers),
        blocks_N=np.arange(rows) if blocks is None else np.array(blocks),
    )


def policy(probability: Any, expected: Any = None, predicted: Any = None, name: str = "asked") -> Policy:  # fmt: skip
    given = [None if one is None else np.array(one, float) for one in (expected, predicted)]
    return Policy(name=name, probability_N=np.array(probability, float), expected_N=given[0], predicted_N=given[1])  # fmt: skip


def value(log: Logged, asked: Policy, estimator: str) -> float:
    return evaluate_policies(log, [asked], estimator, resamples=50)["asked"].value


# --- counted by hand --------------------------------------------------------------------------


def test_each_action_once_under_uniform_logging_gives_the_value_itself() -> None:
    """Four actions that earn 1, 0, 0 and 2, each logged once: always the last earns 2, half the first half the last 1.5."""
    log = logged([1, 0, 0, 2], [0.25] * 4)
    for estimator in ("ips", "snips"):
        assert value(log, policy([0, 0, 0, 1]), estimator) == pytest.approx(2.0)
        assert value(log, policy([0.5, 0, 0, 0.5]), estimator) == pytest.approx(1.5)
        assert value(log, policy([0.25] * 4), estimator) == pytest.approx(0.75)


def test_uneven_logging_is_weighed_out() -> None:
    """A logger that takes action A three times of four: A earns 1 and B earns 5, so half and half earns 3."""
    log = logged([1, 1, 1, 5], [0.75, 0.75, 0.75, 0.25])
    half = policy([0.5] * 4)
    assert value(log, half, "ips") == pytest.approx((3 * 1 * (0.5 / 0.75) + 5 * 2) / 4)
    assert value(log, half, "ips") == pytest.approx(3.0)
    assert value(log, half, "snips") == pytest.approx(3.0)


def test_the_two_weighted_estimators_differ_where_the_weights_do_not_sum_to_the_rows() -> None:
    """Action B was drawn twice as often as its propensity says: IPS doubles what it earned, SNIPS does not."""
    log = logged([0, 1, 1], [0.5, 1 / 3, 1 / 3])
    only_b = policy([0, 1, 1])
    assert value(log, only_b, "ips") == pytest.approx(2.0)
    assert value(log, only_b, "snips") == pytest.approx(1.0)


def test_a_right_model_makes_doubly_robust_exact_and_a_wrong_one_is_mended_by_the_weights() -> None:
    rewards = [1, 0, 0, 2]
    log = logged(rewards, [0.25] * 4)
    last = [0, 0, 0, 1]
    assert value(log, policy(last, expected=[2] * 4, predicted=rewards), "dr") == pytest.approx(2.0)
    wrong = policy(last, expected=[7] * 4, predicted=[7] * 4)
    assert value(log, wrong, "dr") == pytest.approx(2.0)
    nothing = policy(last, expected=[0] * 4, predicted=[0] * 4)
    assert value(log, nothing, "dr") == value(log, nothing, "ips")


def test_a_right_model_mends_wrong_propensities() -> None:
    rewards = np.array([1, 0, 0, 2])
    log = logged(rewards, [0.9, 0.4, 0.1, 0.7])
    asked = policy([0, 0, 0, 1], expected=[2] * 4, predicted=rewards)
    assert value(log, asked, "dr") == pytest.approx(2.0)
    assert value(log, asked, "ips") != pytest.approx(2.0)


def test_the_logger_itself_is_worth_its_mean_and_its_interval_has_no_width_where_all_earn_alike() -> (
    None
):
    log = logged([0.5] * 6, [0.2, 0.3, 0.5] * 2)
    for estimator in ("ips", "snips"):
        [found] = evaluate_policies(log, [policy([0.2, 0.3, 0.5] * 2)], estimator).values()
        assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
        assert found.effective_rows == pytest.approx(6)


def test_two_loggers_count_as_evenly_as_their_rows_weigh() -> None:
    """The first logger's weights are all 1, the second's 4 and 0: mean squares of 1 and 8, so the shares are 8 to 1."""
    log = logged([1, 1, 0, 3], [0.5, 0.5, 0.125, 0.125], loggers=["a", "a", "b", "b"])
    asked = policy([0.5, 0.5, 0.0, 0.5])
    assert value(log, asked, "ips") == pytest.approx(8 / 9 * 1.0 + 1 / 9 * 6.0)
    assert value(log, asked, "snips") == pytest.approx(8 / 9 * 1.0 + 1 / 9 * 3.0)


def test_a_logger_that_never_did_what_the_policy_does_tells_nothing() -> None:
    log = logged([1, 1, 9, 9], [0.5] * 4, loggers=["a", "a", "b", "b"])
    assert value(log, policy([0.5, 0.5, 0, 0]), "ips") == pytest.approx(1.0)


def test_rows_of_unknown_probability_are_left_out() -> None:
    log = logged([1, 0, 9, 9], [0.5] * 4, loggers=["a", "a", "b", "b"])
    [found] = evaluate_policies(log, [policy([0.5, 0.5, np.nan, np.nan])], "ips").values()
    assert (found.value, found.rows, found.rewarded_rows) == (0.5, 2, 1)


def test_effective_rows_are_those_of_equal_weights_and_fewer_of_unequal_ones() -> None:
    assert effective_rows(np.ones(10)) == pytest.approx(10)
    assert effective_rows(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_rows(np.zeros(3)) == 0


def test_greedy_shares_ties_and_softmax_goes_from_greedy_to_uniform() -> None:
    scores = np.array([[1.0, 2.0, 2.0], [3.0, -np.inf, 0.0]])
    assert greedy(scores).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]
    assert softmax(scores, 1e-3) == pytest.approx(greedy(scores))
    assert softmax(scores[:1], 1e6) == pytest.approx(np.full((1, 3), 1 / 3), abs=1e-5)
    assert softmax(np.log([[1.0, 2.0, 5.0]])) == pytest.approx(np.array([[0.125, 0.25, 0.625]]))
    assert softmax(scores)[1, 1] == 0
    assert softmax(scores).sum(axis=1) == pytest.approx([1, 1])


# --- a world in which the truth is known ------------------------------------------------------


def world(seed: int, rows: int = 600) -> tuple[Logged, Policy, float]:
    """Rows of two loggers, a policy that is neither, and its true value; the model of earnings is wrong by a half."""
    draw = np.random.default_rng(seed)
    loggers = np.array([[0.25] * 4, [0.1, 0.2, 0.5, 0.2]])
    asked = np.array([0.1, 0.1, 0.2, 0.6])
    which_N = draw.integers(0, 2, rows)
    action_N = np.array([draw.choice(ACTIONS, p=loggers[one]) for one in which_N])
    rewards_N = (draw.random(rows) < TRUTH[action_N]).astype(float)
    log = logged(rewards_N, loggers[which_N, action_N], loggers=which_N.astype(str))
    model = TRUTH * 0.5
    expected_N = np.full(rows, asked @ model)
    return log, policy(asked[action_N], expected_N, model[action_N]), float(asked @ TRUTH)


@pytest.mark.parametrize("estimator", list(ESTIMATORS))
def test_estimates_are_unbiased_and_their_intervals_cover_the_truth(estimator: str) -> None:
    values, covered, truth = [], 0, 0.0
    for seed in range(WORLDS):
        log, asked, truth = world(seed)
        found = evaluate_policies(log, [asked], estimator, resamples=300, seed=seed)["asked"]
        values.append(found.value)
        covered += found.low <= truth <= found.high
    error = np.std(values, ddof=1) / WORLDS**0.5
    assert abs(np.mean(values) - truth) < 4 * error
    assert 0.89 <= covered / WORLDS <= 0.99
    assert error > 0


def test_doubly_robust_varies_less_than_ips() -> None:
    spread = {}
    for estimator in ("ips", "dr"):
        found = [value(*world(seed)[:2], estimator) for seed in range(60)]
        spread[estimator] = np.std(found)
    assert spread["dr"] < spread["ips"]


def test_the_plain_mean_of_another_policys_rewards_is_biased() -> None:
    """What the estimators are for: without weights the answer is surely wrong."""
    means = [float(world(seed)[0].rewards_N.mean()) for seed in range(WORLDS)]
    truth = world(0)[2]
    assert abs(np.mean(means) - truth) > 10 * np.std(means) / WORLDS**0.5


def test_rows_of_one_visitor_are_drawn_together() -> None:
    """The same rows ten times over tell nothing new: by row the interval is too narrow by the root of ten."""
    log, asked, _ = world(1, rows=200)
    often = np.repeat(np.arange(200), 10)
    parts = log.rewards_N[often], log.propensities_N[often], log.loggers_N[often]
    asked = policy(asked.probability_N[often])
    widths = []
    for blocks in (np.arange(2000), often):
        [found] = evaluate_policies(logged(*parts, blocks=blocks), [asked], "ips").values()
        widths.append(found.high - found.low)
    assert widths[1] / widths[0] == pytest.approx(10**0.5, rel=0.2)


# --- one policy against another ---------------------------------------------------------------


def test_a_better_policy_is_called_better_and_the_other_worse() -> None:
    log, _, _ = world(3, rows=3000)
    action_N = np.where(log.rewards_N == 1, 3, 0)
    best, worst = policy(np.where(action_N == 3, 0.5, 0.1), name="best"), policy(np.where(action_N == 3, 0.1, 0.5), name="worst")  # fmt: skip
    found = evaluate_policies(log, [best, worst], "snips")
    one, other = contrast(found["best"], found["worst"]), contrast(found["worst"], found["best"])
    assert (one.verdict, other.verdict) == ("better", "worse")
    assert one.low > 0 > other.high
    assert one.words.startswith("best is better than worst, by +")


def test_equal_policies_are_a_tie_in_words() -> None:
    log, asked, _ = world(4)
    found = evaluate_policies(log, [asked, policy(asked.probability_N, name="same")], "ips")
    same = contrast(found["asked"], found["same"])
    assert (same.verdict, same.gain, same.low, same.high) == ("tie", 0, 0, 0)
    assert same.words == (
        "asked and same are a tie: they differ by +0.00% points (+0.00% to +0.00%), which chance explains."
    )


def test_too_few_rewards_are_no_verdict_however_narrow_the_interval() -> None:
    """A policy that was never chosen where something was earned: every resample says 0, and that is no knowledge."""
    rewards = [0.0] * 90 + [1.0] * 10
    log = logged(rewards, [0.5] * 100)
    never, always = policy([1] * 90 + [0] * 10, name="never"), policy([0.5] * 100, name="always")
    found = evaluate_policies(log, [never, always], "ips")
    assert (found["never"].value, found["never"].high) == (0, 0)
    assert (found["never"].is_known, found["always"].is_known) == (False, True)
    told = contrast(found["never"], found["always"])
    assert told.verdict == "unknown"
    assert f"fewer than {FEWEST_REWARDED} rewards" in told.words


def test_equal_arguments_give_equal_numbers() -> None:
    log, asked, _ = world(5)
    first, again = (evaluate_policies(log, [asked], "dr", seed=9)["asked"] for _ in range(2))
    other = evaluate_policies(log, [asked], "dr", seed=10)["asked"]
    assert (first.low, first.high) == (again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)


# --- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.2, np.nan])
def test_propensities_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(PropensityError, match="1 of 2 propensities are not above 0 and at most 1"):
        logged([0, 1], [0.5, wrong])


@pytest.mark.parametrize(
    ("asked", "estimator", "said"),
    [
        (policy([0.5]), "ips", "policy 'asked' has 1 rows, the log 2"),
        (policy([0.5, 1.5]), "ips", "1 probabilities of policy 'asked' are below 0 or above 1"),
        (policy([0.5, 0.5]), "dr", "without a model's expectations, which dr needs"),
        (policy([np.nan, np.nan]), "ips", "says no probability of any logged action"),
        (policy([0.5, 0.5]), "magic", "there is no estimator 'magic'. Use one of ips, snips, dr"),
    ],
)
def test_policies_that_cannot_be_estimated_are_refused(
    asked: Policy, estimator: str, said: str
) -> None:
    with pytest.raises(EvaluationError, match=said):
        evaluate_policies(logged([0, 1], [0.5, 0.5]), [asked], estimator)


def test_logs_of_unequal_lengths_and_empty_ones_are_refused() -> None:
    with pytest.raises(EvaluationError, match="1 propensities_N for 2 rows"):
        logged([0, 1], [0.5])
    with pytest.raises(EvaluationError, match="there are no logged rows"):
        logged([], [])
    with pytest.raises(EvaluationError, match="a temperature of 0 is not above 0"):
        softmax(np.ones((1, 2)), 0)
