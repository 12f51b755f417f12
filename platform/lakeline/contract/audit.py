"""Audit a frame against its contract before it is published, and part the rows that pass from those that do not.

The rules are the checks of `lakeline.contract.pandera.pandera_schema`. Before Pandera runs one, a single
Polars select counts the violations of them all, and only what it found is given to Pandera, with the checks
that users attached, which always run. On 400k clean rows of 15 columns (18 bounds, 2 lists, a key of 3) the
select takes 8 ms and the key 16 ms, where ``validate(frame, lazy=True)`` takes 77 to 93 ms; and a process
that meets clean data alone never imports Pandera and pandas with it, 2.3 cpu s and 134 MB.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from lakeline.contract.columns import Action
from lakeline.contract.conform import conform
from lakeline.contract.declaration import Contract
from lakeline.contract.report import AuditReport, Violation, sample_rows
from lakeline.contract.rules import KEY_RULE, value_rules
from lakeline.errors import CheckError

if TYPE_CHECKING:
    import pandera.polars as pa

__all__ = ["AuditReport", "Violation", "audit", "conform"]


class _Broken(NamedTuple):
    """A rule that rows break."""

    rule: str
    column: str | None
    action: Action
    text: str


def audit(
    frame: pl.DataFrame, contract: type[Contract], *, partition_by: str | None = None
) -> AuditReport:
    """Every violation of the contract in ``frame``, with the rows that commit it.

    Args:
        frame: The rows to publish, a few hundred thousand at a time.
        contract: What their table promises.
        partition_by: The event time, for a frame of several daily partitions: a key then names a row
            once within its UTC day.

    Raises:
        ContractError: The frame has other columns or types (see `conform`), or an attached check crashed.
    """
    frame = conform(frame, contract, contract.__name__)
    found = [*_broken_rules(frame, contract), *_failed_checks(frame, contract)]
    # A row that goes to quarantine anyway repeats nobody's key.
    gone = {row for violation in found if violation.action == "reject" for row in violation.rows}
    found += _repeated_keys(frame, contract, partition_by, gone)
    return AuditReport(rows=frame.height, violations=tuple(found))


def _broken_rules(frame: pl.DataFrame, contract: type[Contract]) -> Iterator[Violation]:
    """Violations of declared rules: one pass counts them, Pandera names the rows."""
    rules = value_rules(contract)
    if not rules or not frame.height:
        return
    counts = frame.select(rule.failures for rule in rules).row(0)
    for rule, count in zip(rules, counts, strict=True):
        if count:
            from lakeline.contract.pandera import rule_check

            rows = _failing_rows(rule_check(rule), frame, rule.column)
            broken = _Broken(rule.name, rule.column, rule.action, rule.text)
            yield _violation(frame, contract, broken, rows)


def _failed_checks(frame: pl.DataFrame, contract: type[Contract]) -> Iterator[Violation]:
    """Violations of the checks that users attached."""
    if not contract.table_checks and not any(c.checks for c in contract.columns.values()):
        return
    from lakeline.contract.pandera import attached_checks

    for each in attached_checks(contract):
        try:
            rows = _failing_rows(each.check, frame, each.column)
        except Exception as error:
            raise CheckError(contract.__name__, each.name, error) from error
        if rows != ():
            text = each.check.error or each.check.description or "attached check"
            broken = _Broken(each.name, each.column, each.action, text)
            yield _violation(frame, contract, broken, rows)


def _repeated_keys(
    frame: pl.DataFrame, contract: type[Contract], partition_by: str | None, gone: set[int]
) -> Iterator[Violation]:
    """The rows that repeat the key of a row before them."""
    if not contract.keys:
        return
    is_daily = partition_by and partition_by not in contract.keys
    day = [pl.col(str(partition_by)).dt.date().alias("#day")] if is_daily else []
    keys = frame.select(*contract.keys, *day).with_row_index("#row")
    if gone:
        keys = keys.filter(~pl.col("#row").is_in(list(gone)))
    names = keys.columns[1:]
    if _is_distinct(keys.select(names)):
        return
    repeated = keys.filter(~pl.struct(names).is_first_distinct())["#row"]
    if repeated.len():
        text = f"{', '.join(contract.keys)} names a row once"
        broken = _Broken(KEY_RULE, None, contract.duplicates, text)
        yield _violation(frame, contract, broken, tuple(repeated.to_list()))


def _is_distinct(keys: pl.DataFrame) -> bool:
    """Whether no row repeats another, proven cheaply; False leaves it open."""
    # Rows in order of an exact time, as most sources give them: 1 ms for 400k rows.
    if any(column.is_sorted() and _only_rises(column) for column in keys.iter_columns()):
        return True
    # As many hashes as rows: 15 ms for 400k rows; the exact way takes 27 ms.
    return keys.hash_rows().n_unique() == keys.height


def _only_rises(column: pl.Series) -> bool:
    return bool((column.head(-1) < column.tail(-1)).all(ignore_nulls=False))


def _failing_rows(
    check: "pa.Check", frame: pl.DataFrame, column: str | None
) -> tuple[int, ...] | None:
    """Positions of the rows that fail a Pandera check; None where it judges the frame as a whole."""
    from pandera.constants import CHECK_OUTPUT_KEY

    result = check(frame.lazy(), column)
    if result.check_passed.collect().item():
        return ()
    passed: pl.Series = result.check_output.collect()[CHECK_OUTPUT_KEY]
    if passed.len() != frame.height:
        return None
    return tuple(passed.not_().arg_true().to_list())


def _violation(
    frame: pl.DataFrame, contract: type[Contract], broken: _Broken, rows: tuple[int, ...] | None
) -> Violation:
    """A violation with its sample; without rows to part, what would part them fails instead."""
    parts = broken.action in {"reject", "blank"}
    return Violation(
        rule=broken.rule,
        column=broken.column,
        action="fail" if rows is None and parts else broken.action,
        text=broken.text,
        count=frame.height if rows is None else len(rows),
        sample=sample_rows(frame, contract, broken.column, rows or ()),
        rows=rows or (),
    )
