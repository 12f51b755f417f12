"""Where Feast keeps saved datasets and logged features: Iceberg tables of the lake."""

import json

from feast.data_source import DataSource
from feast.feature_logging import LOG_TIMESTAMP_FIELD, LoggingDestination
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.protos.feast.core.FeatureService_pb2 import LoggingConfig as LoggingConfigProto
from feast.protos.feast.core.SavedDataset_pb2 import (
    SavedDatasetStorage as SavedDatasetStorageProto,
)
from feast.saved_dataset import SavedDatasetStorage

from lakeline.feast.source import IcebergSource

EVENT_TIME = "lakeline.event-time"
"""Table property of a saved dataset: the column of its event time, which Feast takes to be `event_timestamp`."""
LOGGING_KIND = "lakeline.feast.storage.IcebergLoggingDestination"


class SavedDatasetIcebergStorage(SavedDatasetStorage):
    """A table that keeps the result of one retrieval.

    Args:
        table: ``namespace.table``; without a namespace it is in the offline store's landing namespace.
    """

    _proto_attr_name = "custom_storage"

    def __init__(self, table: str) -> None:
        self.table = table

    def __eq__(self, other: object) -> bool:
        """Whether both are one table."""
        return isinstance(other, SavedDatasetIcebergStorage) and self.table == other.table

    def __hash__(self) -> int:
        """By the table."""
        return hash(self.table)

    @staticmethod
    def from_proto(storage_proto: SavedDatasetStorageProto) -> "SavedDatasetIcebergStorage":
        """What `to_proto` wrote."""
        options = json.loads(storage_proto.custom_storage.configuration)
        return SavedDatasetIcebergStorage(table=options["table"])

    def to_proto(self) -> SavedDatasetStorageProto:
        """With the class, so that Feast finds it among other stores' own."""
        options = json.dumps({"table": self.table}).encode()
        return self._custom_storage_proto(
            DataSourceProto.CustomSourceOptions(configuration=options)
        )

    def to_data_source(self) -> DataSource:
        """The table as a source, whose event time is called as in most entity frames."""
        return IcebergSource(table=self.table, timestamp_field="event_timestamp")

    @staticmethod
    def from_data_source(data_source: DataSource) -> "SavedDatasetIcebergStorage":
        """The table of a source."""
        assert isinstance(data_source, IcebergSource)
        return SavedDatasetIcebergStorage(table=data_source.table)


class IcebergLoggingDestination(LoggingDestination):
    """A table that logged features are appended to; it is made with the first of them.

    Args:
        table: ``namespace.table``; without a namespace it is in the offline store's landing namespace.
    """

    _proto_kind = LOGGING_KIND

    def __init__(self, *, table: str) -> None:
        self.table = table

    @classmethod
    def from_proto(cls, config_proto: LoggingConfigProto) -> "IcebergLoggingDestination":
        """What `to_proto` wrote."""
        return cls(table=config_proto.custom_destination.config["table"])

    def to_proto(self) -> LoggingConfigProto:
        """As a custom destination."""
        return LoggingConfigProto(
            custom_destination=LoggingConfigProto.CustomDestination(
                kind=LOGGING_KIND, config={"table": self.table}
            )
        )

    def to_data_source(self) -> DataSource:
        """The table as a source."""
        return IcebergSource(table=self.table, timestamp_field=LOG_TIMESTAMP_FIELD)
