"""The lakehouse as a Dagster resource: where the lake, the ledger, the models and the reports are."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from lakeline.compute.profile import Pods

if TYPE_CHECKING:
    from lakeline.features.read_log import ReadLog
    from lakeline.lake import Lake
    from lakeline.ledger import Ledger
    from lakeline.models.registry import Registry


class Lakehouse(dg.ConfigurableResource["Lakehouse"]):
    """Everything that assets of a domain are published to. Opens nothing until it is used."""

    catalog_uri: str = Field(
        description="SQLAlchemy URL of the SQL catalog, or address of an Iceberg REST catalog"
    )
    warehouse: str = Field(description="Folder or s3://bucket/prefix of the data files")
    locks: str = Field(
        description="Folder of the lock files, where Postgres does not keep the locks"
    )
    ledger_url: str = Field(description="SQLAlchemy URL of the ledger")
    models: str = Field(
        description="Folder of the model registry, and of what waits for a registry elsewhere"
    )
    reports: str = Field(description="Folder that report pages are written to")
    reports_url: str = Field(description="Address under which that folder is served")
    features: str = Field(
        default="", description="Folder of feature repositories; empty: beside the models"
    )
    feature_registry: str = Field(
        default="", description="SQLAlchemy URL of Feast's registry; empty: SQLite in features"
    )
    online_store: str = Field(
        default="",
        description="sqlite:///… or redis://… of online features; empty: SQLite in features",
    )
    registry_uri: str = Field(
        default="",
        description="Address of an MLflow server that is the model registry; empty: SQLite in models",
    )
    compute: Literal["local", "kubernetes"] = Field(
        default="local",
        description="Where assets with compute= are built: processes of this machine, or pods",
    )
    pods: Pods = Field(default_factory=Pods, description="The pods that assets are built in")
    catalog_properties: dict[str, str] = Field(
        default={},
        description="More properties of the catalog and its files, such as s3.endpoint",
    )

    @classmethod
    def in_folder(
        cls, folder: Path, *, reports_url: str = "http://127.0.0.1:3001", registry_uri: str = ""
    ) -> "Lakehouse":
        """Everything embedded, below one folder.

        Args:
            folder: Absolute.
            reports_url: Address under which its report pages are served.
            registry_uri: Address of an MLflow server that is the model registry; empty: in the folder too.
        """
        return cls(
            catalog_uri=f"sqlite:///{folder / 'lake/catalog.db'}",
            warehouse=str(folder / "lake/warehouse"),
            locks=str(folder / "lake/locks"),
            ledger_url=f"sqlite:///{folder / 'lake/ledger.db'}",
            models=str(folder / "models"),
            reports=str(folder / "reports"),
            reports_url=reports_url,
            registry_uri=registry_uri,
        )

    @property
    def lake(self) -> "Lake":
        """The Iceberg tables; one connection a process and catalog."""
        properties = tuple(sorted(self.catalog_properties.items()))
        return _lake(self.catalog_uri, self.warehouse, self.locks, properties)

    @property
    def ledger(self) -> "Ledger":
        """What each partition was built from."""
        return _ledger(self.ledger_url)

    @property
    def features_folder(self) -> Path:
        """Folder of feature repositories, and of a registry and an online store that have no server."""
        return Path(self.features) if self.features else Path(self.models).parent / "features"

    @property
    def registry_url(self) -> str:
        """SQLAlchemy URL of Feast's registry."""
        return self.feature_registry or f"sqlite:///{self.features_folder / 'registry.db'}"

    @property
    def online_url(self) -> str:
        """Where online features are."""
        return self.online_store or f"sqlite:///{self.features_folder / 'online.db'}"

    @property
    def checkpoints(self) -> str:
        """Where trainings keep checkpoints: beside the data files in a bucket, so that another machine goes on from them; else beside the models."""
        if "://" in self.warehouse:
            return f"{self.warehouse.rstrip('/')}/_checkpoints"
        return str(Path(self.models) / "checkpoints")

    def read_log(self, domain: str) -> "ReadLog":
        """Where the online reads of a domain are logged."""
        from lakeline.features.read_log import ReadLog

        return ReadLog(self.features_folder / "reads" / domain)

    @property
    def registry(self) -> "Registry":
        """The trained models."""
        from lakeline.models.registry import Registry

        return Registry(Path(self.models), uri=self.registry_uri or None)


@lru_cache(maxsize=8)
def _lake(
    catalog_uri: str, warehouse: str, locks: str, properties: tuple[tuple[str, str], ...]
) -> "Lake":
    from lakeline.lake import Lake

    return Lake(
        catalog_uri=catalog_uri, warehouse=warehouse, locks=Path(locks), properties=dict(properties)
    )


@lru_cache(maxsize=8)
def _ledger(url: str) -> "Ledger":
    from lakeline.ledger import Ledger

    return Ledger(url)
