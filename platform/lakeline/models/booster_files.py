"""A booster's files: LightGBM's own in MLflow's flavour of the same name, which any MLflow tool can load."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.models.booster import BoosterModel, native_booster
from lakeline.models.training import feature_matrix

if TYPE_CHECKING:
    import polars as pl


def save(model: BoosterModel, folder: Path, *, entry: object, example: "pl.DataFrame") -> None:
    """Write MLflow's files to ``folder``.

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
        native_booster(model.payload),
        str(folder),
        mlflow_model=entry,
        signature=infer_signature(encoded, scores_N),
        input_example=encoded,
        # Named, or MLflow loads the model in a new process to find out: 14 s instead of 0.7.
        pip_requirements=[f"lightgbm=={lightgbm.__version__}"],
    )


def restore(name: str, described: Mapping[str, Any], payload: bytes) -> BoosterModel:
    """The booster of a description and LightGBM's text."""
    return BoosterModel(
        name=name,
        features=tuple(described["features"]),
        categories={column: tuple(values) for column, values in described["categories"].items()},
        params=described["params"],
        rounds=described["rounds"],
        seed=described["seed"],
        payload=payload,
    )
