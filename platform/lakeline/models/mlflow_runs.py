"""MLflow's run of a registration, and the model that it logs and makes a version of."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lakeline.models.files import write_model
from lakeline.models.training import TrainedModel

if TYPE_CHECKING:
    import polars as pl
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """Where a model is logged: MLflow's experiment and run, and the name that it is registered by."""

    experiment: str
    run_id: str
    name: str


@contextlib.contextmanager
def open_run(
    client: "MlflowClient",
    experiment: str,
    *,
    name: str,
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    tags: Mapping[str, str],
) -> Iterator[str]:
    """Id of a run of MLflow with these numbers; failed if what happens inside fails."""
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, tags=dict(tags), run_name=name)
    run_id, now_ms = run.info.run_id, run.info.start_time
    try:
        client.log_batch(
            run_id,
            metrics=[Metric(key, float(value), now_ms, 0) for key, value in metrics.items()],
            params=[Param(key, str(value)) for key, value in params.items()],
        )
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def add_version(
    client: "MlflowClient",
    place: Logged,
    model: TrainedModel,
    *,
    example: "pl.DataFrame",
    tags: Mapping[str, str],
    also: Mapping[str, str | bytes],
) -> "ModelVersion":
    """Write the model's files and make them the next version.

    Args:
        client: Of the registry.
        place: Where it is logged.
        model: What was trained.
        example: A few rows that it can predict.
        tags: Of the version.
        also: More files, by name.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(
        place.experiment, name="model", source_run_id=place.run_id, model_type=model.flavor
    )
    entry = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        run_id=place.run_id,
    )
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        written = write_model(model, folder, entry=entry, example=example, also=also)
        client.log_model_artifacts(logged.model_id, str(written))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(place.run_id, [LoggedModelOutput(logged.model_id, 0)])
    if not client.search_registered_models(f"name='{place.name}'"):
        client.create_registered_model(place.name)
    # The location, not `models:/<id>`: that one MLflow looks up in a database of its own in the current directory.
    # A server takes a location only with the model that it belongs to.
    return client.create_model_version(
        place.name,
        source=logged.artifact_location,
        run_id=place.run_id,
        tags=dict(tags),
        model_id=logged.model_id,
    )
