"""How MLflow's tools load a network: ``mlflow.pyfunc.load_model`` calls `_load_pyfunc` with the folder of the model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.models.training import TrainedModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


class FrameScorer:
    """A model that takes pandas frames, as MLflow gives them."""

    def __init__(self, model: TrainedModel) -> None:
        """Take the model."""
        self.model = model

    def predict(
        self, frame: "pd.DataFrame", params: dict[str, Any] | None = None
    ) -> "npt.NDArray[np.float64]":
        """Probability of each row, shape ``(N,)``; there are no ``params``."""
        import polars as pl

        return self.model.predict(pl.from_pandas(frame))


def _load_pyfunc(path: str) -> FrameScorer:
    from lakeline.models.files import read_model

    folder = Path(path)
    return FrameScorer(read_model(folder.name, folder))
