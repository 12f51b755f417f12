"""What a process imports is taken out of what Python's collector looks at, and the collector goes on with the rest."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeline.collecting import importing, settle
from tests.flights_state import require_manifest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    settle.cache_clear()
    yield
    gc.unfreeze()
    gc.enable()


class Ring:
    """Holds itself, so that only the collector can take it away."""

    def __init__(self) -> None:
        self.me = self


def test_the_collector_goes_on_with_what_comes_after() -> None:
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    gone = weakref.ref(Ring())
    gc.collect()
    assert gone() is None


def test_it_happens_once_in_a_process() -> None:
    settle()
    held = gc.get_freeze_count()
    kept = [Ring() for _ in range(5000)]
    settle()
    assert gc.get_freeze_count() <= held
    assert kept


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with importing():
        pass
    assert not gc.isenabled()


def test_an_import_that_fails_leaves_it_on() -> None:
    with pytest.raises(ZeroDivisionError), importing():
        _ = 1 / 0
    assert gc.isenabled()


def test_at_the_end_all_is_taken_away() -> None:
    code = """
import os
from lakeline.collecting import settle

class Ring:
    def __del__(self, write=os.write):
        write(1, b"gone")

ring = Ring()
ring.me = ring
settle()
del ring
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "gone"


def test_loading_a_project_settles_what_it_brought() -> None:
    require_manifest()
    code = "import gc; from lakeline.project import load_project; load_project(); print(gc.get_freeze_count(), gc.isenabled())"
    env = {key: value for key, value in os.environ.items() if not key.startswith("LAKELINE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    count, is_on = done.stdout.split()
    assert int(count) > 50_000
    assert is_on == "True"
