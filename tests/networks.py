"""Rows that a small network can learn from, and the rule that its tests are never skipped where torch must be there."""

import datetime as dt
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.models.training_set import TrainingSet
from lakeline.neural.model import NetworkModel
from lakeline.neural.plan import Plan

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
STEP = dt.timedelta(hours=1)
ROWS = 960
CONFIG = {"hidden": [16], "embedding": 4, "dropout": 0.2}


def require_torch() -> None:
    """Skip a module of tests without torch; fail where servers are required, as everything must be there then."""
    if importlib.util.find_spec("torch") is not None:
        return
    if os.environ.get("LAKELINE_REQUIRE_SERVICES"):
        pytest.fail("torch is not installed, but LAKELINE_REQUIRE_SERVICES is set", pytrace=False)
    pytest.skip("torch is not installed: make setup-torch", allow_module_level=True)


def sightings(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Whether a bird is seen, by the tree, the wind and the light, which is unknown at times."""
    draw = np.random.default_rng(seed)
    wind, light = draw.random(rows) * 30, draw.random(rows)
    tree = draw.choice(["oak", "elm", "ash"], rows)
    seen = wind + 12 * (tree == "elm") + 6 * light + draw.normal(0, 3, rows) > 24
    return pl.DataFrame(
        {
            "at": [START + i * STEP for i in range(rows)],
            "tree": tree,
            "wind": wind,
            "light": [None if i % 7 == 0 else float(one) for i, one in enumerate(light)],
            "seen": seen,
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )


def train(frame: pl.DataFrame | None = None, **changes: Any) -> TrainingSet:
    """The rows as a training set."""
    rows = sightings() if frame is None else frame
    given: dict[str, Any] = {
        "frame": rows,
        "features": ("tree", "wind", "light"),
        "categorical": ("tree",),
        "label": "seen",
        "at": "at",
        "start": START,
        "end": START + rows.height * STEP,
    }
    return TrainingSet(**(given | changes))


def plan(**changes: Any) -> Plan:
    """A plan that trains in a second."""
    given: dict[str, Any] = {"seed": 3, "epochs": 3, "batch_rows": 64, "config": CONFIG, "learning_rate": 0.01, "checkpoint_steps": 5}  # fmt: skip
    return Plan(**(given | changes))


def without_times(history: tuple[Mapping[str, float], ...]) -> list[dict[str, float]]:
    """The figures of epochs that are the same at each training."""
    timed = ("rows_s", "loader_share")
    return [{name: one for name, one in told.items() if name not in timed} for told in history]


def renamed(model: NetworkModel, name: str) -> NetworkModel:
    """The model under another name."""
    return replace(model, name=name)
