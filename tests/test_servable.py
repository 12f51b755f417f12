"""A model's ONNX form answers as the model does, or does not serve; without the packages a version says how to get one."""

import dataclasses
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.errors import CorruptModelError
from lakeline.models import servable as checking
from lakeline.models.booster import native_booster, train_booster
from lakeline.models.manifest import broken_files
from lakeline.models.onnx_form import in_float32, onnx_of, onnx_scores
from lakeline.models.registry import Registry
from lakeline.models.servable import (
    BECAUSE,
    DIFFERENCE,
    ONNX_FILE,
    SERVABLE,
    TOLERANCE,
    NoRowsError,
    NotServableError,
    check_rows,
    servable_form,
)
from lakeline.models.training import feature_matrix
from tests.test_booster import flights, trained, training_set

pytest.importorskip("onnxmltools", reason="the extra serving is not installed")
pytest.importorskip("onnxruntime", reason="the extra serving is not installed")

NAME = "flights.delay"
AGAIN = "lakeline servable flights/delay@VERSION"


def register(registry: Registry, **given: Any) -> int:
    return registry.register(
        NAME, trained(), metrics={"auc": 0.7}, snapshots={}, input_example=flights(3), **given
    ).version


@pytest.fixture
def registry(tmp_path: Any, empty_registry: Any) -> Registry:
    (tmp_path / "registry.db").write_bytes(empty_registry.read_bytes())
    return Registry(folder=tmp_path)


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("empty")
    Registry(folder=folder).versions(NAME)
    return folder / "registry.db"


def test_the_form_of_a_booster_has_one_matrix_in_and_one_score_a_row_out() -> None:
    import onnx

    graph = onnx.load_from_string(onnx_of(trained())).graph
    assert [one.name for one in graph.input] == ["input"]
    assert [one.name for one in graph.output] == ["score"]
    model = trained()
    matrix = feature_matrix(flights(50, seed=4), model.features, model.categories)
    assert onnx_scores(onnx_of(model), matrix) == pytest.approx(
        model.predict(flights(50, seed=4)), abs=1e-6
    )
    assert onnx_scores(onnx_of(model), matrix[:1]).shape == (1,)


def test_equal_models_have_equal_forms() -> None:
    assert onnx_of(trained()) == onnx_of(trained())


def test_thresholds_in_float32_answer_float32_rows_exactly_as_before() -> None:
    model = trained(rounds=60)
    matrix = feature_matrix(flights(20_000, seed=8), model.features, model.categories)
    # Each row's wind lies on a threshold or right beside one, where rounding to the nearest would go wrong.
    text = model.payload.decode()
    found = [
        line.split("=")[1].split() for line in text.splitlines() if line.startswith("threshold=")
    ]
    edges = np.unique(np.array([float(one) for line in found for one in line])).astype(np.float32)
    beside = np.concatenate([edges, np.nextafter(edges, np.inf, dtype=np.float32), np.nextafter(edges, -np.inf, dtype=np.float32)])  # fmt: skip
    matrix[:, 1] = np.resize(beside, len(matrix))
    before, after = (native_booster(one).predict(matrix) for one in (model.payload, in_float32(model.payload)))  # fmt: skip
    assert np.array_equal(before, after)
    assert np.abs(onnx_scores(onnx_of(model), matrix) - before).max() < 1e-6


def test_a_form_that_equals_its_model_is_servable_with_the_difference_that_was_found() -> None:
    form = servable_form(trained(), flights(), again=AGAIN)
    assert form.is_servable
    assert form.rows == 10_000
    assert form.difference is not None
    assert form.difference < 1e-6
    assert form.tags_of(4)[SERVABLE] == "yes"
    assert float(form.tags_of(4)[DIFFERENCE]) == pytest.approx(form.difference, rel=1e-2)
    assert set(form.files) == {"model.onnx", "onnx.json"}


def test_a_form_of_another_model_is_not_servable(monkeypatch: pytest.MonkeyPatch) -> None:
    other = onnx_of(trained(seed=9, rounds=5))
    monkeypatch.setattr(checking, "onnx_of", lambda _: other)
    form = servable_form(trained(), flights(), again=AGAIN)
    assert not form.is_servable
    assert form.difference is not None
    assert form.difference > TOLERANCE
    assert form.tags_of(1)[SERVABLE] == "no"
    assert "differs from the model: up to" in form.tags_of(1)[BECAUSE]


def test_an_answer_that_is_no_number_is_never_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "onnx_scores", lambda _, matrix: np.full(len(matrix), np.nan))
    assert not servable_form(trained(), flights(), again=AGAIN).is_servable


@pytest.mark.parametrize("rows", [40, 20_000])
def test_rows_to_check_are_real_ones_and_some_that_are_strange(rows: int) -> None:
    asked = check_rows(trained(), flights(rows))
    assert asked.height == 10_000
    assert 250 < asked["carrier"].null_count() < 420
    assert 250 < (asked["carrier"] == "never seen before").sum() < 420
    assert asked["wind"].null_count() > 250
    assert (asked["wind"] > 35).any()  # training never goes beyond 30
    assert asked["wind"].n_unique() > 5_000
    assert asked.equals(check_rows(trained(), flights(rows)))
    if rows > 10_000:
        assert asked.head(9_000).join(flights(rows), on=["carrier", "wind"], how="anti").is_empty()


def test_columns_of_every_type_are_checked() -> None:
    frame = flights().with_columns(
        gate=pl.int_range(pl.len()) % 7, is_long=pl.col("wind") > 12, nothing=pl.lit(None)
    )
    train = training_set(
        frame, features=("carrier", "wind", "gate", "is_long", "nothing"), categorical=("carrier", "gate")
    )  # fmt: skip
    form = servable_form(train_booster(train, rounds=10), frame, again=AGAIN)
    assert form.is_servable, form.because


def test_without_rows_there_is_nothing_to_check() -> None:
    with pytest.raises(NoRowsError, match="cannot be checked without rows"):
        servable_form(trained(), flights(0), again=AGAIN)


@pytest.mark.parametrize("package", ["onnxmltools", "onnxruntime"])
def test_without_the_packages_a_version_says_which_command_makes_it_servable(
    package: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    version = register(registry, form=servable_form(trained(), flights(), again=AGAIN))
    tags = registry.version(NAME, version).tags
    assert tags[SERVABLE] == "no"
    assert tags[BECAUSE].endswith(
        "Run: pip install 'lakeline[serving]' (in a clone: make setup-serving) Then: lakeline servable flights/delay@1"
    )
    with pytest.raises(NotServableError, match=r"cannot serve: .* Make and check it with"):
        registry.onnx(NAME, version)


def test_a_form_lies_beside_its_version_and_comes_back(registry: Registry) -> None:
    version = register(registry, form=servable_form(trained(), flights(), again=AGAIN))
    assert registry.version(NAME, version).tags[SERVABLE] == "yes"
    assert registry.onnx(NAME, version) == onnx_of(trained())
    [folder] = {file.parent for file in registry.folder.rglob(ONNX_FILE)}
    assert broken_files(folder) == []


def test_a_form_may_be_made_later_and_the_manifest_has_it(registry: Registry) -> None:
    version = register(registry)
    with pytest.raises(NotServableError, match="its ONNX form was never made"):
        registry.onnx(NAME, version)
    registry.add_form(NAME, version, servable_form(trained(), flights(), again=AGAIN))
    assert registry.onnx(NAME, version) == onnx_of(trained())
    assert registry.load(NAME, version).digest == trained().digest
    [file] = registry.folder.rglob(ONNX_FILE)
    assert broken_files(file.parent) == []
    file.write_bytes(b"")
    assert broken_files(file.parent) == [ONNX_FILE]
    with pytest.raises(CorruptModelError, match="its ONNX form differs from what was checked"):
        registry.onnx(NAME, version)


def test_a_network_scores_in_its_form_as_by_itself() -> None:
    pytest.importorskip("torch", reason="the extra torch is not installed")
    pytest.importorskip("onnxscript", reason="the extra serving is not installed")
    from lakeline.neural.plan import Plan
    from lakeline.neural.training import train_network

    frame = flights().with_columns(
        wind=pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise("wind")
    )
    plan = Plan(seed=1, epochs=1, stop_days=0, config={"hidden": [8], "embedding": 2})
    model = dataclasses.replace(train_network(training_set(frame), plan), name="delay_mlp")
    form = servable_form(model, frame, again=AGAIN)
    assert form.is_servable, form.because
    assert b"site-packages" not in form.content
    matrix = feature_matrix(frame.head(1), model.features, model.categories)
    assert onnx_scores(form.content, matrix) == pytest.approx(
        model.predict(frame.head(1)), abs=1e-6
    )
