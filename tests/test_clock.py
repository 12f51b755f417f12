"""The replay clock: it starts where it is told, runs as fast as it is told, and never goes back."""

import datetime as dt
import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakeline.clock import (
    AnchorError,
    FutureError,
    ReplayClock,
    SystemClock,
    going_replay,
    halt,
)
from lakeline.deployment import Timepiece
from lakeline.window import DAY

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@dataclass
class Wall:
    """A wall clock that the test moves."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def replay(folder: Path, wall: Wall, **changes) -> ReplayClock:
    given = {"start": START, "speed": 3600.0, "anchor": folder / "replay.json", "wall": wall}
    return ReplayClock(**{**given, **changes})


def jump(folder: Path, day: int) -> None:
    clock = ReplayClock(start=START, speed=0.0, anchor=folder / "replay.json", can_jump=True)
    clock.require(START + day * DAY, what="flights")


def test_the_system_clock_is_aware_and_refuses_the_future() -> None:
    assert SystemClock().now().tzinfo is dt.UTC
    SystemClock().require(SystemClock().now() - DAY, what="flights")
    with pytest.raises(FutureError, match="flights up to"):
        SystemClock().require(SystemClock().now() + DAY, what="flights")


def test_a_replay_begins_at_its_start_when_it_is_first_asked(tmp_path: Path) -> None:
    assert replay(tmp_path / "new", Wall()).now() == START


def test_a_replay_runs_as_fast_as_it_is_told(tmp_path: Path) -> None:
    wall = Wall()
    clock = replay(tmp_path, wall)
    clock.now()
    wall.seconds += 2
    assert clock.now() == START + 2 * HOUR


def test_a_replay_with_speed_zero_stands_still(tmp_path: Path) -> None:
    wall = Wall()
    clock = replay(tmp_path, wall, speed=0.0)
    clock.now()
    wall.seconds += 1e6
    assert clock.now() == START


def test_another_process_with_the_same_anchor_sees_the_same_time(tmp_path: Path) -> None:
    wall = Wall()
    replay(tmp_path, wall).now()
    wall.seconds += 5
    assert replay(tmp_path, wall).now() == replay(tmp_path, wall).now() == START + 5 * HOUR


def test_a_restart_with_another_speed_goes_on_from_where_it_is(tmp_path: Path) -> None:
    wall = Wall()
    replay(tmp_path, wall).now()
    wall.seconds += 10
    slower = replay(tmp_path, wall, speed=60.0)
    assert slower.now() == START + 10 * HOUR
    wall.seconds += 60
    assert slower.now() == START + 11 * HOUR


def test_a_later_start_moves_a_replay_forward_and_lets_it_run(tmp_path: Path) -> None:
    wall = Wall()
    replay(tmp_path, wall).now()
    later = replay(tmp_path, wall, start=START + DAY)
    assert later.now() == START + DAY
    wall.seconds += 1
    assert later.now() == START + DAY + HOUR


def test_a_later_start_that_has_passed_already_moves_nothing_back(tmp_path: Path) -> None:
    wall = Wall()
    replay(tmp_path, wall).now()
    wall.seconds += 48
    assert replay(tmp_path, wall, start=START + DAY).now() == START + 2 * DAY


def test_an_earlier_start_moves_nothing_back(tmp_path: Path) -> None:
    wall = Wall()
    replay(tmp_path, wall).now()
    assert replay(tmp_path, wall, start=START - DAY).now() == START


def test_a_wall_clock_set_back_does_not_move_the_replay_below_its_anchor(tmp_path: Path) -> None:
    wall = Wall()
    clock = replay(tmp_path, wall)
    clock.now()
    wall.seconds -= 500
    assert clock.now() == START


def test_the_future_is_refused_with_what_when_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FutureError) as caught:
        replay(tmp_path, Wall()).require(START + DAY, what="weather")
    assert str(caught.value) == (
        "weather up to 2013-01-02 00:00 UTC is not published yet: the clock says 2013-01-01 00:00 UTC. "
        "Ask for earlier days or wait until the clock has passed them."
    )


def test_a_replay_that_may_jump_goes_to_what_is_asked_for(tmp_path: Path) -> None:
    wall = Wall()
    clock = replay(tmp_path, wall, can_jump=True)
    clock.require(START + DAY, what="flights")
    assert clock.now() == START + DAY
    wall.seconds += 1
    assert clock.now() == START + DAY + HOUR
    clock.require(START + HOUR, what="flights")
    assert clock.now() == START + DAY + HOUR


def test_processes_that_jump_at_once_end_at_the_latest_moment(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    jumps = [spawn.Process(target=jump, args=(tmp_path, day)) for day in (5, 30, 10, 20)]
    for process in jumps:
        process.start()
    for process in jumps:
        process.join()
    assert [process.exitcode for process in jumps] == [0] * 4
    assert replay(tmp_path, Wall(0.0), speed=0.0).now() == START + 30 * DAY


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"wall_s": 1}', '{"wall_s": 1, "replay": "soon", "speed": 1}']
)
def test_a_damaged_anchor_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "replay.json").write_text(content)
    with pytest.raises(
        AnchorError, match=r"replay\.json does not say where the replay is\. Delete it"
    ):
        replay(tmp_path, Wall()).now()


def test_a_replay_that_goes_on_elsewhere_is_seen_and_left_as_it_is(tmp_path: Path) -> None:
    anchor = tmp_path / "replay.json"
    assert going_replay(anchor) is None
    start = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    ReplayClock(start=start, speed=60.0, anchor=anchor).now()
    written = anchor.read_text()
    seen = going_replay(anchor)
    assert seen is not None
    assert start <= seen.now() <= start + dt.timedelta(hours=1)
    assert anchor.read_text() == written


def test_whoever_is_given_no_replay_goes_on_with_the_one_that_was_left(tmp_path: Path) -> None:
    anchor = tmp_path / "replay.json"
    timepiece = Timepiece(replay_anchor=str(anchor), replay_can_jump=True)
    assert isinstance(timepiece.clock, SystemClock)
    start = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    ReplayClock(start=start, speed=0.0, anchor=anchor).now()
    assert timepiece.clock.now() == start
    later = start + dt.timedelta(days=3)
    timepiece.clock.require(later, what="flights")
    assert timepiece.clock.now() == later


def test_a_replay_that_was_halted_stands_still(tmp_path: Path) -> None:
    anchor = tmp_path / "replay.json"
    halt(anchor)
    assert not anchor.exists()
    start = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    ReplayClock(start=start, speed=10_000.0, anchor=anchor).now()
    halt(anchor)
    seen = going_replay(anchor)
    assert seen is not None
    assert seen.speed == 0
    assert start <= seen.now() == seen.now()
