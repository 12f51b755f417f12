"""The model registry: versions of models with their numbers and origins, kept by MLflow.

Without a server it is one folder: MLflow's SQLite database and the files of the models. A version holds the
model as MLflow's tools load it and lakeline's own description (see `lakeline.models.files`). Registering an equal model
again gives the version that is there already.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lakeline.errors import CorruptModelError, ModelNameError, UnknownModelError
from lakeline.lake.lock import file_lock
from lakeline.models.capsule import (
    CAPSULE,
    CAPSULE_FILE,
    Capsule,
    digest_of,
)
from lakeline.models.card import Papers, described
from lakeline.models.evaluation_report import (
    EVALUATION,
)
from lakeline.models.files import read_model
from lakeline.models.mlflow_calls import (
    RegistryUnavailableError,
    answering,
    reason_of,
    without_secret,
)
from lakeline.models.mlflow_runs import Logged, add_version, open_run
from lakeline.models.mlflow_store import ensure_database, quiet_mlflow
from lakeline.models.servable import (
    ServableForm,
)
from lakeline.models.training import TrainedModel
from lakeline.models.version_files import RegisteredVersion, VersionFiles

if TYPE_CHECKING:
    import polars as pl
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

DIGEST = "lakeline.digest"
FLAVOR = "lakeline.flavor"
SNAPSHOT = "lakeline.snapshot."
CHAMPION = "champion"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Registry(VersionFiles):
    """Models by name, version and alias. Cheap to make; MLflow is imported when it is first asked something.

    Attributes:
        folder: Where the database and the files lie, and in any case what could not be registered yet.
        uri: MLflow tracking server or database to use instead of the one in ``folder``.
    """

    folder: Path
    uri: str | None = field(default=None, kw_only=True)

    def register(  # noqa: PLR0913 - what a version is made of, all by keyword
        self,
        name: str,
        model: TrainedModel,
        *,
        metrics: Mapping[str, float],
        snapshots: Mapping[str, int],
        input_example: "pl.DataFrame",
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        capsule: Capsule | None = None,
        papers: Papers | None = None,
        form: ServableForm | None = None,
    ) -> RegisteredVersion:
        """A new version of ``name``, or the one that holds an equal model already.

        An equal model keeps the metrics, snapshots, tags, capsule, papers and form of its first registration.

        Args:
            name: The registered model, for example ``flights.delay_lightgbm``.
            model: What was trained.
            metrics: Its quality.
            snapshots: Iceberg snapshot id of each table that it was trained on.
            input_example: A few rows that it can predict.
            params: What to record beside the model's own settings and seed.
            tags: What else to say of the version.
            capsule: What it takes to build it again.
            papers: Its evaluation and its card, which MLflow shows as its description.
            form: Its ONNX form with what became of its check.

        Raises:
            ModelNameError: MLflow could not hold the name.
        """
        if not NAME.fullmatch(name):
            raise ModelNameError(name)
        with file_lock(self.folder / "registry.lock"):
            for found in self.versions(name):
                if found.digest == model.digest:
                    return replace(found, reused=True)
            sealed = capsule.to_json() if capsule else None
            marks = {DIGEST: model.digest, FLAVOR: model.flavor, **(tags or {})}
            marks |= {CAPSULE: digest_of(sealed)} if sealed else {}
            marks |= {EVALUATION: digest_of(papers.evaluation)} if papers else {}
            marks |= {f"{SNAPSHOT}{table}": str(number) for table, number in snapshots.items()}
            values = {**model.settings, "seed": model.seed, **(params or {})}
            client, experiment = self._client(), self._experiment(name)
            with open_run(
                client, experiment, name=name, metrics=metrics, params=values, tags=marks
            ) as run_id:
                added = add_version(
                    client,
                    Logged(experiment=experiment, run_id=run_id, name=name),
                    model,
                    example=input_example,
                    tags=marks,
                    also={
                        **({CAPSULE_FILE: sealed} if sealed else {}),
                        **(papers.files if papers else {}),
                        **(form.files if form else {}),
                    },
                )
                number = int(added.version)
                if papers:
                    said = described(papers.card, papers.asset, number)
                    client.update_model_version(name, str(number), description=said)
                if form:
                    self.note(name, number, form.tags_of(number))
                return self._find(name, number)

    def versions(self, name: str) -> list[RegisteredVersion]:
        """Every version of ``name``, oldest first; none of a name that was never registered."""
        if not NAME.fullmatch(name):
            return []
        found = self._client().search_model_versions(f"name='{name}'")
        return sorted((_registered(version) for version in found), key=lambda v: v.version)

    def metrics(self, version: RegisteredVersion) -> dict[str, float]:
        """The metrics that a version was registered with."""
        return dict(self._client().get_run(version.run_id).data.metrics)

    def champion(self, name: str) -> RegisteredVersion | None:
        """The version that predicts; None before the first promotion."""
        number = self._aliases(name).get(CHAMPION)
        return None if number is None else self._find(name, number)

    def version(self, name: str, number: int) -> RegisteredVersion:
        """One version.

        Raises:
            UnknownModelError: There is no such version.
        """
        return self._find(name, number)

    def delete(self, name: str, number: int) -> None:
        """Forget a version; MLflow keeps its run and files. What is held for it stays held.

        Raises:
            UnknownModelError: There is no such version.
        """
        self._find(name, number)
        self._client().delete_model_version(name, str(number))

    def note(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Say something of a version, over what was said under the same names."""
        client = self._client()
        for key, value in tags.items():
            client.set_model_version_tag(name, str(version), key, value)

    def aliased(self, name: str, alias: str) -> int | None:
        """Number of the version at an alias."""
        return self._aliases(name).get(alias)

    def drop_alias(self, name: str, alias: str) -> None:
        """Take an alias away; nothing where there is none."""
        if alias in self._aliases(name):
            self._client().delete_registered_model_alias(name, alias)

    def promote(self, name: str, version: int, alias: str = CHAMPION) -> RegisteredVersion:
        """Point ``alias`` at a version, as only `lakeline.models.gate` does. Promoting it again changes nothing.

        Raises:
            UnknownModelError: There is no such version.
        """
        found = self._find(name, version)
        if self._aliases(name).get(alias) != version:
            self._client().set_registered_model_alias(name, alias, str(version))
        return found

    def load(self, name: str, which: str | int = CHAMPION) -> TrainedModel:
        """The model at an alias or a version.

        Raises:
            UnknownModelError: There is no such model, version or alias.
            CorruptModelError: Its files are gone, or are not the ones that were registered.
            UnknownFlavorError: Another release of lakeline registered it.
            MissingExtraError: What its flavor needs is not installed.
        """
        number = which if isinstance(which, int) else self._aliases(name).get(which)
        if number is None:
            raise UnknownModelError(name, str(which), self._known(name))
        found = self._find(name, number)
        model = self._read(found)
        if model.digest != found.digest:
            raise CorruptModelError(
                name, found.version, "its files differ from what was registered"
            )
        return replace(model, promised=self.metrics(found), learned_until=found.learned_until)

    def _find(self, name: str, number: int) -> RegisteredVersion:
        for version in self.versions(name):
            if version.version == number:
                return version
        raise UnknownModelError(name, str(number), self._known(name))

    def _known(self, name: str) -> list[str]:
        numbers = [f"version {version.version}" for version in self.versions(name)]
        return [*numbers, *(f"alias {alias}" for alias in self._aliases(name))]

    def _aliases(self, name: str) -> dict[str, int]:
        if not NAME.fullmatch(name):
            return {}
        models = self._client().search_registered_models(f"name='{name}'")
        return {alias: int(number) for model in models for alias, number in model.aliases.items()}

    @property
    def address(self) -> str:
        """Where it is, without a secret."""
        return without_secret(self._address)

    @property
    def _address(self) -> str:
        return self.uri or f"sqlite:///{self.folder.absolute() / 'registry.db'}"

    def _client(self) -> "MlflowClient":
        quiet_mlflow()
        from mlflow import MlflowClient

        if self.uri is None:
            ensure_database(self.folder.absolute() / "registry.db")
        client = MlflowClient(tracking_uri=self._address, registry_uri=self._address)
        return answering(client, self._address)

    def _experiment(self, name: str) -> str:
        """MLflow's experiment of a model, which holds its runs."""
        client = self._client()
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        files = (self.folder.absolute() / "artifacts" / name).as_uri() if self.uri is None else None
        return client.create_experiment(name, artifact_location=files)

    def _read(self, version: RegisteredVersion) -> TrainedModel:
        with self._copy(version) as copy:
            return read_model(version.name, copy)

    @contextlib.contextmanager
    def _copy(self, version: RegisteredVersion, file: str = "") -> Iterator[Path]:
        """A copy of a version's files, or of one of them, while the block lasts; what fails inside means corrupt files."""
        client = self._client()
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        source = client.get_model_version_download_uri(version.name, str(version.version))
        with TemporaryDirectory() as scratch:
            try:
                copy = download_artifacts(
                    artifact_uri=f"{source}{file}", dst_path=scratch, tracking_uri=self._address
                )
                yield Path(copy)
            except (OSError, ValueError, KeyError, TypeError, MlflowException) as error:
                if (reason := reason_of(error)) and self.uri is not None:
                    raise RegistryUnavailableError(self._address, reason) from error
                raise CorruptModelError(version.name, version.version, str(error)) from error


def _registered(version: "ModelVersion") -> RegisteredVersion:
    tags = dict(version.tags)
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        run_id=version.run_id or "",
        digest=tags.get(DIGEST, ""),
        snapshots={
            key.removeprefix(SNAPSHOT): int(number)
            for key, number in tags.items()
            if key.startswith(SNAPSHOT)
        },
        tags={key: text for key, text in tags.items() if not key.startswith(SNAPSHOT)},
    )
