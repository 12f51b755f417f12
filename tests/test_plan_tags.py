"""The plan in a run's tags: what goes in comes out, and a run of a person carries none."""

import datetime as dt

import pytest

from lakeline.freshness.decision import RunPlan
from lakeline.freshness.plan_tags import (
    PLAN,
    RANGE_END,
    RANGE_START,
    keys_of,
    partitions_of,
    tags_of,
    unless_of,
)

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAYS = ("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-05")


def plan(**more: object) -> RunPlan:
    steps = {"shop/sales": DAYS, "shop/newest": ("",), "shop/regions": ("north", "south")}
    return RunPlan(steps=steps, reason="because", since=NOW, **more)  # type: ignore[arg-type]


def test_partitions_come_back_as_they_went_in() -> None:
    tags = tags_of(plan(), "reconcile")
    assert partitions_of(tags) == plan().steps
    assert "2024-02-28...2024-03-01" in tags[PLAN]


def test_the_range_spans_the_days_and_a_run_without_days_has_none() -> None:
    days = RunPlan(steps={"shop/sales": DAYS, "shop/newest": ("",)}, reason="", since=NOW)
    tags = tags_of(days, "reconcile")
    assert (tags[RANGE_START], tags[RANGE_END]) == (DAYS[0], DAYS[-1])
    assert RANGE_START not in tags_of(RunPlan(steps={"shop/newest": ("",)}, reason="", since=NOW), "x")  # fmt: skip


def test_a_step_picks_its_own_partitions_of_the_range() -> None:
    held = {"shop/sales": ["2024-02-28...2024-03-01"], "shop/newest": [""]}
    assert keys_of(held, "shop/sales", ["2024-02-29", "2024-03-01", "2024-03-02"]) == ("2024-02-29", "2024-03-01")  # fmt: skip
    assert keys_of(held, "shop/newest", [""]) == ("",)
    assert keys_of(held, "shop/others", ["2024-02-29"]) == ()


def test_keys_of_earlier_failures_come_back_by_asset() -> None:
    import json

    tags = tags_of(plan(unless={("shop/sales", DAYS[0]): "k1"}), "reconcile")
    unless = json.loads(tags["lakeline/unless"])
    assert unless_of(unless, "shop/sales") == {DAYS[0]: "k1"}
    assert unless_of(unless, "shop/newest") == {}


@pytest.mark.parametrize("tags", [{}, {"dagster/partition": "2024-03-01"}])
def test_a_run_of_a_person_carries_no_plan(tags: dict[str, str]) -> None:
    assert partitions_of(tags) == {}
