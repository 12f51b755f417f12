"""Scenarios of new definitions, of the process that ticks, of claims about freshness, and of the model."""

from dataclasses import replace

from benchmarks.freshness.graph import FLIGHTS, HOUR, MIDNIGHT, PLANES, WEATHER, Graph, Read
from benchmarks.freshness.script import Scenario, Script, scenario

SCENARIOS: dict[str, Scenario] = {}


# --- new definitions ------------------------------------------------------------------------------


@scenario(SCENARIOS, "definitions")
def code_change(script: Script) -> None:
    """New code of a feature table: all its days are built again."""
    script.at("06:10").code_changes("backlog")


@scenario(SCENARIOS, "definitions")
def code_change_of_a_leaf(script: Script) -> None:
    """New code of what nobody reads."""
    script.at("06:10").code_changes("totals")


@scenario(SCENARIOS, "definitions")
def code_and_data_change_together(script: Script) -> None:
    """Late rows and new code of their reader come between the same two ticks."""
    script.at("06:10").rows_arrive(FLIGHTS, -11)
    script.at("06:12").code_changes("recent")


@scenario(SCENARIOS, "definitions")
def asset_renamed(script: Script) -> None:
    """A table has another name from now on: it is built under it, and its readers read it."""
    script.at("06:10").deploys(
        lambda graph: graph.renamed("joined", "combined"), "joined is called combined"
    )


@scenario(SCENARIOS, "definitions")
def asset_deleted(script: Script) -> None:
    """A leaf is taken out of the graph while one of its inputs changes."""
    script.at("06:10").rows_arrive(FLIGHTS, -3)
    script.at("06:12").deploys(lambda graph: graph.without("totals"), "totals is deleted")


@scenario(SCENARIOS, "definitions")
def window_is_widened(script: Script) -> None:
    """A feature reads three days before its own instead of two, with new code."""
    script.at("06:10").deploys(_with_wider_window, "backlog reads a day more")


@scenario(SCENARIOS, "definitions")
def asset_turned_off(script: Script) -> None:
    """A table is left to people, and then its input changes."""
    script.at("06:05").deploys(
        lambda graph: graph.changed("totals", is_automatic=False), "totals is left to people"
    )
    script.at("06:10").rows_arrive(FLIGHTS, -3)


@scenario(SCENARIOS, "definitions", hours=8)
def asset_turned_off_and_on(script: Script) -> None:
    """A table is left to people while its input changes, and is then automatic again."""
    script.at("06:05").deploys(
        lambda graph: graph.changed("totals", is_automatic=False), "totals is left to people"
    )
    script.at("06:10").rows_arrive(FLIGHTS, -3)
    script.at("09:10").deploys(
        lambda graph: graph.changed("totals", is_automatic=True), "totals is automatic again"
    )


# --- the process that ticks -----------------------------------------------------------------------


@scenario(SCENARIOS, "daemon", hours=40, every_min=180)
def daemon_down_for_a_day(script: Script) -> None:
    """Nothing ticks for a day, in which a day comes and an old one changes."""
    script.at("06:30").daemon_stops()
    script.at("09:00").rows_arrive(FLIGHTS, -14)
    script.every_morning(1)
    script.at("07:30", days=1).daemon_starts()


@scenario(SCENARIOS, "daemon")
def cursor_lost(script: Script) -> None:
    """The daemon is started anew without its cursor; an update came while it was down."""
    script.at("06:40").daemon_stops()
    script.at("06:50").rows_arrive(FLIGHTS, -14)
    script.at("07:10").daemon_starts(is_cursor_lost=True)


@scenario(SCENARIOS, "daemon")
def cursor_lost_with_an_update_in_flight(script: Script) -> None:
    """The cursor is lost while a run builds the first half of an update's way."""
    script.at("06:00").takes("departures", 20)
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:40").daemon_starts(is_cursor_lost=True)


@scenario(SCENARIOS, "daemon")
def daemon_restarted(script: Script) -> None:
    """The daemon is started anew with its cursor, while a run is under way."""
    script.at("06:10").rows_arrive(FLIGHTS, -14)
    script.at("06:40").daemon_starts()


@scenario(SCENARIOS, "daemon", hours=8)
def clock_jumps_forward(script: Script) -> None:
    """The clock of the machine is two hours ahead for a while."""
    script.at("06:10").clock_is_off(2)
    script.at("06:20").rows_arrive(FLIGHTS, -14)
    script.at("07:20").clock_is_off(0)
    script.at("07:50").rows_arrive(FLIGHTS, -13)


@scenario(SCENARIOS, "daemon", hours=8)
def clock_jumps_back(script: Script) -> None:
    """The clock of the machine is two hours behind for a while, and a step fails in it."""
    script.at("06:00").fails("clean")
    script.at("06:10").clock_is_off(-2)
    script.at("06:20").rows_arrive(FLIGHTS, -14)
    script.at("07:50").clock_is_off(0)


# --- what is claimed ------------------------------------------------------------------------------


@scenario(SCENARIOS, "claims", hours=60, every_min=240)
def old_days_are_rebuilt_in_silence(script: Script) -> None:
    """No day comes any more, and every few hours an old day is restated and built: that makes nothing fresh."""
    for number in range(6):
        script.at("06:10", days=number // 3).rows_arrive(FLIGHTS, -20 - number)
        script.at("15:10", days=number // 3).rows_arrive(WEATHER, -20 - number)


@scenario(SCENARIOS, "claims", hours=12, every_min=60)
def watermark_goes_backwards(script: Script) -> None:
    """A source takes back that it was complete: its data reach a day less than it had said."""
    script.at("06:10").says_complete_until(WEATHER, MIDNIGHT - 30 * HOUR)


@scenario(SCENARIOS, "claims", hours=30, every_min=180)
def built_late_from_old_data(script: Script) -> None:
    """The static table changes late in the evening: all is built anew from data that grow old in the night."""
    script.at("22:10").table_changes(PLANES)


@scenario(SCENARIOS, "claims", hours=60, every_min=180)
def held_back_by_a_failure(script: Script) -> None:
    """A table in the middle fails for good on the newest day, while raw tables go on."""
    script.at("06:00").breaks("hourly", 60, 61)
    script.every_morning(2)


# --- the model ------------------------------------------------------------------------------------


@scenario(SCENARIOS, "model")
def late_rows_are_no_reason_to_train(script: Script) -> None:
    """Days that the model learned from change: noted, not trained."""
    script.at("06:10").rows_arrive(WEATHER, -4)


@scenario(SCENARIOS, "model", hours=9 * 24, every_min=240)
def promise_of_the_model(script: Script) -> None:
    """Days come each morning until what the model learned from is a week old."""
    script.every_morning(8)


@scenario(SCENARIOS, "model", hours=60, every_min=180)
def code_of_the_model_changes(script: Script) -> None:
    """New code of the model is deployed, two days after it was trained."""
    script.at("06:10", days=2).code_changes("model")


@scenario(SCENARIOS, "model", hours=60, every_min=180)
def code_of_the_features_changes(script: Script) -> None:
    """New code of the features: they are built again, and the model learns from them."""
    script.at("06:10", days=2).code_changes("features")


@scenario(SCENARIOS, "model", hours=40, every_min=180)
def code_changes_while_it_cools_down(script: Script) -> None:
    """New code of the model comes a few hours after it was trained: it is trained when it has cooled down."""
    script.at("10:10").code_changes("model")


@scenario(SCENARIOS, "model", hours=64, every_min=180)
def drift_that_is_mended(script: Script) -> None:
    """The report finds drift on the second day that comes; the model is trained once and the drift is gone."""
    script.at("20:00", days=1).drifts()
    script.every_morning(2)
    script.at("06:45", days=2).drifts(is_over=True)


@scenario(SCENARIOS, "model", hours=7 * 24, every_min=240)
def drift_that_stays_failed(script: Script) -> None:
    """The check fails whatever is done: the model is trained as often as it may, and no more."""
    script.at("20:00", days=1).drifts()
    script.every_morning(6)


@scenario(SCENARIOS, "model", hours=64, every_min=180)
def training_fails_once(script: Script) -> None:
    """Drift is found, and the first training fails."""
    script.at("20:00", days=1).drifts().fails("model")
    script.every_morning(2)
    script.at("10:30", days=2).drifts(is_over=True)


def _with_wider_window(graph: Graph) -> Graph:
    backlog = graph.assets["backlog"]
    code = replace(backlog.code, version="2", effect=2)
    return graph.changed(
        "backlog", reads=(Read(upstream="clean", kind="window", start=-3),), code=code
    )
