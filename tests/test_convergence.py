"""Random graphs and orders of events end where a brute-force oracle says, with nothing built in vain."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.convergence.cases import Asset, Case, Event, Read, day
from benchmarks.convergence.judging import WrongError
from benchmarks.convergence.oracle import Held, Truth, fixpoint
from benchmarks.convergence.play import play, settle
from benchmarks.convergence.strategies import case_of, cases
from benchmarks.convergence.survival import survive
from benchmarks.convergence.world import World
from lakeline.ledger import Ledger

SOURCE = Asset(name="source:raw", salt="source:raw", kind="source")
RAW = Asset(name="raw", salt="raw", reads=(Read(upstream="source:raw"),))
TOTAL = Asset(name="total", salt="total", parting="whole", reads=(Read(upstream="raw", kind="every"),))  # fmt: skip
CASE = Case(assets=(SOURCE, RAW, TOTAL), events=(Event(kind="fill", where=2),))


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(case=cases(most_assets=7, most_events=16))
def test_whatever_happens_everything_comes_to_rest_where_the_oracle_says(
    case: Case, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert play(case, tmp_path_factory.mktemp("case") / "ledger.db").wrong == ""


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_process_that_is_killed_over_and_over_ends_there_too(seed: int, tmp_path: Path) -> None:
    played, _ = survive(case_of(seed, most_assets=6, most_events=12), tmp_path, seed, 3)
    assert played.wrong == ""


def test_the_oracle_follows_sources_to_everything_made_of_them() -> None:
    truth = World(case=CASE, ledger=Ledger("sqlite://")).truth
    truth.sources = {("source:raw", day(0)): "a", ("source:raw", day(1)): "b"}
    targets = fixpoint(truth)
    assert set(targets) == {*truth.sources, ("raw", day(0)), ("raw", day(1)), ("total", "")}
    assert dict(targets["total", ""].inputs or {}) == {
        ("raw", day(number)): targets["raw", day(number)].version for number in (0, 1)
    }


def test_a_partition_that_lost_its_source_stays_in_the_oracle_as_it_is() -> None:
    held = Held(version="old", inputs={("source:raw", day(0)): "gone"}, code=1)
    truth = Truth(assets={one.name: one for one in CASE.assets}, now=World(case=CASE, ledger=Ledger("sqlite://")).truth.now)  # fmt: skip
    truth.held = {("raw", day(0)): held}
    assert fixpoint(truth)["raw", day(0)].version == "old"


def test_a_lost_update_is_caught(tmp_path: Path) -> None:
    world = World(case=CASE, ledger=Ledger(f"sqlite:///{tmp_path}/ledger.db"))
    world.present["source:raw", day(0)] = "v0"
    settle(world)
    world.truth.held["total", ""] = Held(version="other", inputs={}, code=1)
    with pytest.raises(WrongError, match="off"):
        settle(world)
