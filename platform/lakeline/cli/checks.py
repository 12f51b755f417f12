"""The checks of `lakeline doctor`: each looks at one thing and says what it found and what to do."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.cli.agreement import agreement
from lakeline.cli.console import count, size
from lakeline.cli.feature_checks import features
from lakeline.cli.finding import Finding, is_unborn, without_secret
from lakeline.errors import DeclarationError, LakelineError, names

if TYPE_CHECKING:
    from lakeline.project import Project

PACKAGES = (
    "dagster",
    "dagster-webserver",
    "dbt-core",
    "dbt-duckdb",
    "pyiceberg",
    "polars",
    "duckdb",
    "pandera",
    "feast",
    "lightgbm",
)
FREE_BYTES = 2_000_000_000
"""Free space below which the state folder is called short."""


def examine(start: Path | None) -> Iterator[Finding]:
    """Everything, one finding after the other; what needs a loaded project is left out where it does not load."""
    from lakeline.project import find_place, load

    yield _python()
    yield from _packages()
    try:
        place = find_place(start)
    except LakelineError as error:
        yield Finding(status="fail", subject="project", said="not found", todo=str(error))
        return
    try:
        project = load(place)
        _ = project.house, project.deployment
    except LakelineError as error:
        yield Finding(
            status="fail", subject="definitions", said="cannot be loaded", todo=str(error)
        )
        return
    yield _loadable(project)
    for check in (_settings, _contracts, _state, _dagster_home, _dbt, _catalog, _ledger, agreement, features):  # fmt: skip
        yield from _guarded(check, project)


def _loadable(project: "Project") -> Finding:
    """Whether Dagster takes the definitions: it resolves jobs and sensors' targets only when it serves them."""
    import dagster as dg

    place = project.place
    try:
        dg.Definitions.validate_loadable(project.definitions)
    except dg.DagsterError as error:
        said = " ".join(str(one) for one in (error, error.__cause__) if one is not None)
        return Finding(
            status="fail", subject="definitions", said="are refused by Dagster", todo=said
        )
    assets = len(project.definitions.resolve_asset_graph().executable_asset_keys)
    return Finding(
        status="ok",
        subject="definitions",
        said=f"{place.module} in {place.root}, {count(assets, 'asset')}",
    )


def _guarded(
    check: "Callable[[Project], Iterator[Finding]]", project: "Project"
) -> Iterator[Finding]:
    """A check's findings; an error of lakeline's is one of them."""
    try:
        yield from check(project)
    except LakelineError as error:
        yield Finding(
            status="fail",
            subject=check.__name__.strip("_"),
            said=type(error).__name__,
            todo=str(error),
        )


def _python() -> Finding:
    said = f"{platform.python_version()}, lakeline {importlib.metadata.version('lakeline')}"
    return Finding(status="ok", subject="python", said=said)


def _packages() -> Iterator[Finding]:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(
            status="fail",
            subject="packages",
            said=f"missing: {names(missing)}",
            todo="Run: make setup",
        )
    yield Finding(status="ok", subject="packages", said=", ".join(found))


def _settings(project: "Project") -> Iterator[Finding]:
    """Where everything is, as the settings say; they were read when the definitions loaded."""
    house = project.house
    servers = [uri for uri in (house.catalog_uri, house.ledger_url) if not uri.startswith("sqlite")]
    said = (
        "everything on this machine"
        if not servers
        else f"servers: {names(without_secret(uri) for uri in servers)}"
    )
    yield Finding(status="ok", subject="settings", said=f"{said}; data files in {house.warehouse}")


def _contracts(project: "Project") -> Iterator[Finding]:
    """Whether each contract can be audited: its patterns are compiled, which declaring them does not do."""
    from lakeline.contract.rules import value_rules

    found = {node.contract for node in project.nodes.values() if node.contract is not None}
    good = 0
    for contract in sorted(found, key=lambda one: one.__name__):
        try:
            value_rules(contract)
        except DeclarationError as error:
            said = f"{contract.__name__} cannot be audited"
            yield Finding(status="fail", subject="contracts", said=said, todo=str(error))
        else:
            good += 1
    yield Finding(status="ok", subject="contracts", said=f"{count(good, 'contract')} to audit by")


def _state(project: "Project") -> Iterator[Finding]:
    folder = Path(project.deployment.state)
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    if not existing.is_dir():
        yield Finding(
            status="fail",
            subject="state",
            said=f"{folder} cannot be made: {existing} is no folder",
            todo="Move that file away, or set another folder as the state.",
        )
        return
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(
            status="fail",
            subject="state",
            said=f"{existing} cannot be written",
            todo="Give yourself the right to write there, or set another folder as the state.",
        )
        return
    free = shutil.disk_usage(existing).free
    said = f"{folder}, {size(free)} free"
    if free < FREE_BYTES:
        yield Finding(
            status="warn",
            subject="state",
            said=said,
            todo="Make room, or run: lakeline lake maintain",
        )
    else:
        yield Finding(status="ok", subject="state", said=said)


def _dagster_home(project: "Project") -> Iterator[Finding]:
    from lakeline.instance import CONFIG_FILE, open_instance

    if not (project.home / CONFIG_FILE).exists():
        yield Finding(
            status="ok",
            subject="dagster home",
            said=f"{project.home} will be made on the first run",
        )
        return
    with open_instance(project.home) as instance:
        runs = instance.get_runs_count()
    yield Finding(status="ok", subject="dagster home", said=f"{project.home}, {count(runs, 'run')}")
    elsewhere = os.environ.get("DAGSTER_HOME")
    if elsewhere and Path(elsewhere).absolute() != project.home.absolute():
        yield Finding(
            status="warn",
            subject="dagster home",
            said=f"DAGSTER_HOME is {elsewhere}, so Dagster's own commands use another storage",
            todo=f"Run: export DAGSTER_HOME={project.home}",
        )


def _dbt(project: "Project") -> Iterator[Finding]:
    """The definitions loaded, so each manifest is there and as new as its project; the sources may be old."""
    from lakeline.cli.sources import dbt_projects, stale_sources

    del project
    for path in stale_sources():
        yield Finding(
            status="warn",
            subject="dbt",
            said=f"{path} is not what the contracts say",
            todo="Run: lakeline dbt parse",
        )
    for folder in dbt_projects():
        yield Finding(status="ok", subject="dbt", said=f"manifest of {folder} is up to date")


def _catalog(project: "Project") -> Iterator[Finding]:
    from pyiceberg.exceptions import RESTError
    from sqlalchemy.exc import SQLAlchemyError

    house = project.house
    where = without_secret(house.catalog_uri)
    if is_unborn(house.catalog_uri):
        yield Finding(
            status="ok", subject="catalog", said=f"{where} will be made on the first publish"
        )
        return
    try:
        tables = house.lake.tables()
    except (SQLAlchemyError, RESTError, OSError) as error:
        yield Finding(
            status="fail",
            subject="catalog",
            said=f"{where} does not answer: {str(error).splitlines()[0]}",
            todo="Check that the server runs and that the settings' address and password are right.",
        )
        return
    yield Finding(status="ok", subject="catalog", said=f"{where}, {count(len(tables), 'table')}")


def _ledger(project: "Project") -> Iterator[Finding]:
    house = project.house
    where = without_secret(house.ledger_url)
    if is_unborn(house.ledger_url):
        yield Finding(
            status="ok", subject="ledger", said=f"{where} will be made on the first publish"
        )
        return
    summary = house.ledger.summary()
    partitions, marked = sum(one.partitions for one in summary), sum(one.marked for one in summary)
    said = f"{where}, {count(len(summary), 'asset')}, {count(partitions, 'partition')}"
    yield Finding(status="ok", subject="ledger", said=said)
    if marked:
        yield Finding(
            status="warn",
            subject="ledger",
            said=f"{count(marked, 'partition')} built from versions that have changed since",
            todo="See them with: lakeline ls; build them again with: lakeline backfill --if-changed --from DAY --to DAY",
        )
    for one in summary:
        if pending := house.ledger.pending(one.asset):
            yield Finding(
                status="warn",
                subject="ledger",
                said=f"{one.asset} has {count(len(pending), 'publish')} that neither ended nor was given up",
                todo="If no run is building it, its next run repairs this by itself.",
            )
