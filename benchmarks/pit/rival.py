"""Feast's own stores on the same cases, in an environment of their own: run by the benchmarks, never imported by them.

Usage: ``rival.py FOLDER STORE``. The folder holds ``families.json`` and, by family, ``rows_N.parquet`` and
``asks_N.parquet``; the answers go to ``STORE_N_FILTER.parquet``, or their error to ``STORE_N_FILTER.txt``.
"""

import datetime as dt
import json
import sys
import warnings
from pathlib import Path
from typing import Any


def main() -> int:
    """Answer every family, with and without Feast's filter by time of creation."""
    warnings.simplefilter("ignore")
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    families = json.loads((folder / "families.json").read_text())
    store = _store(folder, kind)
    for family in families:
        _apply(store, folder, family)
    for family in families:
        for filters in (False, True) if family["knows"] else (False,):
            _answer(store, folder, kind, family, filters=filters)
    return 0


def _store(folder: Path, kind: str) -> Any:
    from feast import FeatureStore, RepoConfig
    from feast.repo_config import RegistryConfig

    registry = folder / f"{kind}.db"
    return FeatureStore(
        config=RepoConfig(
            project="pit",
            provider="local",
            registry=RegistryConfig(path=str(registry)),
            offline_store={"type": kind},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )


def _apply(store: Any, folder: Path, family: dict[str, Any]) -> None:
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64

    number = family["number"]
    entities = [
        Entity(
            name=name,
            join_keys=[name],
            value_type=ValueType.INT64 if name == "case" else ValueType.STRING,
        )
        for name in family["keys"]
    ]
    source = FileSource(
        name=f"rows_{number}",
        path=str(folder / f"rows_{number}.parquet"),
        timestamp_field="event_ts",
        created_timestamp_column="known_ts" if family["knows"] else "",
    )
    ttl = family["ttl_s"]
    view = FeatureView(
        name=f"view_{number}",
        entities=entities,
        ttl=dt.timedelta(seconds=ttl) if ttl else None,
        schema=[Field(name="value", dtype=Float64)],
        source=source,
    )
    store.apply([*entities, source, view])


def _answer(store: Any, folder: Path, kind: str, family: dict[str, Any], *, filters: bool) -> None:
    import pandas as pd

    number = family["number"]
    name = f"{kind}_{number}_{'filtered' if filters else 'plain'}"
    asks = pd.read_parquet(folder / f"asks_{number}.parquet")
    try:
        answers = store.get_historical_features(
            entity_df=asks,
            features=[f"view_{number}:value"],
            filter_by_created_timestamp=filters,
        ).to_df()
    except Exception as error:  # noqa: BLE001 - whatever a rival raises is its result
        (folder / f"{name}.txt").write_text(f"{type(error).__name__}: {error}")
        return
    answers[["ask", "value"]].to_parquet(folder / f"{name}.parquet")


if __name__ == "__main__":
    sys.exit(main())
