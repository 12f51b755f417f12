"""The lake, the snapshots and the memory that a Feast configuration of the offline store means."""

import datetime as dt
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from feast.repo_config import RepoConfig

from lakeline.errors import SettingsError
from lakeline.features.offline.engine import EngineSettings
from lakeline.features.offline.pins import TimeTravel
from lakeline.lake import Lake

if TYPE_CHECKING:
    from lakeline.feast.offline import LakelineOfflineStoreConfig


class OfflineStoreSettingError(SettingsError):
    """The offline store of a Feast repository is set up wrongly."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(f"offline_store.{setting} in feature_store.yaml {why}")


def settings_of(config: RepoConfig) -> "LakelineOfflineStoreConfig":
    """The settings of the offline store.

    Raises:
        OfflineStoreSettingError: The repository has another offline store.
    """
    from lakeline.feast.offline import LakelineOfflineStoreConfig

    found = config.offline_store
    if not isinstance(found, LakelineOfflineStoreConfig):
        has = getattr(found, "type", type(found).__name__)
        raise OfflineStoreSettingError(
            "type",
            f"is {has}, and an IcebergSource needs lakeline.feast.offline.LakelineOfflineStore.",
        )
    return found


def lake_of(config: RepoConfig) -> Lake:
    """The lake; connected once a process for equal settings."""
    settings = settings_of(config)
    properties = tuple(sorted(settings.catalog_properties.items()))
    base = str(config.repo_path or "")
    return _lake(settings.catalog_uri, settings.warehouse, settings.locks, properties, base)


def travel_of(config: RepoConfig) -> TimeTravel:
    """What the configuration pins.

    Raises:
        OfflineStoreSettingError: `as_of` is no moment with a time zone.
    """
    settings = settings_of(config)
    named = {table_name(config, table): pin for table, pin in settings.snapshots.items()}
    return TimeTravel(snapshots=named, as_of=_moment(settings.as_of))


def engine_settings(config: RepoConfig) -> EngineSettings:
    """What the engine may use."""
    settings = settings_of(config)
    return EngineSettings(
        memory_limit=settings.memory_limit, threads=settings.threads, spill=settings.spill
    )


def table_name(config: RepoConfig, name: str) -> str:
    """The full name of a table; one without a namespace is in the landing namespace."""
    return name if "." in name else f"{settings_of(config).landing}.{name}"


@lru_cache(maxsize=32)
def _lake(
    uri: str, warehouse: str, locks: str, properties: tuple[tuple[str, str], ...], base: str
) -> Lake:
    is_file = uri.startswith("sqlite:///")
    path = Path(base, uri.removeprefix("sqlite:///")) if is_file else None
    folder = path.parent if path is not None else Path(tempfile.gettempdir(), "lakeline")
    return Lake(
        catalog_uri=f"sqlite:///{path}" if path is not None else uri,
        warehouse=warehouse if "://" in warehouse else str(Path(base, warehouse).absolute()),
        locks=Path(base, locks) if locks else folder / "locks",
        properties=dict(properties),
    )


def _moment(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise OfflineStoreSettingError("as_of", f"is '{text}', which is no ISO time.") from error
    if moment.tzinfo is None:
        raise OfflineStoreSettingError(
            "as_of", f"is '{text}', which has no time zone. Write {text}Z."
        )
    return moment
