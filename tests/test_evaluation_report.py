"""The evaluation of a trial as one value: its numbers, its text, its page, and the card that is made of it."""

import datetime as dt
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.models.booster import train_booster
from lakeline.models.card import (
    MLFLOW_CHARS,
    CardFacts,
    card,
    described,
    found_limits,
    numbered,
)
from lakeline.models.evaluation import evaluate, schedule_baseline, share_baseline
from lakeline.models.evaluation_page import evaluation_html, evaluation_markdown
from lakeline.models.evaluation_report import EvaluationReport, evaluate_trial
from lakeline.models.evaluation_tables import Grid
from lakeline.models.learning import Learning
from lakeline.models.thresholds import Costs
from lakeline.models.trial import Trial, attempt, labelled_rows, parted

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAYS, A_DAY = 40, 120
LEARNING = Learning(
    features=("heat", "noise", "site"),
    categorical=("site",),
    label="broke",
    at="at",
    known="known",
    schedule=("noise",),
)
FACTS = CardFacts(
    asset="mill/breaks",
    owner="team:mill",
    intended_use="Whether a machine breaks within the hour.",
    limits=("Not for machines that stand still.",),
    digest="f" * 64,
    learned_from=START,
    learned_until=START + dt.timedelta(days=DAYS),
    rows=4800,
    snapshots={"mill.samples": 17},
    features=LEARNING.features,
    label="broke",
    parameters={"num_leaves": 63},
    seed=7,
    code_version="abc",
    reads=("mill/machines",),
    gate="promoted, the first model",
)


@cache
def trial(*, is_turned_in_the_south: bool = False) -> Trial:
    """Heat breaks machines; in the last days it may protect those of the south, which no model can know."""
    draw = np.random.default_rng(0)
    count = DAYS * A_DAY
    heat, noise = draw.normal(size=(2, count))
    site = np.array(["north", "south"])[np.arange(count) % 2]
    day = np.arange(count) // A_DAY
    is_turned = (day >= 26) & (site == "south") & is_turned_in_the_south
    chance = 1 / (1 + np.exp(-(np.where(is_turned, -2, 2) * heat + 0.5 * noise)))
    at = [START + dt.timedelta(minutes=12 * i) for i in range(count)]
    frame = pl.DataFrame(
        {"at": at, "known": at, "heat": heat, "noise": noise, "site": site}
    ).with_columns(broke=pl.Series(draw.random(count) < chance))
    end = START + dt.timedelta(days=DAYS)
    return attempt(
        "mill/breaks",
        lambda train, seed: train_booster(train, rounds=15, seed=seed),
        *parted(
            labelled_rows(frame, LEARNING, START, end),
            LEARNING,
            until=START + dt.timedelta(days=26),
            test_until=end,
        ),
        schedule=LEARNING.schedule,
        seed=0,
    )


@cache
def report(**settings: Any) -> EvaluationReport:
    found = trial(is_turned_in_the_south=settings.get("is_turned_in_the_south", False))
    return evaluate_trial(
        found, slices=("site", "weekday"), costs=Costs(false_alarm=1, miss=5), resamples=200
    )


def test_numbers_are_those_of_the_evaluation_and_of_the_baselines() -> None:
    tried, found = trial(), report()
    labels = tried.test.labels()
    assert found.metrics == evaluate(labels, tried.model.predict(tried.test.frame))
    assert found.baselines["share"] == share_baseline(tried.train, tried.test)
    assert found.baselines["schedule"] == schedule_baseline(tried.train, tried.test, ["noise"])
    for name, one in found.gains.items():
        expected = found.baselines[name].brier - found.metrics.brier
        assert one.value == pytest.approx(expected)
        assert one.is_above(0)
    assert found.days == 14
    assert (found.learned_until, found.judged_from) == (tried.train.end, tried.test.start)


def test_a_report_comes_back_from_its_text_equal_and_equal_trials_give_equal_text() -> None:
    text = report().to_json()
    found = EvaluationReport.from_json(text)
    assert found.to_json() == text
    assert replace(found, thresholds=()) == replace(report(), thresholds=())
    # At the highest thresholds nothing is flagged, and a precision that is not known equals none.
    assert str(found.thresholds) == str(report().thresholds)
    assert (
        evaluate_trial(
            trial(), slices=("site", "weekday"), costs=Costs(false_alarm=1, miss=5), resamples=200
        ).to_json()
        == text
    )


def test_what_is_not_known_is_null_in_the_text_and_comes_back_unknown() -> None:
    unknown = replace(report().metrics, auc=float("nan"))
    found = EvaluationReport.from_json(replace(report(), metrics=unknown).to_json())
    assert np.isnan(found.metrics.auc)
    assert found.metrics.brier == report().metrics.brier


@pytest.mark.parametrize("text", ["[]", '{"format": 2}', '{"format": 1, "digest": "a"}'])
def test_another_text_is_no_report(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an evaluation of format 1|lacks or has too much"):
        EvaluationReport.from_json(text)


def test_what_the_ui_plots_are_numbers_alone() -> None:
    numbers = report().numbers
    assert numbers["auc_low"] < report().metrics.auc < numbers["auc_high"]
    assert numbers["gain_over_share"] > 0
    assert numbers["slices_worse"] == 0
    assert numbers["best_cost"] == min(row.cost or 0 for row in report().thresholds)
    assert all(type(value) is float for value in numbers.values())


def test_a_part_that_turned_is_named_as_a_limit_and_shown_first() -> None:
    turned = report(is_turned_in_the_south=True)
    assert str(turned.worst[0]) == str(turned.worse[0]) == "site south"
    assert "site north" not in {str(one) for one in turned.worse}
    assert any(one.startswith("In site south the baseline") for one in found_limits(turned))
    text = card(FACTS, turned)
    limits = text.split("## Limits")[1].split("## Quality")[0]
    assert "In site south the baseline" in limits
    assert "Not for machines that stand still." in limits


def test_a_card_says_what_it_is_for_how_good_it_is_and_how_to_build_it_again() -> None:
    text = numbered(card(FACTS, report()), 3)
    for said in (
        "# mill/breaks@3",
        "Whether a machine breaks within the hour.",
        "Owner: team:mill. It predicts `broke`.",
        "Gate: promoted, the first model.",
        f"| AUC | {report().metrics.auc:.4f} | ",
        "`mill.samples`, snapshot 17",
        "4,800 rows, decided from 2024-03-01 to 2024-04-10",
        "Made of mill/machines",
        "lakeline reproduce mill/breaks@3",
        "At 1 a false alarm and 5 a miss, flagging from",
    ):
        assert said in text, said
    assert "VERSION" not in text


def test_a_card_says_that_the_version_learned_from_the_days_that_judged_it() -> None:
    assert "The version itself learned on until 2024-04-10" in card(FACTS, report())
    same = replace(FACTS, digest=report().digest)
    assert "The version itself learned on" not in card(same, report())


def test_a_card_that_mlflow_cannot_hold_is_cut_at_a_paragraph_with_the_command_for_the_rest() -> (
    None
):
    short = described(card(FACTS, report()), "mill/breaks", 3)
    assert short == numbered(card(FACTS, report()), 3)
    long = replace(FACTS, features=tuple(f"feature_{i:04d}" for i in range(500)))
    found = described(card(long, report()), "mill/breaks", 3)
    assert len(found) <= MLFLOW_CHARS
    assert found.endswith("The rest: `lakeline card mill/breaks@3`\n")
    assert numbered(card(long, report()), 3).startswith(found.split("\n\nThe rest:")[0])


def test_a_page_has_pictures_and_tables_and_no_script() -> None:
    html = evaluation_html("mill/breaks@3", report(), links={"More <here>": "more.html"})
    assert html.count("<svg") == 2
    assert html.count("<table>") == 4
    assert "More &lt;here&gt;" in html
    assert "<script" not in html
    assert len(html) < 60_000
    assert "nan" not in html.lower()


def test_the_markdown_of_a_run_carries_its_pictures() -> None:
    text = evaluation_markdown(report())
    assert text.count("(data:image/svg+xml;base64,") == 2
    assert "| flagged from |" in text


def test_bins_and_slices_that_are_off_are_drawn_red() -> None:
    def red(found: EvaluationReport) -> int:
        return len(re.findall("#c0392b", evaluation_html("a", found)))

    assert red(report(is_turned_in_the_south=True)) > red(report())


def test_a_table_escapes_what_would_end_a_cell() -> None:
    grid = Grid(heads=("a",), rows=(("x|y <b>",),))
    assert grid.markdown() == "| a |\n| --- |\n| x\\|y <b> |"
    assert "<td>x|y &lt;b&gt;</td>" in grid.html()
