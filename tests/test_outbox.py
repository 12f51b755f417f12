"""A registry that does not answer loses no training: what was trained waits, and is not trained again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lakeline.cli import main
from lakeline.domain.node import nodes
from lakeline.lake.holds import tag_of, tags
from lakeline.models.booster import train_booster
from lakeline.models.mlflow_calls import RegistryUnavailableError
from lakeline.models.outbox import Outbox, Registration
from lakeline.models.registry import Registry
from lakeline.resource import Lakehouse
from tests.learning import TABLE, Mill, World
from tests.mlflow_server import MlflowServer, mlflow_server
from tests.services import S3, Postgres, ServiceMissingError, s3_client
from tests.test_booster import flights, trained
from tests.test_promoting import DEFINITIONS, PROJECT, _deployment

FIRST, LAST = "2024-03-01", "2024-03-30"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    Registry(folder=folder).versions(TABLE)
    return folder / "registry.db"


@pytest.fixture
def mill(tmp_path: Path, empty: Path) -> Mill:
    found = Mill.at(tmp_path, World(), empty)
    assert found.measure(FIRST, LAST).success
    return found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def project(mill: Mill, registry_uri: str = "") -> Path:
    folder = Path(mill.house.models).parent
    module = f"mill_{folder.name.replace('-', '_')}_{len(registry_uri)}"
    (folder / "pyproject.toml").write_text(PROJECT.format(module=module))
    house = f"lakehouse(HERE).in_folder(HERE, registry_uri={registry_uri!r})"
    text = DEFINITIONS.format(deployment=_deployment(folder))
    (folder / f"{module}.py").write_text(text.replace("lakehouse(HERE)", house))
    return folder


def lakeline(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(folder), *arguments])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The trainings of the mill's model from now on."""
    from tests import learning

    done: list[int] = []

    def train(*given: Any, **settings: Any) -> Any:
        done.append(1)
        return train_booster(*given, **settings)

    monkeypatch.setattr(learning, "train_booster", train)
    return done


def breaks(registry: Registry, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let registering fail from now on."""
    from lakeline.models import registry as module

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(module, "add_version", fails)


def test_a_registry_that_fails_at_the_end_costs_no_training(mill: Mill, monkeypatch) -> None:
    with monkeypatch.context() as broken:
        breaks(mill.registry, broken, ConnectionError("the server is gone"))
        done = mill.train()
    assert not done.success
    [waiting] = Outbox.beside(mill.registry.folder).pending()
    assert done.error == (
        f"'mill/breaks' was trained, and the registry at {mill.registry.address} did not take it: the server is gone. "
        f"What was trained is kept in {waiting.folder} with its capsule and evaluation. Run the asset again, which does "
        "not train again, or register it alone with: lakeline register --pending"
    )
    assert {"model.lgb", "capsule.json", "evaluation.json", "model_card.md", "lakeline.json"} <= {
        file.name for file in waiting.folder.iterdir()
    }

    trainings = counted(monkeypatch)
    again = mill.train()
    assert again.success, again.error
    assert trainings == []
    assert mill.champion == 1
    assert mill.is_agreed()
    assert mill.registry.version(TABLE, 1).digest == waiting.folder.name
    assert Outbox.beside(mill.registry.folder).waiting() == []


def test_other_rows_are_trained_on_and_what_waited_for_the_old_ones_is_kept(
    mill: Mill, monkeypatch
) -> None:
    with monkeypatch.context() as broken:
        breaks(mill.registry, broken, ConnectionError("gone"))
        assert not mill.train().success
    assert mill.measure("2024-03-31", "2024-04-02").success
    trainings = counted(monkeypatch)
    assert mill.train().success
    assert len(trainings) == 2
    assert len(Outbox.beside(mill.registry.folder).pending()) == 1


def test_a_training_that_took_effect_leaves_nothing_behind(mill: Mill) -> None:
    assert mill.train().success
    assert Outbox.beside(mill.registry.folder).waiting() == []


def test_the_command_registers_what_waits_as_a_challenger_that_nobody_judged(
    mill: Mill, monkeypatch
) -> None:
    with monkeypatch.context() as broken:
        breaks(mill.registry, broken, ConnectionError("gone"))
        assert not mill.train().success
    folder = project(mill)
    shown = lakeline(folder, "register", "--pending")
    assert shown.exit_code == 0, shown.output
    assert shown.output == "mill/breaks has version 1, which is not judged yet\n"
    assert mill.champion is None
    assert mill.registry.aliased(TABLE, "challenger") == 1
    assert mill.registry.capsule(TABLE, 1).asset == "mill/breaks"
    assert mill.registry.evaluation(TABLE, 1).metrics.rows > 0
    assert mill.registry.card(TABLE, 1).startswith("# mill/breaks@1")
    assert tag_of(TABLE, 1) in tags(mill.house.lake.load("mill.samples"))
    assert "Nothing waits" in lakeline(folder, "register", "--pending").output

    trainings = counted(monkeypatch)
    assert mill.train().success
    assert trainings == []
    assert mill.champion == 1
    assert Outbox.beside(mill.registry.folder).waiting() == []


def test_a_registration_comes_back_as_it_was_put(tmp_path: Path) -> None:
    one = Registration(
        name=TABLE,
        model=trained(),
        metrics={"auc": 0.1 + 0.2},
        snapshots={"mill.samples": 2**62},
        example=flights(3),
        params={"train_start": "2024-03-01"},
        tags={"lakeline.rows": "7"},
    )
    outbox = Outbox(tmp_path)
    folder = outbox.put(one, {"key": trained(seed=4)})
    [found] = outbox.waiting(TABLE)
    back = found.registration()
    assert back.model.digest == one.model.digest == folder.name
    assert (back.name, back.metrics, back.snapshots) == (one.name, one.metrics, one.snapshots)
    assert (back.params, back.tags) == (one.params, one.tags)
    assert back.example.equals(one.example)
    assert (back.capsule, back.papers, back.form) == (None, None, None)
    kept = outbox.trained(TABLE, "key")
    assert kept is not None
    assert kept.digest == trained(seed=4).digest
    assert outbox.trained(TABLE, "other") is None
    assert outbox.trained("mill.other", "key") is None


def test_half_a_registration_is_never_seen(tmp_path: Path) -> None:
    one = Registration(name=TABLE, model=trained(), metrics={}, snapshots={}, example=flights(3))
    outbox = Outbox(tmp_path)
    folder = outbox.put(one, {})
    folder.rename(folder.with_name(f"{folder.name}.17.draft"))
    assert outbox.waiting() == []
    outbox.put(one, {})
    outbox.put(one, {})
    assert len(outbox.waiting()) == 1


def test_a_registry_that_does_not_answer_is_found_out_before_the_training(
    mill: Mill, monkeypatch
) -> None:
    trainings = counted(monkeypatch)
    monkeypatch.setattr(type(mill.house), "registry", property(lambda house: Registry(Path(house.models), uri=NOWHERE)))  # fmt: skip
    done = mill.train()
    assert done.error.startswith(f"The model registry at {NOWHERE} cannot be used: ")
    assert "Connection refused" in done.error
    assert "0x" not in done.error
    assert trainings == []


def test_a_secret_in_the_address_is_not_shown() -> None:
    error = RegistryUnavailableError("postgresql://me:secret@db/models", "it is closed")
    assert "secret" not in str(error)
    assert Registry(Path(), uri="http://me:secret@host").address == "http://me:…@host"


# --- a real server ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(postgres_server: Postgres, s3_server: S3) -> Iterator[MlflowServer]:
    s3_client(s3_server).create_bucket(Bucket="registry")
    from dataclasses import replace

    with postgres_server.database() as url:
        try:
            with mlflow_server(url, replace(s3_server, bucket="registry")) as running:
                yield running
        except ServiceMissingError as error:
            pytest.skip(str(error))


@pytest.fixture
def far(tmp_path: Path, server: MlflowServer) -> Mill:
    """A mill whose registry is the server."""
    from tests.learning import mill as domain

    house = Lakehouse.in_folder(tmp_path, registry_uri=server.uri)
    world = World()
    found = Mill(world, house, domain(world))
    assert found.measure(FIRST, LAST).success
    return found


@pytest.mark.services
@pytest.mark.slow
def test_on_a_server_models_are_trained_registered_described_and_loaded(
    far: Mill, server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    done = far.train()
    assert done.success, done.error
    assert far.champion == 1
    assert far.is_agreed()
    registry = far.registry
    assert not (registry.folder / "registry.db").exists()
    found = registry.version(TABLE, 1)
    assert registry.load(TABLE).digest == found.digest
    assert registry.capsule(TABLE, 1).digest == found.digest
    assert registry.evaluation(TABLE, 1).days == 14
    assert registry.card(TABLE, 1).startswith("# mill/breaks@1")
    objects = s3_client(server.store).list_objects_v2(Bucket="registry")["Contents"]
    names = {Path(one["Key"]).name for one in objects}
    assert {"model.lgb", "capsule.json", "manifest.json", "model_card.md", "MLmodel"} <= names

    from mlflow import MlflowClient, pyfunc

    shown = MlflowClient(server.uri, server.uri).get_model_version(TABLE, "1")
    assert str(shown.description).startswith("# mill/breaks@1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    loaded = pyfunc.load_model(f"models:/{TABLE}@champion")
    example = loaded.input_example
    assert list(example.columns) == ["heat", "noise"]
    assert loaded.metadata.signature.inputs.input_names() == ["heat", "noise"]
    import polars as pl

    ours = registry.load(TABLE).predict(pl.from_pandas(example))
    assert np.allclose(loaded.predict(example), ours)
    assert list(here.iterdir()) == []


@pytest.mark.services
@pytest.mark.slow
def test_a_server_that_ends_during_a_training_loses_nothing(
    far: Mill, server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import learning

    far.world.rounds = 9  # another model than the test before

    def ends(*given: Any, **settings: Any) -> Any:
        server.end()
        return train_booster(*given, **settings)

    with monkeypatch.context() as ending:
        ending.setattr(learning, "train_booster", ends)
        done = far.train()
    assert done.error.startswith(
        f"'mill/breaks' was trained, and the registry at {server.uri} did not take it: "
    )
    assert "Connection refused" in done.error
    [waiting] = Outbox.beside(far.registry.folder).pending()
    assert json.loads((waiting.folder / "capsule.json").read_text())["asset"] == "mill/breaks"

    home = tmp_path / "again"
    home.mkdir()
    server.start(home)
    folder = project(far, server.uri)
    before = len(far.registry.versions(TABLE))
    shown = lakeline(folder, "register", "--pending")
    assert shown.exit_code == 0, shown.output
    assert f"mill/breaks has version {before + 1}, which is not judged yet" in shown.output
    trainings = counted(monkeypatch)
    assert far.train().success
    assert trainings == []
    assert nodes()["mill/breaks"].asset == "mill/breaks"
    assert Outbox.beside(far.registry.folder).waiting() == []


@pytest.mark.services
@pytest.mark.slow
def test_a_card_longer_than_a_server_holds_is_registered_cut(
    server: MlflowServer, tmp_path: Path
) -> None:
    from lakeline.models.card import MLFLOW_CHARS, Papers

    papers = Papers(asset="mill/breaks", evaluation="{}", card="# mill/breaks@VERSION\n\n" + "long\n\n" * 3000)  # fmt: skip
    registry = Registry(tmp_path, uri=server.uri)
    found = registry.register("mill.long", trained(), metrics={}, snapshots={}, input_example=flights(3), papers=papers)  # fmt: skip
    from mlflow import MlflowClient

    shown = MlflowClient(server.uri, server.uri).get_model_version("mill.long", str(found.version))
    assert len(str(shown.description)) <= MLFLOW_CHARS
    assert str(shown.description).endswith("The rest: `lakeline card mill/breaks@1`\n")
    assert registry.card("mill.long", found.version).count("long") == 3000
