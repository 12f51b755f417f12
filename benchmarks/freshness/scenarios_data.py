"""Scenarios of the data: what arrives, what comes late or is restated, and changes that change nothing."""

from benchmarks.freshness.graph import FLIGHTS, HOUR, MIDNIGHT, PLANES, WEATHER
from benchmarks.freshness.script import Scenario, Script, scenario

SCENARIOS: dict[str, Scenario] = {}


# --- what arrives ---------------------------------------------------------------------------------


@scenario(SCENARIOS, "quiet")
def nothing_happens(script: Script) -> None:
    """Nothing changes for six hours."""


@scenario(SCENARIOS, "arrival", hours=36, every_min=180)
def next_day_arrives(script: Script) -> None:
    """The next day comes to both sources in the morning."""
    script.every_morning(1)


@scenario(SCENARIOS, "arrival", hours=42, every_min=180)
def sources_publish_hours_apart(script: Script) -> None:
    """The weather of the next day comes three hours after its flights."""
    script.at("05:10", days=1).day_arrives(FLIGHTS)
    script.at("08:10", days=1).day_arrives(WEATHER)


@scenario(SCENARIOS, "arrival", hours=54, every_min=180)
def source_falls_silent(script: Script) -> None:
    """The next day never comes: from the second evening on the promises are broken."""


@scenario(SCENARIOS, "arrival", hours=54, every_min=180)
def one_source_falls_silent(script: Script) -> None:
    """Flights come each morning, weather does not: what reads both is held back by the weather."""
    script.at("05:10", days=1).day_arrives(FLIGHTS)
    script.at("05:10", days=2).day_arrives(FLIGHTS)


@scenario(SCENARIOS, "arrival", hours=84, every_min=180)
def silence_ends_with_three_days(script: Script) -> None:
    """Nothing comes for two mornings, then three days at once."""
    for minute in ("05:10", "05:11", "05:12"):
        script.at(minute, days=3).day_arrives()


@scenario(SCENARIOS, "arrival", hours=44, every_min=180)
def half_a_day_then_the_rest(script: Script) -> None:
    """The next day comes with its watermark at noon, and its other half three hours later."""
    noon = MIDNIGHT + 12 * HOUR
    script.at("05:10", days=1).day_arrives(complete_until=noon)
    script.at("08:10", days=1).rows_arrive(FLIGHTS, 60).rows_arrive(WEATHER, 60)
    script.at("08:10", days=1).says_complete_until(FLIGHTS, MIDNIGHT + 24 * HOUR)
    script.at("08:10", days=1).says_complete_until(WEATHER, MIDNIGHT + 24 * HOUR)


@scenario(SCENARIOS, "arrival", hours=40, every_min=180)
def watermark_moves_without_rows(script: Script) -> None:
    """The next day comes as complete until two in the morning; later it is said to be whole, and had no more rows."""
    script.at("05:10", days=1).day_arrives(complete_until=MIDNIGHT + 2 * HOUR)
    for source in (FLIGHTS, WEATHER):
        script.at("07:10", days=1).says_complete_until(source, MIDNIGHT + 24 * HOUR)


@scenario(SCENARIOS, "arrival", hours=24, every_min=180)
def midnight_without_a_day(script: Script) -> None:
    """Midnight passes and the sources have nothing for the new day yet: there is nothing to build and nothing to fail."""


# --- late and restated ----------------------------------------------------------------------------


@scenario(SCENARIOS, "late data")
def late_rows_in_an_old_day(script: Script) -> None:
    """Rows come late to a day three weeks old."""
    script.at("06:10").rows_arrive(FLIGHTS, -21)


@scenario(SCENARIOS, "late data")
def late_rows_in_yesterday(script: Script) -> None:
    """Rows come late to the newest day, which everything reads."""
    script.at("06:10").rows_arrive(FLIGHTS, -1)


@scenario(SCENARIOS, "late data")
def late_rows_in_both_sources(script: Script) -> None:
    """Both arms of a diamond change for one day."""
    script.at("06:10").rows_arrive(FLIGHTS, -10).rows_arrive(WEATHER, -10)


@scenario(SCENARIOS, "late data")
def late_weather_reaches_two_days(script: Script) -> None:
    """Weather changes: features of that day and, by their offset window, of the next."""
    script.at("06:10").rows_arrive(WEATHER, -15)


@scenario(SCENARIOS, "late data")
def two_updates_before_a_tick(script: Script) -> None:
    """One day changes twice between two ticks."""
    script.at("06:05").rows_arrive(FLIGHTS, -12)
    script.at("06:20").rows_arrive(FLIGHTS, -12)


@scenario(SCENARIOS, "late data")
def changed_and_undone_before_a_tick(script: Script) -> None:
    """A day changes and is restored before anyone looks: nothing is to be done."""
    script.at("06:05").rows_arrive(FLIGHTS, -12)
    script.at("06:20").undone(FLIGHTS, -12)


@scenario(SCENARIOS, "late data", hours=8)
def changed_and_undone_later(script: Script) -> None:
    """A day changes, is built, and is restored: it is built again, and ends as it began."""
    script.at("06:10").rows_arrive(FLIGHTS, -12)
    script.at("09:10").undone(FLIGHTS, -12)


@scenario(SCENARIOS, "late data")
def ten_days_far_apart(script: Script) -> None:
    """Rows come late to ten days that lie apart."""
    script.at("06:10").rows_arrive(FLIGHTS, *range(5, 55, 5))


@scenario(SCENARIOS, "late data")
def restated_source(script: Script) -> None:
    """A month of a source is restated at once."""
    script.at("06:10").rows_arrive(FLIGHTS, *range(20, 50))


@scenario(SCENARIOS, "late data")
def static_table_changes(script: Script) -> None:
    """A row of the static table changes: every day that reads it is built again."""
    script.at("06:10").table_changes(PLANES)


@scenario(SCENARIOS, "late data")
def first_day_changes(script: Script) -> None:
    """The very first day changes, where windows reach before the beginning."""
    script.at("06:10").rows_arrive(FLIGHTS, 0).rows_arrive(WEATHER, 0)


# --- no change ------------------------------------------------------------------------------------


@scenario(SCENARIOS, "no change")
def no_op_rewrite(script: Script) -> None:
    """A source day is written anew with equal rows: its raw table is looked at, and nothing after it."""
    script.at("06:10").rewritten(FLIGHTS, -9)


@scenario(SCENARIOS, "no change")
def compaction_of_a_source(script: Script) -> None:
    """A source's files are compacted: every day has another version and the same rows."""
    script.at("06:10").rewritten(WEATHER, *range(40, 60))


@scenario(SCENARIOS, "no change")
def change_is_absorbed(script: Script) -> None:
    """A detail of the weather changes that the hourly table does not keep."""
    script.at("06:10").detail_changes(WEATHER, -9)


@scenario(SCENARIOS, "no change")
def one_arm_absorbs(script: Script) -> None:
    """Flights change and the weather's change is absorbed, on the same day of a diamond."""
    script.at("06:10").rows_arrive(FLIGHTS, -9).detail_changes(WEATHER, -9)


@scenario(SCENARIOS, "no change")
def refactoring(script: Script) -> None:
    """New code of the clean table makes the same: it is built, and nothing after it."""
    script.at("06:10").code_changes("clean", makes_no_difference=True)


@scenario(SCENARIOS, "no change")
def person_rebuilds_an_equal_day(script: Script) -> None:
    """A person rebuilds a day from inputs that have not changed."""
    script.at("06:10").person_builds({"clean": [-8]})
