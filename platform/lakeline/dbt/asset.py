"""A dbt model as an asset of a domain: its function runs dbt, its tests are asset checks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from lakeline.contract import Contract
from lakeline.dbt.manifest import DbtModel, DbtTest, read_model
from lakeline.domain.handles import Table
from lakeline.domain.outcome import Check, Rows
from lakeline.domain.reads import Read
from lakeline.errors import DomainError, names
from lakeline.window import Window


class ParentsError(DomainError):
    """A dbt model and its asset disagree on what it reads."""

    def __init__(self, model: str, missing: Sequence[str], surplus: Sequence[str]) -> None:
        said = [f"its SQL or tests read {names(missing)}, which reads= lacks"] if missing else []
        said += [f"reads= has {names(surplus)}, which neither reads"] if surplus else []
        super().__init__(
            f"dbt model '{model}' and its asset disagree: {'; '.join(said)}. Make the two equal."
        )


def model_function(
    project: Path, name: str, reads: Sequence[Read], *, daily: bool
) -> tuple[DbtModel, Callable[..., Rows]]:
    """The model, and a function that runs it for a window of handles.

    Raises:
        ManifestMissingError: dbt's manifest is missing or old.
        ParentsError: ``reads`` are not what the model and its tests read.
    """
    model = read_model(project, name)
    if model.is_unparsed:
        return model, lambda: Rows(frame=None)
    declared = {read.node.table for read in reads}
    missing, surplus = sorted(model.parents - declared), sorted(declared - model.parents)
    if missing or surplus:
        raise ParentsError(name, missing, surplus)

    def run(*given: Any) -> Rows:
        window, handles = (given[0], given[1:]) if daily else (None, given)
        return run_model(project, model, window, handles)

    run.__doc__ = model.description
    return model, run


def run_model(
    project: Path, model: DbtModel, window: Window | None, handles: Sequence[Table]
) -> Rows:
    """Run a model over the handles' tables: its rows, its tests' results, its column lineage.

    Raises:
        DbtFailedError: dbt could not run it.
    """
    from lakeline.dbt.invoke import build
    from lakeline.dbt.plugin import Exchange, exchanging

    exchange = Exchange(tables={one.node.table: (one.iceberg, one.window) for one in handles})
    with exchanging(exchange):
        results = {one.node.unique_id: one for one in build(project, model, window)}
    rows = next(iter(exchange.rows.values()))
    metadata = _lineage(results[model.unique_id].node.compiled_code, handles)
    checks = tuple(
        _check(test, results[test.unique_id]) for test in model.tests if test.unique_id in results
    )
    return Rows(frame=rows, checks=checks, metadata=metadata)


def check_names(model: DbtModel) -> tuple[str, ...]:
    """Names of the asset checks that a model's tests become."""
    return tuple(test.check for test in model.tests)


def check_texts(model: DbtModel) -> tuple[tuple[str, str], ...]:
    """What each of them looks for, in the words of the project; its kind where it has none."""
    return tuple(
        (test.check, test.description or f"dbt's test {test.name}.") for test in model.tests
    )


def blocking_names(model: DbtModel) -> frozenset[str]:
    """Those of them whose failure stops a run."""
    return frozenset(test.check for test in model.tests if test.is_blocking)


def _check(test: DbtTest, result: Any) -> Check:
    failures = int(result.failures or 0)
    return Check(
        name=test.check,
        passed=str(result.status) == "pass",
        description=f"{test.description} Found {failures:,}.".strip()
        if failures
        else test.description,
        is_blocking=str(result.status) == "fail",  # error_if may make a warning of a test's error
        numbers={"failures": failures, "dbt_test": test.unique_id},
    )


def _lineage(sql: str, handles: Sequence[Table]) -> Mapping[str, Any]:
    """Record the columns that the SQL reads, and say where each column of the model comes from."""
    from lakeline.contract.dbt import data_type
    from lakeline.dbt.lineage import column_lineage

    def columns(contract: type[Contract]) -> dict[str, str]:
        return {name: data_type(column.dtype) for name, column in contract.columns.items()}

    found = column_lineage(sql, {one.node.table: columns(one.contract) for one in handles})
    keys = {one.node.table: dg.AssetKey([one.node.domain, one.node.name]) for one in handles}
    for handle in handles:
        handle.record(sorted(found.used.get(handle.node.table, ())))
    by_column = {
        name: [
            dg.TableColumnDep(asset_key=keys[table], column_name=column)
            for table, column in origins
            if table in keys
        ]
        for name, origins in found.origins.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=by_column)}
