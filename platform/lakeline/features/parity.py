"""Whether the online store says what the offline path says: logged reads, compared value by value as of the same moment.

A feature of a model is right online only if training would have seen the same value at that moment. Each logged read is
asked of the offline path again; each feature's values are counted as equal, differing, missing or extra; and where they are
not equal the cause is named, if one gives the values that were served.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError, ModelError, names
from lakeline.features.causes import Cause, explain
from lakeline.features.equality import EXACT, Outcome, Tolerance, aligned, outcome
from lakeline.features.evidence import gather
from lakeline.features.point_in_time import FeatureSource
from lakeline.features.replaying import answers, questions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

EXPLAINED_TOGETHER = 16
"""Features whose samples are joined again at once."""

PRESENT = "present"
STATUSES = (PRESENT, "missing", "expired")
"""What a log may say of a read: only a present value was served."""


class StatusError(ModelError):
    """A log of reads has a status that nobody knows."""

    def __init__(self, column: str, unknown: Sequence[str]) -> None:
        self.column, self.unknown = column, tuple(unknown)
        super().__init__(
            f"The log of reads has {names(repr(one) for one in unknown)} in {column}. "
            f"A status is one of {names(STATUSES)}; map the store's own words to these."
        )


class NothingReadError(ModelError):
    """A log of reads has no rows, so that parity of nothing would hold."""

    def __init__(self, view: str) -> None:
        self.view = view
        super().__init__(
            f"The log of reads of view '{view}' is empty, and parity was not measured. "
            "Log a share of the reads that are served, or choose a longer window."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureParity:
    """One feature.

    Attributes:
        view: Name of its view.
        feature: Name.
        rows: Reads compared.
        equal: Reads with the same value on both sides, or none.
        differing: Reads with two values that are not the same.
        missing: Reads to which only the offline path has a value.
        extra: Reads to which only the online store had one.
        max_difference: Largest distance of two differing numbers; None without any.
        median_difference: Median of the distances.
        cause: Why, where it could be named.
    """

    view: str
    feature: str
    rows: int
    equal: int
    differing: int = 0
    missing: int = 0
    extra: int = 0
    max_difference: float | None = None
    median_difference: float | None = None
    cause: Cause | None = None

    @property
    def holds(self) -> bool:
        """Whether every read was right."""
        return self.equal == self.rows

    @property
    def share_equal(self) -> float:
        """Share of the reads that were right."""
        return self.equal / self.rows

    def __str__(self) -> str:
        if self.holds:
            return f"{self.view}.{self.feature}: all {self.rows:,} reads are equal"
        kinds = (("differ", self.differing), ("missing", self.missing), ("extra", self.extra))
        counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds if count)
        why = str(self.cause) if self.cause else "no known cause gives the values served"
        return f"{self.view}.{self.feature}: {counts} of {self.rows:,} reads; {why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Every feature of some views.

    Attributes:
        features: In the order of the views and their features.
    """

    features: tuple[FeatureParity, ...]

    @property
    def holds(self) -> bool:
        """Whether every read of every feature was right."""
        return not self.broken

    @property
    def broken(self) -> tuple[FeatureParity, ...]:
        """The features that were wrong somewhere, the worst first."""
        wrong = [one for one in self.features if not one.holds]
        return tuple(sorted(wrong, key=lambda one: one.share_equal))

    @property
    def values(self) -> int:
        """Values compared."""
        return sum(one.rows for one in self.features)

    def __str__(self) -> str:
        if self.holds:
            return f"all {self.values:,} values of {len(self.features)} features are equal"
        return "\n".join(str(one) for one in self.broken)


def parity(
    reads: "pl.DataFrame",
    sources: Sequence[FeatureSource],
    *,
    at: str,
    keys: Mapping[str, str] | None = None,
    status: Mapping[str, str] | None = None,
    filled: Mapping[str, str] | None = None,
    tolerance: Tolerance = EXACT,
) -> Parity:
    """Logged reads against the offline path, for every feature of ``sources``.

    Args:
        reads: One row a read: keys, moment, and a column a feature as it was served.
        sources: The views as the offline path reads them.
        at: Aware timestamp column of ``reads``: when each was made.
        keys: Column of ``reads`` for each key of the sources that has another name there.
        status: By view, the column that says ``present``, ``missing`` or ``expired``; only present values count as served.
        filled: By view, the aware timestamp column that says up to when the online store had been filled.
        tolerance: When two values are the same.

    Raises:
        NothingReadError: There are no reads.
        ColumnsMissingError: The log lacks a key, a time, a status or a feature.
        StatusError: A status is none of the three.
        NotAMomentError: A time has no time zone or is no timestamp.
        KeyTypeError: A key's types differ.
    """
    found: list[FeatureParity] = []
    for source in sources:
        served = _served(reads, source, (status or {}).get(source.name))
        wanted = questions(reads, source, at=at, keys=keys, filled=(filled or {}).get(source.name))
        found += _of_view(source, wanted, served, tolerance)
    return Parity(features=tuple(found))


def _served(reads: "pl.DataFrame", source: FeatureSource, status: str | None) -> "pl.DataFrame":
    """The features as served, null where the status says that nothing was."""
    import polars as pl

    if reads.is_empty():
        raise NothingReadError(source.name)
    needed = [*source.features, *([status] if status else [])]
    missing = [column for column in needed if column not in reads.columns]
    if missing:
        raise ColumnsMissingError("The log of reads", missing, reads.columns)
    if not status:
        return reads.select(source.features)
    said = reads[status].cast(pl.String).fill_null("null")
    unknown = said.filter(~said.is_in(STATUSES)).unique().sort().to_list()
    if unknown:
        raise StatusError(status, unknown)
    return reads.select(pl.when(said == PRESENT).then(pl.col(*source.features)))


def _of_view(
    source: FeatureSource, wanted: "pl.DataFrame", served: "pl.DataFrame", tolerance: Tolerance
) -> list[FeatureParity]:
    offline = answers(wanted, source)
    outcomes = {name: outcome(served[name], offline[name], tolerance) for name in source.features}
    counted = {
        name: _counted(source.name, served[name], offline[name], outcomes[name], tolerance)
        for name in source.features
    }
    wrong = {name: ~outcomes[name].equal for name, one in counted.items() if not one.holds}
    if not wrong:
        return list(counted.values())
    causes: dict[str, Cause] = {}
    for some in _batches(wrong):
        evidence = gather(
            source, wanted=wanted, offline=offline, served=served, wrong=some, tolerance=tolerance
        )
        causes |= explain(evidence)
    return [replace(one, cause=causes.get(name)) for name, one in counted.items()]


def _batches(
    wrong: "Mapping[str, npt.NDArray[np.bool_]]",
) -> "Iterator[dict[str, npt.NDArray[np.bool_]]]":
    """A few features at a time, so that the memory it takes to explain them does not grow with the view."""
    items = iter(wrong.items())
    while some := dict(islice(items, EXPLAINED_TOGETHER)):
        yield some


def _counted(
    view: str, served: "pl.Series", offline: "pl.Series", found: Outcome, tolerance: Tolerance
) -> FeatureParity:
    import numpy as np

    counted = FeatureParity(
        view=view,
        feature=offline.name,
        rows=len(served),
        equal=int(found.equal.sum()),
        differing=int(found.differing.sum()),
        missing=int(found.missing.sum()),
        extra=int(found.extra.sum()),
    )
    distances = _distances(served, offline, found.differing, tolerance)
    if not len(distances):
        return counted
    return replace(
        counted,
        max_difference=float(distances.max()),
        median_difference=float(np.median(distances)),
    )


def _distances(
    served: "pl.Series",
    offline: "pl.Series",
    differing: "npt.NDArray[np.bool_]",
    tolerance: Tolerance,
) -> "npt.NDArray[np.float64]":
    """Distance of the two values of each differing read; none where they are no numbers, or not finite."""
    import numpy as np
    import polars as pl

    first, second = aligned(
        served.filter(pl.Series(differing)), offline.filter(pl.Series(differing)), tolerance
    )
    if not first.dtype.is_numeric() or not second.dtype.is_numeric():
        return np.empty(0)
    apart = (first.cast(pl.Float64) - second.cast(pl.Float64)).abs()
    return apart.filter(apart.is_finite()).to_numpy()
