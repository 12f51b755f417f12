"""The outbox: what was trained and is not registered yet, so that a registry that does not answer costs no training.

A registration is written here before the registry is asked, and taken away when everything that follows from it is done. A
folder each, named by the model's digest: what was trained, what was judged, and every word of the registration. A training
that is asked for with the same rows, code, settings and seed takes the model from here.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.errors import ModelError
from lakeline.models.capsule import CAPSULE_FILE, Capsule, parse_capsule
from lakeline.models.card import CARD_FILE, Papers
from lakeline.models.evaluation_report import EVALUATION_FILE
from lakeline.models.files import read_model, write_payload
from lakeline.models.servable import ONNX_FILE, ServableForm

if TYPE_CHECKING:
    import polars as pl

    from lakeline.models.training import TrainedModel

FOLDER = "unregistered"
REGISTRATION_FILE, EXAMPLE_FILE, TRAINED = "registration.json", "example.arrow", "trained"


class UnregisteredError(ModelError):
    """A model was trained, and the registry could not take it; nothing is lost."""

    can_retry = True

    def __init__(self, asset: str, registry: str, reason: str, folder: Path) -> None:
        super().__init__(
            f"'{asset}' was trained, and the registry at {registry} did not take it: {reason}. What was trained is kept in "
            f"{folder} with its capsule and evaluation. Run the asset again, which does not train again, or register it "
            "alone with: lakeline register --pending"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """Everything that a version is made of, as `lakeline.models.registry.Registry.register` takes it."""

    name: str
    model: "TrainedModel"
    metrics: Mapping[str, float]
    snapshots: Mapping[str, int]
    example: "pl.DataFrame"
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    capsule: Capsule | None = None
    papers: Papers | None = None
    form: ServableForm | None = None


@dataclass(frozen=True)
class Pending:
    """One registration that waits.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @cached_property
    def told(self) -> dict[str, Any]:
        """What is said of it."""
        found: dict[str, Any] = json.loads((self.folder / REGISTRATION_FILE).read_text("utf-8"))
        return found

    @property
    def name(self) -> str:
        """The registered model that it is to be a version of."""
        return str(self.told["name"])

    @property
    def version(self) -> int | None:
        """The version that a person made of it since; its training has not taken effect then."""
        found = self.folder / "version"
        return int(found.read_text()) if found.is_file() else None

    def is_now(self, version: int) -> None:
        """Write down that it was registered."""
        _write(self.folder / "version", str(version).encode())

    def registration(self) -> Registration:
        """The registration, as it was put here."""
        import polars as pl

        told, papers = self.told, None
        if told["asset"] is not None:
            evaluation, card = self._text(EVALUATION_FILE), self._text(CARD_FILE)
            papers = Papers(asset=told["asset"], evaluation=evaluation, card=card)
        return Registration(
            name=self.name,
            model=read_model(told["called"], self.folder),
            metrics=told["metrics"],
            snapshots=told["snapshots"],
            example=pl.read_ipc(self.folder / EXAMPLE_FILE),
            params=told["params"],
            tags=told["tags"],
            capsule=parse_capsule(self._text(CAPSULE_FILE)) if told["has_capsule"] else None,
            papers=papers,
            form=self._form(),
        )

    def trained(self, key: str) -> "TrainedModel | None":
        """The model of a training, if it is one of those that lie here."""
        folder = self.folder / TRAINED / key
        called = folder / "called"
        return read_model(called.read_text("utf-8"), folder) if called.is_file() else None

    def _form(self) -> ServableForm | None:
        if self.told["form"] is None:
            return None
        file = self.folder / ONNX_FILE
        return ServableForm(
            content=file.read_bytes() if file.is_file() else b"", **self.told["form"]
        )

    def _text(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Outbox:
    """The registrations that wait, in a folder of this machine.

    Attributes:
        folder: Below which each has a folder.
    """

    folder: Path

    @classmethod
    def beside(cls, models: Path) -> "Outbox":
        """That of a folder of models."""
        return cls(models / FOLDER)

    def put(self, one: Registration, trained: "Mapping[str, TrainedModel]") -> Path:
        """Write a registration, over one of an equal model; half of one is never seen.

        Args:
            one: What is to be registered.
            trained: What trainings gave, by their keys.
        """
        target = self.folder / one.model.digest
        draft = self.folder / f"{one.model.digest}.{os.getpid()}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _write_registration(draft, one)
        for key, model in trained.items():
            place = draft / TRAINED / key
            place.mkdir(parents=True)
            write_payload(model, place)
            (place / "called").write_text(model.name, "utf-8")
        _sync(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.replace(target)
        return target

    def waiting(self, name: str | None = None) -> list[Pending]:
        """Everything that lies here, of one model or of all, by digest."""
        return [one for one in self._all() if name in (None, one.name)]

    def pending(self) -> list[Pending]:
        """What has not become a version yet."""
        return [one for one in self._all() if one.version is None]

    def trained(self, name: str, key: str) -> "TrainedModel | None":
        """The model of a training of a registered model, if it lies here."""
        found = (one.trained(key) for one in self.waiting(name))
        return next((model for model in found if model is not None), None)

    def drop(self, digest: str) -> None:
        """Take a registration away; nothing where it is not there."""
        shutil.rmtree(self.folder / digest, ignore_errors=True)

    def settle(self, name: str, digest: str) -> None:
        """Take away what took effect, and what became a version of the same model meanwhile."""
        self.drop(digest)
        for one in self.waiting(name):
            if one.version is not None:
                self.drop(one.folder.name)

    def _all(self) -> Iterator[Pending]:
        for file in sorted(self.folder.glob(f"*/{REGISTRATION_FILE}")):
            if not file.parent.name.endswith(".draft"):
                yield Pending(file.parent)


def _write_registration(folder: Path, one: Registration) -> None:
    write_payload(one.model, folder)
    one.example.write_ipc(folder / EXAMPLE_FILE)
    texts: dict[str, str | bytes] = {}
    if one.capsule is not None:
        texts[CAPSULE_FILE] = one.capsule.to_json()
    texts |= one.papers.files if one.papers else {}
    texts |= one.form.files if one.form else {}
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    form = {k: v for k, v in asdict(one.form).items() if k != "content"} if one.form else None
    told = {
        "name": one.name,
        "called": one.model.name,
        "metrics": dict(one.metrics),
        "snapshots": dict(one.snapshots),
        "params": dict(one.params),
        "tags": dict(one.tags),
        "has_capsule": one.capsule is not None,
        "asset": one.papers.asset if one.papers else None,
        "form": form,
    }
    (folder / REGISTRATION_FILE).write_text(json.dumps(told, indent=2, default=str), "utf-8")


def _write(file: Path, content: bytes) -> None:
    draft = file.with_name(f"{file.name}.{os.getpid()}.draft")
    draft.write_bytes(content)
    draft.replace(file)


def _sync(folder: Path) -> None:
    """Wait until the disk has every file."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as held:
                os.fsync(held.fileno())
