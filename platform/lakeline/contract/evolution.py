"""How a table follows a new version of its contract: what is added, widened, renamed, and what is refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from lakeline.contract.columns import Column
from lakeline.contract.declaration import VERSION, Contract
from lakeline.contract.iceberg import (
    EVENT_TIME_PROPERTY,
    METRICS_PREFIX,
    UNIT_PREFIX,
    VERSION_PROPERTY,
    iceberg_type,
    table_properties,
)
from lakeline.errors import EvolutionError

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.update.schema import UpdateSchema
    from pyiceberg.types import IcebergType, NestedField

#: What is refused, what the table has, what the contract has, and the way out.
Refusal: TypeAlias = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evolution:
    """The changes that bring a table to its contract.

    Attributes:
        added: Columns the table lacks; old rows read as null.
        widened: Columns that get a wider type.
        renamed: Old and new name of each renamed column.
        dropped: Columns to drop, under a new major version alone.
        replaced: Columns dropped and added anew with another type, under a new major version alone.
        documented: Columns whose description changed.
        order: All columns in the contract's order, where the table's differs; else empty.
        properties: Table properties to set.
        removed: Table properties to remove.
    """

    added: tuple[Column, ...] = ()
    widened: tuple[Column, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    replaced: tuple[Column, ...] = ()
    documented: tuple[Column, ...] = ()
    order: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def changes_columns(self) -> bool:
        """Whether any column changes, apart from the order."""
        changed = (self.added, self.widened, self.renamed, self.dropped, self.replaced)
        return any(changed) or bool(self.documented)

    @property
    def is_empty(self) -> bool:
        """Whether the table is as its contract says already."""
        return not (self.changes_columns or self.order or self.properties or self.removed)


def plan_evolution(
    table_name: str, current: "Schema", properties: Mapping[str, str], contract: type[Contract]
) -> Evolution:
    """The changes that a table needs, none of which breaks a reader unless the major version is new.

    Additions, widenings (int32 to int64, float32 to float64, more digits before the point of a decimal)
    and declared renames pass. Under a higher major version columns may also go, change type (old values
    then read as null) or unit.

    Args:
        table_name: Name for messages.
        current: The table's schema in the lake.
        properties: The table's properties, which hold its contract's version and units.
        contract: What the table shall promise.

    Raises:
        EvolutionError: Names every column that would break, with old, new and the way out.
    """
    old = _Old(table_name, current, properties, contract)
    refused = [*_refused_version(old), *_refused_event_time(old)]
    if not old.is_older_major:
        refused += _refused_columns(old)
    if refused:
        raise EvolutionError(table_name, f"{contract.__name__} {contract.version}", refused)
    return _planned(old)


def apply_evolution(table: "Table", evolution: Evolution) -> None:
    """Change the table in one commit; an empty evolution commits nothing.

    Raises:
        CommitFailedException: Another writer changed the table meanwhile; plan again.
    """
    if evolution.is_empty:
        return
    with table.transaction() as transaction:
        if evolution.changes_columns:
            with transaction.update_schema() as update:
                _change_columns(update, evolution)
        if evolution.order:
            # An update of its own: in the first one the name of a replaced column means the old field.
            with transaction.update_schema() as update:
                update.move_first(evolution.order[0])
                for before, name in pairwise(evolution.order):
                    update.move_after(name, before)
        if evolution.removed:
            transaction.remove_properties(*evolution.removed)
        if evolution.properties:
            transaction.set_properties(dict(evolution.properties))


def _change_columns(update: "UpdateSchema", evolution: Evolution) -> None:
    """Stage the changes of columns; a renamed column goes by its old name until the commit."""
    old_names = {new: old for old, new in evolution.renamed}
    for name in (*evolution.dropped, *(column.name for column in evolution.replaced)):
        update.delete_column((old_names.pop(name, name),))
    for column in (*evolution.widened, *evolution.documented):
        update.update_column(
            (old_names.get(column.name, column.name),),
            field_type=iceberg_type(column.dtype),
            doc=column.description,
        )
    for new, old in old_names.items():
        update.rename_column((old,), new)
    for column in (*evolution.added, *evolution.replaced):
        update.add_column((column.name,), iceberg_type(column.dtype), doc=column.description)


class _Old:
    """The table as it is, seen from the contract that it should follow.

    Attributes:
        sources: For each column of the contract that the table has, its field there.
        leftover: Names of fields that the contract has no place for.
    """

    def __init__(
        self,
        table: str,
        schema: "Schema",
        properties: Mapping[str, str],
        contract: type[Contract],
    ) -> None:
        self.table, self.properties, self.contract = table, properties, contract
        self.fields = {each.name: each for each in schema.fields}
        found = {c.name: self._field_of(c) for c in contract.columns.values()}
        self.sources = {name: each for name, each in found.items() if each is not None}
        used = {each.name for each in self.sources.values()}
        self.leftover = [name for name in self.fields if name not in used]

    def _field_of(self, column: Column) -> "NestedField | None":
        """The field that holds the column, under its own or its former name."""
        return self.fields.get(column.name) or self.fields.get(column.renamed_from or "")

    @property
    def version(self) -> tuple[int, ...] | None:
        """Version of the contract that the table follows; None if lakeline did not make the table."""
        found = self.properties.get(VERSION_PROPERTY, "")
        return _numbers(found) if VERSION.fullmatch(found) else None

    @property
    def is_older_major(self) -> bool:
        """Whether the contract may break what readers of the table rely on."""
        return self.version is not None and _numbers(self.contract.version)[0] > self.version[0]

    @property
    def next_major(self) -> str:
        """The version that would allow a breaking change."""
        return f"{(self.version or _numbers(self.contract.version))[0] + 1}.0"

    def unit(self, name: str) -> str | None:
        """Unit that the table's values of a column have; None where nobody said."""
        return self.properties.get(UNIT_PREFIX + self.sources[name].name)

    def change_of(self, column: Column) -> Literal["none", "widened", "type", "unit"]:
        """What happens to a column that the table has."""
        old, new = self.sources[column.name].field_type, iceberg_type(column.dtype)
        if old != new and not _is_wider(old, new):
            return "type"
        if self.unit(column.name) not in {None, column.unit}:
            return "unit"
        return "none" if old == new else "widened"


def _refused_version(old: _Old) -> Iterator[Refusal]:
    """A contract of an older major version than the table's."""
    new = old.contract.version
    if old.version and _numbers(new)[0] < old.version[0]:
        way_out = "Older code would bring back what was dropped. Deploy the newer code."
        yield "version", old.properties[VERSION_PROPERTY], new, way_out


def _refused_event_time(old: _Old) -> Iterator[Refusal]:
    """Another event time, which no version allows: the table's files are partitioned by it."""
    before, now = old.properties.get(EVENT_TIME_PROPERTY), old.contract.event_time
    if before is None:
        return
    source = old.sources.get(now or "")
    way_out = "The table's partitions follow its event time. Publish under a new table name."
    if source is None or source.name != before:
        yield f"event time {before}", before, str(now), way_out
    elif now and old.change_of(old.contract.columns[now]) == "type":
        yield f"event time {now}", str(source.field_type), "timestamptz", way_out


def _refused_columns(old: _Old) -> Iterator[Refusal]:
    """Columns that would go, or change type or unit."""
    major = f"raise the contract's version to {old.next_major}"
    for name in old.leftover:
        way_out = (
            f"Keep it, write renamed_from='{name}' on the column that took its place, or {major}."
        )
        yield f"column {name}", str(old.fields[name].field_type), "not declared", way_out
    for name, source in old.sources.items():
        column = old.contract.columns[name]
        change = old.change_of(column)
        if change == "type":
            way_out = (
                f"Keep the type, add a column beside it, or {major}: old values then read as null."
            )
            yield f"column {name}", str(source.field_type), str(iceberg_type(column.dtype)), way_out
        if change == "unit":
            way_out = f"Keep the unit, add a column in the new one, or {major}: old values then read as null."
            yield f"column {name}", f"unit {old.unit(name)}", f"unit {column.unit}", way_out


def _planned(old: _Old) -> Evolution:
    """The changes, all of them allowed."""
    columns = old.contract.columns
    change = {name: old.change_of(columns[name]) for name in old.sources}
    replaced = [name for name, what in change.items() if what in {"type", "unit"}]
    added = [name for name in columns if name not in old.sources]
    renamed = [(source.name, name) for name, source in old.sources.items() if source.name != name]
    documented = [
        name
        for name, source in old.sources.items()
        if change[name] == "none" and source.doc != columns[name].description
    ]
    return Evolution(
        added=tuple(columns[name] for name in added),
        widened=tuple(columns[name] for name, what in change.items() if what == "widened"),
        renamed=tuple(renamed),
        dropped=tuple(old.leftover),
        replaced=tuple(columns[name] for name in replaced),
        documented=tuple(columns[name] for name in documented),
        order=_order(old, [*added, *replaced]),
        properties=_new_properties(old),
        removed=_stale_properties(old),
    )


def _order(old: _Old, appended: list[str]) -> tuple[str, ...]:
    """The contract's order of columns, or nothing if the changed table will have it anyway."""
    new_names = {source.name: name for name, source in old.sources.items()}
    kept = [new_names[name] for name in old.fields if name in new_names]
    after = [*(name for name in kept if name not in appended), *appended]
    wanted = tuple(old.contract.columns)
    return () if tuple(after) == wanted else wanted


def _new_properties(old: _Old) -> dict[str, str]:
    """Properties to set; the version never goes back, as when older code runs a last time."""
    found = table_properties(old.contract)
    if old.version and old.version > _numbers(old.contract.version):
        del found[VERSION_PROPERTY]
    return {name: value for name, value in found.items() if old.properties.get(name) != value}


def _stale_properties(old: _Old) -> tuple[str, ...]:
    """Units no longer declared, and metrics of columns under a name they no longer have."""
    wanted = table_properties(old.contract)
    gone = {METRICS_PREFIX + name for name in set(old.fields) - set(old.contract.columns)}
    return tuple(
        name
        for name in old.properties
        if name not in wanted and (name in gone or name.startswith(UNIT_PREFIX))
    )


def _is_wider(old: "IcebergType", new: "IcebergType") -> bool:
    """Whether Iceberg reads values of the old type as the new one, without a loss."""
    from pyiceberg import types as ice

    if isinstance(old, ice.DecimalType) and isinstance(new, ice.DecimalType):
        return old.scale == new.scale and old.precision < new.precision
    return (old, new) in {
        (ice.IntegerType(), ice.LongType()),
        (ice.FloatType(), ice.DoubleType()),
    }


def _numbers(version: str) -> tuple[int, ...]:
    """The version's numbers, to compare."""
    return tuple(int(part) for part in version.split("."))
