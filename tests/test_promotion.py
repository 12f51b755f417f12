"""Training, the gate and the champion end to end: the registry and the ledger say the same, whatever dies in between."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakeline.domain import champion as champions
from lakeline.domain.champion import ChampionMovedError, ForeignChampionError, in_service
from lakeline.domain.node import nodes
from lakeline.domain.promotion import NeverTrainedError, promote, roll_back
from lakeline.errors import UnknownModelError
from lakeline.freshness.declared import graph_of
from lakeline.freshness.retraining import trainings
from lakeline.freshness.training import why_train
from lakeline.freshness.view import Standing, View
from lakeline.ledger import Ledger
from lakeline.meter import Meter
from lakeline.models.gate import NothingToRollBackError, Promotion
from lakeline.models.registry import Registry
from lakeline.window import day_start
from tests.learning import MODEL, TABLE, Mill, World

WINTER = ("2024-03-01", "2024-03-30")
TURN = "2024-03-31"
AFTER = (TURN, "2024-05-04")
IF_CHANGED = {"lakeline/if_changed": "true"}
Factory = Callable[[World], Mill]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a registry that has nothing."""
    folder = tmp_path_factory.mktemp("empty")
    Registry(folder=folder).versions(TABLE)
    return folder / "registry.db"


@pytest.fixture
def make(tmp_path: Path, empty: Path) -> Factory:
    return lambda world: Mill.at(tmp_path, world, empty)


def trained(make: Factory) -> Mill:
    """A mill in its first champion's days."""
    found = make(World())
    assert found.measure(*WINTER).success
    assert found.train().success
    return found


def turned(make: Factory) -> Mill:
    """A mill in which heat came to mean the opposite, and the second champion serves."""
    found = trained(make)
    found.world.turns_on = TURN
    assert found.measure(*AFTER).success
    assert found.train().success
    return found


def dies(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_the_first_model_that_beats_the_baselines_serves_and_learned_from_every_day(make):
    mill = trained(make)
    assert mill.champion == 1
    assert mill.is_agreed()
    assert len(mill.registry.versions(TABLE)) == 1  # the challenger that was refitted is not kept
    held = mill.house.ledger.current(MODEL)[""]
    assert f"{held.watermark:%Y-%m-%d}" == "2024-03-31"
    assert held.rows == 30 * 60
    [noted] = trainings(mill.house.ledger, MODEL)
    assert (noted.known_ts, noted.code_version) == (held.watermark, mill.node.code_version)


def test_without_refit_the_very_model_that_was_judged_serves(make):
    mill = make(World(settings={"refit": False, "holdout": "10d"}))
    mill.measure(*WINTER)
    assert mill.train().success
    held = mill.registry.champion(TABLE)
    assert held is not None
    assert held.tags["lakeline.judged_model"] == held.digest
    assert f"{mill.house.ledger.current(MODEL)[''].watermark:%Y-%m-%d}" == "2024-03-21"


def test_a_first_model_that_is_worth_nothing_does_not_serve_and_says_so(make):
    mill = make(World(turns_on="2024-03-17"))  # its holdout contradicts what it learned
    mill.measure(*WINTER)
    run = mill.train()
    assert not run.success
    assert "still has no champion: the first model: it does not beat the baselines" in run.error
    check = run.check("breaks", "gate")
    assert (check.passed, check.severity.value) == (False, "ERROR")
    assert mill.champion is None
    assert mill.house.ledger.current(MODEL) == {}
    assert mill.house.ledger.pending(MODEL) == []
    assert len(trainings(mill.house.ledger, MODEL)) == 1  # it counts all the same

    promote(mill.house, mill.node, 1, by="anna", because="better than nothing")
    assert mill.is_agreed()
    assert len(mill.house.ledger.inputs(MODEL, "")) == 30


def test_a_better_challenger_takes_over_and_what_used_the_old_one_is_to_build_again(make):
    mill = trained(make)
    assert mill.build("scores", first=WINTER[0], last=WINTER[1]).success
    mill.world.turns_on = TURN
    mill.measure(*AFTER)
    run = mill.train()
    check = run.check("breaks", "gate")
    assert check.passed
    assert "better than the champion" in str(check.description)
    assert {"metric", "challenger_brier", "champion_brier", "difference_low", "days"} <= set(
        check.metadata
    )
    assert mill.champion == 2
    assert mill.is_agreed()
    marked = {one.partition for one in mill.house.ledger.marked() if one.asset == "mill/scores"}
    assert len(marked) == 30
    tags = mill.registry.version(TABLE, 2).tags
    assert (tags["lakeline.promoted_by"], tags["lakeline.previous_champion"]) == ("gate", "1")


def test_a_refused_challenger_moves_nothing_and_makes_nothing_fresher(make):
    mill = trained(make)
    before = mill.house.ledger.current(MODEL)[""]
    assert mill.build("scores", first=WINTER[0], last=WINTER[1]).success
    mill.measure("2024-03-31", "2024-04-20")  # more of the same
    run = mill.train()
    assert run.success
    check = run.check("breaks", "gate")
    assert (check.passed, check.severity.value) == (False, "WARN")
    assert "Refused: not surely better than the champion" in str(check.description)
    after = mill.house.ledger.current(MODEL)[""]
    assert mill.champion == 1
    assert mill.registry.aliased(TABLE, "challenger") == 2
    assert (after.version, after.watermark) == (before.version, before.watermark)
    assert [one for one in mill.house.ledger.marked() if one.asset == "mill/scores"] == []
    assert len(mill.house.ledger.inputs(MODEL, "")) == 51  # what was read last, and found no better
    assert len(trainings(mill.house.ledger, MODEL)) == 2


def test_a_run_for_what_has_changed_does_not_train_on_equal_inputs_again(make):
    mill = trained(make)
    mill.measure("2024-03-31", "2024-04-20")
    assert mill.train().success  # refused
    run = mill.build("breaks", **IF_CHANGED)
    assert run.success
    [told] = run.materializations("breaks")
    assert told.metadata["skipped"].value
    assert len(trainings(mill.house.ledger, MODEL)) == 2


def test_a_person_may_promote_what_the_gate_refused(make):
    mill = trained(make)
    mill.measure("2024-03-31", "2024-04-20")
    mill.train()
    before = len(trainings(mill.house.ledger, MODEL))
    done = promote(mill.house, mill.node, 2, by="anna", because="it knows April")
    assert (done.version.version, done.before, done.is_change) == (2, 1, True)
    assert (mill.champion, mill.is_agreed()) == (2, True)
    assert mill.registry.aliased(TABLE, "challenger") is None
    [state] = mill.house.ledger.states(name="champion")
    assert state.detail == {
        "by": "anna",
        "because": "it knows April",
        "is_rollback": False,
        "version": 2,
        "instead_of": 1,
    }
    # No training, so no reason to train: what was read last stays what is recorded.
    assert len(trainings(mill.house.ledger, MODEL)) == before
    assert mill.house.ledger.is_consistent(MODEL, "")


def test_rolling_back_goes_to_the_version_before_with_its_own_reach(make):
    mill = turned(make)
    assert mill.build("scores", first="2024-05-01", last="2024-05-02").success
    done = roll_back(mill.house, mill.node, by="anna", because="complaints")
    assert (done.version.version, done.before, done.readers) == (1, 2, 2)
    assert (mill.champion, mill.is_agreed()) == (1, True)
    assert f"{mill.house.ledger.current(MODEL)[''].watermark:%Y-%m-%d}" == "2024-03-31"
    with pytest.raises(NothingToRollBackError, match="Version 1 is its first champion"):
        roll_back(mill.house, mill.node, by="anna", because="once more")
    assert mill.build("scores", first="2024-05-01", last="2024-05-02").success
    assert mill.house.ledger.is_consistent("mill/scores", "2024-05-01")


def test_promoting_the_champion_changes_nothing(make):
    mill = trained(make)
    before = mill.house.ledger.current(MODEL)[""]
    done = promote(mill.house, mill.node, 1, by="anna", because="it is good")
    assert not done.is_change
    assert mill.house.ledger.current(MODEL)[""] == before


def test_a_version_that_is_not_there_cannot_be_promoted(make):
    mill = trained(make)
    with pytest.raises(UnknownModelError, match=r"at '7'. It has version 1, alias champion"):
        promote(mill.house, mill.node, 7, by="anna", because="a typo")
    assert mill.is_agreed()


def test_a_model_that_the_ledger_does_not_know_cannot_be_promoted(make, tmp_path):
    mill = trained(make)
    mill.house = mill.house.model_copy(update={"ledger_url": f"sqlite:///{tmp_path / 'new.db'}"})
    with pytest.raises(NeverTrainedError, match="The ledger knows no training of 'mill/breaks'"):
        promote(mill.house, mill.node, 1, by="anna", because="the ledger is new")


# --- a process that dies ----------------------------------------------------------------------


@pytest.mark.parametrize(("dead", "champion"), [("crown", 1), ("publish", 2)])
def test_a_process_that_dies_while_it_promotes_is_mended_to_what_the_alias_says(
    make, monkeypatch, dead, champion
):
    mill = trained(make)
    mill.world.turns_on = TURN
    mill.measure(*AFTER)
    with monkeypatch.context() as patch:
        if dead == "crown":
            patch.setattr(champions, "crown", dies)
        else:
            patch.setattr(Ledger, "publish", dies)
        assert not mill.train().success
    assert mill.champion == champion
    assert len(mill.house.ledger.pending(MODEL)) == 1

    assert mill.build("scores", first="2024-05-01", last="2024-05-01").success
    assert mill.house.ledger.pending(MODEL) == []
    assert mill.is_agreed()
    [read] = [one for one in mill.house.ledger.inputs("mill/scores", "2024-05-01") if one.asset == MODEL]  # fmt: skip
    assert read.version == mill.version
    assert mill.champion == champion
    if champion == 1:
        assert mill.train().success
        assert mill.champion == 2


@pytest.mark.parametrize("dead", ["crown", "publish"])
def test_a_rollback_that_dies_can_be_repeated(make, monkeypatch, dead):
    mill = turned(make)
    with monkeypatch.context() as patch:
        if dead == "crown":
            patch.setattr(champions, "crown", dies)
        else:
            patch.setattr(Ledger, "publish", dies)
        with pytest.raises(KeyboardInterrupt):
            roll_back(mill.house, mill.node, by="anna", because="complaints")
    if dead == "crown":
        roll_back(mill.house, mill.node, by="anna", because="complaints")
    in_service(mill.house, mill.node)
    assert (mill.champion, mill.is_agreed()) == (1, True)


def test_a_challenger_that_was_compared_with_a_champion_that_is_gone_is_not_promoted(make):
    mill = turned(make)
    found = mill.registry.version(TABLE, 1)
    build = champions.build_of_last_training(mill.house, mill.node, found)
    assert build is not None
    with pytest.raises(ChampionMovedError, match="became version 2 while a challenger was"):
        champions.enthrone(
            mill.house,
            mill.node,
            found,
            build,
            cost=Meter().cost(),
            promotion=Promotion(by="gate", because="better"),
            instead_of=1,
        )
    assert (mill.champion, mill.is_agreed()) == (2, True)


def test_an_alias_that_somebody_moved_is_an_error_until_a_person_decides(make):
    mill = turned(make)
    mill.registry.promote(TABLE, 1)  # as MLflow's own pages would
    run = mill.build("scores", first="2024-05-01", last="2024-05-01")
    assert not run.success
    assert "points at version 1, which lakeline did not promote" in run.error
    with pytest.raises(ForeignChampionError):
        in_service(mill.house, mill.node)
    promote(mill.house, mill.node, 1, by="anna", because="it was meant so")
    assert mill.is_agreed()
    assert mill.build("scores", first="2024-05-01", last="2024-05-01").success


def test_checks_of_reports_are_states_of_the_ledger(make):
    mill = trained(make)
    assert mill.build("drift").success
    [state] = mill.house.ledger.states(asset="mill/drift")
    assert (state.name, state.state) == ("check:share", "passed")
    mill.world.drifted = True
    assert mill.build("drift").success
    [state] = mill.house.ledger.states(asset="mill/drift")
    assert (state.state, state.detail) == ("failed", {"description": "Told by the test."})
    json.dumps(dict(state.detail))


# --- what reconciling makes of it -------------------------------------------------------------


def standing(mill: Mill, day: str) -> Standing:
    """Whether the model is to be trained, asked at the start of a day of the data's own year."""
    of_mill = {name: node for name, node in nodes().items() if name.startswith("mill/")}
    graph = graph_of(of_mill)
    return why_train(
        View(graph, mill.house.ledger), graph.vertices[MODEL], day_start(day), is_moving=False
    )


def test_a_cool_down_is_counted_in_the_time_of_the_data(make):
    """The recorded year is long ago: by the machine's clock the model was trained in its far future."""
    mill = trained(make)
    mill.world.drifted = True
    mill.measure("2024-03-31", "2024-04-02")
    assert mill.build("drift").success
    assert "it cools down until 2024-04-07" in standing(mill, "2024-04-03").because
    held = standing(mill, "2024-04-08")
    assert held.is_fine
    assert "know no more than the champion before 2024-04-15" in held.because
    due = standing(mill, "2024-04-16")
    assert (due.is_fine, due.because) == (False, "mill/drift share failed")


def test_after_a_refusal_equal_rows_are_no_reason_and_new_ones_are(make):
    mill = trained(make)
    mill.world.drifted = True
    mill.measure("2024-03-31", "2024-04-20")
    assert mill.build("drift").success
    assert mill.train().success  # refused
    assert "it would be the same model" in standing(mill, "2024-05-20").because
    mill.measure("2024-04-21", "2024-04-21")
    assert not standing(mill, "2024-05-20").is_fine


def test_a_model_without_a_champion_is_tried_again_with_new_rows_after_its_cool_down(make):
    mill = make(World(turns_on="2024-03-17"))
    mill.measure("2024-03-01", "2024-03-30")
    mill.train()
    assert "it would be the same model" in standing(mill, "2024-05-01").because
    mill.measure("2024-03-31", "2024-03-31")
    assert "it cools down until 2024-04-07" in standing(mill, "2024-04-01").because
    again = standing(mill, "2024-04-07")
    assert (again.level, again.because) == ("missing", "it has no champion")
