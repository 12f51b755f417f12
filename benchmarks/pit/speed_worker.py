"""One join of historical features through Feast with one store, timed: run by the benchmark in a process of its own.

Usage: ``speed_worker.py FOLDER STORE``; STORE is ``dask``, ``duckdb``, ``lakeline`` or ``lakeline_known``, which hides
rows until they are known. Prints one JSON object. Imports lakeline only for lakeline's store.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def main() -> int:
    """Warm the store up with a few entity rows, then join all of them."""
    import pandas as pd

    warnings.simplefilter("ignore")
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    size = json.loads((folder / "size.json").read_text())
    store = _store(folder, kind)
    store.apply(_objects(size, kind))
    entities = pd.read_parquet(folder / "entities.parquet")
    views, features = range(len(size["rows"])), range(size["features"])
    refs = [f"view_{view}:f{feature}" for view in views for feature in features]
    _join(store, entities.head(10), refs)
    start_s = time.perf_counter()
    result = _join(store, entities, refs)
    wall_s = time.perf_counter() - start_s
    sums = {name: _sum(result, name) for name in result.column_names if name.endswith("f0")}
    print(
        json.dumps(
            {"wall_s": wall_s, "peak_mib": _peak_mib(), "rows": result.num_rows, "sums": sums}
        )
    )
    return 0


def _join(store: Any, entities: Any, refs: list[str]) -> Any:
    job = store.get_historical_features(entity_df=entities, features=refs, full_feature_names=True)
    return job.to_arrow()


def _store(folder: Path, kind: str) -> Any:
    from feast import FeatureStore, RepoConfig
    from feast.repo_config import RegistryConfig

    ours = {
        "type": "lakeline.feast.offline.LakelineOfflineStore",
        "catalog_uri": f"sqlite:///{folder}/lake/catalog.db",
        "warehouse": f"{folder}/lake/warehouse",
        "memory_limit": "700MB",
        "spill": str(folder / "spill"),
    }
    return FeatureStore(
        config=RepoConfig(
            project="speed",
            provider="local",
            registry=RegistryConfig(path=str(folder / f"{kind}.db")),
            offline_store=ours if kind.startswith("lakeline") else {"type": kind},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )


def _objects(size: dict[str, Any], kind: str) -> list[Any]:
    from feast import Entity, FeatureView, Field, ValueType
    from feast.types import Float64

    entity = Entity(name="k", join_keys=["k"], value_type=ValueType.INT64)
    fields = [Field(name=f"f{number}", dtype=Float64) for number in range(size["features"])]
    return [
        entity,
        *(
            FeatureView(
                name=f"view_{number}",
                entities=[entity],
                schema=fields,
                source=_source(kind, number, path),
            )
            for number, path in enumerate(size["paths"])
        ),
    ]


def _source(kind: str, number: int, path: str) -> Any:
    if kind.startswith("lakeline"):
        from lakeline.feast.source import IcebergSource

        return IcebergSource(
            table=f"speed.view_{number}",
            timestamp_field="event_ts",
            knowledge_time_field="known_ts" if kind == "lakeline_known" else "",
        )
    from feast import FileSource

    return FileSource(name=f"view_{number}", path=path, timestamp_field="event_ts")


def _sum(table: Any, name: str) -> float:
    import pandas as pd

    return float(pd.Series(table[name].to_numpy()).sum())


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
