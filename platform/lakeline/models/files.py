"""The files of a model: its flavor's own, which MLflow's tools load, and what lakeline adds.

``lakeline.json`` beside them holds the flavor and what turns a frame into the model's input: features in order, the values
of categories. ``manifest.json`` has the hash of every file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.models.flavors import flavor_named
from lakeline.models.manifest import write_manifest
from lakeline.models.training import TrainedModel

if TYPE_CHECKING:
    import polars as pl

DESCRIPTION_FILE = "lakeline.json"
BEFORE_FLAVORS = "lightgbm"
"""Flavor of the models that were written before models had one."""


def write_model(
    model: TrainedModel,
    folder: Path,
    *,
    entry: object,
    example: "pl.DataFrame",
    also: Mapping[str, str | bytes] | None = None,
) -> Path:
    """The model as MLflow has its flavor, with its payload, its description, more files and the manifest; gives ``folder``.

    Raises:
        ColumnsMissingError, FeatureTypeError: The example lacks what the model reads.
        MissingExtraError: What the flavor needs is not installed.
    """
    flavor = flavor_named(model.flavor, of=model.name)
    flavor.save(model, folder, entry=entry, example=example)
    write_payload(model, folder)
    add_files(folder, also or {})
    return folder


def write_payload(model: TrainedModel, folder: Path) -> None:
    """What :func:`read_model` reads, and nothing for other tools."""
    flavor = flavor_named(model.flavor, of=model.name)
    (folder / flavor.file).write_bytes(model.payload)
    told = {"flavor": model.flavor, **model.description}
    described = json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / DESCRIPTION_FILE).write_text(described, encoding="utf-8")


def add_files(folder: Path, also: Mapping[str, str | bytes]) -> list[Path]:
    """Put more files into a copy of a model's files; gives what is new there, the manifest among it."""
    for name, text in also.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return [*(folder / name for name in also), write_manifest(folder)]


def read_model(name: str, folder: Path) -> TrainedModel:
    """The model that :func:`write_model` wrote to ``folder``.

    Raises:
        UnknownFlavorError: It is of a kind that this release does not know.
        MissingExtraError: What its flavor needs is not installed.
    """
    described = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    flavor = flavor_named(described.pop("flavor", BEFORE_FLAVORS), of=name)
    return flavor.restore(name, described, (folder / flavor.file).read_bytes())
