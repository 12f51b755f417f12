"""A network's files: what MLflow's tools load it by, and how it is read back. None of them is code.

MLflow's own torch flavor pickles the module; this one is a ``python_function`` that `lakeline.neural.pyfunc` loads from
the files that lakeline keeps anyway.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.neural.model import NetworkModel

if TYPE_CHECKING:
    import polars as pl

LOADER = "lakeline.neural.pyfunc"


def save(model: NetworkModel, folder: Path, *, entry: object, example: "pl.DataFrame") -> None:
    """Write MLflow's files to ``folder``.

    The signature and the example show what a caller gives: text for categories, floats for the rest.
    """
    import mlflow.pyfunc
    import polars as pl
    import torch
    from mlflow.models import infer_signature

    told = example.select(
        pl.col(name).cast(pl.String if name in model.categories else pl.Float64)
        for name in model.features
    ).to_pandas()
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module=LOADER,
        mlflow_model=entry,
        signature=infer_signature(told, model.predict(example)),
        input_example=told,
        # Named, or MLflow loads the model in a new process to find out.
        pip_requirements=["lakeline[torch]", f"torch=={torch.__version__.partition('+')[0]}"],
    )


def restore(name: str, described: Mapping[str, Any], payload: bytes) -> NetworkModel:
    """The network of a description and its weights."""
    return NetworkModel(
        name=name,
        features=tuple(described["features"]),
        categories={column: tuple(values) for column, values in described["categories"].items()},
        params=described["params"],
        seed=described["seed"],
        payload=payload,
        architecture=described["architecture"],
        config=described["config"],
        means=tuple(described["means"]),
        scales=tuple(described["scales"]),
        flagged=tuple(described["flagged"]),
    )
