"""Networks in the registry: they come back equal, MLflow's tools load them, and nothing in their files is code."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakeline.errors import CorruptModelError, MissingExtraError
from lakeline.models.difference import importance
from lakeline.models.files import DESCRIPTION_FILE, read_model, write_model
from lakeline.models.flavors import UnknownFlavorError
from lakeline.models.registry import FLAVOR, Registry
from lakeline.models.surroundings import surrounded
from lakeline.neural.curves import NoHistoryError, loss_curve_markdown, loss_curve_svg
from lakeline.neural.model import NetworkModel
from lakeline.neural.training import train_network
from tests.networks import plan, require_torch, sightings, train
from tests.test_booster import flights, trained

require_torch()

NAME = "wood.birds"


@pytest.fixture(scope="module")
def model() -> NetworkModel:
    return train_network(train(), plan(), name="birds")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, model: NetworkModel) -> Registry:
    """A registry that has the model as its first version, and a booster as its second."""
    found = Registry(folder=tmp_path_factory.mktemp("registry"))
    given: dict[str, Any] = {"metrics": {"auc": 0.9}, "snapshots": {"wood.sightings": 7}}
    found.register(NAME, model, input_example=sightings().head(5), **given)
    found.register(NAME, trained(), input_example=flights(3), **given)
    found.promote(NAME, 1)
    return found


def test_a_registered_network_comes_back_equal(registry: Registry, model: NetworkModel):
    found = registry.load(NAME)
    assert isinstance(found, NetworkModel)
    assert found.digest == model.digest == registry.version(NAME, 1).digest
    assert found.payload == model.payload
    assert (found.predict(sightings()) == model.predict(sightings())).all()
    assert found.promised == {"auc": 0.9}
    again = registry.register(
        NAME, model, metrics={}, snapshots={}, input_example=sightings().head(5)
    )
    assert (again.version, again.reused) == (1, True)


def test_versions_of_both_flavors_stand_side_by_side(registry: Registry):
    flavors = [one.tags[FLAVOR] for one in registry.versions(NAME)]
    assert flavors == ["torch", "lightgbm"]
    assert registry.load(NAME, 2).flavor == "lightgbm"
    assert importance(registry.load(NAME, 1)) == {}
    assert set(importance(registry.load(NAME, 2))) == {"carrier", "wind"}


def test_mlflow_itself_loads_a_network_and_scores_alike(registry: Registry, model: NetworkModel):
    from mlflow import MlflowClient, pyfunc

    address = f"sqlite:///{registry.folder / 'registry.db'}"
    client = MlflowClient(address, address)
    version = client.get_model_version_by_alias(NAME, "champion")
    loaded = pyfunc.load_model(str(version.source))
    example: Any = loaded.input_example
    assert list(example.columns) == ["tree", "wind", "light"]
    assert loaded.metadata.signature.inputs.input_names() == ["tree", "wind", "light"]
    assert np.allclose(loaded.predict(example), model.predict(sightings().head(5)))
    params = client.get_run(str(version.run_id)).data.params
    assert params["architecture"] == "tabular_mlp"
    assert params["device"] == "cpu"
    assert params["hidden"] == "[16]"


def test_no_file_of_a_network_is_code(registry: Registry):
    folder = next(registry.folder.rglob("network.safetensors")).parent
    assert not [one for one in folder.rglob("*") if one.suffix in (".pkl", ".pt", ".pth", ".py")]
    assert not [one for one in folder.rglob("*") if one.is_file() and one.read_bytes()[:2] in (b"PK", b"\x80\x04")]  # fmt: skip


def test_weights_that_changed_are_not_loaded(tmp_path: Path, model: NetworkModel):
    registry = Registry(folder=tmp_path)
    registry.register(NAME, model, metrics={}, snapshots={}, input_example=sightings().head(5))
    file = next(tmp_path.rglob("network.safetensors"))
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptModelError, match=r"Version 1 .* files differ"):
        registry.load(NAME, 1)


@pytest.fixture
def folder(tmp_path: Path, model: NetworkModel) -> Path:
    """The files of a network."""
    from mlflow.models import Model

    return write_model(model, tmp_path / "model", entry=Model(), example=sightings().head(5))


def test_a_flavor_that_nobody_knows_is_named(folder: Path):
    file = folder / DESCRIPTION_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "flavor": "jax"}))
    with pytest.raises(UnknownFlavorError) as caught:
        read_model("birds", folder)
    assert str(caught.value) == (
        "Model 'birds' is of flavor 'jax', and this lakeline reads lightgbm, torch. Install the release of lakeline that "
        "registered it, or train it again and promote that version."
    )


def test_a_network_without_torch_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError) as caught:
        read_model("birds", folder)
    assert str(caught.value) == "A model of flavor 'torch' needs more packages. Run: pip install 'lakeline[torch]' (in a clone: make setup-torch)"  # fmt: skip


def test_a_model_of_before_there_were_flavors_is_a_booster(tmp_path: Path):
    from mlflow.models import Model

    folder = write_model(trained(), tmp_path / "model", entry=Model(), example=flights(3))
    file = folder / DESCRIPTION_FILE
    told = json.loads(file.read_text())
    assert told.pop("flavor") == "lightgbm"
    file.write_text(json.dumps(told))
    assert read_model("delay", folder).digest == trained().digest


def test_reports_say_how_far_a_training_is(tmp_path: Path):
    told: list[Mapping[str, Any]] = []
    with surrounded(report=told.append, checkpoints=str(tmp_path)):
        model = train_network(train(), plan(profile=True, epochs=2), name="wood/birds")
    traced, *epochs = sorted(told, key=lambda one: one["event"] == "epoch")
    assert [one["epoch"] for one in epochs] == [1, 2]
    assert {"train_loss", "held_loss", "held_auc", "learning_rate", "rows_s", "loader_share", "eta_s"} <= set(epochs[0])  # fmt: skip
    assert epochs[-1]["step"] == epochs[-1]["steps"] == 24
    assert epochs[-1]["eta_s"] == 0
    assert epochs[-1]["model"] == "wood/birds"
    assert model.history[-1]["train_loss"] == epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert traced["event"] == "traced"
    assert traced["trace"] == f"{tmp_path}/wood-birds-trace.json"
    assert "aten::" in traced["table"]
    trace = json.loads((tmp_path / "wood-birds-trace.json").read_text())
    assert any(one.get("name") == "aten::embedding" for one in trace["traceEvents"])
    assert model.payload == train_network(train(), plan(epochs=2)).payload


def test_the_losses_are_drawn(model: NetworkModel):
    picture = loss_curve_svg(model.history, title="birds <3")
    assert picture.count("<polyline") == 2
    assert "birds &lt;3" in picture
    assert f"held out: {min(one['held_loss'] for one in model.history):.4f}" in picture
    assert loss_curve_svg(model.history[:1], title="birds").count("<circle") == 2
    assert loss_curve_markdown(model.history, title="birds").startswith("![losses of birds](data:image/svg+xml;base64,")  # fmt: skip
    alone = [{"train_loss": 0.4}, {"train_loss": 0.3}]
    assert "held out" not in loss_curve_svg(alone, title="birds")
    with pytest.raises(NoHistoryError, match="no loss to draw of birds"):
        loss_curve_svg([], title="birds")
