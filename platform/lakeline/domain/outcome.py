"""What a function may return beside bare rows: numbers for the UI and results of checks that it ran itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.errors import DomainError

if TYPE_CHECKING:
    import polars as pl

Frames = Any
"""A Polars frame (lazy or not), an Arrow table, a DuckDB relation, or an iterator of Polars frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The result of one declared check.

    Attributes:
        name: As declared in ``checks=``.
        passed: Whether the promise holds.
        description: What was seen, in a sentence.
        is_blocking: Whether a failure is an error; otherwise it is a warning.
        numbers: Shown and plotted in the UI.
    """

    name: str
    passed: bool
    description: str = ""
    is_blocking: bool = False
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def result(self) -> dg.AssetCheckResult:
        """The result as Dagster takes it."""
        return dg.AssetCheckResult(
            check_name=self.name,
            passed=self.passed,
            description=self.description or None,
            severity=dg.AssetCheckSeverity.ERROR
            if self.is_blocking
            else dg.AssetCheckSeverity.WARN,
            metadata=dict(self.numbers),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Rows to publish, with what else the function found out.

    Attributes:
        frame: What a function may return bare.
        checks: Results of the checks that the asset declares.
        metadata: Shown with the materialization.
    """

    frame: Frames
    checks: tuple[Check, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A page for people and the numbers behind it.

    Attributes:
        html: The whole page.
        numbers: Plotted in the UI; the report's version is the hash of these.
        checks: Results of the checks that the asset declares.
    """

    html: str
    numbers: Mapping[str, float | int | str]
    checks: tuple[Check, ...] = ()


def as_rows(result: "Rows | Frames") -> Rows:
    """What a function returned, as `Rows`."""
    return result if isinstance(result, Rows) else Rows(frame=result)


def frames_of(asset: str, frame: Frames) -> "pl.DataFrame | Iterator[pl.DataFrame]":
    """What a function returned, as one Polars frame or an iterator of them.

    Raises:
        DomainError: It is nothing that can be published.
    """
    import polars as pl

    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if hasattr(frame, "to_arrow_table"):  # a DuckDB relation
        frame = frame.to_arrow_table()
    if hasattr(frame, "__arrow_c_stream__"):
        found = pl.from_arrow(frame)
        return found if isinstance(found, pl.DataFrame) else found.to_frame()
    if isinstance(frame, Iterable) and not isinstance(frame, str | bytes | Mapping):
        return iter(frame)
    raise DomainError(
        f"'{asset}' returned {type(frame).__name__}. Return a Polars frame, an Arrow table, a DuckDB relation, "
        "an iterator of Polars frames, or Rows(frame=…)."
    )
