"""Three views of thirty features, written through Feast into its own stores and into lakeline's."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from feast import FeatureStore

ENTITIES = 2_000
VIEWS = ("spend", "devices", "history")
FEATURES = 30
KINDS = ("float32", "float64", "int64")
PROJECT = "bench"

CONFIG = """
project: {project}
registry: {folder}/registry.db
provider: local
entity_key_serialization_version: 3
offline_store: {{type: file}}
online_store: {online}
"""


def feature_names(view: str) -> list[str]:
    """Names of a view's features, ten a type."""
    return [f"{view}_{KINDS[n % len(KINDS)]}_{n}" for n in range(FEATURES)]


def entity_names() -> list[str]:
    """Every account."""
    return [f"account-{n:06d}" for n in range(ENTITIES)]


def open_repository(folder: Path, online: str) -> "FeatureStore":
    """A Feast repository with the three views applied, on the online store described by a YAML mapping."""
    from feast import FeatureStore

    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(project=PROJECT, folder=folder, online=online)
    (folder / "feature_store.yaml").write_text(text)
    store = FeatureStore(str(folder))
    store.apply(list(_objects(folder)))
    return store


def fill(store: "FeatureStore") -> None:
    """Write a row an account into every view; the same values each time."""
    for view, rows in _rows().items():
        store.write_to_online_store(view, rows)


def references() -> list[str]:
    """The ninety features as Feast names them."""
    return [f"{view}:{name}" for view in VIEWS for name in feature_names(view)]


def _objects(folder: Path) -> Iterator[Any]:
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float32, Float64, Int64

    account = Entity(name="account", join_keys=["account"], value_type=ValueType.STRING)
    types: dict[str, Any] = dict(zip(KINDS, (Float32, Float64, Int64), strict=True))
    path = folder / "nothing.parquet"
    next(iter(_rows().values())).head(0).to_parquet(path)
    yield account
    for view in VIEWS:
        fields = [Field(name=name, dtype=types[name.split("_")[1]]) for name in feature_names(view)]
        source = FileSource(name=f"{view}_source", path=str(path), timestamp_field="event_timestamp")  # fmt: skip
        table: FeatureView = FeatureView(
            name=view,
            entities=[account],
            schema=[*fields, Field(name="account", dtype=_string())],
            ttl=dt.timedelta(days=30),
            source=source,
        )
        yield table


def _string() -> Any:
    from feast.types import String

    return String


def _rows() -> "dict[str, pd.DataFrame]":
    import pandas as pd

    random = np.random.default_rng(7)
    moment = pd.Timestamp.now("UTC").floor("s").as_unit("us")
    found = {}
    for view in VIEWS:
        columns: dict[str, Any] = {"account": entity_names(), "event_timestamp": moment}
        for name in feature_names(view):
            kind = name.split("_")[1]
            values = random.normal(size=ENTITIES) * 1000
            columns[name] = values.astype(kind)
        found[view] = pd.DataFrame(columns)
    return found
