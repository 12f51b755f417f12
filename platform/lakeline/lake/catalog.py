"""Where the lake's tables are: a catalog, a warehouse folder or bucket, and a lock a table."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.errors import LakeError, names
from lakeline.lake.lock import Turn, advisory_lock, advisory_turn, file_lock, file_turn
from lakeline.lake.shape import Shape

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from lakeline.contract import Contract
    from lakeline.contract.evolution import Evolution

CODEC = "write.parquet.compression-codec"
"""The table property that says how its files are compressed; a person may set another one on a table."""

TABLE_PROPERTIES = {
    # Commits are serialised by the table's lock; a retry that pyiceberg makes by itself would not see what changed.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # For what pyiceberg or another engine appends; lakeline's own commits merge as `replacing` says.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "32",
}


class TableMissingError(LakeError):
    """A table is not in the lake."""

    def __init__(self, table: str, known: list[str]) -> None:
        super().__init__(
            f"The lake has no table '{table}'. It has {names(known) or 'none yet'}. Materialize its asset first."
        )


class NotEvolvedError(LakeError):
    """A table still holds columns as an older version of its contract means them."""

    def __init__(self, table: str, contract: "type[Contract]", columns: list[str]) -> None:
        asset = table.replace(".", "/", 1)
        super().__init__(
            f"'{asset}' was not built since its contract became {contract.version}, which replaces {names(columns)}. "
            f"Build '{asset}' first: its old values cannot be read as the new ones."
        )


class Lake:
    """One Iceberg catalog with its warehouse; cheap to make, connects on first use.

    Args:
        catalog_uri: SQLAlchemy URL of the SQL catalog, ``sqlite:///…`` or ``postgresql://…``, or the address of
            an Iceberg REST catalog.
        warehouse: Folder, or ``s3://bucket/prefix``.
        locks: Folder of the lock files; not used where Postgres keeps the locks.
        properties: More properties of the catalog and its files (``s3.endpoint``, …).
    """

    def __init__(
        self,
        *,
        catalog_uri: str,
        warehouse: str,
        locks: Path,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.catalog_uri = catalog_uri
        self.warehouse = warehouse
        self.locks = locks
        self.properties = dict(properties or {})

    @classmethod
    def in_folder(cls, folder: Path) -> "Lake":
        """The embedded lake: a SQLite catalog and Parquet files below ``folder``."""
        root = folder.absolute()
        return cls(
            catalog_uri=f"sqlite:///{root / 'catalog.db'}",
            warehouse=str(root / "warehouse"),
            locks=root / "locks",
        )

    @cached_property
    def catalog(self) -> "Catalog":
        """The connected catalog; its tables are made on first use."""
        if self.catalog_uri.startswith("http"):
            from pyiceberg.catalog.rest import RestCatalog

            return RestCatalog(
                "lake", uri=self.catalog_uri, warehouse=self.warehouse, **self.properties
            )
        from lakeline.lake.sql import open_sql_catalog

        with self.lock(
            "catalog"
        ):  # two processes that make its tables at once would trip over each other
            return open_sql_catalog(self.catalog_uri, self.warehouse, self.properties)

    @property
    def codec(self) -> str:
        """Compression of new tables: of a local disk LZ4 is read twice as fast, in a bucket Zstandard is a third smaller."""
        is_bucket = "://" in self.warehouse and not self.warehouse.startswith("file://")
        return "zstd" if is_bucket else "lz4"

    def tables(self) -> list[str]:
        """Names of every table, as ``namespace.table``, sorted."""
        found = [
            ".".join(table)
            for namespace in self.catalog.list_namespaces()
            for table in self.catalog.list_tables(namespace)
        ]
        return sorted(found)

    def find(self, name: str) -> "Table | None":
        """The table, or None where it was never written."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self.catalog.load_table(name)
        except NoSuchTableError:
            return None

    def load(self, name: str) -> "Table":
        """The table.

        Raises:
            TableMissingError: It was never written.
        """
        table = self.find(name)
        if table is None:
            raise TableMissingError(name, self.tables())
        return table

    def open(
        self,
        name: str,
        contract: "type[Contract]",
        *,
        daily: bool,
        replacing: Callable[[Sequence[str]], None] | None = None,
    ) -> "Table":
        """The table of a contract, made or evolved where needed; two writers may call this at once.

        Args:
            name: ``namespace.table``.
            contract: Columns that the table promises.
            daily: Whether its files are parted by the UTC day of the event time.
            replacing: Told under the table's lock which columns are about to be replaced, whose old values then read as
                null. Whoever only reads the table gives none, and may not do that.

        Raises:
            EvolutionError: The table in the lake cannot become what the contract says, or is parted otherwise.
            NotEvolvedError: A column is to be replaced, which is its writer's business.
        """
        table = self.find(name) or self._create(name, contract, daily=daily)
        evolution = _planned(name, Shape.of(table), contract, daily=daily)
        if evolution.is_empty:
            return table
        with self.lock(name):
            evolution = _planned(name, Shape.of(table.refresh()), contract, daily=daily)
            if replaced := [column.name for column in evolution.replaced]:
                if replacing is None:
                    raise NotEvolvedError(name, contract, replaced)
                replacing(replaced)
            _evolve(table, evolution)
        return table

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Held by one writer of a table at a time, over processes, and over machines where Postgres keeps it."""
        if self.catalog_uri.startswith("postgresql"):
            return advisory_lock(self.catalog_uri, name)
        return file_lock(self.locks / f"{name}.lock")

    def turn(self, name: str, writer: str) -> AbstractContextManager[Turn]:
        """The same lock for a writer that others may work for while it waits.

        Args:
            name: ``namespace.table``.
            writer: A name that no other writer has.
        """
        if self.catalog_uri.startswith("postgresql"):
            return advisory_turn(self.catalog_uri, name, writer)
        return file_turn(self.locks / f"{name}.lock", writer)

    def create_namespace_of(self, name: str) -> None:
        """Make the namespace of a table where it is missing; writers of two of its tables may do so at once."""
        from sqlalchemy.exc import IntegrityError

        with suppress(IntegrityError):
            self.catalog.create_namespace_if_not_exists(name.rpartition(".")[0])

    def _create(self, name: str, contract: "type[Contract]", *, daily: bool) -> "Table":
        from lakeline.contract.iceberg import iceberg_schema, partition_spec, table_properties

        schema = iceberg_schema(contract)
        properties = TABLE_PROPERTIES | {CODEC: self.codec} | table_properties(contract)
        with self.lock(name):
            self.create_namespace_of(name)
            return self.catalog.create_table_if_not_exists(
                name,
                schema,
                partition_spec=partition_spec(contract, schema, daily=daily),
                properties=properties,
            )


def _evolve(table: "Table", evolution: "Evolution") -> None:
    from lakeline.contract.evolution import apply_evolution

    apply_evolution(table, evolution)
    table.refresh()


@lru_cache(maxsize=256)
def _planned(name: str, shape: Shape, contract: "type[Contract]", *, daily: bool) -> "Evolution":
    """What a table needs; working it out takes as long as reading the table's metadata."""
    from lakeline.contract.evolution import plan_evolution
    from lakeline.contract.parting import refuse_other_parting

    refuse_other_parting(name, shape.specs, contract, daily=daily)
    return plan_evolution(name, shape.schema, dict(shape.properties), contract)
