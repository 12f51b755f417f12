"""Errors of the offline store, as part of lakeline's family."""

import datetime as dt
from collections.abc import Iterable

from lakeline.errors import LakeError, ModelError, names


class SnapshotMissingError(LakeError):
    """A table has no such snapshot, or none as old as asked for."""

    def __init__(self, table: str, wanted: str, has: Iterable[object]) -> None:
        super().__init__(
            f"Table '{table}' has no snapshot {wanted}. It has {names(map(str, has)) or 'none'}. "
            "Pin one of these, or none to read the newest."
        )


class EmptyViewError(ModelError):
    """A view's table exists and nothing was ever published to it."""

    def __init__(self, view: str, table: str) -> None:
        super().__init__(
            f"Feature view '{view}' has no data: nothing was ever published to table '{table}'. "
            "Materialize it first."
        )


class ViewTableMissingError(ModelError):
    """A view's table is not in the lake."""

    def __init__(self, view: str, table: str, has: Iterable[str]) -> None:
        super().__init__(
            f"Feature view '{view}' has no data: the lake has no table '{table}'. It has "
            f"{names(has) or 'none yet'}. Materialize it first."
        )


class ViewColumnsError(ModelError):
    """A view names columns that its table does not have, or no longer has."""

    def __init__(
        self, view: str, table: str, missing: Iterable[str], has: Iterable[str], hint: str
    ) -> None:
        super().__init__(
            f"Feature view '{view}' reads {names(missing)} from table '{table}', which has {names(has, 40)}. "
            f"{hint}Apply the view again with the columns that the table has now, or give the table the column back."
        )


class UnknownFeatureError(ModelError):
    """A reference names a feature that its view does not have."""

    def __init__(self, view: str, feature: str, has: Iterable[str], hint: str) -> None:
        super().__init__(
            f"Feature view '{view}' has no feature '{feature}'. {hint}It has {names(has, 40)}."
        )


class EntityFrameError(ModelError):
    """An entity frame that cannot be read."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The entity frame cannot be used: {why}. Give a pandas, Polars or Arrow frame with the keys and one "
            "timestamp column with the time zone UTC, a query over tables of the lake, or the name of a table."
        )


class DateRangeError(ModelError):
    """A range of dates in which nothing can lie."""

    def __init__(self, start: dt.datetime, end: dt.datetime) -> None:
        super().__init__(
            f"Nothing lies between {start.isoformat()} and {end.isoformat()}. "
            "Give a start before the end."
        )


class SavedTableError(LakeError):
    """A result that cannot be kept in a table."""

    def __init__(self, table: str, why: str) -> None:
        super().__init__(f"Nothing was written to table '{table}': {why}.")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest name and a space, or nothing.

    >>> did_you_mean("trip_coun", ["trip_count", "balance"])
    'Did you mean trip_count? '
    """
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""
