"""The sensor on a real lake, ledger and instance: what it asks for, what it respects, and what it writes down."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from lakeline.freshness.alerts import Alert
from lakeline.freshness.budget import Budget
from lakeline.freshness.plan_tags import CAUSE, IF_CHANGED, PLAN, REASON
from lakeline.ledger import Input, State
from tests.kept_shop import DAY1, DAY2, DAY3, DAY4, HOUR, KeptShop, declare, planned

SOLD = [(f"{day}T09:00", "north", 100) for day in (DAY1, DAY2, DAY3, DAY4)]
LATE = (f"{DAY1}T22:00", "south", 40)
DAILY = ("sales", "totals", "moving")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[KeptShop]:
    """A shop at noon of its second day, with the sales of the first."""
    with KeptShop(tmp_path) as found:
        found.sell(SOLD[0])
        yield found


@pytest.fixture
def built(shop: KeptShop) -> KeptShop:
    """The same with everything built."""
    shop.settle()
    return shop


def next_day(shop: KeptShop, number: int = 1) -> None:
    """The day after, with its sales published."""
    shop.clock.at += dt.timedelta(days=1)
    shop.sell(SOLD[number])


def pause(shop: KeptShop) -> None:
    """As long as the longest pause before another attempt."""
    shop.clock.at += 48 * HOUR


def test_a_day_arrives_and_everything_is_built_once(built: KeptShop) -> None:
    assert sorted(built.trouble.built) == [
        ("moving", DAY1),
        ("newest", ""),
        ("sales", DAY1),
        ("shops", ""),
        ("totals", DAY1),
    ]
    next_day(built)
    assert sorted(built.settle()) == [
        ("moving", DAY2),
        ("newest", ""),
        ("sales", DAY2),
        ("shops", ""),
        ("totals", DAY2),
    ]
    assert built.settle() == []


def test_a_request_says_why_by_whom_and_for_which_partitions(shop: KeptShop) -> None:
    (request,) = shop.tick().run_requests or []
    assert request.tags[CAUSE] == "reconcile"
    assert request.tags[IF_CHANGED] == "true"
    assert request.tags[REASON].startswith(f"shop/sales[{DAY1}]: it was never built")
    assert f'"shop/moving": ["{DAY1}"]' in request.tags[PLAN]
    assert request.tags["dagster/asset_partition_range_start"] == DAY1
    run = shop.execute(shop.requested(request))
    assert run.tags[REASON] == request.tags[REASON]


def test_two_ticks_in_a_row_ask_once(shop: KeptShop) -> None:
    (request,) = shop.tick().run_requests or []
    run = shop.requested(request)
    again = shop.tick()
    assert not again.run_requests
    assert "it is being built" in str(again.skip_message)
    shop.execute(run)
    assert not shop.tick().run_requests


def test_late_rows_in_an_old_day_rebuild_exactly_what_was_made_from_them(built: KeptShop) -> None:
    next_day(built)
    built.settle()
    next_day(built, 2)
    built.settle()
    built.sell(LATE)
    # The newest two days are read by `newest`, and the late row is older.
    assert sorted(built.settle()) == [
        ("moving", DAY1),
        ("moving", DAY2),
        ("sales", DAY1),
        ("shops", ""),
        ("totals", DAY1),
    ]
    assert built.settle() == []


def test_days_apart_are_built_in_one_run_and_those_between_are_left_alone(built: KeptShop) -> None:
    for number in (1, 2):
        next_day(built, number)
        built.settle()
    built.sell(LATE, (f"{DAY3}T22:00", "south", 40))
    result = built.tick()
    assert planned(result)["sales"] == (DAY1, DAY3)
    (request,) = result.run_requests or []
    built.trouble.built = []
    assert built.execute(built.requested(request)).is_success
    assert [key for name, key in built.trouble.built if name == "sales"] == [DAY1, DAY3]
    assert built.settle() == []


def test_a_day_that_nobody_can_build_is_never_claimed(shop: KeptShop) -> None:
    shop.trouble.failing["totals"] = {DAY2}
    for number in (1, 2):
        next_day(shop, number)
    for _ in range(6):
        shop.settle()
        shop.clock.at += HOUR
    assert shop.days("totals") == [DAY1, DAY3]
    for name in ("totals", "moving"):
        assert shop.materialized(name) == set(shop.days(name))


def test_a_failure_is_counted_once_and_names_its_reason_also_after_a_restart(
    built: KeptShop,
) -> None:
    built.trouble.failing["totals"] = {DAY2}
    next_day(built)
    (request,) = built.tick().run_requests or []
    run = built.execute(built.requested(request))
    assert run.status == dg.DagsterRunStatus.FAILURE
    for _ in range(2):
        result = built.tick()
        assert not result.run_requests
        built.restart()
    attempts = built.ledger.attempts()
    assert {pair: one.failures for pair, one in attempts.items()} == {("shop/totals", DAY2): 1}
    assert f"cannot count {DAY2}" in attempts["shop/totals", DAY2].error
    assert f"shop/totals[{DAY2}]: backed off" in str(result.skip_message)


def test_a_fix_is_taken_up_after_the_pause(built: KeptShop) -> None:
    built.trouble.failing["totals"] = {DAY2}
    next_day(built)
    built.settle()
    built.trouble.failing.clear()
    assert built.settle() == []  # not before the pause is over
    built.clock.at += HOUR
    assert ("totals", DAY2) in built.settle()
    assert built.ledger.attempts() == {}


@pytest.mark.parametrize("end", ["lost", "cancelled"])
def test_a_run_that_never_said_why_it_ended_counts_once_for_what_it_began_with(
    shop: KeptShop, end: str
) -> None:
    (request,) = shop.tick().run_requests or []
    run = shop.requested(request)
    if end == "lost":
        shop.storage.report_run_failed(run, "the process is gone")
    else:
        shop.storage.report_run_canceling(run)
        shop.storage.report_run_canceled(run)
    shop.restart()
    for _ in range(2):
        assert not shop.tick().run_requests
    attempts = shop.ledger.attempts()
    assert {pair: one.failures for pair, one in attempts.items()} == {("shop/sales", DAY1): 1}
    said = "its process was lost" if end == "lost" else "it was cancelled"
    assert said in attempts["shop/sales", DAY1].error
    shop.clock.at += HOUR
    assert ("moving", DAY1) in shop.settle()


def test_a_run_killed_after_its_data_was_written_is_no_failure(built: KeptShop) -> None:
    next_day(built)
    (request,) = built.tick().run_requests or []
    run = built.requested(request)
    twin = built.requested(request)
    built.execute(twin)
    built.storage.report_run_failed(run, "the process is gone")
    assert not built.tick().run_requests
    assert built.ledger.attempts() == {}


def test_what_fails_for_good_is_given_up_and_tried_again_when_its_rows_change(
    tmp_path: Path,
) -> None:
    with KeptShop(tmp_path, budget=Budget(runs=5, attempts=2)) as shop:
        shop.sell(SOLD[0])
        shop.trouble.failing["totals"] = {DAY1}
        for _ in range(4):
            shop.settle()
            pause(shop)
        assert shop.trouble.built == []
        gave_up = shop.check("totals", "consistent")
        assert gave_up is not None
        assert not gave_up.passed
        assert gave_up.metadata["state"].value == "gave_up"
        assert f"cannot count {DAY1}" in str(gave_up.description)
        shop.trouble.failing.clear()
        shop.sell(LATE)
        assert ("totals", DAY1) in shop.settle()


def test_a_source_that_cannot_be_read_is_named_and_holds_up_nobody_else(tmp_path: Path) -> None:
    with KeptShop(tmp_path) as shop:
        shop.sell(SOLD[0])
        shop.settle()
        shop.ledger.forget("shop/totals", [DAY1])
        shop.till.is_broken = True
        result = shop.tick()
        assert "totals" in planned(result)
        (state,) = shop.ledger.states(name="source")
        assert state.state == "unread"
        assert "the till does not answer" in state.detail["said"]
        shop.till.is_broken = False
        shop.tick()
        (state,) = shop.ledger.states(name="source")
        assert state.state == "read"


def test_a_source_whose_error_holds_no_utf8_is_named_and_holds_up_nobody_else(
    tmp_path: Path,
) -> None:
    with KeptShop(tmp_path) as shop:
        shop.sell(SOLD[0])
        shop.settle()
        shop.ledger.forget("shop/totals", [DAY1])
        shop.till.is_broken, shop.till.said = True, "no file till-\udcff.csv \x00"
        result = shop.tick()
        assert "totals" in planned(result)
        (state,) = shop.ledger.states(name="source")
        said = r"The source of shop/sales cannot be observed: no file till-\udcff.csv \x00"
        assert state.detail["said"] == said
        shop.settle()
        assert said in str(shop.tick().skip_message)


def test_a_run_of_a_person_is_respected(built: KeptShop) -> None:
    next_day(built)
    mine = built.queued(["sales"], {"dagster/partition": DAY2}, status=dg.DagsterRunStatus.STARTED)
    result = built.tick()
    assert planned(result) == {}
    assert f"shop/sales[{DAY2}]: wait, it is being built" in str(result.skip_message)
    built.storage.report_run_canceled(mine)
    assert ("sales", DAY2) in built.settle()
    assert built.ledger.attempts() == {}


def test_a_run_of_a_person_counts_towards_the_runs_at_once(tmp_path: Path) -> None:
    with KeptShop(tmp_path, budget=Budget(runs=1)) as shop:
        shop.sell(SOLD[0])
        shop.queued(["shops"], {}, status=dg.DagsterRunStatus.STARTED)
        result = shop.tick()
        assert not result.run_requests
        assert "1 runs at once are allowed" in str(result.skip_message)


@pytest.mark.parametrize("status", [BulkActionStatus.REQUESTED, BulkActionStatus.FAILING])
def test_a_backfill_under_way_is_respected(shop: KeptShop, status: BulkActionStatus) -> None:
    next_day(shop)
    backfill = backfill_of(shop, ["sales"], [DAY1])
    shop.storage.add_backfill(backfill)
    shop.storage.update_backfill(backfill.with_status(status))  # type: ignore[no-untyped-call]
    plan = planned(shop.tick())
    assert plan["sales"] == (DAY2,)
    assert plan["totals"] == (DAY2,)
    shop.storage.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED))  # type: ignore[no-untyped-call]
    assert DAY1 in planned(shop.tick())["sales"]


def test_a_backfill_and_its_run_count_as_one_run(tmp_path: Path) -> None:
    with KeptShop(tmp_path, budget=Budget(runs=2)) as shop:
        shop.sell(SOLD[0])
        next_day(shop)
        shop.storage.add_backfill(backfill_of(shop, ["sales"], [DAY1]))
        tags = {"dagster/backfill": "mine", "dagster/partition": DAY1}
        shop.queued(["sales"], tags, status=dg.DagsterRunStatus.STARTED)
        assert planned(shop.tick())["sales"] == (DAY2,)


def backfill_of(shop: KeptShop, names: list[str], days: list[str]) -> PartitionBackfill:
    return PartitionBackfill.from_asset_partitions(
        backfill_id="mine",
        asset_graph=shop.definitions.resolve_asset_graph(),
        partition_names=days,
        asset_selection=[dg.AssetKey(["shop", name]) for name in names],
        backfill_timestamp=shop.clock.now().timestamp(),
        tags={},
        dynamic_partitions_store=shop.storage,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )


def test_checks_are_reported_when_their_state_changes_and_only_then(built: KeptShop) -> None:
    before = {name: built.times_checked(name, "consistent") for name in DAILY}
    for _ in range(3):
        built.tick()
    assert {name: built.times_checked(name, "consistent") for name in DAILY} == before
    next_day(built)
    built.tick()
    rebuilding = built.check("totals", "consistent")
    assert rebuilding is not None
    assert not rebuilding.passed
    assert rebuilding.severity == dg.AssetCheckSeverity.WARN
    built.settle()
    consistent = built.check("totals", "consistent")
    assert consistent is not None
    assert consistent.passed


def test_fresh_tells_the_age_of_the_data_and_who_holds_it_back(built: KeptShop) -> None:
    fresh = built.check("totals", "fresh")
    assert fresh is not None
    assert fresh.passed
    built.clock.at += dt.timedelta(days=3)
    built.till.is_broken = True
    built.tick()
    broken = built.check("totals", "fresh")
    assert broken is not None
    assert not broken.passed
    assert broken.severity == dg.AssetCheckSeverity.ERROR
    assert "held back by source:shop/sales" in str(broken.description)


def test_the_checks_can_be_run_by_hand_and_see_what_no_tick_has_seen(built: KeptShop) -> None:
    built.ledger.forget("shop/totals", [DAY1])
    keys = [
        dg.AssetCheckKey(dg.AssetKey(["shop", "totals"]), one) for one in ("fresh", "consistent")
    ]
    result = dg.materialize(
        [*built.domain.assets, *(built.definitions.asset_checks or ())],
        selection=dg.AssetSelection.checks(*keys),
        instance=built.storage,
        resources=dict(built.definitions.resources or {}),
    )
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert set(found) == {"fresh", "consistent"}
    assert not found["consistent"].passed
    assert f"shop/totals[{DAY1}]" in str(found["consistent"].description)


@pytest.mark.parametrize("where", ["totals", "domain"])
def test_manual_is_one_word_and_leaves_building_to_people(tmp_path: Path, where: str) -> None:
    more: dict[str, Any] = {where: {"automation": "manual"}}
    with KeptShop(tmp_path, **more) as shop:
        shop.sell(SOLD[0])
        built = shop.settle()
        assert ("totals", DAY1) not in built
        assert (("sales", DAY1) in built) == (where == "totals")
        people = {"dagster/partition": DAY1}
        shop.execute(shop.queued(["sales", "totals"], people))
        after = shop.settle()
        assert (("moving", DAY1) in after) == (where == "totals")
        check = shop.check("totals", "consistent")
        assert check is not None
        assert check.passed


def test_what_was_read_of_the_source_is_recorded_as_an_input(built: KeptShop) -> None:
    version = built.till.versions("sales")[DAY1]
    assert built.ledger.inputs("shop/sales", DAY1) == (
        Input(asset="source:shop/sales", partition=DAY1, version=version),
    )
    built.sell(LATE)
    built.tick()
    assert built.ledger.current("shop/sales")[DAY1].marked_by == f"source:shop/sales[{DAY1}]"


def test_rows_that_arrive_while_they_are_read_are_taken_up_by_the_next_run(shop: KeptShop) -> None:
    (request,) = shop.tick().run_requests or []
    shop.trouble.during = lambda: shop.till.rows.append(LATE)
    shop.execute(shop.requested(request))
    shop.settle()
    rows = shop.house.lake.load("shop.sales").scan().to_arrow()
    assert rows.num_rows == 2
    version = shop.till.versions("sales")[DAY1]
    assert shop.ledger.inputs("shop/sales", DAY1)[0].version == version


def test_a_reader_of_the_newest_days_follows_them(built: KeptShop) -> None:
    for number in (1, 2, 3):
        next_day(built, number)
        built.settle()
    read = {one.partition for one in built.ledger.inputs("shop/newest", "")}
    assert read == {DAY3, DAY4}
    built.sell(LATE)
    assert ("newest", "") not in built.settle()


def test_a_reader_of_the_day_before_is_built_again_with_it(built: KeptShop) -> None:
    next_day(built)
    built.settle()
    read = {one.partition for one in built.ledger.inputs("shop/moving", DAY2)}
    assert read == {DAY1, DAY2}
    built.sell(LATE)
    assert ("moving", DAY2) in built.settle()


def test_equal_rows_again_stop_what_follows(built: KeptShop) -> None:
    built.till.rows[0] = (f"{DAY1}T09:00", "north", 100)
    built.sell(
        (f"{DAY1}T10:00", "west", 5)
    )  # rejected by the contract, so the table stays as it was
    assert built.settle() == [("sales", DAY1)]


def test_a_process_that_starts_finds_nothing_to_do_in_what_is_at_rest(built: KeptShop) -> None:
    built.restart(declare(built.trouble))
    assert built.settle() == []


class Told:
    """A channel that remembers."""

    name = "told"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def send(self, alert: Alert) -> None:
        self.alerts.append(alert)


def test_a_budget_that_is_used_up_starts_nothing_and_is_told_once(tmp_path: Path) -> None:
    told = Told()
    with KeptShop(tmp_path, budget=Budget(runs=5, cpu_s_a_day=0.0), channels=[told]) as shop:
        shop.sell(SOLD[0])
        assert [shop.tick().run_requests for _ in range(3)] == [[], [], []]
        (alert,) = [one for one in told.alerts if one.topic == "budget"]
        assert (alert.kind, alert.place) == ("budget", "all assets")
        assert "0 of 0 cpu seconds of a day are spent" in alert.message


def test_alerts_come_once_and_again_when_all_is_well(tmp_path: Path) -> None:
    told = Told()
    with KeptShop(tmp_path, budget=Budget(runs=5, attempts=1), channels=[told]) as shop:
        shop.sell(SOLD[0])
        shop.trouble.failing["totals"] = {DAY1}
        shop.settle()
        shop.settle()
        kinds = [(one.kind, one.asset) for one in told.alerts if one.topic == "consistent"]
        assert kinds.count(("gave_up", "shop/totals")) == 1
        shop.sell(LATE)
        shop.trouble.failing.clear()
        shop.settle()
        assert ("recovered", "shop/totals") in [(one.kind, one.asset) for one in told.alerts]


def test_a_ledger_that_was_told_nothing_yet_has_no_states_of_checks(shop: KeptShop) -> None:
    assert shop.ledger.states(name="consistent") == []
    shop.tick()
    states: list[State] = shop.ledger.states(name="consistent")
    assert {one.state for one in states} == {"rebuilding"}
