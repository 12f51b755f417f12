"""What lies beside a registered model for people, servers and rebuilds: its capsule, evaluation, card and ONNX form."""

import datetime as dt
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.errors import CorruptModelError
from lakeline.models.capsule import (
    CAPSULE,
    CAPSULE_FILE,
    Capsule,
    NoCapsuleError,
    checked_capsule,
    digest_of,
)
from lakeline.models.card import CARD_FILE, numbered
from lakeline.models.evaluation_report import (
    EVALUATION,
    EVALUATION_FILE,
    EvaluationReport,
    NoEvaluationError,
)
from lakeline.models.files import add_files
from lakeline.models.servable import (
    BECAUSE,
    ONNX,
    ONNX_FILE,
    NotServableError,
    ServableForm,
    is_servable,
    sha256,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEARNED_UNTIL = "lakeline.learned_until"
"""Tag of a version: end of its training window, ISO 8601."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredVersion:
    """One version of a registered model.

    Attributes:
        name: The registered model.
        version: Its number, counted from 1.
        run_id: MLflow's run that holds parameters and metrics.
        digest: SHA-256 of what was trained.
        snapshots: Iceberg snapshot id of each table that it was trained on.
        tags: Everything else that was said of it, in text.
        reused: Whether registering found the model there already.
    """

    name: str
    version: int
    run_id: str
    digest: str
    snapshots: Mapping[str, int]
    tags: Mapping[str, str] = field(default_factory=dict)
    reused: bool = False

    @property
    def learned_until(self) -> dt.datetime | None:
        """End of its training window; None where it was registered without."""
        text = self.tags.get(LEARNED_UNTIL)
        return dt.datetime.fromisoformat(text) if text else None


class VersionFiles:
    """The part of a registry that reads and adds files of its versions; `lakeline.models.registry.Registry` is one."""

    __slots__ = ()

    def capsule(self, name: str, number: int) -> Capsule:
        """What it takes to build a version again.

        Raises:
            UnknownModelError: There is no such version.
            NoCapsuleError: It was registered without.
            CorruptModelError: The file is gone.
            TamperedCapsuleError: It is not the one that was registered.
        """
        found = self._find(name, number)
        if CAPSULE not in found.tags:
            raise NoCapsuleError(name, number)
        with self._copy(found, f"/{CAPSULE_FILE}") as file:
            text = file.read_text(encoding="utf-8")
        return checked_capsule(name, number, text, sha256=found.tags[CAPSULE], digest=found.digest)

    def evaluation(self, name: str, number: int) -> EvaluationReport:
        """How a version did on the days after its training window.

        Raises:
            UnknownModelError: There is no such version.
            NoEvaluationError: It was registered without.
            CorruptModelError: The file is gone, or is not the one that was registered.
        """
        found = self._find(name, number)
        if EVALUATION not in found.tags:
            raise NoEvaluationError(name, number)
        with self._copy(found, f"/{EVALUATION_FILE}") as file:
            text = file.read_text(encoding="utf-8")
            if digest_of(text) != found.tags[EVALUATION]:
                raise CorruptModelError(
                    name, number, "its evaluation differs from what was registered"
                )
            return EvaluationReport.from_json(text)

    def card(self, name: str, number: int) -> str:
        """What a version is for, how good it is and where it is not, as Markdown.

        Raises:
            UnknownModelError: There is no such version.
            NoEvaluationError: It was registered without.
            CorruptModelError: The file is gone.
        """
        found = self._find(name, number)
        if EVALUATION not in found.tags:
            raise NoEvaluationError(name, number)
        with self._copy(found, f"/{CARD_FILE}") as file:
            return numbered(file.read_text(encoding="utf-8"), number)

    def onnx(self, name: str, number: int) -> bytes:
        """The ONNX form of a version.

        Raises:
            UnknownModelError: There is no such version.
            NotServableError: It has none that was found equal to the model.
            CorruptModelError: The file is gone, or is not the one that was checked.
        """
        found = self._find(name, number)
        if not is_servable(found.tags):
            raise NotServableError(name, number, found.tags.get(BECAUSE, ""))
        with self._copy(found, f"/{ONNX_FILE}") as file:
            content = file.read_bytes()
        if sha256(content) != found.tags.get(ONNX):
            raise CorruptModelError(name, number, "its ONNX form differs from what was checked")
        return content

    def add_form(self, name: str, number: int, form: ServableForm) -> None:
        """Put an ONNX form beside a version that is there, over an earlier one.

        Raises:
            UnknownModelError: There is no such version.
            CorruptModelError: Its files are gone.
        """
        found = self._find(name, number)
        client = self._client()
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._copy(found) as folder:
            files = add_files(folder, form.files)
            source = client.get_model_version_download_uri(name, str(number))
            place = get_artifact_repository(source, tracking_uri=self._address)
            for file in files:
                place.log_artifact(str(file))  # type: ignore[no-untyped-call]
        self.note(name, number, form.tags_of(number))

    @property
    @abstractmethod
    def _address(self) -> str:
        """Of the registry, as MLflow takes it."""

    @abstractmethod
    def _client(self) -> "MlflowClient":
        """MLflow's client of it."""

    @abstractmethod
    def _find(self, name: str, number: int) -> RegisteredVersion:
        """One version."""

    @abstractmethod
    def _copy(self, version: RegisteredVersion, file: str = "") -> AbstractContextManager[Path]:
        """A copy of a version's files, or of one of them, while the block lasts."""

    @abstractmethod
    def note(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Say something of a version."""
