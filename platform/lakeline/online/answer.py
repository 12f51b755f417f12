"""What a reader found: columns over the bytes that the store sent, decoded when they are asked for."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np

from lakeline.online.errors import CorruptRowError
from lakeline.online.rows import event_of, moment
from lakeline.online.view import HEAD, NO_TIME, View

Array: TypeAlias = np.ndarray[Any, Any]

_MICROSECOND = dt.timedelta(microseconds=1)


class Wanted:
    """Features of one view that a reader asks for, and where they lie.

    Args:
        view: Whose.
        features: The name in answers of each feature.

    Attributes:
        names: Names in answers, in the order of the layout.
    """

    __slots__ = ("_bits", "_ends", "_numbers", "_texts", "layout", "names", "ttl_us", "view")

    def __init__(self, view: View, features: Mapping[str, str]) -> None:
        self.view, self.layout = view, view.layout
        self.ttl_us = None if view.ttl is None else view.ttl // _MICROSECOND
        groups = [(group, [n for n in group.names if n in features]) for group in self.layout.groups]  # fmt: skip
        self._numbers = [
            (
                np.dtype(group.numpy),
                group.offset,
                len(group.names),
                None
                if len(kept) == len(group.names)
                else [group.names.index(name) for name in kept],
            )
            for group, kept in groups
            if kept
        ]
        kinds, variable = dict(self.layout.features), self.layout.variable
        texts = [name for name in variable if name in features]
        self._texts = [(variable.index(name), kinds[name] == "string") for name in texts]
        order = [name for _, kept in groups for name in kept] + texts
        self._bits = [self.layout.bits[name] for name in order]
        self.names = [features[name] for name in order]


class Block:
    """The rows that one view gave to a request.

    Args:
        wanted: What is asked of the view.
        values: The packed row of each entity, None where there is none.
        header: State of the view, as it was stored.
        now_us: Moment against which rows expire.

    Raises:
        CorruptRowError: A row is shorter than its layout, or longer without texts.
    """

    __slots__ = ("_absent", "_expired", "_raw", "_values", "rows", "wanted", "watermark_us")

    def __init__(
        self, wanted: Wanted, values: Sequence[bytes | None], header: bytes, now_us: int
    ) -> None:
        self.wanted, self._values, self.rows = wanted, values, len(values)
        self.watermark_us = int.from_bytes(header, "little", signed=True)
        self._absent: Array | None = None
        self._expired: Array | None = None
        self._raw = self._joined()
        if wanted.ttl_us is not None and self.rows:
            oldest_us = now_us - wanted.ttl_us
            # A request for one entity is the most frequent, and NumPy's calls are most of its time.
            oldest = event_of(self._raw) if self.rows == 1 else np.minimum.reduce(self.events_us)
            if oldest < oldest_us:
                self._withhold(oldest_us)

    def _joined(self) -> bytes:
        """The fixed parts of all rows, blanks where there is none."""
        layout, values = self.wanted.layout, self._values
        size = layout.size
        try:
            raw = b"".join([v[:size] for v in values] if layout.variable else values)  # type: ignore[index, arg-type]
        except TypeError:
            self._absent = np.array([value is None for value in values])
            raw = b"".join([layout.blank if v is None else v[:size] if layout.variable else v for v in values])  # fmt: skip
        if len(raw) != size * self.rows:
            odd = next(n for v in values if v is not None and (n := len(v)) != size)
            raise CorruptRowError(self.wanted.view.name, odd, size)
        return raw or layout.blank  # NumPy places no column of no rows in nothing

    def _withhold(self, oldest_us: int) -> None:
        """Put blanks in place of rows that are too old, but for their event time."""
        expired: Array = self.events_us < oldest_us
        if self._absent is not None:
            expired &= ~self._absent
        if not expired.any():
            return
        layout = self.wanted.layout
        block = np.frombuffer(self._raw, np.uint8).reshape(self.rows, layout.size).copy()
        block[expired, 8:] = np.frombuffer(layout.blank, np.uint8)[8:]
        self._raw, self._expired = block.tobytes(), expired

    @property
    def events_us(self) -> Array:
        """Event time of each row in microseconds, `NO_TIME` where there is none."""
        return np.ndarray((self.rows,), np.int64, self._raw, 0, (self.wanted.layout.size,))

    def columns(self) -> list[Array]:
        """Each wanted feature in the order of the layout."""
        rows, raw, size = self.rows, self._raw, self.wanted.layout.size
        found: list[Array] = []
        for dtype, offset, count, places in self.wanted._numbers:
            matrix = np.ndarray((count, rows), dtype, raw, offset, (dtype.itemsize, size))
            found.extend(matrix if places is None else matrix[places])
        if self.wanted._texts:
            found += self._texts()
        return found

    def _texts(self) -> list[Array]:
        layout, nulls = self.wanted.layout, self._nulls()
        shape = (self.rows, len(layout.variable))
        ends = np.ndarray(shape, "<u4", self._raw, layout.ends, (layout.size, 4)).tolist()
        found = []
        for place, is_text in self.wanted._texts:
            null = nulls[:, layout.bits[layout.variable[place]]].tolist()
            column = np.empty(self.rows, object)
            for row, value in enumerate(self._values):
                if value is not None and not null[row]:
                    start = layout.size + (ends[row][place - 1] if place else 0)
                    piece = value[start : layout.size + ends[row][place]]
                    column[row] = piece.decode() if is_text else piece
            found.append(column)
        return found

    def has_nulls(self) -> bool:
        """Whether any value is not there."""
        if self.rows == 1:
            return any(self._raw[HEAD.size : HEAD.size + self.wanted.layout.null_bytes])
        return bool(np.bitwise_or.reduce(self._null_bits(), axis=None))

    def missing(self) -> list[Array]:
        """For each wanted feature, where there is no row or the value is null."""
        nulls = self._nulls()[:, self.wanted._bits]
        if self._expired is not None:
            nulls[self._expired] = False
        return list(nulls.T)

    @property
    def expired(self) -> Array | None:
        """Where the row is older than the view's time to live; None where no row is."""
        return self._expired

    def _nulls(self) -> Array:
        """Whether each feature is null in each row, shape ``(rows, features)``; true in rows without values."""
        count = len(self.wanted.layout.bits)
        bits = np.unpackbits(self._null_bits(), axis=1, count=count, bitorder="little")
        return bits.view(np.bool_)

    def _null_bits(self) -> Array:
        layout = self.wanted.layout
        shape = (self.rows, layout.null_bytes)
        return np.ndarray(shape, np.uint8, self._raw, HEAD.size, (layout.size, 1))


class Plan:
    """What a reader asks for: features by view, and the order of the answer's columns.

    Args:
        features: For each view the name in answers of each feature, in the order asked for.
    """

    __slots__ = ("names", "order", "wanted")

    def __init__(self, features: Sequence[tuple[View, Mapping[str, str]]]) -> None:
        self.wanted = [Wanted(view, named) for view, named in features]
        self.names = tuple(name for _, named in features for name in named.values())
        flat = [name for each in self.wanted for name in each.names]
        self.order = itemgetter(*map(flat.index, self.names)) if len(flat) > 1 else tuple


class Answer:
    """Features of the entities of a request, as NumPy columns.

    Each value is usable, missing or expired. Missing: the entity has no row, or the value is null. Expired: the row is older
    than its view's time to live. A column holds NaN, 0, False, NaT or None in both. Columns may be read-only views of what
    the store sent, and those of one mask may be the same array: copy before changing one.

    Args:
        plan: What was asked for.
        blocks: What each view gave.
    """

    def __init__(self, plan: Plan, blocks: Sequence[Block]) -> None:
        self._plan, self._blocks = plan, blocks

    def __len__(self) -> int:
        """Rows of the request."""
        return self._blocks[0].rows

    @cached_property
    def columns(self) -> dict[str, Array]:
        """Values of each feature, shape ``(rows,)``."""
        flat: list[Array] = []
        for block in self._blocks:
            flat += block.columns()
        return dict(zip(self._plan.names, self._plan.order(flat), strict=True))

    @cached_property
    def missing(self) -> dict[str, Array]:
        """Where each feature has no value, shape ``(rows,)``."""
        return self._masks(
            [block.missing() if block.has_nulls() else None for block in self._blocks]
        )

    @cached_property
    def expired(self) -> dict[str, Array]:
        """Where each feature is too old, shape ``(rows,)``."""
        masks = [(block.expired, len(block.wanted.names)) for block in self._blocks]
        return self._masks([None if mask is None else [mask] * count for mask, count in masks])

    def _masks(self, found: Sequence[list[Array] | None]) -> dict[str, Array]:
        """One mask a column; None stands for a view without any mark."""
        none = np.zeros(len(self), np.bool_)
        if not any(found):
            return dict.fromkeys(self._plan.names, none)
        flat: list[Array] = []
        for block, masks in zip(self._blocks, found, strict=True):
            flat += masks or [none] * len(block.wanted.names)
        return dict(zip(self._plan.names, self._plan.order(flat), strict=True))

    @property
    def events(self) -> dict[str, Array]:
        """By view, the event time of each row as datetime64[us] in UTC; NaT where there is none."""
        return {b.wanted.view.name: b.events_us.view("<M8[us]") for b in self._blocks}

    @property
    def watermarks(self) -> dict[str, dt.datetime | None]:
        """By view, up to which event time it is complete; None before a materialisation said so."""
        return {
            b.wanted.view.name: None if b.watermark_us == NO_TIME else moment(b.watermark_us)
            for b in self._blocks
        }

    def matrix(self, dtype: str = "float32") -> Array:
        """All features as one matrix, shape ``(rows, features)``; NaN where there is no value.

        Raises:
            ValueError: A feature is a text.
        """
        table: Array = np.empty((len(self), len(self._plan.names)), dtype)
        for place, name in enumerate(self._plan.names):
            table[:, place] = self.columns[name]
            gone = self.missing[name] | self.expired[name]
            if gone.any():
                table[gone, place] = np.nan
        return table
