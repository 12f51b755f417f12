"""Whether a feature tells the label better than anything known by then could: leaks that no knowledge time gives away.

Each feature alone is measured as it was joined, and as it was one knowledge delay earlier. An honest feature is fresher now
than it was then, and so is somewhat stronger. What it gains by one delay it has about gained by the delay before, too; a
leak comes at once. Hence the step is measured beyond the step before. A leak that is no stronger than a fresh and honest
feature is seen by `lakeline.features.leakage` alone.

`strengths` against the same rows joined by both times, with a limit of nearly nothing, says what a leak is worth.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.errors import ModelError, UnlabelledError, names
from lakeline.features.association import Association, Judge
from lakeline.features.leakage import require_columns
from lakeline.features.point_in_time import FeatureSource, point_in_time_join

if TYPE_CHECKING:
    import polars as pl

DETERMINES = 0.97
"""Area under the curve from which on a single feature is taken for the label itself."""

STEP = 0.1
"""Area that a feature may gain in one knowledge delay beyond what it gained in the one before.

Put above the largest honest step found: the backlog of an airport, 6 hours later, told the delays of half a year of flights
with an area of 0.68 in place of 0.58 (low end of the step 0.081), because a night lay between.
"""

ALONE_STEP = 0.15
"""Area that a feature may gain in one knowledge delay where nothing is known of the one before."""

LEVEL, RESAMPLES = 0.99, 400
"""Confidence of the step, and how often days are drawn for it."""


class NoDelayError(ModelError):
    """Nobody said how long the rows of a source take to become known."""

    def __init__(self, source: str, told: Iterable[str]) -> None:
        self.source = source
        super().__init__(
            f"There is no knowledge delay for feature source '{source}', only for {names(told) or 'none'}. "
            "Give one, such as knowledge_delay(source), or one for all."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureStrength:
    """How well a feature alone tells the label, now and earlier.

    Attributes:
        joined: Area under the curve as it stands in the training set.
        earlier: The same feature one knowledge delay earlier.
        still_earlier: Two delays earlier; None where it was not given.
        step: Gain from ``earlier`` to ``joined``, beyond the gain of the delay before where that is known.
        low: Lower end of the step over resampled days.
        is_suspect: Whether it looks like a leak.
        reason: One sentence for a person.
    """

    feature: str
    joined: float
    earlier: float
    still_earlier: float | None
    step: float
    low: float
    is_suspect: bool
    reason: str


def earlier_features(
    frame: "pl.DataFrame",
    sources: Sequence[FeatureSource],
    *,
    at: str,
    delay: dt.timedelta | Mapping[str, dt.timedelta],
    keys: Mapping[str, str] | None = None,
) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """The features of each decision one ``delay`` earlier, and two: what `strengths` compares with.

    Features of the frame that no source has are kept as they are.

    Args:
        frame: One row a decision.
        sources: Where the features lie.
        at: Aware timestamp column of ``frame``.
        delay: How long it takes until a row is known, for all sources or by the name of each; see `knowledge_delay`.
        keys: Column of ``frame`` for each key of the sources that has another name there.
    """
    features = [feature for source in sources for feature in source.features]
    rest = frame.drop(features, strict=False)
    first, second = (
        point_in_time_join(
            rest,
            [
                replace(source, offset=source.offset + times * _delay_of(source, delay))
                for source in sources
            ],
            at=at,
            keys=keys,
        )
        for times in (1, 2)
    )
    return first, second


def knowledge_delay(source: FeatureSource, share: float = 0.95) -> dt.timedelta:
    """How long after their event this share of the rows of a source were known; 0 where it has no knowledge time.

    The strength of a feature that is known at once cannot leak, and with a delay of 0 does not move.
    """
    import polars as pl

    late = pl.col(source.known) - pl.col(source.event_time)
    delays = source.frame.lazy().select(late.alias("delay")).collect()["delay"]
    found = delays.quantile(share, "lower") if len(delays.drop_nulls()) else None
    return max(found, dt.timedelta(0)) if isinstance(found, dt.timedelta) else dt.timedelta(0)


def strengths(
    joined: "pl.DataFrame",
    earlier: "pl.DataFrame",
    *,
    features: Sequence[str],
    label: str,
    at: str,
    still_earlier: "pl.DataFrame | None" = None,
    limit: float | None = None,
    seed: int = 0,
) -> tuple[FeatureStrength, ...]:
    """How well each feature tells the label, now and one knowledge delay earlier; suspects first, the strongest first.

    Args:
        joined: Labelled training set, one row a decision.
        earlier: The same rows, with features as of one knowledge delay earlier.
        features: Columns to look at.
        label: Boolean or 0/1 column of ``joined``; rows without one are not looked at.
        at: When each decision was made; days of it are drawn together.
        still_earlier: The same rows, two delays earlier. Without it a fast feature cannot be told from a leak by its
            course, and only a larger step is reported.
        limit: Step from which on a feature is suspected, with 99 % confidence. Left out, `STEP` or, without
            ``still_earlier``, `ALONE_STEP`.
        seed: Seed of the draws.

    Raises:
        ColumnsMissingError: A frame lacks a column.
        UnlabelledError: No row has a label.
        EvaluationError: There are too few days, or all labels are the same.
        ValueError: The frames have not the same number of rows.
    """
    frames = [one for one in (joined, earlier, still_earlier) if one is not None]
    require_columns(joined, "The training set", [*features, label, at])
    for one in frames[1:]:
        require_columns(one, "The earlier features", features)
        if one.height != joined.height:
            raise ValueError(f"{one.height:,} earlier rows for {joined.height:,} decisions")
    is_labelled = joined[label].is_not_null()
    if not is_labelled.any():
        raise UnlabelledError(label, joined.height, joined.height)
    rows = [one.filter(is_labelled) for one in frames]
    judge = Judge.of(rows[0][label], rows[0][at].dt.date(), resamples=RESAMPLES, seed=seed)
    allowed = limit if limit is not None else STEP if still_earlier is not None else ALONE_STEP
    found = [
        _strength(feature, [judge.association(one[feature]) for one in rows], allowed)
        for feature in features
    ]
    return tuple(sorted(found, key=lambda one: (not one.is_suspect, -one.joined)))


def _delay_of(
    source: FeatureSource, delay: dt.timedelta | Mapping[str, dt.timedelta]
) -> dt.timedelta:
    if isinstance(delay, dt.timedelta):
        return delay
    if source.name not in delay:
        raise NoDelayError(source.name, delay)
    return delay[source.name]


def _strength(feature: str, over_time: Sequence[Association], limit: float) -> FeatureStrength:
    """What the areas of a feature, the latest first, say."""
    import numpy as np

    joined, earlier, *before = over_time
    step = joined.resampled - earlier.resampled
    measured = joined.auc - earlier.auc
    if before:
        step = step - np.maximum(0.0, earlier.resampled - before[0].resampled)
        measured -= max(0.0, earlier.auc - before[0].auc)
    low = float(np.nanquantile(step, 1 - LEVEL))
    is_label, jumps = joined.auc >= DETERMINES, low > limit
    return FeatureStrength(
        feature=feature,
        joined=joined.auc,
        earlier=earlier.auc,
        still_earlier=before[0].auc if before else None,
        step=measured,
        low=low,
        is_suspect=is_label or jumps,
        reason=_told(feature, over_time, is_label=is_label, jumps=jumps),
    )


def _told(feature: str, over_time: Sequence[Association], *, is_label: bool, jumps: bool) -> str:
    areas = [f"{one.auc:.3f}" for one in over_time]
    course = f"its AUC alone is {areas[0]}, one knowledge delay earlier {areas[1]}"
    if len(areas) > 2:
        course += f", two {areas[2]}"
    if is_label:
        return f"{feature} nearly is the label: {course}; no feature known before the outcome tells that much."
    if jumps:
        return (
            f"{feature} seems to know the outcome: {course}; look at when its values become known."
        )
    return f"{feature} tells no more than its own past lets expect: {course}."
