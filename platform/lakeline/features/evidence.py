"""A sample of the reads of one feature view, wrong ones and right ones, that a cause has to explain.

All that a hypothesis may ask: what was served, what the offline path says, and what it would say to another question.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.features.equality import Tolerance
from lakeline.features.point_in_time import FeatureSource
from lakeline.features.replaying import EVENT, FILLED, KNOWN, MOMENT, answers, with_times

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

SAMPLE = 500
"""Wrong reads of each feature that are looked at, and as many right ones."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """Reads of one view.

    Attributes:
        source: The view's rows about the entities that were read, and no others.
        wanted: What was asked, as `replaying.questions` gives it; one row a read.
        offline: What the offline path says, with the times of the row that says it.
        served: What the online store said.
        places: Where each read stands among all reads, shape ``(N,)``.
        wrong: For each feature whether its served value is wrong; shape ``(N,)`` each.
        weights: For each feature how many reads each of these stands for; shape ``(N,)`` each.
        tolerance: When two values are the same.
    """

    source: FeatureSource
    wanted: "pl.DataFrame"
    offline: "pl.DataFrame"
    served: "pl.DataFrame"
    places: "npt.NDArray[np.int64]"
    wrong: "Mapping[str, npt.NDArray[np.bool_]]"
    weights: "Mapping[str, npt.NDArray[np.float64]]"
    tolerance: Tolerance

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are wrong somewhere."""
        return tuple(self.wrong)

    @property
    def age(self) -> "pl.Series":
        """Age of the row that the offline path answers with, at the moment of the read."""
        return self.wanted[MOMENT] - self.offline[EVENT]

    def answers(
        self, source: FeatureSource | None = None, later: dt.timedelta = dt.timedelta(0)
    ) -> "pl.DataFrame":
        """What the offline path would say of another source, or at another moment."""
        return answers(self.wanted, source or self.source, later=later)

    def answers_around(
        self, source: FeatureSource, shifts: Sequence[dt.timedelta]
    ) -> "list[pl.DataFrame]":
        """What the offline path would say at each of some moments around the read's own; all in one join."""
        import polars as pl

        moved = pl.concat(
            self.wanted.with_columns(pl.col(MOMENT, FILLED) + shift) for shift in shifts
        )
        found, rows = answers(moved, source), self.wanted.height
        return [found.slice(place * rows, rows) for place in range(len(shifts))]

    def history(self) -> "pl.DataFrame":
        """Rows of the source ordered by event time, one a key and event time: the last known."""
        by = [*self.source.entities, EVENT]
        rows = with_times(self.source).drop_nulls([EVENT, KNOWN]).collect()
        last = rows.sort(EVENT, KNOWN, maintain_order=True)
        return last.unique(by, keep="last", maintain_order=True).sort(EVENT, maintain_order=True)


def gather(
    source: FeatureSource,
    *,
    wanted: "pl.DataFrame",
    offline: "pl.DataFrame",
    served: "pl.DataFrame",
    wrong: "Mapping[str, npt.NDArray[np.bool_]]",
    tolerance: Tolerance,
) -> Evidence:
    """A sample of all reads of a view: of each wrong feature some wrong and some right ones, evenly spread.

    Args:
        source: The view's rows; of its features only the wrong ones are looked at.
        wanted: What was asked, one row a read.
        offline: What the offline path says to each, with times.
        served: What the online store said to each.
        wrong: For each feature that is wrong somewhere, where; shape ``(N,)`` each.
        tolerance: When two values are the same.
    """
    import numpy as np

    picks = [_spread(flags) for flags in wrong.values()] + [_spread(~f) for f in wrong.values()]
    places = np.unique(np.concatenate(picks))
    asked = wanted[places]
    return Evidence(
        source=_about(replace(source, features=tuple(wrong)), asked),
        wanted=asked,
        offline=offline.select(*wrong, EVENT, KNOWN)[places],
        served=served.select(tuple(wrong))[places],
        places=places,
        wrong={feature: flags[places] for feature, flags in wrong.items()},
        weights={feature: _weights(flags, places) for feature, flags in wrong.items()},
        tolerance=tolerance,
    )


def _spread(flags: "npt.NDArray[np.bool_]") -> "npt.NDArray[np.int64]":
    """At most `SAMPLE` of the rows that hold, from the first to the last."""
    import numpy as np

    rows = np.flatnonzero(flags)
    if len(rows) <= SAMPLE:
        return rows
    return rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)]


def _weights(
    wrong: "npt.NDArray[np.bool_]", places: "npt.NDArray[np.int64]"
) -> "npt.NDArray[np.float64]":
    """How many reads each of the sample stands for: those of its own kind, wrong or right, shared out evenly."""
    import numpy as np

    taken = wrong[places]
    each_wrong = wrong.sum() / max(1, taken.sum())
    each_right = (~wrong).sum() / max(1, (~taken).sum())
    return np.asarray(np.where(taken, each_wrong, each_right), dtype=np.float64)


def _about(source: FeatureSource, asked: "pl.DataFrame") -> FeatureSource:
    """The source without the entities that nobody asked for; kept as it is where types do not match exactly."""
    lazy = source.frame.lazy()
    if not source.entities:
        return source
    keys = asked.select(source.entities).unique().lazy()
    schemas = lazy.select(source.entities).collect_schema(), keys.collect_schema()
    if schemas[0] != schemas[1]:
        return source
    kept = lazy.join(keys, on=list(source.entities), how="semi", maintain_order="left")
    return replace(source, frame=kept.select(source.columns).collect())
