"""Whether a training set used what became known only after its decisions: rows, labels and corrected values, for certain.

Two looks. By *times*: a row that was joined, or a label, became known only after the moment at which it was used. By
*values*: a feature has the value that a join by event time alone gives, where the join by both times gives another. What
neither sees, because the knowledge times are themselves wrong, is left to `lakeline.features.strength`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError
from lakeline.features.equality import is_same
from lakeline.features.point_in_time import FeatureSource
from lakeline.features.replaying import answers, questions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

REALLY_KNOWN = "lakeline:really_known"


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyUse:
    """A column that was used before it was known.

    Attributes:
        column: Feature or label.
        rows: Rows in which it was.
        of: Rows looked at.
        longest: How much too early at most; None where the rows were never known at all.
        reason: One sentence for a person.
    """

    column: str
    rows: int
    of: int
    longest: dt.timedelta | None
    reason: str


def future_leaks(
    frame: "pl.DataFrame",
    *,
    at: str,
    known: Mapping[str, str],
    label: str | None = None,
    label_known: str | None = None,
    learned_at: dt.datetime | None = None,
) -> tuple[EarlyUse, ...]:
    """Columns of a training set that were used before they were known; empty where there are none.

    Args:
        frame: One row a decision.
        at: When each decision was made.
        known: For each feature the column that says when the row it came from became known.
        label: Column of the label; not looked at without the two below.
        label_known: When each label became known. One that was known by the decision is reported too: then there was
            nothing left to predict.
        learned_at: When the training set was put together.

    Raises:
        ColumnsMissingError: The frame lacks a column.
    """
    needed = [at, *known, *known.values(), *(one for one in (label, label_known) if one)]
    require_columns(frame, "The training set", needed)
    found = [_feature_use(frame, feature, at, column) for feature, column in known.items()]
    if label and label_known:
        found += _label_uses(frame, label, at, label_known, learned_at)
    return tuple(one for one in found if one.rows)


def early_values(
    frame: "pl.DataFrame",
    sources: Sequence[FeatureSource],
    *,
    at: str,
    keys: Mapping[str, str] | None = None,
) -> tuple[EarlyUse, ...]:
    """Features with the value of a row that became known only after the decision, by joining both ways again.

    For training sets that somebody else put together and that say nothing of knowledge times.

    Args:
        frame: One row a decision, with the features as they were joined.
        sources: Where the features lie, with their knowledge times.
        at: Aware timestamp column of ``frame``: when each decision was made.
        keys: Column of ``frame`` for each key of the sources that has another name there.

    Raises:
        ColumnsMissingError: The frame lacks a key, a time or a feature.
        NotAMomentError: A time has no time zone or is no timestamp.
    """
    found: list[EarlyUse] = []
    for source in sources:
        require_columns(frame, "The training set", source.features)
        wanted = questions(frame, source, at=at, keys=keys)
        honest = answers(wanted, source)
        careless = _by_event_time(wanted, source)
        for feature in source.features:
            is_early = is_same(frame[feature], careless[feature]) & ~is_same(
                frame[feature], honest[feature]
            )
            found.append(_use(feature, is_early, careless[REALLY_KNOWN] - frame[at]))
    return tuple(one for one in found if one.rows)


def _feature_use(frame: "pl.DataFrame", feature: str, at: str, known: str) -> EarlyUse:
    import polars as pl

    is_early = (
        frame[feature].is_not_null() & (frame[known] > frame[at]).fill_null(True)
    ).to_numpy()
    lead = pl.select(pl.lit(frame[known]) - pl.lit(frame[at])).to_series()
    return _use(feature, is_early, lead)


def _use(column: str, is_early: "npt.NDArray[np.bool_]", lead: "pl.Series") -> EarlyUse:
    """A feature whose rows were used ``lead`` before they were known."""
    import polars as pl

    longest = lead.filter(pl.Series(is_early)).max()
    rows, told = int(is_early.sum()), longest if isinstance(longest, dt.timedelta) else None
    by = f"up to {told} later" if told is not None else "never"
    reason = f"{column} was used in {rows:,} of {len(is_early):,} decisions before it was known: it became known {by}."
    return EarlyUse(column=column, rows=rows, of=len(is_early), longest=told, reason=reason)


def _label_uses(
    frame: "pl.DataFrame", label: str, at: str, known: str, learned_at: dt.datetime | None
) -> list[EarlyUse]:
    import polars as pl

    has_label = frame[label].is_not_null()
    over = (has_label & (frame[known] <= frame[at]).fill_null(False)).to_numpy()
    rows = int(over.sum())
    reason = f"{label} was known already when {rows:,} of {frame.height:,} decisions were made: there was nothing to predict."
    found = [EarlyUse(column=label, rows=rows, of=frame.height, longest=None, reason=reason)]
    if learned_at is not None:
        is_early = has_label & (frame[known] > learned_at).fill_null(True)
        lead = frame.select(pl.col(known) - pl.lit(learned_at)).to_series()
        found.append(_use(label, is_early.to_numpy(), lead))
    return found


def _by_event_time(wanted: "pl.DataFrame", source: FeatureSource) -> "pl.DataFrame":
    """What a join gives that knows of no knowledge times, with those of the rows that it takes."""
    import polars as pl

    features = (*source.features, REALLY_KNOWN)
    rows = source.frame.lazy().with_columns(pl.col(source.known).alias(REALLY_KNOWN))
    last = rows.sort(REALLY_KNOWN, maintain_order=True)
    careless = replace(source, frame=last, knowledge_time=None, features=features)
    return answers(wanted, careless).select(features)


def require_columns(frame: "pl.DataFrame", where: str, columns: Sequence[str]) -> None:
    """Refuse a frame that lacks a column.

    Raises:
        ColumnsMissingError: It does.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ColumnsMissingError(where, missing, frame.columns)
