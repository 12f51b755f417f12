"""Entity frames: what needs features, from pandas, Polars, Arrow, a query, a table of the lake, or a range of dates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.errors import ColumnsMissingError, NotAMomentError
from lakeline.features.offline.errors import EntityFrameError

if TYPE_CHECKING:
    import pyarrow as pa

EVENT_TIMESTAMP = "event_timestamp"
"""The column that says when, where it has no other name."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EntityFrame:
    """Entity rows in memory; their columns are handed through as they are.

    Attributes:
        rows: Every column.
        at: Column that says as of when features are wanted.
    """

    rows: "pa.Table"
    at: str

    @property
    def columns(self) -> list[str]:
        """Its columns, in order."""
        return list(self.rows.column_names)

    def keyed(self, keys: Mapping[str, str]) -> "pa.Table":
        """Row number, moment in microseconds, and the key columns, ready to be joined.

        Args:
            keys: What each key column must be comparable with, as `lakeline.features.offline.types.key_kind` says.
        """
        import pyarrow as pa

        columns = {name: _key(self.rows[name], kind) for name, kind in keys.items()}
        numbers = pa.array(range(self.rows.num_rows), pa.int64())
        return pa.table({"__row": numbers, "__moment": _micros(self.rows[self.at]), **columns})


def entity_frame(frame: Any, *, keys: Sequence[str], at: str | None = None) -> EntityFrame:
    """A frame in memory, checked.

    Args:
        frame: pandas or Polars frame, Arrow table, or anything with Arrow's stream interface.
        keys: Columns that it must have.
        at: Column that says when; without one, `EVENT_TIMESTAMP` or the only timestamp.

    Raises:
        EntityFrameError: It is no frame, or no single column says when.
        ColumnsMissingError: A key is missing.
        NotAMomentError: The column that says when has no time zone.
    """
    rows = _arrow(frame)
    moment = at or moment_column({field.name: str(field.type) for field in rows.schema})
    missing = [name for name in (*keys, moment) if name not in rows.column_names]
    if missing:
        raise ColumnsMissingError("The entity frame", missing, rows.column_names)
    kind = rows.schema.field(moment).type
    if getattr(kind, "tz", None) is None:
        raise NotAMomentError("The entity frame", moment, str(kind))
    return EntityFrame(rows=rows, at=moment)


def moment_column(kinds: Mapping[str, str]) -> str:
    """The column that says when: `EVENT_TIMESTAMP`, or the only timestamp.

    Raises:
        EntityFrameError: There is none, or more than one.
    """
    if EVENT_TIMESTAMP in kinds:
        return EVENT_TIMESTAMP
    times = [name for name, kind in kinds.items() if kind.lower().startswith("timestamp")]
    if len(times) == 1:
        return times[0]
    found = f"it has {', '.join(times)}" if times else f"it has {', '.join(kinds)} and no timestamp"
    raise EntityFrameError(f"no column says when: {found} and none is called {EVENT_TIMESTAMP}")


def _arrow(frame: Any) -> "pa.Table":
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if type(frame).__module__.startswith("pandas"):
        return _from_pandas(frame)
    if hasattr(frame, "collect") and type(frame).__module__.startswith("polars"):
        frame = frame.collect()
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    raise EntityFrameError(f"it is a {type(frame).__name__}")


def _from_pandas(frame: Any) -> "pa.Table":
    import pyarrow as pa

    try:
        rows = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise EntityFrameError(f"pandas cannot hand it to Arrow ({error})") from error
    return rows.replace_schema_metadata(None)


def _key(column: "pa.ChunkedArray", kind: str) -> "pa.ChunkedArray":
    """The key in plain form; pandas turns integers with gaps into floats, which are turned back where none is lost."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kind == "integer" and pa.types.is_floating(column.type):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    if pa.types.is_null(column.type):
        return column.cast(pa.int64() if kind == "integer" else pa.string())
    return column


def _micros(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa

    return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
