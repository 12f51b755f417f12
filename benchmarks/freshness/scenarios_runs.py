"""Scenarios of the runs: what happens while they go on, fails once, fails for good, or is missing."""

from benchmarks.freshness.graph import FLIGHTS, WEATHER
from benchmarks.freshness.script import Scenario, Script, scenario

WEEK_H = 7 * 24

SCENARIOS: dict[str, Scenario] = {}


# --- while something runs -------------------------------------------------------------------------


@scenario(SCENARIOS, "during a run")
def update_during_a_run(script: Script) -> None:
    """Rows come after the raw table has read and before it is published."""
    script.at("06:00").takes("departures", 20)
    script.at("06:10").rows_arrive(FLIGHTS, -6)
    script.at("06:40").rows_arrive(FLIGHTS, -6)


@scenario(SCENARIOS, "during a run")
def update_downstream_of_a_long_step(script: Script) -> None:
    """A long step of the chain runs over two ticks, in which its source changes again."""
    script.at("06:00").takes("joined", 50)
    script.at("06:10").rows_arrive(FLIGHTS, -6)
    script.at("06:50").rows_arrive(FLIGHTS, -6)


@scenario(SCENARIOS, "during a run")
def other_day_changes_during_a_run(script: Script) -> None:
    """While one day is built, its neighbour changes, and a window reads both."""
    script.at("06:00").takes("clean", 40)
    script.at("06:10").rows_arrive(FLIGHTS, -6)
    script.at("06:50").rows_arrive(FLIGHTS, -5)


@scenario(SCENARIOS, "during a run")
def trigger_and_reset_in_one_tick(script: Script) -> None:
    """A run ends and its input changes again between the same two ticks."""
    script.at("06:10").rows_arrive(FLIGHTS, -7)
    script.at("06:32").rows_arrive(FLIGHTS, -7)


@scenario(SCENARIOS, "during a run")
def person_backfills_an_old_day(script: Script) -> None:
    """A person builds a changed day's raw and clean table, and is at it when the tick comes."""
    script.at("06:00").takes("departures", 25)
    script.at("06:10").rows_arrive(FLIGHTS, -30)
    script.at("06:15").person_builds({"departures": [-30], "clean": [-30]})


@scenario(SCENARIOS, "during a run")
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


@scenario(SCENARIOS, "during a run")
def person_builds_halfway(script: Script) -> None:
    """A person takes up late rows in the raw table only; the rest is to follow."""
    script.at("06:02").rows_arrive(FLIGHTS, -30)
    script.at("06:03").person_builds({"departures": [-30]})


@scenario(SCENARIOS, "during a run")
def person_builds_halfway_and_fails(script: Script) -> None:
    """A person's run takes up late rows and fails in its second step."""
    script.at("06:00").fails("clean")
    script.at("06:02").rows_arrive(FLIGHTS, -30)
    script.at("06:03").person_builds({"departures": [-30], "clean": [-30]})


# --- what fails once ------------------------------------------------------------------------------


@scenario(SCENARIOS, "failure")
def failed_run(script: Script) -> None:
    """The step that takes up an update fails once."""
    script.at("06:00").fails("clean")
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "failure")
def failed_twice(script: Script) -> None:
    """It fails twice, and then works."""
    script.at("06:00").fails("joined", times=2)
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "failure")
def killed_run(script: Script) -> None:
    """The process that takes up an update is killed while it works."""
    script.at("06:00").kills("clean")
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "failure")
def killed_after_its_data_were_written(script: Script) -> None:
    """A process is killed when its data are in the lake and before it could say so."""
    script.at("06:00").kills("clean", "written")
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "failure")
def killed_after_writing_equal_data(script: Script) -> None:
    """The same with a change that its step absorbs."""
    script.at("06:00").kills("hourly", "written")
    script.at("06:10").detail_changes(WEATHER, -14)


@scenario(SCENARIOS, "failure")
def canceled_run(script: Script) -> None:
    """A person cancels the run that takes up an update."""
    script.at("06:00").takes("departures", 15)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:40").person_cancels()


@scenario(SCENARIOS, "failure")
def update_while_a_failure_waits(script: Script) -> None:
    """An update fails, and the next one comes before it was tried again."""
    script.at("06:00").fails("clean")
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:45").rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "failure", hours=44, every_min=180)
def newest_day_fails_once(script: Script) -> None:
    """The newest day's features fail once, on the morning on which it comes."""
    script.at("06:00").fails("features")
    script.every_morning(1)


# --- what fails for good --------------------------------------------------------------------------


@scenario(SCENARIOS, "permanent failure", hours=WEEK_H, every_min=240)
def permanent_failure(script: Script) -> None:
    """An update breaks a table for a week."""
    script.at("06:00").breaks("clean", -14)
    script.at("06:10").rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "permanent failure", hours=4 * 24, every_min=180)
def three_failing_days_and_then_the_fix(script: Script) -> None:
    """A table fails for three days, and then its code is mended."""
    script.at("06:00").breaks("joined", -14)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:10", days=3).code_changes("joined", makes_no_difference=True)


@scenario(SCENARIOS, "permanent failure", hours=2 * 24, every_min=180)
def failure_mended_by_its_source(script: Script) -> None:
    """A day's rows cannot be read; a day later the source is mended."""
    script.at("06:00").breaks("departures", -14, unreadable="1.0.0")
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("07:10", days=1).rows_arrive(FLIGHTS, -14)


@scenario(SCENARIOS, "permanent failure", hours=2 * 24, every_min=180)
def one_bad_day_among_ten(script: Script) -> None:
    """Ten days change at once and one of them cannot be built: the nine others are."""
    script.at("06:00").breaks("clean", -14)
    script.at("06:10").rows_arrive(FLIGHTS, *range(-19, -9))


@scenario(SCENARIOS, "permanent failure", hours=2 * 24, every_min=180)
def other_input_changes_after_giving_up(script: Script) -> None:
    """After a table was given up on, another input of its reader changes: it is built with what was published last."""
    script.at("06:00").breaks("clean", -14)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:10", days=1).rows_arrive(WEATHER, -14)


@scenario(SCENARIOS, "permanent failure", hours=3 * 24, every_min=180)
def newest_day_fails_for_good(script: Script) -> None:
    """A day that was never built fails for good: what needs it is blocked, and the next day comes through."""
    script.at("06:00").breaks("hourly", 60)
    script.every_morning(2)


# --- what is there and what is not ----------------------------------------------------------------


@scenario(SCENARIOS, "missing")
def missing_parent(script: Script) -> None:
    """A person drops a day of a table: it is built again, with equal content, and nothing after it."""
    script.at("06:10").person_drops("clean", -5)


@scenario(SCENARIOS, "missing")
def dropped_while_its_reader_changes(script: Script) -> None:
    """A table's day is dropped, and on the same day another input of its reader changes."""
    script.at("06:10").person_drops("clean", -5)
    script.at("06:12").rows_arrive(WEATHER, -5)


@scenario(SCENARIOS, "missing")
def upstream_deleted(script: Script) -> None:
    """A source's day is deleted: what was built from it stays, and cannot be built again."""
    script.at("06:10").days_vanish(FLIGHTS, -5)


@scenario(SCENARIOS, "missing", hours=8)
def upstream_deleted_and_restored(script: Script) -> None:
    """A source's day is deleted and comes back as it was."""
    script.at("06:10").days_vanish(FLIGHTS, -5)
    script.at("09:10").undone(FLIGHTS, -5)


@scenario(SCENARIOS, "missing", hours=70, every_min=180)
def days_arrive_out_of_order(script: Script) -> None:
    """On the second morning yesterday's data come, and those of the day before only hours later."""
    script.at("05:10", days=2).comes(FLIGHTS, 61).comes(WEATHER, 61)
    script.at("09:10", days=2).comes(FLIGHTS, 60).comes(WEATHER, 60)
