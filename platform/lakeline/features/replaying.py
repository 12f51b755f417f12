"""Asks the offline path what the online store should have said: features as of the moment of each logged read.

The store is never fuller than its last write. A log that tells up to when the store had been filled has its reads replayed
as of that moment, while ages are still measured against the moment of the read.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError
from lakeline.features.point_in_time import FeatureSource, point_in_time_join

if TYPE_CHECKING:
    import polars as pl

MOMENT, EVENT, KNOWN, FILLED = (
    "lakeline:moment",
    "lakeline:event",
    "lakeline:known",
    "lakeline:filled",
)
"""Columns beside a user's own: when a read was made, the two times of the row that answers it, and how far the store was."""


def replay(
    reads: "pl.DataFrame",
    source: FeatureSource,
    *,
    at: str,
    keys: Mapping[str, str] | None = None,
    filled: str | None = None,
) -> "pl.DataFrame":
    """The features of ``source`` as of the moment of each read; one row a read, in their order.

    Args:
        reads: Logged reads.
        source: Where the features lie.
        at: Aware timestamp column of ``reads``: when each was made.
        keys: Column of ``reads`` for each key of the source that has another name there.
        filled: Aware timestamp column of ``reads``: up to when the store had been filled. The store is taken to hold
            everything known by the moment of the read where it is not given.

    Raises:
        ColumnsMissingError: A key, a time or a feature does not exist.
        NotAMomentError: A time has no time zone or is no timestamp.
        KeyTypeError: A key's types differ.
    """
    wanted = questions(reads, source, at=at, keys=keys, filled=filled)
    return answers(wanted, source).select(source.features)


def questions(
    reads: "pl.DataFrame",
    source: FeatureSource,
    *,
    at: str,
    keys: Mapping[str, str] | None = None,
    filled: str | None = None,
) -> "pl.DataFrame":
    """Keys, under the names of the source, and times of each read, and nothing else."""
    import polars as pl

    columns = {key: (keys or {}).get(key, key) for key in source.entities}
    needed = [*columns.values(), at, *([filled] if filled else [])]
    missing = [column for column in needed if column not in reads.columns]
    if missing:
        raise ColumnsMissingError("The log of reads", missing, reads.columns)
    until = pl.min_horizontal(at, filled) if filled else pl.col(at)
    return reads.select(
        *(pl.col(column).alias(key) for key, column in columns.items()),
        pl.col(at).alias(MOMENT),
        until.alias(FILLED),
    )


def answers(
    wanted: "pl.DataFrame",
    source: FeatureSource,
    *,
    later: dt.timedelta = dt.timedelta(0),
) -> "pl.DataFrame":
    """Features of each question, with both times of the row that they come from.

    Args:
        wanted: From `questions`.
        source: Where the features lie.
        later: How long after the question's own moment the source is looked at; ages are measured as they are asked.
    """
    import polars as pl

    rows = with_times(source)
    oldest = wanted[MOMENT].min()
    if source.ttl is not None and isinstance(oldest, dt.datetime):
        rows = rows.filter(pl.col(EVENT) >= oldest - source.offset - source.ttl)
    told = replace(
        source,
        frame=rows,
        features=(*source.features, EVENT, KNOWN),
        ttl=None,
        offset=source.offset - later,
    )
    asked = wanted.select(*source.entities, FILLED)
    found = point_in_time_join(asked, [told], at=FILLED).select(told.features)
    if source.ttl is None:
        return found
    age = wanted[MOMENT] - source.offset - found[EVENT]
    return found.with_columns(pl.when(age <= source.ttl).then(pl.all()))


def with_times(source: FeatureSource) -> "pl.LazyFrame":
    """The rows of a source with both of their times under names of their own."""
    import polars as pl

    lazy = source.frame.lazy()
    missing = [one for one in source.columns if one not in lazy.collect_schema().names()]
    if missing:
        raise ColumnsMissingError(
            f"Feature source '{source.name}'", missing, lazy.collect_schema().names()
        )
    return lazy.select(
        *source.columns,
        pl.col(source.event_time).alias(EVENT),
        pl.col(source.known).alias(KNOWN),
    )
