"""What an audit found, and the rows it parts: those to publish and those for quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import polars as pl

from lakeline.contract.columns import Action
from lakeline.contract.declaration import RULE_COLUMN, Contract

SAMPLE_ROWS = 5
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One rule that some rows break.

    Attributes:
        rule: ``column.rule``, ``key.unique`` or ``table.check``.
        column: The column; None for a rule over several.
        action: What happens to the rows.
        text: The rule as people read it.
        count: Rows that break it; all of them where a check judges the frame as a whole.
        sample: At most five of them with their key, personal values hidden.
        rows: Their positions; empty where a check judges the frame as a whole.
    """

    rule: str
    column: str | None
    action: Action
    text: str
    count: int
    sample: tuple[str, ...]
    rows: tuple[int, ...]

    def __str__(self) -> str:
        """One line: rule, count and the first rows."""
        rows = "1 row" if self.count == 1 else f"{self.count} rows"
        examples = f", e.g. {self.sample[0]}" if self.sample else ""
        return f"{self.rule} ({self.text}): {rows}{examples}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """What an audit found.

    Attributes:
        rows: Rows audited.
        violations: One a rule, in declared order, the key's last.
    """

    rows: int
    violations: tuple[Violation, ...] = ()

    @property
    def failed(self) -> tuple[Violation, ...]:
        """Violations that forbid to publish anything."""
        return self._acting("fail")

    @property
    def warned(self) -> tuple[Violation, ...]:
        """Violations whose rows are published as they are."""
        return self._acting("warn")

    def split(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Part the audited frame into what is published and what goes to quarantine.

        Rejected rows leave; blanked values become null. Every row concerned is in the second frame
        once, as it was, all columns as text, with ``rule``: the rules that it broke, comma-separated.
        Violations that fail or warn change nothing here.

        Args:
            frame: The frame that was audited, rows in the same order.
        """
        concerned = [v for v in self.violations if v.action in {"reject", "blank"}]
        if not concerned:
            return frame, _no_text(tuple(frame.columns))
        blanked = frame.with_columns(
            pl.when(_mask(rows, frame.height)).then(pl.col(column)).alias(column)
            for column, rows in self._blanked().items()
        )
        rejected = [row for violation in self._acting("reject") for row in violation.rows]
        published = blanked.filter(_mask(rejected, frame.height))
        rules = _rules_by_row(concerned)
        return published, as_text(frame[list(rules)], list(rules.values()))

    def _blanked(self) -> dict[str, list[int]]:
        """For each column, the rows whose value becomes null."""
        found: dict[str, list[int]] = {}
        for violation in self._acting("blank"):
            if violation.column:
                found.setdefault(violation.column, []).extend(violation.rows)
        return found

    def _acting(self, action: Action) -> tuple[Violation, ...]:
        """Violations with this action."""
        return tuple(found for found in self.violations if found.action == action)


def as_text(frame: pl.DataFrame, rules: Sequence[str]) -> pl.DataFrame:
    """The frame with every column as text (times in ISO 8601, bytes in hex) and ``rule``."""
    casts = [_text(name, dtype) for name, dtype in frame.schema.items()]
    return frame.select(casts).with_columns(pl.Series(RULE_COLUMN, rules, dtype=pl.String))


@cache
def _no_text(columns: tuple[str, ...]) -> pl.DataFrame:
    """What `as_text` makes of no rows, without asking Polars anew for each clean frame."""
    return pl.DataFrame(schema=dict.fromkeys([*columns, RULE_COLUMN], pl.String))


def sample_rows(
    frame: pl.DataFrame, contract: type[Contract], column: str | None, rows: Sequence[int]
) -> tuple[str, ...]:
    """The first rows as people read them: ``origin=EWR, hour=3: wind_speed_mph=1048.36``.

    Rows of a table without a key, or with a personal one, are shown by their position.
    """
    first = list(rows[:SAMPLE_ROWS])
    columns = contract.columns
    is_shown_by_key = contract.keys and not any(columns[key].personal for key in contract.keys)
    value = (column,) if column and column not in contract.keys else ()
    shown = []
    for position, row in zip(first, frame[first].iter_rows(named=True), strict=True):
        label = _pairs(row, contract.keys, contract) if is_shown_by_key else f"row {position}"
        shown.append(": ".join(filter(None, [label, _pairs(row, value, contract)])))
    return tuple(shown)


def _pairs(row: dict[str, object], names: Sequence[str], contract: type[Contract]) -> str:
    """``name=value`` for each name, with personal values hidden and long ones cut."""
    found = []
    for name in names:
        value = "(personal)" if contract.columns[name].personal else str(row[name])
        is_long = len(value) > SHOWN_CHARACTERS
        found.append(f"{name}={value[:SHOWN_CHARACTERS] + '…' if is_long else value}")
    return ", ".join(found)


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as text."""
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.to_string("iso")
    if isinstance(dtype, pl.Binary):
        return pl.col(name).bin.encode("hex")
    return pl.col(name).cast(pl.String)


def _mask(rows: Sequence[int], height: int) -> pl.Series:
    """False at ``rows``, true elsewhere, shape ``(height,)``."""
    mask = pl.repeat(True, height, dtype=pl.Boolean, eager=True)
    return mask.scatter(rows, False) if rows else mask


def _rules_by_row(violations: Sequence[Violation]) -> dict[int, str]:
    """For each row concerned, in order, the rules that it breaks."""
    found: dict[int, list[str]] = {}
    for violation in violations:
        for row in violation.rows:
            found.setdefault(row, []).append(violation.rule)
    return {row: ", ".join(found[row]) for row in sorted(found)}
