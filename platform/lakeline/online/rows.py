"""Frames to packed rows and back, a column at a time."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.online.errors import RowsError
from lakeline.online.keys import NOBODY, keys_of
from lakeline.online.view import HEAD, NO_TIME, Group, Layout, View

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Rows of a view, packed.

    Attributes:
        keys: Entity of each row; an entity may come twice, and then its newest row counts: of one event time the one
            created last, of equals the last.
        rows: The packed rows.
        created_us: When each was created, in microseconds; `NO_TIME` where nobody says, empty where nobody says of any.
    """

    keys: Sequence[bytes]
    rows: Sequence[bytes]
    created_us: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, places: Iterable[int]) -> "Batch":
        """The rows at these places."""
        kept = list(places)
        return Batch(
            keys=[self.keys[i] for i in kept],
            rows=[self.rows[i] for i in kept],
            created_us=[self.created_us[i] for i in kept] if self.created_us else (),
        )

    def parts(self, size: int) -> "Iterable[Batch]":
        """The rows in their order, ``size`` at a time."""
        for start in range(0, len(self.keys), size):
            end = start + size
            yield Batch(
                keys=self.keys[start:end],
                rows=self.rows[start:end],
                created_us=self.created_us[start:end],
            )

    def created(self) -> "Sequence[int | None]":
        """When each row was created, in microseconds; None where nobody says."""
        told = self.created_us or [NO_TIME] * len(self)
        return [None if us == NO_TIME else us for us in told]


def event_of(row: bytes) -> int:
    """Event time of a packed row in microseconds."""
    return int(HEAD.unpack_from(row)[0])


def origin_of(row: bytes) -> int:
    """Number of the partition that a packed row came from."""
    return int(HEAD.unpack_from(row)[1])


def micros(moment: dt.datetime) -> int:
    """Microseconds since 1970 UTC; a moment without time zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (aware - _EPOCH) // _MICROSECOND


def moment(micros: int) -> dt.datetime:
    """The inverse of `micros`, in UTC."""
    return _EPOCH + micros * _MICROSECOND


def newest(frame: "pl.DataFrame", view: View) -> "pl.DataFrame":
    """The newest row of each entity, of equals the last; rows without an event time are left out."""
    import polars as pl

    timed = frame.filter(pl.col(view.event_time).is_not_null())
    ordered = timed.sort(view.event_time, maintain_order=True)
    if not view.entities:
        return ordered.tail(1)
    return ordered.unique(list(view.entities), keep="last", maintain_order=True)


def pack(
    view: View, frame: "pl.DataFrame", *, origin: int = 0, created: str | None = None
) -> Batch:
    """Rows of a frame with entities, event time and features as the view names them; other columns are left out.

    Args:
        view: Whose.
        frame: The rows.
        origin: Number of their partition.
        created: Column that says when each row was created.

    Raises:
        RowsError: A column is missing or cannot be cast, or an event time or an entity is null.
        EntityTypeError: An entity has another type than the view says.
    """
    _check_columns(view, frame)
    layout, events = view.layout, _events(view, frame)
    entities = {name: frame[name] for name, _ in layout.entities}
    keys = keys_of(view, entities)
    if any(key is NOBODY for key in keys):
        raise RowsError(view.name, "an entity is null")
    if not entities:
        keys *= frame.height
    made = () if created is None else frame[created].dt.epoch("us").fill_null(NO_TIME).to_list()
    return Batch(keys=keys, rows=pack_features(view, frame, events, origin), created_us=made)


def pack_features(
    view: View, frame: "pl.DataFrame", events_us: "Array", origins: "Array | int" = 0
) -> list[bytes]:
    """Packed rows of a frame that has the features, with an event time and an origin for each.

    Raises:
        RowsError: A feature cannot be cast.
    """
    layout, kinds = view.layout, dict(view.layout.features)
    columns = {name: _cast(view, frame[name], kinds[name]) for name in kinds}
    return _rows(layout, columns, _fixed(layout, columns, events_us, origins))


def _check_columns(view: View, frame: "pl.DataFrame") -> None:
    wanted = [*view.entities, view.event_time, *view.features]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise RowsError(
            view.name,
            f"the frame has no column {', '.join(missing)}. It has {', '.join(frame.columns)}",
        )


def _events(view: View, frame: "pl.DataFrame") -> "Array":
    column = frame[view.event_time]
    if column.dtype.base_type().__name__ != "Datetime":
        raise RowsError(view.name, f"{view.event_time} is {column.dtype}, no timestamp")
    if column.null_count():
        raise RowsError(view.name, f"{column.null_count()} rows have no {view.event_time}")
    found: Array = column.dt.epoch("us").to_numpy()
    return found


def _cast(view: View, column: "pl.Series", kind: str) -> "pl.Series":
    """The column as its feature is stored; a cast that could change a value is refused."""
    import polars as pl

    dtype, wanted = column.dtype, getattr(pl, _DTYPES[kind])()
    if kind == "timestamp" and isinstance(dtype, pl.Datetime):
        return column.dt.epoch("us")
    if not (_family(dtype) in _TAKES[kind] or dtype == pl.Null):
        raise RowsError(view.name, f"{column.name} is {dtype}, and the view says {kind}")
    try:
        return column.cast(wanted, strict=True)
    except pl.exceptions.PolarsError as error:
        said = f"{column.name} is {dtype} and does not fit {kind}: {error}"
        raise RowsError(view.name, said) from error


def _family(dtype: "pl.DataType") -> str:
    import polars as pl

    if dtype.is_integer():
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    return "bool" if isinstance(dtype, pl.Boolean) else "binary" if isinstance(dtype, pl.Binary) else str(dtype)  # fmt: skip


def _fixed(layout: Layout, columns: "Mapping[str, pl.Series]", events: "Array", origins: "Array | int") -> "Array":  # fmt: skip
    """The fixed part of every row, shape ``(rows, layout.size)``, bytes."""
    import numpy as np

    rows = len(events)
    block = np.zeros((rows, layout.size), np.uint8)
    block[:, 0:8] = events.astype("<i8").view(np.uint8).reshape(rows, 8)
    block[:, 8:12] = np.full(rows, origins, "<u4").view(np.uint8).reshape(rows, 4)
    nulls = np.zeros((rows, len(layout.bits)), np.uint8)
    for name, bit in layout.bits.items():
        if columns[name].null_count():
            nulls[:, bit] = columns[name].is_null().to_numpy()
    block[:, HEAD.size : HEAD.size + layout.null_bytes] = np.packbits(
        nulls, axis=1, bitorder="little"
    )
    for group in layout.groups:
        width = group.width * len(group.names)
        values = np.stack([_numbers(columns[name], group) for name in group.names], axis=1)
        raw = np.ascontiguousarray(values).view(np.uint8).reshape(rows, width)
        block[:, group.offset : group.offset + width] = raw
    return block


def _numbers(column: "pl.Series", group: Group) -> "Array":
    import numpy as np

    blank: Any = {"<f8": float("nan"), "<f4": float("nan"), "<M8[us]": NO_TIME, "?": False}
    dtype = group.numpy.replace("<M8[us]", "<i8")
    filled = column.fill_null(blank.get(group.numpy, 0)) if column.null_count() else column
    return np.asarray(filled.to_numpy(), dtype)


def _rows(layout: Layout, columns: "Mapping[str, pl.Series]", fixed: "Array") -> list[bytes]:
    import numpy as np

    size, count = layout.size, len(fixed)
    if not layout.variable:
        raw = fixed.tobytes()
        return [raw[at : at + size] for at in range(0, size * count, size)]
    parts = [_encoded(columns[name]) for name in layout.variable]
    lengths = np.array([[len(value) for value in part] for part in parts], np.uint32)
    ends = np.cumsum(lengths, axis=0, dtype="<u4").T
    width = 4 * len(parts)
    fixed[:, layout.ends : layout.ends + width] = (
        np.ascontiguousarray(ends).view(np.uint8).reshape(count, width)
    )
    raw = fixed.tobytes()
    heads = (raw[at : at + size] for at in range(0, size * count, size))
    return [head + b"".join(tail) for head, tail in zip(heads, zip(*parts, strict=True), strict=True)]  # fmt: skip


def _encoded(column: "pl.Series") -> list[bytes]:
    """Bytes of each value, empty for null."""
    values = column.to_list()
    return [b"" if v is None else v.encode() if isinstance(v, str) else v for v in values]


_DTYPES = {
    "float64": "Float64",
    "float32": "Float32",
    "int64": "Int64",
    "int32": "Int32",
    "bool": "Boolean",
    "string": "String",
    "timestamp": "Int64",
    "binary": "Binary",
    "proto": "Binary",
}
_TAKES: Mapping[str, tuple[str, ...]] = {
    "float64": ("float", "integer"),
    "float32": ("float", "integer"),
    "int64": ("integer",),
    "int32": ("integer",),
    "bool": ("bool",),
    "string": ("text",),
    "timestamp": (),
    "binary": ("binary",),
    "proto": ("binary",),
}
