"""What a retrieval gives: frames of any kind, batches for results larger than memory, or a table of the lake."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from lakeline.feast.lakes import lake_of, table_name
from lakeline.feast.source import SourceTypeError
from lakeline.feast.storage import EVENT_TIME, SavedDatasetIcebergStorage
from lakeline.features.offline.history import History
from lakeline.features.offline.pulling import Pull
from lakeline.features.offline.writing import create_table, replace_table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class LakelineRetrievalJob(RetrievalJob):
    """A retrieval whose tables are pinned already; nothing is read before a result is asked for.

    Args:
        config: Settings of the repository.
        read: What is read.
        full_feature_names: Whether results are called ``view__feature``.
        on_demand: Views that Feast computes on the result.
        describe: Makes the metadata, on first use.
    """

    def __init__(
        self,
        config: RepoConfig,
        read: History | Pull,
        *,
        full_feature_names: bool = False,
        on_demand: list[OnDemandFeatureView] | None = None,
        describe: Callable[[], RetrievalMetadata] | None = None,
    ) -> None:
        self.config = config
        self.read = read
        self._full_feature_names = full_feature_names
        self._on_demand = on_demand or []
        self._describe = describe

    @property
    def snapshots(self) -> dict[str, int]:
        """Snapshot of its table that each view is read at, by name of the view."""
        return self.read.snapshots

    @property
    def full_feature_names(self) -> bool:
        """Whether results are called ``view__feature``."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Views that Feast computes on the result."""
        return self._on_demand

    @cached_property
    def _metadata(self) -> RetrievalMetadata | None:
        return self._describe() if self._describe is not None else None

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and the range of moments; of a query it takes running the query once."""
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> "pa.Table":
        return self.read.table()

    def _to_df_internal(self, timeout: int | None = None) -> "pd.DataFrame":
        return self.read.table().to_pandas()

    def to_polars(self) -> "pl.DataFrame":
        """The result as a Polars frame, on-demand features included."""
        import polars as pl

        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    @contextmanager
    def to_arrow_batches(self) -> "Iterator[pa.RecordBatchReader]":
        """The result in batches, for results larger than memory; on-demand features are computed on the whole."""
        if self._on_demand:
            yield self.to_arrow().to_reader()
            return
        with self.read.reader() as reader:
            yield reader

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,  # noqa: FBT001, FBT002 - Feast's signature
        timeout: int | None = None,
    ) -> None:
        """Keep the result in a table, in one commit that says which snapshots it was read from.

        Raises:
            SavedDatasetLocationAlreadyExists: The table exists and may not be overwritten.
            SourceTypeError: The storage is another store's.
        """
        if not isinstance(storage, SavedDatasetIcebergStorage):
            raise SourceTypeError("saved dataset", type(storage).__name__)
        lake, name = lake_of(self.config), table_name(self.config, storage.table)
        exists = lake.find(name) is not None
        if exists and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=name)
        properties = {f"lakeline.read.{view}": str(one) for view, one in self.snapshots.items()}
        if isinstance(self.read, History) and self.read.at is not None:
            properties[EVENT_TIME] = self.read.at
        write = replace_table if exists else create_table
        with self.to_arrow_batches() as rows:
            write(lake, name, rows, properties=properties)

    def supports_remote_storage_export(self) -> bool:
        """Saved datasets are what takes a result away."""
        return False


def described(read: History, features: list[str]) -> Callable[[], RetrievalMetadata]:
    """A function that makes the metadata of historical features."""

    def describe() -> RetrievalMetadata:
        columns, at, earliest, latest = read.span()
        return RetrievalMetadata(
            features=features,
            keys=[name for name in columns if name != at],
            min_event_timestamp=_or_epoch(earliest),
            max_event_timestamp=_or_epoch(latest),
        )

    return describe


def _or_epoch(moment: dt.datetime | None) -> dt.datetime:
    return moment if moment is not None else dt.datetime.fromtimestamp(0, dt.UTC)
