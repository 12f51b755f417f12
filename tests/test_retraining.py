"""Reasons to train a model again, what holds it back, and what a declaration may say."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lakeline.domain.node import nodes, nodes_of
from lakeline.domain.retraining import RetrainingError, TriggerError, policy_of, require_triggers
from lakeline.errors import DomainError, EvaluationError
from lakeline.freshness.promise import parse_promise
from lakeline.freshness.retraining import (
    Retrain,
    Training,
    Verdict,
    fingerprint,
    note_training,
    reason_to_train,
    trainings,
)
from lakeline.ledger import Ledger
from lakeline.models.learning import GateRules
from tests.learning import MODEL, World, mill

NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
POLICY = Retrain(on=(("mill/drift", "share"),), holdout=14 * DAY)


def verdict(**changes: Any) -> Verdict:
    """A month after the last training, with new days and nothing wrong, but for ``changes``."""
    given: dict[str, Any] = {
        "now": NOW,
        "promise": parse_promise("60d"),
        "watermark": NOW - 30 * DAY,
        "trained": [NOW - 30 * DAY],
        "code_changed": False,
        "features_changed": False,
        "inputs_changed_since_training": True,
        "failed_checks": (),
        "policy": POLICY,
    }
    return reason_to_train(**(given | changes))


def test_a_model_that_was_never_trained_is_due():
    assert verdict(trained=[]) == Verdict(due=True, reason="it was never trained")


def test_changed_inputs_alone_are_no_reason():
    assert verdict() == Verdict(
        due=False, reason="its inputs have changed, which alone is no reason"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"promise": parse_promise("20d")}, "it learned up to 2024-05-02, and promises 20d"),
        ({"code_changed": True}, "its code has changed"),
        ({"features_changed": True}, "its features have changed"),
        ({"failed_checks": ["mill/drift share"]}, "mill/drift share failed"),
        ({"watermark": None}, "it has no champion"),
    ],
)
def test_each_reason_makes_it_due_and_is_told(changes, reason):
    assert verdict(**changes) == Verdict(due=True, reason=reason)


def test_all_reasons_are_told():
    found = verdict(code_changed=True, failed_checks=["a", "b"], promise=parse_promise("1d"))
    assert found.reason == (
        "it learned up to 2024-05-02, and promises 1d; its code has changed; a failed; b failed"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"promise": parse_promise("20d")},
        {"features_changed": True},
        {"failed_checks": ["mill/drift share"]},
        {"watermark": None},
    ],
)
def test_equal_inputs_and_code_are_never_trained_on_again(changes):
    found = verdict(inputs_changed_since_training=False, **changes)
    assert not found.due
    assert found.not_before is None
    assert "it would be the same model" in found.reason


def test_new_code_is_trained_on_equal_inputs():
    assert verdict(inputs_changed_since_training=False, code_changed=True).due


def test_it_cools_down_after_every_training_also_one_whose_challenger_was_refused():
    last = NOW - 6 * DAY
    found = verdict(trained=[NOW - 40 * DAY, last], failed_checks=["a"])
    assert (found.due, found.not_before) == (False, last + 7 * DAY)
    assert found.reason == "a failed; it cools down until 2024-06-02 00:00"
    assert verdict(trained=[NOW - 7 * DAY], failed_checks=["a"]).due


def test_no_more_than_so_many_trainings_fit_in_a_period():
    trained = [NOW - days * DAY for days in (8, 16, 24, 70)]
    found = verdict(trained=trained, code_changed=True)
    assert (found.due, found.not_before) == (False, NOW + 6 * DAY)
    assert "it was trained 3 times in 30 days" in found.reason
    assert verdict(trained=[*trained[1:], NOW - 31 * DAY], code_changed=True).due


def test_a_challenger_that_could_know_no_more_than_the_champion_is_not_trained():
    found = verdict(watermark=NOW - 10 * DAY, failed_checks=["a"])
    assert (found.due, found.not_before) == (False, NOW + 5 * DAY)
    assert "know no more than the champion before 2024-06-06" in found.reason
    assert not verdict(watermark=NOW - 14 * DAY, failed_checks=["a"]).due
    assert verdict(watermark=NOW - 15 * DAY, failed_checks=["a"]).due


def test_new_code_or_features_need_no_news():
    assert verdict(watermark=NOW - DAY, code_changed=True).due
    assert verdict(watermark=NOW - DAY, features_changed=True).due


def test_without_a_promise_age_is_no_reason():
    assert not verdict(promise=None, watermark=NOW - 900 * DAY).due


def test_a_policy_watches_one_check_or_all_of_a_report():
    policy = Retrain(on=(("mill/drift", "share"), ("mill/quality", "")))
    assert policy.watches("mill/drift", "share")
    assert not policy.watches("mill/drift", "other")
    assert policy.watches("mill/quality", "whatever")


# --- what the ledger remembers ----------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_trainings_are_remembered_in_order_the_newest_of_them(ledger: Ledger) -> None:
    assert trainings(ledger, MODEL) == ()
    noted = [Training(NOW + day * DAY, f"inputs {day}", "code") for day in range(60)]
    for one in noted:
        note_training(ledger, MODEL, one)
    note_training(ledger, "mill/other", noted[0])
    assert trainings(ledger, MODEL) == tuple(noted[-50:])


def test_the_fingerprint_of_inputs_is_that_of_their_versions_in_any_order():
    read = [("a", "2024-01-01", "v1"), ("a", "2024-01-02", "v2"), ("b", "", "v3")]
    assert fingerprint(read) == fingerprint(reversed(read))
    assert fingerprint(read) != fingerprint([*read[:2], ("b", "", "v4")])
    assert fingerprint(read) != fingerprint(read[:2])


# --- what a declaration may say ---------------------------------------------------------------


def triggers(*retrain_on: Any, **settings: Any) -> None:
    domain = mill(World(settings={"retrain_on": list(retrain_on), **settings}))
    require_triggers(nodes_of(domain.assets))


def test_a_model_may_watch_a_report_of_its_own_scores():
    domain = mill(World())
    policy: Retrain = nodes()[MODEL].extras["retrain"]
    assert policy.on == (("mill/drift", ""), ("mill/quality", "brier"))
    assert policy.holdout == 14 * DAY
    require_triggers(nodes_of(domain.assets))


@pytest.mark.parametrize(
    ("watched", "told"),
    [
        (
            "qualty",
            "'mill/qualty' in retrain_on=, which does not exist. Did you mean mill/quality?",
        ),
        ("xyz", r"which does not exist. The reports are mill/drift, mill/idle, mill/quality"),
        ("breaks", "which is the model itself. Name a report."),
        ("scores", "which is no report. The reports are mill/drift"),
        (("quality", "auc"), "with the check 'auc'. It has brier."),
        ("silent", "which has no checks. Give the report checks=."),
        ("idle", "which reads neither the model's scores nor what the model learns from"),
    ],
)
def test_a_model_that_watches_what_cannot_be_is_refused_when_the_domain_loads(watched, told):
    domain = mill(World(settings={"retrain_on": [watched]}))

    @domain.report(reads=[], checks=["always"])
    def idle() -> None:
        """Reads nothing."""

    @domain.report(reads=[domain.assets[0]])
    def silent(samples: object) -> None:
        """Checks nothing."""

    with pytest.raises(TriggerError, match=told):
        require_triggers(nodes_of(domain.assets))


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"cooldown": "1 week"}, DomainError, "'1 week' is not a length of time"),
        ({"at_most": (0, "30d")}, RetrainingError, "may be trained 0 times, so never"),
        ({"cooldown": "60d"}, RetrainingError, "cools down for 60d, longer than the 30d"),
        ({"metric": "accuracy"}, EvaluationError, "there is no metric 'accuracy'. Use one of auc"),
        ({"holdout": "5h"}, RetrainingError, "holds out 5h, and judging takes whole days"),
    ],
)
def test_limits_that_cannot_be_are_refused_where_they_are_declared(settings, error, told):
    with pytest.raises(error, match=told):
        mill(World(settings=settings))


def test_a_report_may_be_named_with_its_domain():
    found = policy_of(
        "mill",
        MODEL,
        retrain_on=["drift", ("rail/drift", "share")],
        cooldown="7d",
        at_most=(3, "30d"),
        gate=GateRules(),
    )
    assert found.on == (("mill/drift", ""), ("rail/drift", "share"))
