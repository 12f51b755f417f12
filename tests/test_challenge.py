"""What a training leaves behind: evaluation, card, page; what stops one; one at a time; and searches that challenge."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lakeline.cli import main
from lakeline.domain import Check
from lakeline.domain.chosen import CHOSEN
from lakeline.domain.domain import Domain
from lakeline.domain.leaked import LEAK, leaks_of, note_leak_checks
from lakeline.domain.node import node_of
from lakeline.domain.rebuilding import rebuild
from lakeline.domain.search_assets import NotSearchableError, SearchLimitsError
from lakeline.domain.servable import make_servable
from lakeline.errors import CorruptModelError
from lakeline.lake.lock import file_turn
from lakeline.models.booster import train_booster
from lakeline.models.card import CARD_FILE
from lakeline.models.evaluation_plan import SlicesError
from lakeline.models.evaluation_report import EVALUATION_FILE, NoEvaluationError
from lakeline.models.manifest import broken_files
from lakeline.models.registry import Registry
from lakeline.models.rows import Rows
from lakeline.models.thresholds import Costs
from lakeline.models.training import TrainedModel
from tests.learning import TABLE, Mill, World
from tests.shop import Run, run
from tests.test_booster import flights, trained
from tests.test_domain_features import DAYS
from tests.test_domain_features import made as rivers_at
from tests.test_promoting import DEFINITIONS, PROJECT, _deployment

FIRST, LAST = "2024-03-01", "2024-03-30"
SAMPLES = "mill/samples"
SPACE = {"num_leaves": ("int", 2, 9), "learning_rate": ("log", 0.02, 0.4)}
SETTINGS = {
    "slices": ("machine", "noise", "month"),
    "costs": Costs(false_alarm=1, miss=3),
    "limits": ["Not for machines that stand still."],
}
DECLARED = "World(settings={'slices': ('machine', 'noise'), 'limits': ['Not for machines that stand still.']})"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    Registry(folder=folder).versions(TABLE)
    return folder / "registry.db"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Mill:
    """A project whose model has one version."""
    folder = tmp_path_factory.mktemp("made")
    found = Mill.at(folder, World(settings=SETTINGS), empty)
    assert found.measure(FIRST, LAST).success
    assert found.train().success
    module = f"mill_{folder.name.replace('-', '_')}"
    text = DEFINITIONS.format(deployment=_deployment(folder)).replace("World()", DECLARED)
    (folder / "pyproject.toml").write_text(PROJECT.format(module=module))
    (folder / f"{module}.py").write_text(text)
    return found


@pytest.fixture
def fresh(tmp_path: Path, empty: Path) -> Mill:
    """A mill with days and no model yet."""
    found = Mill.at(tmp_path, World(), empty)
    assert found.measure(FIRST, LAST).success
    return found


def shown_of(done: Run, asset: str) -> Mapping[str, Any]:
    """What the only materialization of an asset shows."""
    [event] = done.materializations(asset)
    return event.metadata


def lakeline(mill: Mill, *arguments: str) -> Result:
    folder = Path(mill.house.models).parent
    return CliRunner().invoke(main, ["--project", str(folder), *arguments])


# --- evaluation and card ----------------------------------------------------------------------


def test_a_version_has_its_evaluation_beside_it(made: Mill) -> None:
    report = made.registry.evaluation(TABLE, 1)
    metrics = made.registry.metrics(made.registry.version(TABLE, 1))
    assert report.metrics.auc == metrics["auc"]
    assert report.metrics.brier == metrics["brier"]
    assert report.baselines["schedule"].auc == metrics["schedule_auc"]
    assert {one.column for one in report.slices} == {"machine", "noise"}  # all in one month
    assert report.digest == made.registry.version(TABLE, 1).tags["lakeline.judged_model"]
    assert report.costs == Costs(false_alarm=1, miss=3)
    [folder] = {file.parent for file in made.registry.folder.rglob(EVALUATION_FILE)}
    assert broken_files(folder) == []
    listed = {one["path"] for one in json.loads((folder / "manifest.json").read_text())["outs"]}
    assert {EVALUATION_FILE, CARD_FILE, "capsule.json"} <= listed


def test_mlflow_shows_the_card_as_the_description_of_the_version(made: Mill) -> None:
    from mlflow import MlflowClient

    address = f"sqlite:///{made.registry.folder / 'registry.db'}"
    shown = MlflowClient(address, address).get_model_version(TABLE, "1").description or ""
    assert shown.startswith("# mill/breaks@1\n\nProbability that a machine breaks.")
    assert "Not for machines that stand still." in shown
    assert "lakeline reproduce mill/breaks@1" in shown
    assert "Gate: promoted, the first model" in shown
    assert shown == made.registry.card(TABLE, 1)[: len(shown)]


def test_the_command_shows_the_card_of_a_version_and_of_the_champion(made: Mill) -> None:
    shown = lakeline(made, "card", "breaks@1")
    assert shown.exit_code == 0, shown.output
    assert shown.output == made.registry.card(TABLE, 1)
    assert lakeline(made, "card", "breaks").output == shown.output
    told = json.loads(lakeline(made, "card", "breaks@1", "--json").output)
    assert told["metrics"]["rows"] == made.registry.evaluation(TABLE, 1).metrics.rows
    assert "no model 'mill.breaks' at '7'" in lakeline(made, "card", "breaks@7").output


def test_a_training_shows_numbers_pictures_and_a_page(fresh: Mill) -> None:
    done = fresh.train()
    shown = shown_of(done, "breaks")
    assert shown["auc_low"].value < shown["auc"].value < shown["auc_high"].value
    assert "data:image/svg+xml" in shown["evaluation"].value
    page = Path(fresh.house.reports) / "mill/breaks/1.html"
    assert shown["report"].value == "http://127.0.0.1:3001/mill/breaks/1.html"
    assert "<h1>mill/breaks@1</h1>" in page.read_text()


def test_evidently_s_page_is_written_where_the_model_asks_for_it(
    tmp_path: Path, empty: Path
) -> None:
    found = Mill.at(tmp_path, World(settings={"evidently": True}), empty)
    assert found.measure(FIRST, LAST).success
    assert found.train().success
    pages = Path(found.house.reports) / "mill/breaks"
    assert "http://127.0.0.1:3001/mill/breaks/1-evidently.html" in (pages / "1.html").read_text()
    theirs = (pages / "1-evidently.html").read_text()
    assert "Confusion Matrix" in theirs
    assert "ROC AUC" in theirs


def test_a_version_without_an_evaluation_or_with_another_one_says_so(tmp_path, empty) -> None:
    (tmp_path / "registry.db").write_bytes(empty.read_bytes())
    registry = Registry(folder=tmp_path)
    registry.register(TABLE, trained(), metrics={}, snapshots={}, input_example=flights(3))
    with pytest.raises(NoEvaluationError, match=r"Version 1 .* has no evaluation beside it"):
        registry.evaluation(TABLE, 1)
    with pytest.raises(NoEvaluationError):
        registry.card(TABLE, 1)


def test_an_evaluation_that_was_changed_is_not_read(fresh: Mill) -> None:
    assert fresh.train().success
    [file] = fresh.registry.folder.rglob(EVALUATION_FILE)
    file.write_text(file.read_text().replace('"rows"', '"cows"'))
    with pytest.raises(CorruptModelError, match="its evaluation differs from what was registered"):
        fresh.registry.evaluation(TABLE, 1)


def test_slices_that_the_training_set_does_not_have_are_refused_when_they_are_declared() -> None:
    from tests.learning import mill

    with pytest.raises(SlicesError, match=r"'mill/breaks' has site in slices=, .* month, weekday"):
        mill(World(settings={"slices": ["site"]}))


def test_other_slices_and_limits_are_no_reason_to_train_again() -> None:
    from tests.learning import mill

    def code(**settings: Any) -> str:
        domain = mill(World())
        declare = domain.model(
            training_set=domain.assets[0],
            features=("heat", "noise"),
            label="broke",
            at="event_ts",
            known="known_ts",
            **settings,
        )

        def rest(train: Rows, seed: int) -> TrainedModel:
            """Nothing of the world in it."""
            return train_booster(train, seed=seed)

        return node_of(declare(rest)).code_version

    assert code() == code(**SETTINGS)
    assert code() != code(refit=False)


# --- the ONNX form ----------------------------------------------------------------------------


def test_a_trained_version_says_whether_it_may_serve(made: Mill) -> None:
    pytest.importorskip("onnxmltools", reason="the extra serving is not installed")
    tags = made.registry.version(TABLE, 1).tags
    assert tags["lakeline.servable"] == "yes"
    assert float(tags["lakeline.onnx_difference"]) < 1e-5


def test_a_version_is_made_servable_later_from_what_it_learned(made: Mill) -> None:
    pytest.importorskip("onnxmltools", reason="the extra serving is not installed")
    before = made.registry.onnx(TABLE, 1)
    made.registry.note(TABLE, 1, {"lakeline.servable": "no"})
    shown = lakeline(made, "servable", "breaks@1")
    assert shown.exit_code == 0, shown.output
    assert "mill/breaks@1 may serve: its ONNX form equals the model" in shown.output.replace(
        "\n", " "
    )
    assert made.registry.onnx(TABLE, 1) == before
    assert make_servable(made.house, made.node, 1).is_servable


# --- leaks ------------------------------------------------------------------------------------


def leak(mill: Mill, *days: str, passed: bool = False) -> None:
    check = Check(name="leakage", passed=passed, description="heat knows the label's future.")
    note_leak_checks(mill.house.ledger, SAMPLES, days, [check])


def test_a_training_set_that_failed_a_leak_check_is_not_trained_on(fresh: Mill) -> None:
    leak(fresh, "2024-03-05", "2024-03-06")
    done = fresh.train()
    assert not done.success
    assert done.error.startswith(
        "'mill/breaks' was not trained: 'mill/samples' failed the check leakage on 2024-03-05 to 2024-03-06: "
        "heat knows the label's future. Mend the feature"
    )
    assert "lakeline backfill --from 2024-03-05 --to 2024-03-06 --select mill/samples" in done.error
    assert fresh.registry.versions(TABLE) == []


def test_days_that_were_built_anew_and_pass_are_trained_on_again(fresh: Mill) -> None:
    leak(fresh, "2024-03-05")
    leak(fresh, "2024-03-05", passed=True)
    assert fresh.train().success
    assert fresh.champion == 1


def test_a_leak_of_days_that_are_not_read_stops_nothing(fresh: Mill) -> None:
    leak(fresh, "2024-05-20")
    assert fresh.train().success


def test_a_person_may_train_in_spite_of_a_leak_and_the_gate_refuses_the_model(fresh: Mill) -> None:
    leak(fresh, "2024-03-05")
    done = fresh.train(allow_leaks=True)
    assert "still has no champion: 'mill/samples' failed the check leakage" in done.error
    assert len(fresh.registry.versions(TABLE)) == 1
    assert fresh.champion is None


def test_what_the_checks_of_a_training_set_say_is_kept_with_its_days(tmp_path: Path) -> None:
    found = rivers_at(tmp_path)
    honest, known_before = found.world.forecasts, ("2024-03-01T11:10", "Elbe", "upper", "2024-03-01T11:00", True)  # fmt: skip
    found.world.forecasts = [known_before]
    assert not found.build(DAYS[0], DAYS[0]).check("floods", "future").passed
    ledger = found.house.ledger

    def kept() -> dict[tuple[str, str], str]:
        states = ledger.states(asset="rivers/floods")
        return {(one.name, one.partition): one.state for one in states if one.name.startswith(LEAK)}

    # One day is too few for the other check, which therefore says nothing.
    assert kept() == {("leak:future", DAYS[0]): "failed"}
    found.world.forecasts = honest
    assert found.build().check("floods", "future").passed
    assert kept() == {("leak:future", day): "passed" for day in DAYS}


# --- one at a time ----------------------------------------------------------------------------


def test_a_second_training_of_a_model_waits_for_the_first_and_says_so(
    fresh: Mill, capfd: pytest.CaptureFixture[str]
) -> None:
    lock, waited = Path(fresh.house.locks) / f"{TABLE}.training.lock", threading.Event()
    done, said = list[Run](), ""
    with file_turn(lock, "another") as turn:
        assert turn.try_take()
        second = threading.Thread(target=lambda: done.append(fresh.train()))
        second.start()
        for _ in range(600):
            said += capfd.readouterr().err
            if "Another training of 'mill/breaks' is under way; this one waits" in said:
                waited.set()
                break
            second.join(0.1)
        assert waited.is_set()
        assert not done
        assert fresh.registry.versions(TABLE) == []
    second.join(120)
    assert done[0].success
    assert fresh.champion == 1


# --- searches ---------------------------------------------------------------------------------


def searchable(mill: Mill, trained_with: list[Mapping[str, Any]]) -> tuple[Domain, Any, Any]:
    """The mill's domain with a model that takes settings, and a search for better ones."""
    samples = mill.asset("samples")

    @mill.domain.model(
        training_set=samples,
        features=("heat", "noise"),
        label="broke",
        at="event_ts",
        known="known_ts",
        schedule=("noise",),
        automation="manual",
    )
    def wear(train: Rows, seed: int, params: Mapping[str, object]) -> TrainedModel:
        """Probability that a machine wears out."""
        trained_with.append(dict(params))
        return train_booster(train, rounds=3, seed=seed, params={"num_leaves": 2, **params})

    @mill.domain.search(model=wear, space=SPACE, trials=5, folds=2, fold_days=3, seed=1)
    def better_wear() -> None:
        """Better settings for wear."""

    return mill.domain, wear, better_wear


def test_the_best_trial_is_trained_again_and_challenges_and_the_gate_decides(fresh: Mill) -> None:
    pytest.importorskip("optuna", reason="the extra search is not installed")
    trained_with: list[Mapping[str, Any]] = []
    _, wear, better = searchable(fresh, trained_with)
    assert run([wear], fresh.house).success
    assert trained_with == [{}, {}]  # the trial, and the refit
    before = fresh.registry.champion("mill.wear")
    assert before is not None
    trained_with.clear()

    done = run([better], fresh.house)
    assert done.success, done.error
    shown = shown_of(done, "better_wear")
    best = shown["best_params"].data
    assert set(best) == set(SPACE)
    assert len({str(one) for one in trained_with}) == 5  # the trials, the best of them again
    assert trained_with[10] == best
    challenger = fresh.registry.version("mill.wear", shown["challenger"].value)
    assert json.loads(challenger.tags[CHOSEN]) == best
    assert (
        fresh.registry.load("mill.wear", challenger.version).params["num_leaves"]
        == best["num_leaves"]
    )
    assert "| trial | brier |" in shown["table"].value
    champion = fresh.registry.champion("mill.wear")
    assert champion is not None
    is_promoted = shown["is_champion"].value
    assert champion.version == (challenger.version if is_promoted else before.version)
    [spent], [trained, _] = map(fresh.house.ledger.history, ("mill/better_wear", "mill/wear"))
    assert spent.ended_ts is not None
    assert spent.ended_ts <= trained.started_ts
    assert fresh.house.ledger.versions("mill/wear")[""] == champion.digest[:32]
    if not is_promoted:
        assert fresh.registry.aliased("mill.wear", "challenger") == challenger.version


def test_a_search_promotes_nothing_where_the_gate_says_no(fresh: Mill, monkeypatch) -> None:
    pytest.importorskip("optuna", reason="the extra search is not installed")
    from lakeline.domain import challenge
    from lakeline.models.gate import GateDecision

    _, wear, better = searchable(fresh, [])
    assert run([wear], fresh.house).success
    says_no = lambda *_, **__: GateDecision(promoted=False, metric="brier", reason="no")  # noqa: E731
    monkeypatch.setattr(challenge, "judge", says_no)
    assert run([better], fresh.house).success
    champion = fresh.registry.champion("mill.wear")
    assert champion is not None
    assert champion.version == 1
    assert fresh.registry.aliased("mill.wear", "challenger") == 2


def test_what_a_search_found_goes_on_with_the_champion_and_is_built_again(
    fresh: Mill, monkeypatch
) -> None:
    pytest.importorskip("optuna", reason="the extra search is not installed")
    from lakeline.domain import challenge
    from lakeline.models.gate import GateDecision

    trained_with: list[Mapping[str, Any]] = []
    _, wear, better = searchable(fresh, trained_with)
    says_yes = lambda *_, **__: GateDecision(promoted=True, metric="brier", reason="yes")  # noqa: E731
    monkeypatch.setattr(challenge, "judge", says_yes)
    done = run([better], fresh.house)
    best = shown_of(done, "better_wear")["best_params"].data
    assert shown_of(done, "wear")["champion"].value == 1
    trained_with.clear()

    assert fresh.measure("2024-03-31", "2024-04-06").success
    assert run([wear], fresh.house).success
    assert trained_with
    assert all(one == best for one in trained_with)
    version = fresh.registry.versions("mill.wear")[-1].version
    capsule = fresh.registry.capsule("mill.wear", version)
    assert capsule.chosen == best
    again = rebuild(fresh.house.lake, node_of(wear), capsule)
    assert again.digest == capsule.digest


def test_a_search_that_ran_on_these_days_is_not_run_again(fresh: Mill, monkeypatch) -> None:
    pytest.importorskip("optuna", reason="the extra search is not installed")
    from lakeline.domain import challenge
    from lakeline.models.gate import GateDecision

    trained_with: list[Mapping[str, Any]] = []
    _, wear, better = searchable(fresh, trained_with)
    assert run([wear], fresh.house).success
    says_no = lambda *_, **__: GateDecision(promoted=False, metric="brier", reason="no")  # noqa: E731
    monkeypatch.setattr(challenge, "judge", says_no)
    assert run([better], fresh.house).success
    trained_with.clear()
    assert run([better], fresh.house, tags={"lakeline/if_changed": "true"}).success
    assert trained_with == []
    # Asked for by a person it runs, takes its trials from the study, and trains the best of them again.
    done = run([better], fresh.house)
    assert shown_of(done, "better_wear")["resumed_trials"].value == 5
    assert len(trained_with) == 1


def test_a_search_is_left_to_people_unless_it_says_otherwise(fresh: Mill) -> None:
    _, _, better = searchable(fresh, [])
    assert node_of(better).extras["automation"] == "manual"


def test_a_model_that_takes_no_settings_cannot_be_searched(fresh: Mill) -> None:
    decorate = fresh.domain.search(model=fresh.asset("breaks"), space=SPACE)
    with pytest.raises(
        NotSearchableError, match=r"whose function takes no settings. Give it a third"
    ):

        @decorate
        def better_breaks() -> None:
            """Nothing."""


def test_limits_that_leave_nothing_to_search_are_refused(fresh: Mill) -> None:
    _, wear, _ = searchable(fresh, [])
    with pytest.raises(SearchLimitsError, match=r"'mill/none' has folds=0. Give a number above 0"):

        @fresh.domain.search(model=wear, space=SPACE, folds=0)
        def none() -> None:
            """Nothing."""


def test_leaks_are_those_of_the_days_that_a_handle_reads(fresh: Mill) -> None:
    from lakeline.domain.handles import open_table

    leak(fresh, "2024-03-05", "2024-05-20")
    handle = open_table(fresh.house.lake, fresh.house.ledger, fresh.node.reads[0], fresh.node, None)
    [found] = leaks_of(fresh.house.ledger, handle)
    assert found.partitions == ("2024-03-05",)
