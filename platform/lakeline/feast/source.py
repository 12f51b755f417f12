"""A Feast data source on an Iceberg table of the lake, with a knowledge time of its own."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from lakeline.errors import DomainError
from lakeline.features.offline.errors import ViewColumnsError, did_you_mean

VALUE_TYPES = {
    "boolean": ValueType.BOOL,
    "int": ValueType.INT32,
    "long": ValueType.INT64,
    "float": ValueType.FLOAT,
    "double": ValueType.DOUBLE,
    "string": ValueType.STRING,
    "binary": ValueType.BYTES,
    "uuid": ValueType.UUID,
    "date": ValueType.UNIX_TIMESTAMP,
    "timestamp": ValueType.UNIX_TIMESTAMP,
    "timestamptz": ValueType.UNIX_TIMESTAMP,
}
CLASS_TYPE = "lakeline.feast.source.IcebergSource"


class SourceTypeError(DomainError):
    """A feature view reads a source that this store cannot read."""

    def __init__(self, view: str, source: str) -> None:
        super().__init__(
            f"Feature view '{view}' reads a {source}, and the lakeline offline store reads Iceberg tables. "
            "Give the view an IcebergSource."
        )


class IcebergSource(DataSource):
    """An Iceberg table of the lake.

    Args:
        table: ``namespace.table``.
        name: Name in the registry; without, the table's.
        timestamp_field: Column of the event time.
        knowledge_time_field: Column of the moment from which on a row could be read. A row counts only from the later of
            its event time and this one, so nothing leaks that was not known yet.
        created_timestamp_column: As Feast means it: it decides between rows of one event time, offline and online, and
            hides rows until they were created only where `filter_by_created_timestamp` is asked for. Left out, the
            knowledge time decides.
        field_mapping: Name in feature views for columns of the table, times and keys included.
        snapshot_id: Snapshot to read, unless the store pins another.
        description: For people.
        tags: For people.
        owner: For people.
    """

    def __init__(  # noqa: PLR0913 - the fields of Feast's sources
        self,
        *,
        table: str,
        name: str | None = None,
        timestamp_field: str | None = None,
        knowledge_time_field: str | None = None,
        created_timestamp_column: str | None = None,
        field_mapping: dict[str, str] | None = None,
        snapshot_id: int | None = None,
        description: str | None = "",
        tags: dict[str, str] | None = None,
        owner: str | None = "",
    ) -> None:
        super().__init__(
            name=name or table,
            timestamp_field=timestamp_field,
            # Without one, Feast would hand rows to an online store without a word on which of them was known last.
            created_timestamp_column=created_timestamp_column or knowledge_time_field,
            field_mapping=field_mapping,
            description=description,
            tags=tags,
            owner=owner,
        )
        self.table = table
        self.knowledge_time_field = knowledge_time_field or ""
        self.snapshot_id = snapshot_id

    def __eq__(self, other: object) -> bool:
        """Whether both read the same in the same way."""
        if not isinstance(other, IcebergSource):
            return False
        equal = bool(super().__eq__(other))  # type: ignore[no-untyped-call]
        return equal and self._options() == other._options()

    def __hash__(self) -> int:
        """Feast's own."""
        return int(super().__hash__())  # type: ignore[no-untyped-call]

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        """Feast keeps the options of custom sources as they are."""
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> "IcebergSource":
        """What `to_proto` wrote."""
        options = json.loads(data_source.custom_options.configuration)
        return IcebergSource(
            name=data_source.name,
            table=options["table"],
            timestamp_field=data_source.timestamp_field,
            knowledge_time_field=options.get("knowledge_time_field"),
            created_timestamp_column=data_source.created_timestamp_column,
            field_mapping=dict(data_source.field_mapping),
            snapshot_id=options.get("snapshot_id"),
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> DataSourceProto:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=CLASS_TYPE,
            custom_options=DataSourceProto.CustomSourceOptions(
                configuration=json.dumps(self._options()).encode()
            ),
            field_mapping=self.field_mapping,
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self._created(),
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def _created(self) -> str:
        """The time of creation as it was declared, so that registries stay as they are."""
        created = self.created_timestamp_column or ""
        return "" if created == self.knowledge_time_field else created

    def _options(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "knowledge_time_field": self.knowledge_time_field,
            "snapshot_id": self.snapshot_id,
        }

    def column(self, name: str) -> str:
        """The table's column for a name of feature views."""
        return {after: before for before, after in self.field_mapping.items()}.get(name, name)

    def validate(self, config: RepoConfig) -> None:
        """Make sure that the table and its time columns exist.

        Raises:
            TableMissingError: There is no such table.
            ViewColumnsError: It lacks a column that the source names.
        """
        has = [name for name, _ in self.get_table_column_names_and_types(config)]
        named = (self.timestamp_field, self.knowledge_time_field, self.created_timestamp_column)
        missing = [one for one in map(self.column, filter(None, named)) if one not in has]
        if missing:
            raise ViewColumnsError(
                self.name, self.table, missing, has, did_you_mean(missing[0], has)
            )

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Feast's type for the text of an Iceberg type."""
        return feast_value_type

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Name and Iceberg type of each column of the table today, in order.

        Raises:
            TableMissingError: There is no such table.
        """
        from lakeline.feast.lakes import lake_of, table_name

        table = lake_of(config).load(table_name(config, self.table))
        return [(field.name, str(field.field_type)) for field in table.schema().fields]

    def get_table_query_string(self) -> str:
        """The table's name, as SQL entity frames call it."""
        return ".".join(f'"{part}"' for part in self.table.split("."))


def feast_value_type(kind: str) -> ValueType:
    """Feast's type for the text of an Iceberg type.

    >>> feast_value_type("list<double>").name, feast_value_type("decimal(9, 2)").name
    ('DOUBLE_LIST', 'UNKNOWN')
    """
    if kind.startswith("list<"):
        inner = VALUE_TYPES.get(kind[len("list<") : -1])
        return ValueType[f"{inner.name}_LIST"] if inner is not None else ValueType.UNKNOWN
    if kind.startswith("struct<"):
        return ValueType.STRUCT
    return ValueType.MAP if kind.startswith("map<") else VALUE_TYPES.get(kind, ValueType.UNKNOWN)
