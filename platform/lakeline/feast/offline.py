"""Feast's offline store on the lake: historical features point in time by event and knowledge time, and everything else.

A view's value is what was known at the moment of the entity row, null where it is older than the view's time to live.
Every entity row comes back once and in its place. Each table is read at one snapshot, which the job tells.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from feast import FeatureView
from feast.data_source import DataSource
from feast.errors import RequestDataNotFoundInEntityDfException
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import compute_non_entity_date_range
from pydantic import Field

from lakeline.feast.job import LakelineRetrievalJob, described
from lakeline.feast.lakes import engine_settings, lake_of, settings_of, table_name, travel_of
from lakeline.feast.source import IcebergSource, SourceTypeError
from lakeline.feast.storage import EVENT_TIME, IcebergLoggingDestination
from lakeline.feast.views import (
    iceberg_source,
    on_demand_views,
    raw_view,
    request_columns,
    view_reads,
)
from lakeline.features.offline.entities import FrameEntities
from lakeline.features.offline.history import History, history
from lakeline.features.offline.pins import pin
from lakeline.features.offline.pulling import Pull
from lakeline.features.offline.scan import check_columns
from lakeline.features.offline.writing import append_rows, create_table

if TYPE_CHECKING:
    import pyarrow as pa

STORE = "lakeline.feast.offline.LakelineOfflineStore"


class LakelineOfflineStoreConfig(FeastConfigBaseModel):
    """``offline_store`` of a ``feature_store.yaml``; paths are relative to it.

    Attributes:
        type: Always this store.
        catalog_uri: SQLAlchemy URL of the catalog, or the address of an Iceberg REST catalog.
        warehouse: Folder, or ``s3://bucket/prefix``.
        catalog_properties: More properties of the catalog and its files (``s3.endpoint``, …).
        locks: Folder of the lock files; without, beside the catalog.
        memory_limit: Memory of the engine, as DuckDB writes sizes; beyond it, it spills.
        threads: Threads of the engine, 0 for one a core.
        spill: Folder to spill to; without, the system's for temporary files.
        snapshots: Snapshot id by ``namespace.table``; it wins over a source's own pin.
        as_of: ISO time; tables without a pin are read at the newest snapshot that was committed by then.
        landing: Namespace of saved datasets and logs whose table has none.
        has_event_times: Whether historical features come with the event time of each view's value, as ``view:event_time``.
    """

    type: Literal["lakeline.feast.offline.LakelineOfflineStore"] = (
        "lakeline.feast.offline.LakelineOfflineStore"
    )
    catalog_uri: str
    warehouse: str
    catalog_properties: dict[str, str] = Field(default_factory=dict)
    locks: str = ""
    memory_limit: str = "1GB"
    threads: int = 0
    spill: str = ""
    snapshots: dict[str, int] = Field(default_factory=dict)
    as_of: str = ""
    landing: str = "feast"
    has_event_times: bool = False


class LakelineOfflineStore(OfflineStore):
    """Feast's offline store on Iceberg tables, read by DuckDB."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> RetrievalJob:
        """The features of entity rows as they were known at the moment of each.

        Args:
            config: Settings of the repository.
            feature_views: Views that are asked for.
            feature_refs: ``view:feature``.
            entity_df: pandas, Polars or Arrow frame; a query over tables of the lake; the name of a table; or None for
                every moment between `start_date` and `end_date` at which something became known.
            registry: Where on-demand views are found.
            project: Name of the project.
            full_feature_names: Whether results are called ``view__feature``.
            **options: `start_date`, `end_date`, `filter_by_created_timestamp`.
        """
        views = view_reads(
            config,
            feature_views,
            feature_refs,
            registry,
            full_names=full_feature_names,
            waits_for_created=bool(options.get("filter_by_created_timestamp")),
        )
        if settings_of(config).has_event_times:
            views = [view.with_event_time() for view in views]
        frame = entity_df
        if frame is None:
            frame = compute_non_entity_date_range(
                feature_views, options.get("start_date"), options.get("end_date")
            )
        read = history(
            lake_of(config),
            frame,
            views,
            travel=travel_of(config),
            settings=engine_settings(config),
        )
        on_demand = on_demand_views(feature_refs, project, registry)
        _check_request(read, request_columns(on_demand))
        return LakelineRetrievalJob(
            config,
            read,
            full_feature_names=full_feature_names,
            on_demand=on_demand,
            describe=described(read, feature_refs),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: dt.datetime,
        end_date: dt.datetime,
    ) -> RetrievalJob:
        """Of each key the row with the latest event time, of the rows that began to count between the dates."""
        return _pull(
            config,
            data_source,
            "latest",
            keys=join_key_columns,
            features=feature_name_columns,
            times=(timestamp_field, created_timestamp_column),
            dates=(start_date, end_date),
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
    ) -> RetrievalJob:
        """Every row that began to count between the dates.

        Feast materializes from these by itself and drops older ones in pandas, which knows nothing of the knowledge
        time; ``materialization: {pull_latest_features: true}`` lets it ask for the latest instead.
        """
        return _pull(
            config,
            data_source,
            "all",
            keys=join_key_columns,
            features=feature_name_columns,
            times=(timestamp_field, created_timestamp_column),
            dates=(start_date, end_date),
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: "pa.Table",
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append rows to the table of a view, in one commit.

        Raises:
            SavedTableError: The rows do not have its columns.
        """
        source = iceberg_source(feature_view)
        # Feast has renamed the columns to those of the view; the table has its own.
        rows = table.rename_columns([source.column(name) for name in table.column_names])
        append_rows(lake_of(config), table_name(config, source.table), rows)
        if progress is not None:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: "pa.Table | Path",
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Append logged features to their table, which is made with the first of them.

        Raises:
            SourceTypeError: The destination is another store's.
        """
        import pyarrow.parquet as pq

        destination = logging_config.destination
        if not isinstance(destination, IcebergLoggingDestination):
            raise SourceTypeError("logged features", type(destination).__name__)
        rows = pq.read_table(data) if isinstance(data, Path) else data
        lake, name = lake_of(config), table_name(config, destination.table)
        if lake.find(name) is None:
            create_table(lake, name, rows.to_reader())
        else:
            append_rows(lake, name, rows)


def _pull(
    config: RepoConfig,
    source: DataSource,
    which: Literal["all", "latest"],
    *,
    keys: list[str],
    features: list[str],
    times: tuple[str, str | None],
    dates: tuple[dt.datetime | None, dt.datetime | None],
) -> LakelineRetrievalJob:
    if not isinstance(source, IcebergSource):
        raise SourceTypeError(source.name, type(source).__name__)
    lake, table = lake_of(config), table_name(config, source.table)
    pinned = pin(
        lake, table, view=source.name, snapshot_id=source.snapshot_id, travel=travel_of(config)
    )
    timestamp, created = times
    if timestamp not in pinned.columns:
        timestamp = pinned.table.properties.get(EVENT_TIME, timestamp)
    named = [*keys, *(features or pinned.columns), timestamp, *([created] if created else [])]
    view = raw_view(
        source.name,
        table,
        {name: name for name in dict.fromkeys(named)},
        keys=keys,
        timestamp=timestamp,
        created=created,
        source=source,
    )
    check_columns(view, pinned)
    read = Pull(
        view=view,
        pinned=pinned,
        settings=engine_settings(config),
        which=which,
        start=_utc(dates[0]),
        end=_utc(dates[1]),
        constants={} if keys else {DUMMY_ENTITY_ID: DUMMY_ENTITY_VAL},
    )
    return LakelineRetrievalJob(config, read)


def _check_request(read: History, needed: dict[str, str]) -> None:
    """Feast looks for request data in pandas frames alone."""
    if not isinstance(read.entities, FrameEntities):
        return
    for column, view in needed.items():
        if column not in read.entities.frame.columns:
            raise RequestDataNotFoundInEntityDfException(  # type: ignore[no-untyped-call]
                feature_name=column, feature_view_name=view
            )


def _utc(moment: dt.datetime | None) -> dt.datetime | None:
    """Feast hands dates without a zone in UTC."""
    return moment.replace(tzinfo=dt.UTC) if moment is not None and not moment.tzinfo else moment
