"""The files of a model: LightGBM's own in MLflow's flavour, which any MLflow tool can load, and what lakeline adds.

``lakeline.json`` beside the booster holds what turns a frame into its input: features in order, the values of categories.
``manifest.json`` has the hash of every file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.models.manifest import write_manifest
from lakeline.models.training import TrainedModel, feature_matrix, native_booster

if TYPE_CHECKING:
    import polars as pl

DESCRIPTION_FILE = "lakeline.json"
BOOSTER_FILE = "model.lgb"


def write_model(
    model: TrainedModel,
    folder: Path,
    *,
    entry: object,
    example: "pl.DataFrame",
    also: Mapping[str, str] | None = None,
) -> Path:
    """The model as MLflow's LightGBM flavour, with its description, more texts and the manifest; gives ``folder``.

    The signature and the example show what the booster reads: one float column a feature, categories as their codes.
    """
    import lightgbm
    import pandas as pd
    from mlflow.lightgbm import save_model
    from mlflow.models import infer_signature

    scores_N = model.predict(example)
    matrix_ND = feature_matrix(example, model.features, model.categories)
    encoded = pd.DataFrame({name: matrix_ND[:, i] for i, name in enumerate(model.features)})
    save_model(
        native_booster(model.booster),
        str(folder),
        mlflow_model=entry,
        signature=infer_signature(encoded, scores_N),
        input_example=encoded,
        # Named, or MLflow loads the model in a new process to find out: 14 s instead of 0.7.
        pip_requirements=[f"lightgbm=={lightgbm.__version__}"],
    )
    (folder / BOOSTER_FILE).write_bytes(model.booster)
    described = json.dumps(model.description, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / DESCRIPTION_FILE).write_text(described, encoding="utf-8")
    for name, text in (also or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    write_manifest(folder)
    return folder


def read_model(name: str, folder: Path) -> TrainedModel:
    """The model that :func:`write_model` wrote to ``folder``."""
    described = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    return TrainedModel(
        name=name,
        features=tuple(described["features"]),
        categories={column: tuple(values) for column, values in described["categories"].items()},
        params=described["params"],
        rounds=described["rounds"],
        seed=described["seed"],
        booster=(folder / BOOSTER_FILE).read_bytes(),
    )
