"""A domain's Feast project: its configuration, its registry, and the folder that Feast's own command line reads."""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.errors import SettingsError

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

    from lakeline.domain.feast.objects import Objects
    from lakeline.resource import Lakehouse

NOISE = ("body", "createdTimestamp", "entityColumns", "lastUpdatedTimestamp", "project", "version")
"""Parts of an object that differ although nothing that was declared does; ``body`` is a function's bytecode with its path."""

REPOSITORY = '''"""The features of {project}, as `feast` reads them. Made by lakeline: change the domain, not this."""

import {module}
from lakeline.domain import load_domain
from lakeline.domain.feast.objects import objects_of_domain

globals().update({{f"object_{{n}}": one for n, one in enumerate(objects_of_domain(load_domain({module})).all)}})
'''


class UnreadableRegistryError(SettingsError):
    """A registry cannot be read, as one that another version of Feast wrote."""

    def __init__(self, url: str, problem: str) -> None:
        from importlib.metadata import version

        from sqlalchemy import make_url

        where = make_url(url).render_as_string(hide_password=True)
        super().__init__(
            f"The feature registry at {where} cannot be read by Feast {version('feast')}: {problem}. Another version may "
            "have written it. Install that one, or give this deployment a registry of its own: LAKELINE_FEATURE_REGISTRY."
        )


def settings_of(house: "Lakehouse", project: str) -> dict[str, Any]:
    """The content of a domain's ``feature_store.yaml``."""
    return {
        "project": project,
        "provider": "local",
        "registry": {
            "registry_type": "sql",
            "path": house.registry_url,
            "cache_ttl_seconds": 60,
        },
        "offline_store": {
            "type": "lakeline.feast.offline.LakelineOfflineStore",
            "catalog_uri": house.catalog_uri,
            "warehouse": house.warehouse,
            "catalog_properties": dict(house.catalog_properties),
            "locks": house.locks,
        },
        "online_store": {
            "type": "lakeline.feast.online.LakelineOnlineStore",
            "url": house.online_url,
        },
        # Otherwise Feast takes duplicates out by itself, and knows of no knowledge times.
        "materialization": {"pull_latest_features": True},
        "entity_key_serialization_version": 3,
    }


def config_of(
    house: "Lakehouse",
    project: str,
    snapshots: Mapping[str, int] | None = None,
    *,
    as_of: str = "",
    has_event_times: bool = False,
) -> "RepoConfig":
    """Feast's configuration of a domain.

    Args:
        house: Where tables, registry and online store are.
        project: Name of the domain.
        snapshots: Snapshot that each table is read at; tables that are left out are read as they are.
        as_of: Moment against which values online expire, for recorded data; the system's clock where it is empty.
        has_event_times: Whether historical features come with the event time of each view's value.
    """
    from feast import RepoConfig

    settings = settings_of(house, project)
    settings["offline_store"]["snapshots"] = dict(snapshots or {})
    settings["offline_store"]["has_event_times"] = has_event_times
    settings["online_store"]["as_of"] = as_of
    return RepoConfig(repo_path=house.features_folder, **settings)


def store_of(
    house: "Lakehouse",
    project: str,
    snapshots: Mapping[str, int] | None = None,
    *,
    as_of: str = "",
    has_event_times: bool = False,
) -> "FeatureStore":
    """Feast's store of a domain; see `config_of`."""
    from feast import FeatureStore

    house.features_folder.mkdir(parents=True, exist_ok=True)
    config = config_of(house, project, snapshots, as_of=as_of, has_event_times=has_event_times)
    return FeatureStore(config=config)


def apply(house: "Lakehouse", project: str, objects: "Objects") -> None:
    """Make the registry hold exactly these objects; what is no longer declared is taken out.

    Raises:
        UnreadableRegistryError: It holds something that this version of Feast cannot read.
    """
    from feast.repo_operations import apply_total_with_repo_instance

    with house.lake.lock(f"{project}.feature_registry"), quiet(), readable(house):
        store = store_of(house, project)
        apply_total_with_repo_instance(
            store, project, store.registry, objects.contents(), skip_source_validation=True
        )


def require_applied(house: "Lakehouse", project: str, objects: "Objects") -> None:
    """Add what the registry lacks of these objects, or has in another form; nothing is taken out.

    Raises:
        UnreadableRegistryError: It holds something that this version of Feast cannot read.
    """
    with readable(house):
        store = store_of(house, project)
        if is_applied(store, objects):
            return
    with house.lake.lock(f"{project}.feature_registry"), quiet(), readable(house):
        store.refresh_registry()  # type: ignore[no-untyped-call]
        if not is_applied(store, objects):
            store.apply(objects.all)


def write_repository(house: "Lakehouse", project: str, module: str) -> Path:
    """A folder that `feast` and `feast ui` work in; returns it.

    Args:
        house: Where everything is.
        project: Name of the domain.
        module: Package that holds it, such as ``assets.flights``.
    """
    import yaml

    folder = house.features_folder / project
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(settings_of(house, project)))
    (folder / "features.py").write_text(REPOSITORY.format(project=project, module=module))
    return folder


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Feast prints on the way, and without its words on parts that lakeline leans on knowingly."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@contextmanager
def readable(house: "Lakehouse") -> Iterator[None]:
    """Turn what Feast, its database and its messages say of a registry that they cannot read into one error."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (DecodeError, SQLAlchemyError) as error:
        said = str(error).split("\n", 1)[0]
        raise UnreadableRegistryError(house.registry_url, said) from error


def is_applied(store: "FeatureStore", objects: "Objects") -> bool:
    """Whether the registry has every entity and view as it is declared; it may have more."""
    registry, project = store.registry, store.project
    held: dict[str, Any] = {
        **{f"entity {one.name}": one for one in registry.list_entities(project)},
        **{f"view {one.name}": one for one in registry.list_feature_views(project)},
        **{f"on demand {one.name}": one for one in registry.list_on_demand_feature_views(project)},
    }
    wanted: dict[str, Any] = {
        **{f"entity {name}": one for name, one in objects.entities.items()},
        **{f"view {name}": one for name, one in objects.views.items()},
        **{f"on demand {name}": one for name, one in objects.on_demand.items()},
    }
    return all(_said(held.get(name)) == _said(one) for name, one in wanted.items())


def _said(one: Any) -> Any:
    """What an object declares, without what the registry and this process add to it."""
    from google.protobuf.json_format import (  # type: ignore[import-untyped]
        MessageToDict,
    )

    return None if one is None else _without_noise(MessageToDict(one.to_proto().spec))


def _without_noise(said: Any) -> Any:
    if isinstance(said, list):
        return [_without_noise(one) for one in said]
    if not isinstance(said, dict):
        return said
    return {name: _without_noise(one) for name, one in said.items() if name not in NOISE}
