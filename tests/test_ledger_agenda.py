"""What changed and what is to be looked at: no change is lost, and nothing else is told."""

import datetime as dt
import random

import pytest

from lakeline.ledger import Attempt, Changes, Ledger, Reach, State
from tests.ledgers import (
    ARCHIVE,
    BACKLOG,
    CLEAN,
    COST,
    DAY1,
    DAY2,
    DAY3,
    DAYS,
    HOUR,
    RAW,
    T0,
    after,
    build,
    chain,
    publish,
    read,
    take_up,
)

LATER = T0 + HOUR

# --- changes --------------------------------------------------------------------------------------


def test_a_publish_tells_the_partitions_that_took_another_version(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1"), build(RAW, DAY2, "r1"))
    assert take_up(ledger) == ((RAW, DAY1), (RAW, DAY2))
    publish(ledger, build(RAW, DAY1, "r1", run_id="again"), build(RAW, DAY2, "r2"))
    assert take_up(ledger) == ((RAW, DAY2),)
    assert take_up(ledger) == ()


def test_a_publish_that_changes_nothing_tells_nothing(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, *(build(RAW, day, "r1", code_version="new") for day in DAYS))
    assert ledger.changes().pairs == ()


def test_what_is_pending_or_abandoned_is_no_change(ledger: Ledger) -> None:
    ledger.begin("one", [build(RAW, DAY1, "r1")], T0)
    assert ledger.changes().pairs == ()
    ledger.abandon("one")
    assert ledger.changes().pairs == ()
    ledger.publish("one", 1, COST)
    assert ledger.changes().pairs == ((RAW, DAY1),)


def test_a_partition_that_is_forgotten_and_comes_back_is_told_both_times(ledger: Ledger) -> None:
    chain(ledger)
    ledger.forget(RAW, [DAY1, "2099-01-01"])
    assert take_up(ledger) == ((RAW, DAY1),)
    publish(ledger, build(RAW, DAY1, "r1"))
    assert take_up(ledger) == ((RAW, DAY1),)


def test_a_partition_that_changes_twice_is_told_once(ledger: Ledger) -> None:
    for version in ("r1", "r2", "r3"):
        publish(ledger, build(RAW, DAY1, version))
    found = ledger.changes()
    assert found.pairs == ((RAW, DAY1),)
    assert found.seq == 3


def test_what_changes_after_the_changes_were_read_is_not_taken_up_with_them(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1"))
    seen = ledger.changes()
    publish(ledger, build(RAW, DAY2, "r1"))
    ledger.settle_agenda(seq=seen.seq, add=[], remove=[], now=T0)
    assert ledger.changes().pairs == ((RAW, DAY2),)


def test_numbers_go_on_after_all_changes_were_taken_up(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1"))
    seen = ledger.changes()
    take_up(ledger)
    assert ledger.changes() == Changes(pairs=(), seq=seen.seq)
    publish(ledger, build(RAW, DAY1, "r2"))
    assert ledger.changes().seq > seen.seq


def test_an_older_position_takes_nothing_back(ledger: Ledger) -> None:
    chain(ledger)
    before = ledger.changes().seq
    ledger.settle_agenda(seq=1, add=[], remove=[], now=T0)
    assert ledger.changes().seq == before


def test_an_overtaken_batch_tells_only_what_it_takes(ledger: Ledger) -> None:
    ledger.begin("late", [build(RAW, DAY1, "r1"), build(RAW, DAY2, "r1")], T0)
    newer = publish(ledger, build(RAW, DAY1, "r2"))
    take_up(ledger)
    ledger.publish("late", 1, COST, overtaken_by=[newer])
    assert take_up(ledger) == ((RAW, DAY2),)


@pytest.mark.parametrize("seed", range(3))
def test_changes_and_reach_are_those_of_the_present_after_any_sequence(
    ledger: Ledger, seed: int
) -> None:
    """Publishes, equal ones, observations, failures and deletions in random order, against plain dictionaries."""
    choose = random.Random(seed)  # noqa: S311
    present: dict[tuple[str, str], str] = {}
    watermarks: dict[tuple[str, str], dt.datetime | None] = {}
    for _ in range(60):
        before, kind, asset = dict(present), choose.random(), choose.choice([RAW, CLEAN])
        days = choose.sample(DAYS, choose.randint(1, 3))
        versions = {day: choose.choice("xyz") for day in days}
        if kind < 0.6:
            reached = choose.choice([None, T0, LATER])
            publish(ledger, *(build(asset, d, v, watermark=reached) for d, v in versions.items()))
            present |= {(asset, day): version for day, version in versions.items()}
            watermarks |= {(asset, day): reached for day in days}
        elif kind < 0.8:
            ledger.forget(asset, days)
            present = {
                pair: v for pair, v in present.items() if pair not in {(asset, d) for d in days}
            }
        else:
            ledger.observe(ARCHIVE, versions, watermark=T0, observed_ts=T0, is_complete=True)
            present = {pair: v for pair, v in present.items() if pair[0] != ARCHIVE}
            present |= {(ARCHIVE, day): version for day, version in versions.items()}
        moved = {pair for pair in {*before, *present} if before.get(pair) != present.get(pair)}
        assert set(take_up(ledger)) == moved
        for name in (RAW, CLEAN, ARCHIVE):
            found, keys = ledger.reach().get(name), sorted(p for a, p in present if a == name)
            if found is None:
                assert not keys
                continue
            assert (found.newest, found.partitions) == (keys[-1] if keys else None, len(keys))
            if name != ARCHIVE:
                assert found.watermark == (watermarks[name, keys[-1]] if keys else None)


# --- the agenda -----------------------------------------------------------------------------------


def test_the_agenda_keeps_since_when_a_partition_is_on_it(ledger: Ledger) -> None:
    ledger.settle_agenda(seq=None, add=[(RAW, DAY1)], remove=[], now=T0)
    ledger.settle_agenda(seq=None, add=[(RAW, DAY1), ("never/seen", "")], remove=[], now=LATER)
    assert ledger.agenda() == {(RAW, DAY1): T0, ("never/seen", ""): LATER}


def test_what_is_at_rest_leaves_the_agenda_and_starts_anew_when_it_returns(ledger: Ledger) -> None:
    ledger.settle_agenda(seq=None, add=[(RAW, DAY1), (RAW, DAY2)], remove=[], now=T0)
    ledger.settle_agenda(seq=None, add=[], remove=[(RAW, DAY1), ("no/where", "")], now=LATER)
    assert ledger.agenda() == {(RAW, DAY2): T0}
    ledger.settle_agenda(seq=None, add=[(RAW, DAY1)], remove=[], now=LATER)
    assert ledger.agenda() == {(RAW, DAY1): LATER, (RAW, DAY2): T0}


def test_what_is_added_and_removed_at_once_stays(ledger: Ledger) -> None:
    both = [(RAW, DAY1)]
    ledger.settle_agenda(seq=None, add=both, remove=[], now=T0)
    ledger.settle_agenda(seq=None, add=both, remove=both, now=LATER)
    assert ledger.agenda() == {(RAW, DAY1): T0}


def test_settling_without_a_position_leaves_the_changes(ledger: Ledger) -> None:
    publish(ledger, build(RAW, DAY1, "r1"))
    ledger.settle_agenda(seq=None, add=[], remove=[], now=T0)
    assert ledger.changes().pairs == ((RAW, DAY1),)


def test_the_agenda_holds_thousands(ledger: Ledger) -> None:
    pairs = [(f"d/a{i % 7}", f"p{i}") for i in range(6000)]
    ledger.settle_agenda(seq=None, add=pairs, remove=[], now=T0)
    assert set(ledger.agenda()) == set(pairs)
    ledger.settle_agenda(seq=None, add=[], remove=pairs[1:], now=T0)
    assert set(ledger.agenda()) == {pairs[0]}


# --- how far an asset reaches ---------------------------------------------------------------------


def test_an_asset_reaches_as_far_as_its_newest_partition(ledger: Ledger) -> None:
    publish(ledger, *(build(RAW, day, "r1", watermark=after(day)) for day in (DAY3, DAY1)))
    assert ledger.reach()[RAW] == Reach(newest=DAY3, watermark=after(DAY3), partitions=2)
    publish(ledger, build(RAW, DAY2, "r1", watermark=after(DAY2)))
    assert ledger.reach()[RAW] == Reach(newest=DAY3, watermark=after(DAY3), partitions=3)


def test_the_newest_partition_tells_its_watermark_anew_when_it_is_built_again(
    ledger: Ledger,
) -> None:
    publish(ledger, build(RAW, DAY1, "r1", watermark=after(DAY1)))
    publish(ledger, build(RAW, DAY1, "r1", watermark=T0))
    assert ledger.reach()[RAW].watermark == T0
    publish(ledger, build(RAW, DAY1, "r1"))
    assert ledger.reach()[RAW] == Reach(newest=DAY1, watermark=None, partitions=1)


def test_forgetting_the_newest_partition_moves_the_reach_back(ledger: Ledger) -> None:
    chain(ledger)
    ledger.forget(RAW, [DAY3])
    assert ledger.reach()[RAW] == Reach(newest=DAY2, watermark=after(DAY2), partitions=2)
    ledger.forget(RAW, [DAY1, DAY2])
    assert ledger.reach()[RAW] == Reach(newest=None, watermark=None, partitions=0)


def test_names_are_compared_as_python_does(ledger: Ledger) -> None:
    names = ["b", "a", "Z", "_", "é", "10", "9"]
    for name in names:
        publish(ledger, build(RAW, name, "r1"))
    assert ledger.reach()[RAW].newest == max(names)


def test_an_unpartitioned_asset_reaches_too(ledger: Ledger) -> None:
    publish(ledger, build(RAW, "", "r1", watermark=T0))
    assert ledger.reach()[RAW] == Reach(newest="", watermark=T0, partitions=1)


# --- many partitions at once ----------------------------------------------------------------------


def test_many_partitions_are_read_at_once_as_one_by_one(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2"))
    pairs = [(asset, day) for asset in (RAW, CLEAN, BACKLOG) for day in DAYS]
    asked = [*pairs, pairs[0], ("no/where", DAY1), (RAW, "2099-01-01"), (RAW, "")]
    assert ledger.currents_of(asked) == {(a, p): ledger.current(a)[p] for a, p in pairs}
    assert ledger.versions_of(asked) == {(a, p): ledger.versions(a)[p] for a, p in pairs}
    assert ledger.inputs_of(asked) == {(a, p): ledger.inputs(a, p) for a, p in pairs}


def test_names_may_hold_any_letter(ledger: Ledger) -> None:
    names = ['say "hi"', "back\\slash", "naïve", "火", "it's", "$[0]", "a,b"]
    publish(ledger, *(build(name := "d/ö", part, f"v{part}") for part in names))
    assert ledger.versions_of([(name, part) for part in names]) == {
        (name, part): f"v{part}" for part in names
    }


def test_more_pairs_than_one_statement_takes_are_no_trouble(ledger: Ledger) -> None:
    days = [f"p{i:05}" for i in range(6000)]
    publish(ledger, *(build(RAW, day, day) for day in days))
    pairs = [(RAW, day) for day in days]
    assert ledger.versions_of(pairs) == {(RAW, day): day for day in days}
    assert len(ledger.currents_of(pairs)) == len(ledger.inputs_of(pairs)) == 6000


def test_marked_partitions_of_one_asset_are_told(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(CLEAN, DAY1, "c2", read(RAW, DAY1, "r1")))
    assert ledger.marked_of(BACKLOG) == (DAY1, DAY2)
    assert ledger.marked_of(CLEAN) == ledger.marked_of("no/where") == ()


def test_partitions_of_many_assets_are_told_at_once(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build("d/ö", "", "v1"))
    ledger.forget(CLEAN, DAYS)
    found = ledger.partitions_of([RAW, "d/ö", CLEAN, "no/where"])
    assert found == {RAW: DAYS, "d/ö": ("",)}
    assert ledger.partitions_of([]) == {}


def test_what_is_marked_or_of_other_code_is_stale(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2", code_version="new"))
    old = {(RAW, DAY2), (RAW, DAY3)}
    assert ledger.stale_of({RAW: None, CLEAN: None}) == {(CLEAN, DAY1)}
    assert ledger.stale_of({RAW: "new", CLEAN: ""}) == {*old, (CLEAN, DAY1)}
    assert ledger.stale_of({RAW: "never seen"}) == {*old, (RAW, DAY1)}
    assert ledger.stale_of({}) == ledger.stale_of({"no/where": "new"}) == set()


# --- failures -------------------------------------------------------------------------------------


def test_failures_of_the_same_inputs_are_counted(ledger: Ledger) -> None:
    ledger.failed({(RAW, DAY1): "k1", (RAW, DAY2): "k2"}, run_id="one", error="boom", now=T0)
    ledger.failed({(RAW, DAY1): "k1"}, run_id="two", error="bang", now=LATER)
    first = Attempt(key="k1", failures=2, first_ts=T0, last_ts=LATER, run_id="two", error="bang")
    assert ledger.attempts([(RAW, DAY1), (RAW, DAY3)]) == {(RAW, DAY1): first}
    assert set(ledger.attempts()) == {(RAW, DAY1), (RAW, DAY2)}
    assert ledger.attempts()[RAW, DAY2].failures == 1


def test_other_inputs_start_the_count_again(ledger: Ledger) -> None:
    for run_id in ("one", "two"):
        ledger.failed({(RAW, DAY1): "k1"}, run_id=run_id, error="boom", now=T0)
    ledger.failed({(RAW, DAY1): "k2"}, run_id="three", error="boom", now=LATER)
    found = ledger.attempts()[RAW, DAY1]
    assert (found.failures, found.first_ts) == (1, LATER)


def test_a_failed_run_that_is_told_twice_counts_once(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.failed({(RAW, DAY1): "k1"}, run_id="one", error="boom", now=T0)
    assert ledger.attempts()[RAW, DAY1].failures == 1


def test_publishing_a_partition_forgets_its_failures(ledger: Ledger) -> None:
    ledger.failed({(RAW, DAY1): "k", (RAW, DAY2): "k"}, run_id="one", error="boom", now=T0)
    publish(ledger, build(RAW, DAY1, "r1"), build(RAW, DAY3, "r1"))
    assert set(ledger.attempts()) == {(RAW, DAY2)}
    ledger.clear_attempts([(RAW, DAY2), ("no/where", "")])
    assert ledger.attempts() == {}


def test_an_error_that_no_database_takes_is_written_out(ledger: Ledger) -> None:
    said = "no file till-\udcff.csv, bad byte \x00"
    ledger.failed({(RAW, DAY1): "k1"}, run_id="one", error=said, now=T0)
    assert ledger.attempts()[RAW, DAY1].error == r"no file till-\udcff.csv, bad byte \x00"


def test_a_state_of_texts_that_no_database_takes_is_written_out_and_changes_once(
    ledger: Ledger,
) -> None:
    said = {"said": "till-\udcff.csv", "path": ["bad byte \x00"], "files": {"\udcff": 1}}
    unread = State(asset=RAW, name="source", state="unread", detail=said)
    (change,) = ledger.set_states([unread], T0)
    assert ledger.set_states([unread], LATER) == ()
    (kept,) = ledger.states(name="source")
    assert kept == change.state
    assert kept.detail == {
        "said": r"till-\udcff.csv",
        "path": [r"bad byte \x00"],
        "files": {r"\udcff": 1},
    }


# --- verification ---------------------------------------------------------------------------------


def bypass(ledger: Ledger, statement: str) -> None:
    """Change the tables behind the ledger's back."""
    with ledger._database.write() as connection:
        connection.exec_driver_sql(statement)


def test_verification_of_a_true_ledger_finds_nothing(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2"))
    before = ledger.marked()
    assert ledger.verify() == ledger.verify([RAW, CLEAN, "no/where"]) == set()
    assert ledger.marked() == before


def test_verification_finds_and_mends_what_went_past_the_marks(ledger: Ledger) -> None:
    chain(ledger)
    bypass(ledger, "UPDATE lakeline_current SET version = 'x' WHERE version = 'r1'")
    assert ledger.marked_of(CLEAN) == ()
    assert ledger.verify([RAW, BACKLOG]) == set()
    assert ledger.verify([CLEAN]) == {(CLEAN, day) for day in DAYS}
    assert ledger.marked_of(CLEAN) == DAYS
    assert ledger.verify() == set()


def test_verification_takes_away_a_mark_that_nothing_holds_up(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(RAW, DAY1, "r2"))
    bypass(ledger, "UPDATE lakeline_current SET version = 'r1' WHERE version = 'r2'")
    assert ledger.verify() == {(CLEAN, DAY1)}
    assert ledger.marked() == []


def test_verification_corrects_a_mark_with_the_wrong_cause(ledger: Ledger) -> None:
    chain(ledger)
    publish(ledger, build(CLEAN, DAY1, "c2", read(RAW, DAY1, "r1")))
    bypass(ledger, "UPDATE lakeline_current SET version = 'c1' WHERE version = 'c2'")
    bypass(
        ledger,
        "UPDATE lakeline_current SET version = 'x' WHERE version = 'c1' AND part_id ="
        f" (SELECT id FROM lakeline_word WHERE text = '{DAY2}')",
    )
    assert ledger.verify() == {(BACKLOG, DAY1), (BACKLOG, DAY2), (BACKLOG, DAY3)}
    assert ledger.marked_of(BACKLOG) == (DAY2, DAY3)
    assert ledger.current(BACKLOG)[DAY2].marked_by == f"{CLEAN}[{DAY2}]"


def test_verification_finds_an_input_that_vanished(ledger: Ledger) -> None:
    chain(ledger)
    bypass(ledger, "DELETE FROM lakeline_current WHERE version = 'r1'")
    assert ledger.verify() == {(CLEAN, day) for day in DAYS}


# --- cost -----------------------------------------------------------------------------------------


def test_cost_since_counts_what_was_published_then(ledger: Ledger) -> None:
    assert ledger.cost_since(T0) == 0.0
    chain(ledger)
    ledger.begin("open", [build(RAW, DAY1, "r9")], T0)
    assert ledger.cost_since(T0) == ledger.cost_since(COST.ended_ts) == 12.0
    assert ledger.cost_since(LATER) == 0.0


# --- nothing --------------------------------------------------------------------------------------


def test_nothing_is_asked_and_nothing_happens(ledger: Ledger) -> None:
    ledger.settle_agenda(seq=None, add=[], remove=[], now=T0)
    ledger.failed({}, run_id="one", error="", now=T0)
    ledger.clear_attempts([])
    ledger.forget(RAW, [])
    assert ledger.set_states([], T0) == ()
    bulk = (ledger.currents_of, ledger.inputs_of, ledger.versions_of, ledger.attempts)
    assert [ask([]) for ask in bulk] == [{}] * 4
    every = (ledger.reach, ledger.agenda, ledger.attempts, ledger.sources)
    assert [ask() for ask in every] == [{}] * 4
    assert ledger.verify([]) == ledger.verify() == set()
    assert ledger.changes() == Changes(pairs=(), seq=0)
    assert ledger.states() == []
