"""The model registry on MLflow's SQLite store."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakeline.errors import (
    ColumnsMissingError,
    CorruptModelError,
    ModelNameError,
    UnknownModelError,
)
from lakeline.models.registry import Registry
from lakeline.models.version_files import RegisteredVersion
from tests.test_booster import flights, trained

NAME = "flights.delay_lightgbm"
SNAPSHOTS = {"flights.training_set": 8_412_345_678_901_234_567, "flights.weather": 2}


@pytest.fixture(autouse=True)
def current_folder_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow makes a database in the current folder as soon as anything asks for its default store."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    yield
    assert list(here.iterdir()) == []


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    Registry(folder=folder).versions(NAME)
    return folder / "registry.db"


@pytest.fixture
def registry(tmp_path: Path, empty: Path) -> Registry:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "registry.db").write_bytes(empty.read_bytes())
    return Registry(folder=folder)


def register(
    registry: Registry, *, seed: int = 3, name: str = NAME, **changes: Any
) -> RegisteredVersion:
    given: dict[str, Any] = {
        "metrics": {"auc": 0.75, "brier": 0.18},
        "snapshots": SNAPSHOTS,
        "input_example": flights(3),
        "params": {"window_days": 181},
        "tags": {"code_version": "abc"},
    }
    return registry.register(name, trained(seed=seed), **(given | changes))


def test_a_registered_model_comes_back_equal(registry: Registry) -> None:
    version = register(registry)
    assert (version.name, version.version, version.reused) == (NAME, 1, False)
    assert version.snapshots == SNAPSHOTS
    model = registry.load(NAME, 1)
    assert model.digest == version.digest == trained().digest
    assert model.name == NAME
    assert (model.predict(flights(50)) == trained().predict(flights(50))).all()
    assert registry.metrics(version) == {"auc": 0.75, "brier": 0.18}


def test_an_equal_model_registers_nothing_new(registry: Registry) -> None:
    first = register(registry)
    again = register(registry, metrics={"auc": 0.1})
    assert (again.version, again.run_id, again.reused) == (1, first.run_id, True)
    assert len(registry.versions(NAME)) == 1
    assert registry.metrics(again)["auc"] == 0.75


def test_another_model_is_another_version_and_no_champion_by_itself(registry: Registry) -> None:
    register(registry)
    assert register(registry, seed=4).version == 2
    assert [version.version for version in registry.versions(NAME)] == [1, 2]
    assert registry.champion(NAME) is None


def test_promoting_decides_who_is_champion(registry: Registry) -> None:
    register(registry)
    register(registry, seed=4)
    assert registry.promote(NAME, 2).version == 2
    champion = registry.champion(NAME)
    assert champion is not None
    assert champion.version == 2
    assert registry.load(NAME).digest == trained(seed=4).digest
    registry.promote(NAME, 1)
    registry.promote(NAME, 2, alias="challenger")
    assert registry.load(NAME).digest == trained().digest
    assert registry.load(NAME, "challenger").digest == trained(seed=4).digest


def test_mlflow_itself_loads_the_champion_and_scores_alike(registry: Registry) -> None:
    registry.promote(NAME, register(registry).version)
    from mlflow import MlflowClient, pyfunc

    address = f"sqlite:///{registry.folder / 'registry.db'}"
    version = MlflowClient(address, address).get_model_version_by_alias(NAME, "champion")
    loaded = pyfunc.load_model(str(version.source))
    example: Any = loaded.input_example
    assert list(example.columns) == ["carrier", "wind"]
    assert loaded.metadata.signature.inputs.input_names() == ["carrier", "wind"]
    assert np.allclose(loaded.predict(example), trained().predict(flights(3)))


def test_runs_carry_parameters_metrics_and_snapshots(registry: Registry) -> None:
    from mlflow import MlflowClient

    version = register(registry)
    address = f"sqlite:///{registry.folder / 'registry.db'}"
    run = MlflowClient(address, address).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "3"
    assert run.data.params["rounds"] == "20"
    assert run.data.params["window_days"] == "181"
    assert run.data.tags["lakeline.snapshot.flights.weather"] == "2"
    assert run.data.tags["code_version"] == "abc"


def test_a_registration_that_fails_leaves_no_version(registry: Registry) -> None:
    with pytest.raises(ColumnsMissingError, match="has no column carrier"):
        register(registry, input_example=flights(3).drop("carrier"))
    assert registry.versions(NAME) == []
    assert register(registry).version == 1


def test_unknown_models_versions_and_aliases_say_what_there_is(registry: Registry) -> None:
    with pytest.raises(
        UnknownModelError, match=r"no model 'nobody' at 'champion'. It has no version"
    ):
        registry.load("nobody")
    register(registry)
    with pytest.raises(UnknownModelError, match=r"at '7'. It has version 1"):
        registry.promote(NAME, 7)
    with pytest.raises(UnknownModelError, match=r"at 'champion'. It has version 1"):
        registry.load(NAME)
    assert registry.versions("nobody") == []
    assert registry.champion("nobody") is None


@pytest.mark.parametrize("name", ["flights/delay", "a:b", "", "it's", "../up"])
def test_names_that_mlflow_cannot_hold_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(ModelNameError, match="cannot name a registered model"):
        register(registry, name=name)
    assert registry.versions(name) == []
    assert registry.champion(name) is None


def test_files_that_changed_or_are_gone_are_not_loaded(registry: Registry) -> None:
    register(registry)
    booster = next(registry.folder.rglob("model.lgb"))
    booster.write_bytes(booster.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1))
    with pytest.raises(CorruptModelError, match=r"Version 1 .* files differ"):
        registry.load(NAME, 1)
    booster.unlink()
    with pytest.raises(CorruptModelError, match=r"Version 1 .*model.lgb"):
        registry.load(NAME, 1)


def layout(path: Path) -> dict[str, object]:
    """Tables with their columns, indexes, keys and the schema's revision; constraints have no fixed order."""
    with sqlite3.connect(path) as database:
        found: dict[str, object] = {
            f"{kind} {name}": sorted(re.split(r",\s*", sql or ""))
            for kind, name, sql in database.execute("select type, name, sql from sqlite_master")
        }
        found["revision"] = database.execute("select version_num from alembic_version").fetchall()
    return found


def test_a_new_database_is_what_mlflow_itself_would_make(empty: Path, tmp_path: Path) -> None:
    from mlflow.store.db import utils

    theirs = tmp_path / "theirs.db"
    engine: Any = utils.create_sqlalchemy_engine(f"sqlite:///{theirs}")  # type: ignore[no-untyped-call]
    utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    assert layout(empty) == layout(theirs)


def test_two_processes_at_once_make_one_database(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from lakeline.models.mlflow_store import ensure_database as make; make(Path(sys.argv[1]))"
    path = tmp_path / "registry.db"
    makers = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(2)]
    assert [maker.wait() for maker in makers] == [0, 0]
    assert "table runs" in layout(path)


def test_a_registry_says_nothing(registry: Registry, capfd: pytest.CaptureFixture[str]) -> None:
    registry.promote(NAME, register(registry).version)
    registry.load(NAME)
    assert capfd.readouterr() == ("", "")


def test_importing_the_registry_imports_nothing_heavy():
    modules = "features.point_in_time models.evaluation models.registry monitoring.drift monitoring.performance monitoring.pages monitoring.evidently_html"
    imports = "; ".join(f"import lakeline.{name}" for name in modules.split())
    heavy = "{'mlflow', 'lightgbm', 'sklearn', 'pandas', 'evidently', 'numpy', 'polars', 'duckdb', 'sqlalchemy'}"
    subprocess.run(
        [sys.executable, "-c", f"{imports}; import sys; assert not {heavy} & set(sys.modules)"],
        check=True,
    )
