"""What a training set says of its labels, and how its rows are finished: features joined, unknown labels taken out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.contract import Contract
from lakeline.domain.leaks import has_looked, leak_checks
from lakeline.domain.outcome import Check, Rows, frames_of
from lakeline.errors import DomainError, names

if TYPE_CHECKING:
    import polars as pl

    from lakeline.domain.features import Features


class LabelColumnsError(DomainError):
    """A training set names columns that its contract does not have."""

    def __init__(self, asset: str, missing: Sequence[str], has: Sequence[str]) -> None:
        super().__init__(
            f"Training set '{asset}' names {names(missing)}, which its contract does not have. It has {names(has, 40)}."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """Which columns of a training set are its label and its times.

    Attributes:
        label: The outcome; null while it is unknown.
        at: When each decision was made.
        known: When its label was known.
    """

    label: str
    at: str
    known: str

    def finish(self, rows: Rows, features: "Features") -> Rows:
        """The rows with their features, and with labels only where they were known; with what the leak checks found."""
        import polars as pl

        frames = frames_of(features.reader.asset, rows.frame)
        whole = frames if isinstance(frames, pl.DataFrame) else pl.concat(frames)
        found = features.join(whole, at=self.at)
        is_known = pl.col(self.known).is_not_null()
        found = found.with_columns(pl.when(is_known).then(pl.col(self.label)).alias(self.label))
        kept = found.select(list(features.reader.columns.columns))
        checks = leak_checks(self, found, features)
        self._note(found, features, checks)
        return replace(rows, frame=kept, checks=(*rows.checks, *checks))

    def _note(self, rows: "pl.DataFrame", features: "Features", checks: Sequence[Check]) -> None:
        """Keep what the checks say with the days of the rows; one that saw too little says nothing."""
        from lakeline.domain.leaked import note_leak_checks

        event = features.reader.columns.event_time
        assert event is not None
        days = rows[event].dt.strftime("%Y-%m-%d").unique().to_list()
        spoken = [one for one in checks if has_looked(one)]
        note_leak_checks(features.house.ledger, features.reader.asset, days, spoken)


def require_columns(asset: str, contract: type[Contract], wanted: Sequence[str]) -> None:
    """Refuse a training set whose label or times are no columns.

    Raises:
        LabelColumnsError: It says which.
    """
    missing = [name for name in wanted if name not in contract.columns]
    if missing:
        raise LabelColumnsError(asset, missing, list(contract.columns))
