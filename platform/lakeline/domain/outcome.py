"""What a function may return beside bare rows: numbers for the UI and results of checks that it ran itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.errors import DomainError

if TYPE_CHECKING:
    import polars as pl

Frames = Any
"""A Polars frame (lazy or not), an Arrow table, a DuckDB relation, or an iterator of such."""


class ResultError(DomainError):
    """A function returned something that cannot be published."""

    def __init__(self, asset: str, result: object) -> None:
        super().__init__(
            f"'{asset}' returned {type(result).__name__}. Return a Polars frame, an Arrow table, a DuckDB relation, "
            "an iterator of such, or Rows(frame=…)."
        )


class ChecksError(DomainError):
    """A function returned other checks than its asset declares."""

    def __init__(self, asset: str, said: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' {' and '.join(said)}. Make checks= and what the function returns equal. Nothing was published."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The result of one declared check.

    Attributes:
        name: As declared in ``checks=``.
        passed: Whether the promise holds.
        description: What was seen, in a sentence.
        is_blocking: Whether a failure is an error; otherwise it is a warning.
        numbers: Shown and plotted in the UI; plain ones are made of NumPy's.

    Raises:
        NotPlainError: ``passed`` or a number is nothing that can be kept.
    """

    name: str
    passed: bool
    description: str = ""
    is_blocking: bool = False
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from lakeline.domain.plain import as_bool, as_metadata

        where = f"Check '{self.name}'"
        object.__setattr__(self, "passed", as_bool(where, "passed", self.passed))
        object.__setattr__(self, "is_blocking", as_bool(where, "is_blocking", self.is_blocking))
        object.__setattr__(self, "numbers", as_metadata(where, self.numbers))

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
        metadata: Shown with the materialization; plain numbers are made of NumPy's.

    Raises:
        NotPlainError: Something in the metadata cannot be kept.
    """

    frame: Frames
    checks: tuple[Check, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from lakeline.domain.plain import as_metadata

        object.__setattr__(self, "metadata", as_metadata("Rows(metadata=…)", self.metadata))


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A page for people and the numbers behind it.

    Attributes:
        html: The whole page.
        numbers: Plotted in the UI; the report's version is the hash of these. Plain ones are made of NumPy's.
        checks: Results of the checks that the asset declares.

    Raises:
        NotPlainError: One of the numbers cannot be kept.
    """

    html: str
    numbers: Mapping[str, float | int | str]
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        from lakeline.domain.plain import as_numbers

        object.__setattr__(self, "numbers", as_numbers("Report(numbers=…)", self.numbers))


def as_rows(result: "Rows | Frames") -> Rows:
    """What a function returned, as `Rows`."""
    return result if isinstance(result, Rows) else Rows(frame=result)


def frames_of(asset: str, frame: Frames) -> "pl.DataFrame | Iterator[pl.DataFrame]":
    """What a function returned, as one Polars frame or an iterator of them.

    Raises:
        DomainError: It is nothing that can be published.
    """
    whole = _frame(frame)
    if whole is not None:
        return whole
    if isinstance(frame, Iterable) and not isinstance(frame, str | bytes | Mapping):
        return _frames(asset, frame)
    raise ResultError(asset, frame)


def require_checks(asset: str, declared: Sequence[str], returned: Sequence[Check]) -> None:
    """Refuse results of other checks than those that the asset declares.

    Raises:
        ChecksError: One is missing, unknown, or there twice.
    """
    names = [check.name for check in returned]
    said = [
        f"declares the check {name} and did not return it" for name in declared if name not in names
    ]
    said += [
        f"returned the check {name}, which it does not declare"
        for name in names
        if name not in declared
    ]
    said += [f"returned the check {name} twice" for name in declared if names.count(name) > 1]
    if said:
        raise ChecksError(asset, said)


def _frames(asset: str, given: Iterable[Any]) -> "Iterator[pl.DataFrame]":
    for one in given:
        frame = _frame(one)
        if frame is None:
            raise ResultError(asset, one)
        yield frame


def _frame(given: Any) -> "pl.DataFrame | None":
    """One thing that a function returned or yielded, as a Polars frame; None if it is none."""
    import polars as pl

    if isinstance(given, pl.DataFrame):
        return given
    if isinstance(given, pl.LazyFrame):
        return given.collect()
    if hasattr(given, "to_arrow_table"):  # a DuckDB relation
        given = given.to_arrow_table()
    if not hasattr(given, "__arrow_c_stream__"):
        return None
    found = pl.from_arrow(given)
    return found if isinstance(found, pl.DataFrame) else found.to_frame()
