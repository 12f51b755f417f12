"""The scenarios: what can happen to a graph of data, each in a few lines.

Every scenario starts on a Friday at 06:00 with 60 days built and consistent. Day numbers count as in `day`: -1 is the
newest day at the start, 0 the first.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

from benchmarks.freshness.graph import FLIGHTS, HOUR, PLANES, START, WEATHER, Graph, Read
from benchmarks.freshness.script import Scenario, Script

SCENARIOS: dict[str, Scenario] = {}
WEEK_H = 7 * 24
SHORT_H = 8
MIDNIGHT = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


def scenario(
    group: str, *, hours: float = 6, every_min: int = 30
) -> Callable[[Callable[[Script], None]], Callable[[Script], None]]:
    """Make a function a scenario under its name."""

    def declare(play: Callable[[Script], None]) -> Callable[[Script], None]:
        name = play.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(
            name=name,
            group=group,
            play=play,
            hours=hours,
            every_min=every_min,
            may_end_early=hours <= SHORT_H,
        )
        return play

    return declare


# --- what arrives ---------------------------------------------------------------------------------


@scenario("quiet")
def nothing_happens(script: Script) -> None:
    """Nothing changes for six hours."""


@scenario("arrival", hours=36, every_min=120)
def next_day_arrives(script: Script) -> None:
    """The next day comes to both sources in the morning."""
    script.every_morning(1)


@scenario("arrival", hours=36, every_min=120)
def sources_publish_hours_apart(script: Script) -> None:
    """The weather of the next day comes three hours after its flights."""
    script.at("05:10", days=1).day_arrives(FLIGHTS)
    script.at("08:10", days=1).day_arrives(WEATHER)


@scenario("arrival", hours=54, every_min=120)
def source_falls_silent(script: Script) -> None:
    """The next day never comes: from the second evening on the promises are broken."""


@scenario("arrival", hours=54, every_min=120)
def one_source_falls_silent(script: Script) -> None:
    """Flights come each morning, weather does not: what reads both is held back by the weather."""
    script.at("05:10", days=1).day_arrives(FLIGHTS)
    script.at("05:10", days=2).day_arrives(FLIGHTS)


@scenario("arrival", hours=84, every_min=120)
def silence_ends_with_three_days(script: Script) -> None:
    """Nothing comes for two mornings, then three days at once."""
    for minute in ("05:10", "05:11", "05:12"):
        script.at(minute, days=3).day_arrives()


@scenario("arrival", hours=36, every_min=120)
def half_a_day_then_the_rest(script: Script) -> None:
    """The next day comes with its watermark at noon, and its other half three hours later."""
    noon = MIDNIGHT + 12 * HOUR
    script.at("05:10", days=1).day_arrives(complete_until=noon)
    script.at("08:10", days=1).rows_arrive(FLIGHTS, 60).rows_arrive(WEATHER, 60)
    script.at("08:10", days=1).says_complete_until(FLIGHTS, MIDNIGHT + 24 * HOUR)
    script.at("08:10", days=1).says_complete_until(WEATHER, MIDNIGHT + 24 * HOUR)


@scenario("arrival", hours=40, every_min=120)
def watermark_moves_without_rows(script: Script) -> None:
    """The next day comes as complete until two in the morning; later it is said to be whole, and had no more rows."""
    script.at("05:10", days=1).day_arrives(complete_until=MIDNIGHT + 2 * HOUR)
    for source in (FLIGHTS, WEATHER):
        script.at("07:10", days=1).says_complete_until(source, MIDNIGHT + 24 * HOUR)


@scenario("arrival", hours=24, every_min=120)
def midnight_without_a_day(script: Script) -> None:
    """Midnight passes and the sources have nothing for the new day yet: there is nothing to build and nothing to fail."""


# --- late and restated ----------------------------------------------------------------------------


@scenario("late data")
def late_rows_in_an_old_day(script: Script) -> None:
    """Rows come late to a day three weeks old."""
    script.at("06:10").rows_arrive(FLIGHTS, -21)


@scenario("late data")
def late_rows_in_yesterday(script: Script) -> None:
    """Rows come late to the newest day, which everything reads."""
    script.at("06:10").rows_arrive(FLIGHTS, -1)


@scenario("late data")
def late_rows_in_both_sources(script: Script) -> None:
    """Both arms of a diamond change for one day."""
    script.at("06:10").rows_arrive(FLIGHTS, -10).rows_arrive(WEATHER, -10)


@scenario("late data")
def late_weather_reaches_two_days(script: Script) -> None:
    """Weather changes: features of that day and, by their offset window, of the next."""
    script.at("06:10").rows_arrive(WEATHER, -15)


@scenario("late data")
def two_updates_before_a_tick(script: Script) -> None:
    """One day changes twice between two ticks."""
    script.at("06:05").rows_arrive(FLIGHTS, -12)
    script.at("06:20").rows_arrive(FLIGHTS, -12)


@scenario("late data")
def changed_and_undone_before_a_tick(script: Script) -> None:
    """A day changes and is restored before anyone looks: nothing is to be done."""
    script.at("06:05").rows_arrive(FLIGHTS, -12)
    script.at("06:20").undone(FLIGHTS, -12)


@scenario("late data", hours=8)
def changed_and_undone_later(script: Script) -> None:
    """A day changes, is built, and is restored: it is built again, and ends as it began."""
    script.at("06:10").rows_arrive(FLIGHTS, -12)
    script.at("09:10").undone(FLIGHTS, -12)


@scenario("late data")
def ten_days_far_apart(script: Script) -> None:
    """Rows come late to ten days that lie apart."""
    script.at("06:10").rows_arrive(FLIGHTS, *range(5, 55, 5))


@scenario("late data")
def restated_source(script: Script) -> None:
    """A month of a source is restated at once."""
    script.at("06:10").rows_arrive(FLIGHTS, *range(20, 50))


@scenario("late data")
def static_table_changes(script: Script) -> None:
    """A row of the static table changes: every day that reads it is built again."""
    script.at("06:10").table_changes(PLANES)


@scenario("late data")
def first_day_changes(script: Script) -> None:
    """The very first day changes, where windows reach before the beginning."""
    script.at("06:10").rows_arrive(FLIGHTS, 0).rows_arrive(WEATHER, 0)


# --- no change ------------------------------------------------------------------------------------


@scenario("no change")
def no_op_rewrite(script: Script) -> None:
    """A source day is written anew with equal rows: its raw table is looked at, and nothing after it."""
    script.at("06:10").rewritten(FLIGHTS, -9)


@scenario("no change")
def compaction_of_a_source(script: Script) -> None:
    """A source's files are compacted: every day has another version and the same rows."""
    script.at("06:10").rewritten(WEATHER, *range(40, 60))


@scenario("no change")
def change_is_absorbed(script: Script) -> None:
    """A detail of the weather changes that the hourly table does not keep."""
    script.at("06:10").detail_changes(WEATHER, -9)


@scenario("no change")
def one_arm_absorbs(script: Script) -> None:
    """Flights change and the weather's change is absorbed, on the same day of a diamond."""
    script.at("06:10").rows_arrive(FLIGHTS, -9).detail_changes(WEATHER, -9)


@scenario("no change")
def refactoring(script: Script) -> None:
    """New code of the clean table makes the same: it is built, and nothing after it."""
    script.at("06:10").code_changes("clean", makes_no_difference=True)


@scenario("no change")
def person_rebuilds_an_equal_day(script: Script) -> None:
    """A person rebuilds a day from inputs that have not changed."""
    script.at("06:10").person_builds({"clean": [-8]})


# --- while something runs -------------------------------------------------------------------------


@scenario("during a run")
def update_during_a_run(script: Script) -> None:
    """Rows come after the raw table has read and before it is published."""
    script.at("06:00").takes("departures", 20)
    script.at("06:10").rows_arrive(FLIGHTS, -6)
    script.at("06:40").rows_arrive(FLIGHTS, -6)


@scenario("during a run")
def update_downstream_of_a_long_step(script: Script) -> None:
    """A long step of the chain runs over two ticks, in which its source changes again."""
    script.at("06:00").takes("joined", 50)
    script.at("06:10").rows_arrive(FLIGHTS, -6)
    script.at("06:50").rows_arrive(FLIGHTS, -6)


@scenario("during a run")
def other_day_changes_during_a_run(script: Script) -> None:
    """While one day is built, its neighbour changes, and a window reads both."""
    script.at("06:00").takes("clean", 40)
    script.at("06:10").rows_arrive(FLIGHTS, -6)
    script.at("06:50").rows_arrive(FLIGHTS, -5)


@scenario("during a run")
def trigger_and_reset_in_one_tick(script: Script) -> None:
    """A run ends and its input changes again between the same two ticks."""
    script.at("06:10").rows_arrive(FLIGHTS, -7)
    script.at("06:32").rows_arrive(FLIGHTS, -7)


@scenario("during a run")
def person_backfills_an_old_day(script: Script) -> None:
    """A person builds a changed day's raw and clean table, and is at it when the tick comes."""
    script.at("06:00").takes("departures", 25)
    script.at("06:10").rows_arrive(FLIGHTS, -30)
    script.at("06:15").person_builds({"departures": [-30], "clean": [-30]})


@scenario("during a run")
def person_takes_up_late_rows_first(script: Script) -> None:
    """A person has built everything that late rows reach before the tick comes."""
    script.at("06:01").rows_arrive(FLIGHTS, -30)
    script.at("06:02").person_builds(
        {
            "departures": [-30],
            "clean": [-30],
            "backlog": [-30, -29, -28],
            "joined": [-30],
            "features": [-30, -29, -28],
            "totals": [],
        }
    )


@scenario("during a run")
def person_builds_halfway(script: Script) -> None:
    """A person takes up late rows in the raw table only; the rest is to follow."""
    script.at("06:02").rows_arrive(FLIGHTS, -30)
    script.at("06:03").person_builds({"departures": [-30]})


@scenario("during a run")
def person_builds_halfway_and_fails(script: Script) -> None:
    """A person's run takes up late rows and fails in its second step."""
    script.at("06:00").fails("clean")
    script.at("06:02").rows_arrive(FLIGHTS, -30)
    script.at("06:03").person_builds({"departures": [-30], "clean": [-30]})


# --- what fails once ------------------------------------------------------------------------------


@scenario("failure")
def failed_run(script: Script) -> None:
    """The step that takes up an update fails once."""
    script.at("06:00").fails("clean")
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario("failure")
def failed_twice(script: Script) -> None:
    """It fails twice, and then works."""
    script.at("06:00").fails("joined", times=2)
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario("failure")
def killed_run(script: Script) -> None:
    """The process that takes up an update is killed while it works."""
    script.at("06:00").kills("clean")
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario("failure")
def killed_after_its_data_were_written(script: Script) -> None:
    """A process is killed when its data are in the lake and before it could say so."""
    script.at("06:00").kills("clean", "written")
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario("failure")
def killed_after_writing_equal_data(script: Script) -> None:
    """The same with a change that its step absorbs."""
    script.at("06:00").kills("hourly", "written")
    script.at("06:10").detail_changes(WEATHER, -14)


@scenario("failure")
def canceled_run(script: Script) -> None:
    """A person cancels the run that takes up an update."""
    script.at("06:00").takes("departures", 15)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:40").person_cancels()


@scenario("failure")
def update_while_a_failure_waits(script: Script) -> None:
    """An update fails, and the next one comes before it was tried again."""
    script.at("06:00").fails("clean")
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:45").rows_arrive(FLIGHTS, -14)


@scenario("failure", hours=44, every_min=120)
def newest_day_fails_once(script: Script) -> None:
    """The newest day's features fail once, on the morning on which it comes."""
    script.at("06:00").fails("features")
    script.every_morning(1)


# --- what fails for good --------------------------------------------------------------------------


@scenario("permanent failure", hours=WEEK_H, every_min=240)
def permanent_failure(script: Script) -> None:
    """An update breaks a table for a week."""
    script.at("06:00").breaks("clean", -14)
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario("permanent failure", hours=4 * 24, every_min=180)
def three_failing_days_and_then_the_fix(script: Script) -> None:
    """A table fails for three days, and then its code is mended."""
    script.at("06:00").breaks("joined", -14)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:10", days=3).code_changes("joined", makes_no_difference=True)


@scenario("permanent failure", hours=2 * 24, every_min=120)
def failure_mended_by_its_source(script: Script) -> None:
    """A day's rows cannot be read; a day later the source is mended."""
    script.at("06:00").breaks("departures", -14, is_poison=True)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("07:10", days=1).rows_arrive(FLIGHTS, -14)


@scenario("permanent failure", hours=2 * 24, every_min=120)
def one_bad_day_among_ten(script: Script) -> None:
    """Ten days change at once and one of them cannot be built: the nine others are."""
    script.at("06:00").breaks("clean", -14)
    script.at("06:10").rows_arrive(FLIGHTS, *range(-19, -9))


@scenario("permanent failure", hours=2 * 24, every_min=120)
def other_input_changes_after_giving_up(script: Script) -> None:
    """After a table was given up on, another input of its reader changes: it is built with what was published last."""
    script.at("06:00").breaks("clean", -14)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:10", days=1).rows_arrive(WEATHER, -14)


@scenario("permanent failure", hours=3 * 24, every_min=120)
def newest_day_fails_for_good(script: Script) -> None:
    """A day that was never built fails for good: what needs it is blocked, and the next day comes through."""
    script.at("06:00").breaks("hourly", 60)
    script.every_morning(2)


# --- what is there and what is not ----------------------------------------------------------------


@scenario("missing")
def missing_parent(script: Script) -> None:
    """A person drops a day of a table: it is built again, with equal content, and nothing after it."""
    script.at("06:10").person_drops("clean", -5)


@scenario("missing")
def dropped_while_its_reader_changes(script: Script) -> None:
    """A table's day is dropped, and on the same day another input of its reader changes."""
    script.at("06:10").person_drops("clean", -5)
    script.at("06:12").rows_arrive(WEATHER, -5)


@scenario("missing")
def upstream_deleted(script: Script) -> None:
    """A source's day is deleted: what was built from it stays, and cannot be built again."""
    script.at("06:10").days_vanish(FLIGHTS, -5)


@scenario("missing", hours=8)
def upstream_deleted_and_restored(script: Script) -> None:
    """A source's day is deleted and comes back as it was."""
    script.at("06:10").days_vanish(FLIGHTS, -5)
    script.at("09:10").undone(FLIGHTS, -5)


@scenario("missing", hours=64, every_min=120)
def days_arrive_out_of_order(script: Script) -> None:
    """On the second morning yesterday's data come, and those of the day before only hours later."""
    script.at("05:10", days=2).comes(FLIGHTS, 61).comes(WEATHER, 61)
    script.at("09:10", days=2).comes(FLIGHTS, 60).comes(WEATHER, 60)


# --- new definitions ------------------------------------------------------------------------------


@scenario("definitions")
def code_change(script: Script) -> None:
    """New code of a feature table: all its days are built again."""
    script.at("06:10").code_changes("backlog")


@scenario("definitions")
def code_change_of_a_leaf(script: Script) -> None:
    """New code of what nobody reads."""
    script.at("06:10").code_changes("totals")


@scenario("definitions")
def code_and_data_change_together(script: Script) -> None:
    """Late rows and new code of their reader come between the same two ticks."""
    script.at("06:10").rows_arrive(FLIGHTS, -11)
    script.at("06:12").code_changes("recent")


@scenario("definitions")
def asset_renamed(script: Script) -> None:
    """A table has another name from now on: it is built under it, and its readers read it."""
    script.at("06:10").deploys(lambda graph: graph.renamed("joined", "combined"), "joined is called combined")


@scenario("definitions")
def asset_deleted(script: Script) -> None:
    """A leaf is taken out of the graph while one of its inputs changes."""
    script.at("06:10").rows_arrive(FLIGHTS, -3)
    script.at("06:12").deploys(lambda graph: graph.without("totals"), "totals is deleted")


@scenario("definitions")
def window_is_widened(script: Script) -> None:
    """A feature reads three days before its own instead of two, with new code."""
    script.at("06:10").deploys(_with_wider_window, "backlog reads a day more")


@scenario("definitions")
def asset_turned_off(script: Script) -> None:
    """A table is left to people, and then its input changes."""
    script.at("06:05").deploys(lambda graph: graph.changed("totals", is_automatic=False), "totals is left to people")
    script.at("06:10").rows_arrive(FLIGHTS, -3)


@scenario("definitions", hours=8)
def asset_turned_off_and_on(script: Script) -> None:
    """A table is left to people while its input changes, and is then automatic again."""
    script.at("06:05").deploys(lambda graph: graph.changed("totals", is_automatic=False), "totals is left to people")
    script.at("06:10").rows_arrive(FLIGHTS, -3)
    script.at("09:10").deploys(lambda graph: graph.changed("totals", is_automatic=True), "totals is automatic again")


# --- the process that ticks -----------------------------------------------------------------------


@scenario("daemon", hours=40, every_min=120)
def daemon_down_for_a_day(script: Script) -> None:
    """Nothing ticks for a day, in which a day comes and an old one changes."""
    script.at("06:30").daemon_stops()
    script.at("09:00").rows_arrive(FLIGHTS, -14)
    script.every_morning(1)
    script.at("07:30", days=1).daemon_starts()


@scenario("daemon")
def cursor_lost(script: Script) -> None:
    """The daemon is started anew without its cursor; an update came while it was down."""
    script.at("06:40").daemon_stops()
    script.at("06:50").rows_arrive(FLIGHTS, -14)
    script.at("07:10").daemon_starts(is_cursor_lost=True)


@scenario("daemon")
def cursor_lost_with_an_update_in_flight(script: Script) -> None:
    """The cursor is lost while a run builds the first half of an update's way."""
    script.at("06:00").takes("departures", 20)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:40").daemon_starts(is_cursor_lost=True)


@scenario("daemon")
def daemon_restarted(script: Script) -> None:
    """The daemon is started anew with its cursor, while a run is under way."""
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:40").daemon_starts()


@scenario("daemon", hours=8)
def clock_jumps_forward(script: Script) -> None:
    """The clock of the machine is two hours ahead for a while."""
    script.at("06:10").clock_is_off(2)
    script.at("06:20").rows_arrive(FLIGHTS, -14)
    script.at("07:20").clock_is_off(0)
    script.at("07:50").rows_arrive(FLIGHTS, -13)


@scenario("daemon", hours=8)
def clock_jumps_back(script: Script) -> None:
    """The clock of the machine is two hours behind for a while, and a step fails in it."""
    script.at("06:00").fails("clean")
    script.at("06:10").clock_is_off(-2)
    script.at("06:20").rows_arrive(FLIGHTS, -14)
    script.at("07:50").clock_is_off(0)


# --- what is claimed ------------------------------------------------------------------------------


@scenario("claims", hours=60, every_min=240)
def old_days_are_rebuilt_in_silence(script: Script) -> None:
    """No day comes any more, and every few hours an old day is restated and built: that makes nothing fresh."""
    for number in range(6):
        script.at("06:10", days=number // 3).rows_arrive(FLIGHTS, -20 - number)
        script.at("15:10", days=number // 3).rows_arrive(WEATHER, -20 - number)


@scenario("claims", hours=12, every_min=60)
def watermark_goes_backwards(script: Script) -> None:
    """A source takes back that it was complete: its data reach a day less than it had said."""
    script.at("06:10").says_complete_until(WEATHER, MIDNIGHT - 30 * HOUR)


@scenario("claims", hours=30, every_min=120)
def built_late_from_old_data(script: Script) -> None:
    """The static table changes late in the evening: all is built anew from data that grow old in the night."""
    script.at("22:10").table_changes(PLANES)


@scenario("claims", hours=60, every_min=120)
def held_back_by_a_failure(script: Script) -> None:
    """A table in the middle fails for good on the newest day, while raw tables go on."""
    script.at("06:00").breaks("hourly", 60, 61)
    script.every_morning(2)


# --- the model ------------------------------------------------------------------------------------


@scenario("model")
def late_rows_are_no_reason_to_train(script: Script) -> None:
    """Days that the model learned from change: noted, not trained."""
    script.at("06:10").rows_arrive(WEATHER, -4)


@scenario("model", hours=9 * 24, every_min=240)
def promise_of_the_model(script: Script) -> None:
    """Days come each morning until what the model learned from is a week old."""
    script.every_morning(8)


@scenario("model")
def code_of_the_model_changes(script: Script) -> None:
    """New code of the model is deployed."""
    script.at("06:10").code_changes("model")


@scenario("model")
def code_of_the_features_changes(script: Script) -> None:
    """New code of the features: they are built again, and the model learns from them."""
    script.at("06:10").code_changes("features")


@scenario("model", hours=40, every_min=120)
def drift_that_is_mended(script: Script) -> None:
    """The report finds drift on the day that comes; the model is trained once and the drift is gone."""
    script.at("20:00").drifts()
    script.every_morning(1)
    script.at("05:59", days=1).drifts(is_over=True)


@scenario("model", hours=7 * 24, every_min=240)
def drift_that_stays_failed(script: Script) -> None:
    """The check fails whatever is done: the model is trained as often as it may, and no more."""
    script.at("20:00").drifts()
    script.every_morning(6)


@scenario("model", hours=40, every_min=120)
def training_fails_once(script: Script) -> None:
    """Drift is found, and the first training fails."""
    script.at("20:00").drifts().fails("model")
    script.every_morning(1)
    script.at("05:59", days=1).drifts(is_over=True)


def _with_wider_window(graph: Graph) -> Graph:
    backlog = graph.assets["backlog"]
    code = replace(backlog.code, version="2", effect=2)
    return graph.changed("backlog", reads=(Read(upstream="clean", kind="window", start=-3),), code=code)


assert START == MIDNIGHT + 6 * HOUR  # noqa: S101 - the clock times above count from here
