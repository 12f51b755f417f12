"""Two processes train as one would, and leave nothing behind however they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import psutil
import pytest

from lakeline.models.surroundings import surrounded
from lakeline.neural.errors import ProcessesError
from lakeline.neural.training import train_network
from tests.networks import plan, require_torch, sightings, train, without_times

require_torch()

STILL: dict[str, Any] = {"config": {"hidden": [16], "embedding": 4, "dropout": 0.0}}
TOLERANCE = 1e-5
"""Largest difference of a probability between one process and two: sums are taken in another order."""

PATIENCE_S = 60


def workers() -> set[int]:
    """Processes of trainings that are running on this machine."""
    found = set()
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = one.read_bytes()
        except OSError:
            continue
        if b"lakeline.neural.worker" in said:
            found.add(int(one.parent.name))
    return found


def scratches() -> set[str]:
    """Folders of trainings on several processes."""
    return {one.name for one in Path(gettempdir()).glob("lakeline-training-*")}


def wait_until(is_so: Any) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.2)


def test_two_processes_repeat_bit_for_bit_and_are_close_to_one():
    told: list[Mapping[str, Any]] = []
    before = workers(), scratches()
    with surrounded(report=told.append):
        first = train_network(train(), plan(processes=2, **STILL), name="birds")
    again = train_network(train(), plan(processes=2, **STILL), name="birds")
    assert first.payload == again.payload
    assert first.digest == again.digest
    assert without_times(first.history) == without_times(again.history)
    alone = train_network(train(), plan(**STILL))
    difference = np.abs(first.predict(sightings()) - alone.predict(sightings()))
    assert 0 < difference.max() < TOLERANCE
    assert [one["event"] for one in told] == ["epoch"] * 3
    assert told[-1]["held_loss"] == pytest.approx(alone.history[-1]["held_loss"], abs=1e-5)
    assert (workers(), scratches()) == before


def test_a_batch_that_cannot_be_shared_evenly_counts_every_row_once():
    odd = {"batch_rows": 63, "epochs": 1, **STILL}
    two, one = (train_network(train(), plan(processes=n, **odd)) for n in (2, 1))
    assert np.abs(two.predict(sightings()) - one.predict(sightings())).max() < TOLERANCE


def test_what_fails_in_a_process_is_said_here():
    endless = plan(processes=2, learning_rate=1e30, clip_norm=0, stop_days=0, epochs=5)
    with pytest.raises(ProcessesError, match=r"2 processes that train 'birds' ended .*'birds' is no number at step"):  # fmt: skip
        train_network(train(), endless, name="birds")


STARTED = """
import sys
from lakeline.models.surroundings import surrounded
from lakeline.neural.training import train_network
from tests.networks import plan, train
def report(told):
    if told["epoch"] == 1:  # nobody reads more than the first line
        print(told, flush=True)
with surrounded(report=report):
    train_network(train(), plan(processes=2, epochs=100000, patience=0), name="birds")
"""


@pytest.fixture
def started():
    """A program that trains on two processes for ever, once its first epoch is done."""
    before, folders = workers(), scratches()
    running = subprocess.Popen(
        [sys.executable, "-c", STARTED], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1], text=True
    )  # fmt: skip
    assert running.stdout is not None
    assert "'event': 'epoch'" in running.stdout.readline()
    yield running, lambda: workers() - before, folders
    running.kill()
    running.wait()
    running.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_whoever_started_them_is_killed(started: Any, how: signal.Signals):
    running, ours, folders = started
    assert len(ours()) >= 2
    assert scratches() - folders
    running.send_signal(how)
    running.wait(PATIENCE_S)
    wait_until(lambda: not ours())
    wait_until(lambda: scratches() <= folders)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_processes_end_even_if_the_one_that_started_them_does_not_answer(started: Any):
    running, ours, folders = started
    (torchrun,) = psutil.Process(running.pid).children()
    torchrun.suspend()
    running.send_signal(signal.SIGINT)
    running.wait(PATIENCE_S)
    wait_until(lambda: not ours())
    wait_until(lambda: scratches() <= folders)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_process_ends_the_others_and_is_told(started: Any):
    running, ours, _ = started
    newest = max(ours())
    os.kill(newest, signal.SIGKILL)
    assert running.wait(PATIENCE_S) != 0
    wait_until(lambda: not ours())
