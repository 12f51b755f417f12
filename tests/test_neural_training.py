"""Networks are trained repeatably, stop in time, and say clearly what cannot be."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.errors import ColumnsMissingError, MissingExtraError, UntrainableError
from lakeline.models.evaluation import evaluate
from lakeline.models.surroundings import Surroundings, surrounded, surroundings
from lakeline.neural.errors import DeviceError, LossError, PlanError, UnknownArchitectureError
from lakeline.neural.plan import TRACELESS, Plan
from lakeline.neural.training import train_network
from tests.networks import CONFIG, ROWS, plan, require_torch, sightings, train, without_times

require_torch()

import torch  # noqa: E402

from lakeline.neural.loop import learning_rate  # noqa: E402


def test_equal_rows_and_plan_give_equal_bytes_in_any_process():
    first, again = train_network(train(), plan()), train_network(train(), plan())
    assert first.payload == again.payload
    assert first.digest == again.digest
    assert without_times(first.history) == without_times(again.history)
    code = (
        "from tests.networks import plan, train; from lakeline.neural.training import train_network;"
        "print(train_network(train(), plan()).digest)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "9"},
    )
    assert told.stdout.strip() == first.digest


@pytest.mark.parametrize("changed", [{"seed": 4}, {"learning_rate": 0.02}, {"batch_rows": 32}])
def test_another_plan_gives_another_model(changed: dict[str, Any]):
    assert train_network(train(), plan(**changed)).digest != train_network(train(), plan()).digest


def test_what_changes_no_byte_leaves_no_trace():
    usual = train_network(train(), plan())
    for changed in ({"prefetch": 0}, {"checkpoint_steps": 0}, {"buffer_rows": 10**6}):
        other = train_network(train(), plan(**changed))
        assert other.payload == usual.payload
        assert (other.digest == usual.digest) == (next(iter(changed)) in TRACELESS)


def test_scores_are_probabilities_that_rank_the_label():
    model = train_network(train(), plan(epochs=12), name="birds")
    later = sightings(seed=9)
    found = evaluate(later["seen"], model.predict(later))
    assert found.auc > 0.95
    assert found.brier < 0.12
    assert model.predict(later).dtype == np.float64
    assert model.predict(later.head(0)).shape == (0,)
    turned = later.select("wind", pl.lit(1).alias("more"), "light", "tree")
    assert (model.predict(turned) == model.predict(later)).all()
    with pytest.raises(ColumnsMissingError, match="model 'birds' has no column wind"):
        model.predict(later.drop("wind"))


def test_scores_do_not_depend_on_the_rows_beside_them_or_on_threads():
    model, later = train_network(train(), plan()), sightings(seed=9)
    alone = np.concatenate([model.predict(later[i]) for i in range(20)])
    assert np.allclose(alone, model.predict(later)[:20], rtol=0, atol=1e-6)
    before, threads = model.predict(later), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert (model.predict(later) == before).all()
    finally:
        torch.set_num_threads(threads)


def test_a_model_says_where_and_how_it_was_trained():
    model = train_network(train(), plan(), name="birds")
    assert model.params["device"] == "cpu"
    assert model.params["precision"] == "float32"
    assert (model.params["threads"], model.params["processes"]) == (1, 1)
    assert model.seed == 3
    assert model.settings["hidden"] == CONFIG["hidden"]
    assert not set(TRACELESS) & set(model.params)
    assert model.digest == train_network(train(), plan(), name="other").digest


def test_training_stops_when_the_held_out_days_get_no_better_and_keeps_the_best():
    # The label is chance: whatever is learned of it is wrong on later days.
    noise = sightings().with_columns(seen=pl.Series(np.random.default_rng(5).random(ROWS) < 0.5))
    model = train_network(train(noise), plan(epochs=40, patience=2, learning_rate=0.03))
    losses = [one["held_loss"] for one in model.history]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 2 < 40
    assert model.params["epochs_kept"] == best
    same = plan(epochs=40, patience=0, learning_rate=0.03)
    assert len(train_network(train(noise), same).history) == 40
    every = train_network(train(noise), plan(epochs=2, stop_days=0))
    assert "held_loss" not in every.history[0]
    assert every.params["epochs_kept"] == 2


def test_the_global_state_of_torch_is_as_it_was():
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    threads = torch.get_num_threads()
    train_network(train(), plan(epochs=1))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.rand(1) == expected


def test_no_rows_and_one_label_are_refused():
    with pytest.raises(UntrainableError, match="0 rows: there are none"):
        train_network(train(sightings().head(0)), plan())
    with pytest.raises(UntrainableError, match="all have the same seen"):
        train_network(train(sightings().with_columns(seen=False)), plan(stop_days=0))


def test_without_torch_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch):
    model = train_network(train(), plan(epochs=1), name="birds")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError) as caught:
        train_network(train(), plan())
    assert str(caught.value) == "Training a network needs more packages. Run: pip install 'lakeline[torch]' (in a clone: make setup-torch)"  # fmt: skip
    with pytest.raises(MissingExtraError, match="Model 'birds' needs more packages"):
        model.predict(sightings())


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with surrounded(device="cuda"), pytest.raises(DeviceError, match="'cuda' is not possible here: 0 GPUs for 1"):  # fmt: skip
        train_network(train(), plan())
    with surrounded(device="cpu"), pytest.raises(DeviceError, match="slower than float32"):
        train_network(train(), plan(precision="bfloat16"))


def test_a_loss_that_is_no_number_ends_the_training_and_says_where(tmp_path: Path):
    endless = plan(learning_rate=1e30, clip_norm=0, stop_days=0, epochs=5)
    with surrounded(checkpoints=str(tmp_path)), pytest.raises(LossError) as caught:
        train_network(train(), endless, name="birds")
    error = caught.value
    assert error.step > 0
    assert error.step == (error.epoch - 1) * 15 + error.batch
    assert f"of 'birds' is no number at step {error.step}: batch {error.batch} of epoch" in str(error)  # fmt: skip
    assert "Lower learning_rate" in str(error)
    kept = sorted(one.name for one in tmp_path.rglob("*.ckpt"))
    assert ("There is no checkpoint" in str(error)) == (not kept)
    assert all(name in str(error) for name in kept[-1:])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"epochs": 0}, "cannot have epochs=0. Make it at least 1"),
        ({"batch_rows": 2, "processes": 3}, "cannot have batch_rows=2. Make it at least processes=3"),
        ({"schedule": "step"}, "cannot have schedule='step'. Make it constant or cosine"),
        ({"precision": "int8"}, "cannot have precision='int8'. Make it auto or float32"),
        ({"learning_rate": 0.0}, "cannot have learning_rate=0.0. Make it above 0"),
        ({"patience": -1}, "cannot have patience=-1. Make it 0 or more"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused_when_it_is_made(changed: dict[str, Any], told: str):
    with pytest.raises(PlanError, match=told):
        Plan(**changed)


@pytest.mark.parametrize("name", ["transformer", "math:nothing", "no.such.module:net", "math:"])
def test_an_architecture_that_nobody_can_build_is_named(name: str):
    with pytest.raises(UnknownArchitectureError, match=rf"no architecture '{name}'.*tabular_mlp"):
        train_network(train(), plan(architecture=name))


class Linear(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # Any without torch
    """An architecture of a test's own."""

    def __init__(self, *, sizes: tuple[int, ...], numbers: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(numbers, 1)

    def forward(self, _codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(numbers).squeeze(1)
        return found


def test_an_architecture_can_be_any_function_that_can_be_imported():
    own = {"architecture": f"{__name__}:Linear", "config": {}, "learning_rate": 0.1}
    model = train_network(train(), plan(**own))
    assert evaluate(sightings(seed=9)["seen"], model.predict(sightings(seed=9))).auc > 0.8
    assert set(model.native().state_dict()) == {"layer.weight", "layer.bias"}


def test_the_learning_rate_rises_and_falls_as_the_plan_says():
    steps = [learning_rate(Plan(learning_rate=1.0, warmup_steps=4), step, 24) for step in range(24)]
    assert steps[:4] == [0.25, 0.5, 0.75, 1.0]
    assert steps[4] == 1.0
    assert steps[14] == pytest.approx(0.5)
    assert steps[4:] == sorted(steps[4:], reverse=True)
    assert steps[-1] == pytest.approx((1 + math.cos(math.pi * 19 / 20)) / 2)
    assert learning_rate(Plan(learning_rate=1.0, schedule="constant"), 20, 24) == 1.0


def test_surroundings_are_those_of_the_block():
    assert surroundings() == Surroundings()
    with surrounded(checkpoints="here", device="cpu"):
        with surrounded(checkpoints="there"):
            assert surroundings().checkpoints == "there"
        assert surroundings().device == "cpu"
    assert surroundings().checkpoints is None


def test_long_gradients_are_cut_to_the_plan_s_length(monkeypatch: pytest.MonkeyPatch):
    seen: list[float] = []
    real = torch.nn.utils.clip_grad_norm_

    def clip(parameters: Any, length: float) -> torch.Tensor:
        seen.append(length)
        return real(parameters, length)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    cut = train_network(train(), plan(clip_norm=0.01))
    assert set(seen) == {0.01}
    seen.clear()
    whole = train_network(train(), plan(clip_norm=0))
    assert not seen
    assert cut.payload != whole.payload
