"""Feast's feature views as what the offline engine reads."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_NAME
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.utils import _parse_feature_ref

from lakeline.feast.lakes import table_name
from lakeline.feast.source import IcebergSource, SourceTypeError
from lakeline.features.offline.errors import UnknownFeatureError, did_you_mean
from lakeline.features.offline.request import ViewRead


def view_reads(
    config: RepoConfig,
    feature_views: Sequence[FeatureView],
    feature_refs: Sequence[str],
    registry: BaseRegistry,
    *,
    full_names: bool,
    waits_for_created: bool,
) -> list[ViewRead]:
    """What is read of each view for the features that are asked for.

    Args:
        config: Settings of the repository.
        feature_views: Views with their projections.
        feature_refs: ``view:feature``; those of on-demand views are left to Feast.
        registry: Where entities are found.
        full_names: Whether results are called ``view__feature``.
        waits_for_created: Whether rows count only once they were created.

    Raises:
        SourceTypeError: A view reads no Iceberg table.
        UnknownFeatureError: A view has no such feature.
    """
    wanted = _features_by_view(feature_refs)
    return [
        _view_read(
            config,
            view,
            wanted[_name(view)],
            _join_keys(view, registry, config.project),
            full_names=full_names,
            waits_for_created=waits_for_created,
        )
        for view in feature_views
        if wanted.get(_name(view))
    ]


def iceberg_source(view: FeatureView) -> IcebergSource:
    """The batch source of a view.

    Raises:
        SourceTypeError: It is none of ours.
    """
    source = view.batch_source
    if not isinstance(source, IcebergSource):
        raise SourceTypeError(view.name, type(source).__name__)
    return source


def check_features(views: Iterable[Any], feature_refs: Sequence[str]) -> None:
    """Make sure that every reference names a feature of its view; Feast itself says only that one is not found.

    Args:
        views: Feature views and on-demand views of a registry.
        feature_refs: ``view:feature``.

    Raises:
        UnknownFeatureError: A view has no such feature, or there is no such view.
    """
    known = {_name(view): [field.name for field in view.projection.features] for view in views}
    for name, features in _features_by_view(feature_refs).items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise UnknownFeatureError(name, features[0], known.get(name, ()), hint)
        for feature in features:
            _check_feature(name, feature, known[name])


def request_columns(views: Sequence[OnDemandFeatureView]) -> dict[str, str]:
    """On-demand view by the column that it needs of every request."""
    return {column: view.name for view in views for column in view.get_request_data_schema()}


def on_demand_views(
    feature_refs: list[str], project: str, registry: BaseRegistry
) -> list[OnDemandFeatureView]:
    """The on-demand views that are asked for."""
    return list(OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry))


def raw_view(
    name: str,
    table: str,
    columns: Mapping[str, str],
    *,
    keys: Sequence[str],
    timestamp: str,
    created: str | None,
    source: IcebergSource,
) -> ViewRead:
    """What is read where Feast asks for columns of a table by their own names.

    Args:
        name: For messages.
        table: Full name of the table.
        columns: Column of the table by column of the result.
        keys: Key columns.
        timestamp: Column of the event time.
        created: Column of the time of creation.
        source: Where its knowledge time stands.
    """
    known = source.knowledge_time_field
    return ViewRead(
        name=name,
        table=table,
        keys={key: key for key in keys},
        features=columns,
        event_time=timestamp,
        knowledge_time=source.column(known) if known else None,
        created=created or None,
        snapshot_id=source.snapshot_id,
    )


def _view_read(
    config: RepoConfig,
    view: FeatureView,
    features: Sequence[str],
    join_keys: Sequence[str],
    *,
    full_names: bool,
    waits_for_created: bool,
) -> ViewRead:
    source, name = iceberg_source(view), _name(view)
    for feature in features:
        _check_feature(name, feature, [field.name for field in view.features])
    renames = view.projection.join_key_map
    known, created = source.knowledge_time_field, source.created_timestamp_column
    return ViewRead(
        name=name,
        table=table_name(config, source.table),
        keys={source.column(key): renames.get(key, key) for key in join_keys},
        features={
            f"{name}__{feature}" if full_names else feature: source.column(feature)
            for feature in features
        },
        event_time=source.column(source.timestamp_field),
        knowledge_time=source.column(known) if known else None,
        created=source.column(created) if created else None,
        waits_for_created=waits_for_created,
        ttl=view.ttl if view.ttl and view.ttl > dt.timedelta(0) else None,
        snapshot_id=source.snapshot_id,
    )


def _join_keys(view: FeatureView, registry: BaseRegistry, project: str) -> list[str]:
    """The keys of a view's entities.

    Not its `entity_columns`: Feast infers no column for a key that the source's field mapping renames, and a view that
    lost its key would give every entity row the same values.
    """
    keys = [
        str(registry.get_entity(name, project, allow_cache=True).join_key)
        for name in view.entities
        if name != DUMMY_ENTITY_NAME
    ]
    return keys or [one.name for one in view.entity_columns if one.name != DUMMY_ENTITY_ID]


def _features_by_view(feature_refs: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ref in feature_refs:
        view, version, feature = _parse_feature_ref(ref)
        features = found.setdefault(view if version is None else f"{view}@v{version}", [])
        if feature not in features:
            features.append(feature)
    return found


def _name(view: Any) -> str:
    return str(view.projection.name_to_use())


def _check_feature(view: str, feature: str, has: Sequence[str]) -> None:
    if feature not in has:
        raise UnknownFeatureError(view, feature, has, did_you_mean(feature, has))
