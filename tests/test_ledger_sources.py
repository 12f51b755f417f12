"""Sources and states: what is seen of them is kept, and only what changed is told."""

import pytest

from lakeline.errors import NaiveTimeError
from lakeline.ledger import ABSENT, Ledger, Reach, SourceState, State, StateChange
from tests.ledgers import (
    ARCHIVE,
    CLEAN,
    DAY1,
    DAY2,
    DAY3,
    HOUR,
    RAW,
    T0,
    after,
    build,
    marked,
    publish,
    read,
    take_up,
)

LATER = T0 + HOUR
SEEN = {DAY1: "etag1", DAY2: "etag2"}


def observe(
    ledger: Ledger, versions: dict[str, str], day: str | None = DAY2, *, is_complete: bool = False
) -> tuple[str, ...]:
    return ledger.observe(
        ARCHIVE,
        versions,
        watermark=after(day) if day else None,
        observed_ts=T0,
        is_complete=is_complete,
    )


def test_the_first_look_at_a_source_finds_everything_new(ledger: Ledger) -> None:
    assert observe(ledger, SEEN) == (DAY1, DAY2)
    assert ledger.versions(ARCHIVE) == SEEN
    assert take_up(ledger) == ((ARCHIVE, DAY1), (ARCHIVE, DAY2))


def test_an_unchanged_source_changes_nothing_but_the_time(ledger: Ledger) -> None:
    observe(ledger, SEEN)
    take_up(ledger)
    assert ledger.observe(ARCHIVE, SEEN, watermark=after(DAY2), observed_ts=LATER) == ()
    assert ledger.changes().pairs == ()
    assert ledger.sources()[ARCHIVE].observed_ts == LATER
    assert len(ledger.history(ARCHIVE)) == 2


def test_a_restated_source_marks_what_was_built_from_it(ledger: Ledger) -> None:
    observe(ledger, SEEN)
    publish(ledger, *(build(RAW, day, "r1", read(ARCHIVE, day, v)) for day, v in SEEN.items()))
    take_up(ledger)
    assert observe(ledger, {DAY2: "etag2b"}) == (DAY2,)
    assert marked(ledger) == [(RAW, DAY2)]
    assert take_up(ledger) == ((ARCHIVE, DAY2),)
    observe(ledger, SEEN)
    assert marked(ledger) == []


def test_a_source_seen_in_part_keeps_the_rest(ledger: Ledger) -> None:
    observe(ledger, SEEN)
    assert observe(ledger, {DAY3: "etag3"}) == (DAY3,)
    assert ledger.versions(ARCHIVE) == {**SEEN, DAY3: "etag3"}


def test_what_a_complete_look_does_not_find_is_gone(ledger: Ledger) -> None:
    observe(ledger, SEEN)
    publish(ledger, build(RAW, DAY1, "r1", read(ARCHIVE, DAY1, "etag1")))
    take_up(ledger)
    assert observe(ledger, {DAY2: "etag2"}, is_complete=True) == (DAY1,)
    assert take_up(ledger) == ((ARCHIVE, DAY1),)
    assert marked(ledger) == [(RAW, DAY1)]
    assert observe(ledger, {}, is_complete=True) == (DAY2,)
    assert ledger.versions(ARCHIVE) == {}


def test_a_partition_without_a_version_is_gone(ledger: Ledger) -> None:
    observe(ledger, SEEN)
    assert observe(ledger, {DAY1: ABSENT, DAY3: ABSENT}) == (DAY1,)
    assert ledger.versions(ARCHIVE) == {DAY2: "etag2"}


def test_a_watermark_that_goes_backwards_is_stored_as_it_is(ledger: Ledger) -> None:
    observe(ledger, SEEN, DAY3)
    observe(ledger, SEEN, DAY1)
    assert ledger.sources() == {
        ARCHIVE: SourceState(watermark=after(DAY1), highest=after(DAY3), observed_ts=T0)
    }
    observe(ledger, SEEN, None)
    found = ledger.sources()[ARCHIVE]
    assert (found.watermark, found.highest) == (None, after(DAY3))


def test_a_source_reaches_as_far_as_it_says(ledger: Ledger) -> None:
    observe(ledger, SEEN, DAY3)
    assert ledger.reach()[ARCHIVE] == Reach(newest=DAY2, watermark=after(DAY3), partitions=2)
    observe(ledger, SEEN, None)
    assert ledger.reach()[ARCHIVE].watermark is None


def test_a_source_that_never_had_anything_has_a_watermark_all_the_same(ledger: Ledger) -> None:
    assert observe(ledger, {}, DAY1, is_complete=True) == ()
    assert ledger.reach()[ARCHIVE] == Reach(newest=None, watermark=after(DAY1), partitions=0)


def test_sources_stand_in_no_summary_and_cost_nothing(ledger: Ledger) -> None:
    observe(ledger, SEEN)
    publish(ledger, build(RAW, DAY1, "r1", read(ARCHIVE, DAY1, "etag1")))
    assert [line.asset for line in ledger.summary()] == [RAW]
    assert ledger.cost_since(T0) == 4.0
    assert {record.placement for record in ledger.history(ARCHIVE)} == {"observed"}


def test_a_look_at_no_particular_time_is_refused_whole(ledger: Ledger) -> None:
    with pytest.raises(NaiveTimeError):
        ledger.observe(ARCHIVE, SEEN, watermark=None, observed_ts=T0.replace(tzinfo=None))
    assert ledger.versions(ARCHIVE) == {}
    assert ledger.sources() == {}


# --- states ---------------------------------------------------------------------------------------

DRIFT = State(asset=CLEAN, name="check:drift", state="passed", detail={"psi": 0.1})
LATE = State(asset=CLEAN, name="alert:late", state="quiet", partition=DAY1)


def test_a_new_state_is_a_change(ledger: Ledger) -> None:
    changed = ledger.set_states([DRIFT, LATE], T0)
    assert [(one.state.name, one.state.since_ts, one.before) for one in changed] == [
        ("check:drift", T0, None),
        ("alert:late", T0, None),
    ]
    assert [one.name for one in ledger.states()] == ["check:drift", "alert:late"]


def test_an_equal_state_is_no_change_and_its_detail_is_renewed(ledger: Ledger) -> None:
    ledger.set_states([DRIFT], T0)
    again = State(asset=CLEAN, name="check:drift", state="passed", detail={"psi": 0.2})
    assert ledger.set_states([again], LATER) == ()
    found = ledger.states()[0]
    assert (found.detail, found.since_ts) == ({"psi": 0.2}, T0)


def test_another_state_says_what_it_was_before(ledger: Ledger) -> None:
    ledger.set_states([DRIFT, LATE], T0)
    failed = State(asset=CLEAN, name="check:drift", state="failed")
    (changed,) = ledger.set_states([failed, LATE], LATER)
    assert isinstance(changed, StateChange)
    assert (changed.state.state, changed.before) == ("failed", "passed")
    assert {one.name: one.since_ts for one in ledger.states()} == {
        "check:drift": LATER,
        "alert:late": T0,
    }


def test_states_are_found_by_name_and_by_asset(ledger: Ledger) -> None:
    ledger.set_states([DRIFT, LATE, State(asset=RAW, name="check:drift", state="failed")], T0)
    assert [one.asset for one in ledger.states(name="check:drift")] == [RAW, CLEAN]
    assert [one.name for one in ledger.states(asset=CLEAN)] == ["check:drift", "alert:late"]
    assert [one.asset for one in ledger.states(name="alert:late", asset=CLEAN)] == [CLEAN]
    assert ledger.states(name="nothing") == []


def test_statistics_are_kept_by_partition_and_the_newest_are_given(ledger: Ledger) -> None:
    ledger.set_statistics(RAW, {DAY1: ("r1", b"\x00one"), DAY2: ("r1", b"two")})
    ledger.set_statistics(RAW, {DAY2: ("r2", b"two again")})
    assert ledger.statistics(RAW, 9) == {DAY1: ("r1", b"\x00one"), DAY2: ("r2", b"two again")}
    assert ledger.statistics(RAW, 1) == {DAY2: ("r2", b"two again")}
    assert ledger.statistics(CLEAN, 1) == {}
