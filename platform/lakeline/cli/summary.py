"""What a run leaves a person with: the model against its baselines, what checks found, and where the reports are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterInstance
    from rich.console import Console

    from lakeline.project import Project


LOOKED_BACK = 100
"""Materializations among which the newest one is looked for that was not skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A check that did not pass when it last ran."""

    asset: str
    check: str
    said: str
    is_error: bool


def print_summary(console: "Console", project: "Project", instance: "DagsterInstance") -> None:
    """The assets, the models, the findings of checks, the reports."""
    from lakeline.cli.ls import assets_table

    console.print()
    console.print(assets_table(project))
    _print_models(console, project, instance)
    _print_findings(console, list(findings(project, instance)))
    _print_reports(console, project, instance)


def findings(project: "Project", instance: "DagsterInstance") -> Iterator[Finding]:
    """Every check whose latest evaluation did not pass, in the order of the graph."""
    import dagster as dg

    graph = project.definitions.resolve_asset_graph()
    order = {key: place for place, key in enumerate(graph.toposorted_asset_keys)}
    keys = sorted(graph.asset_check_keys, key=lambda key: (order.get(key.asset_key, 0), key.name))
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    for key in keys:
        evaluation = records[key].evaluation if key in records else None
        # A check of an asset that was not reached was planned, and never said anything.
        if isinstance(evaluation, dg.AssetCheckEvaluation) and not evaluation.passed:
            yield Finding(
                asset=key.asset_key.to_user_string(),
                check=key.name,
                said=evaluation.description or "",
                is_error=evaluation.severity.value == "ERROR",
            )


def latest_metadata(instance: "DagsterInstance", key: "dg.AssetKey") -> dict[str, Any]:
    """Metadata of the newest materialization that built something, as plain values; empty if there is none."""
    for record in instance.fetch_materializations(key, limit=LOOKED_BACK).records:
        found = record.asset_materialization
        if found is not None and "skipped" not in found.metadata:
            return {name: value.value for name, value in found.metadata.items()}
    return {}


def _print_models(console: "Console", project: "Project", instance: "DagsterInstance") -> None:
    from rich.table import Table

    for key in _keys(project, "learning"):
        held = latest_metadata(instance, key)
        if "auc" not in held:
            continue
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in (
            f"{key.to_user_string()}, {held.get('evaluated_days', '')}",
            "AUC",
            "Brier",
        ):
            table.add_column(heading, justify="right" if heading in {"AUC", "Brier"} else "left")
        rivals = [name.removesuffix("_auc") for name in held if name.endswith("_auc")]
        for label, prefix in (
            ("the model", ""),
            *((f"baseline: {name}", f"{name}_") for name in rivals),
        ):
            table.add_row(label, f"{held[f'{prefix}auc']:.3f}", f"{held[f'{prefix}brier']:.4f}")
        console.print()
        console.print(table)


def _print_findings(console: "Console", found: list[Finding]) -> None:
    from rich.table import Table

    if not found:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("found by contracts and checks", no_wrap=True)
    table.add_column("", overflow="fold")
    for one in found:
        table.add_row(f"{'[red]' if one.is_error else '[yellow]'}{one.asset} {one.check}", one.said)
    console.print()
    console.print(table)


def _print_reports(console: "Console", project: "Project", instance: "DagsterInstance") -> None:
    links = {
        key.to_user_string(): latest_metadata(instance, key).get("report") for key in _keys(project)
    }
    found = {asset: link for asset, link in links.items() if link}
    if found:
        console.print()
        console.print("[bold]reports")
    for asset, link in found.items():
        console.print(f"  {asset}  {link}", soft_wrap=True)


def _keys(project: "Project", extra: str | None = None) -> "list[dg.AssetKey]":
    """Assets of the project in order; with ``extra``, those whose domain notes it, as models note their learning."""
    graph = project.definitions.resolve_asset_graph()
    known = project.nodes
    keys = [key for key in graph.toposorted_asset_keys if key.to_user_string() in known]
    return [key for key in keys if extra is None or extra in known[key.to_user_string()].extras]
