"""`lakeline ui` and `lakeline reports`: Dagster's pages and the reports' pages, served until Ctrl-C."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import click

if TYPE_CHECKING:
    from rich.console import Console

    from lakeline.project import Project

PORT = 3000

port_option = click.option(
    "--port",
    default=PORT,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of the Dagster UI.",
)


@click.command()
@port_option
@click.pass_obj
def ui(start: Path | None, port: int) -> None:
    """Serve the Dagster UI, its daemon and the reports on what is there."""
    from lakeline.cli.console import console
    from lakeline.cli.sources import load_parsed
    from lakeline.project import find_place

    project = load_parsed(find_place(start))
    require_ports(project, port)
    serve_project(console(), project, port)


@click.command()
@click.pass_obj
def reports(start: Path | None) -> None:
    """Serve the report pages alone."""
    from lakeline.cli.console import console
    from lakeline.cli.serve import Servers, pages, stopped_by_signals
    from lakeline.project import load_project

    project = load_project(start)
    folder, port = require_reports_port(project)
    servers = Servers(folder)
    with stopped_by_signals(servers), pages(folder, port):
        console().print(f"Reports of {folder} at {project.house.reports_url}")
        for page in sorted(folder.rglob("*.html")):
            console().print(f"  {project.house.reports_url}/{page.relative_to(folder)}")
        servers.wait()


def serve_project(
    screen: "Console",
    project: "Project",
    port: int,
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Serve the UI, the daemon and the reports until a signal comes; every process is ended then.

    Args:
        screen: Where the addresses are shown.
        project: What is served.
        port: Of the UI.
        environment: Settings that the children get beside this process's own.

    Raises:
        ServerEndedError: A server ended by itself.
    """
    from lakeline.cli.run import prepare_pools
    from lakeline.cli.serve import HOST, Servers, dagster_commands, pages, stopped_by_signals
    from lakeline.instance import dagster_home, open_instance

    folder, reports_port = require_reports_port(project)
    home = dagster_home(project.home)
    logs = Path(project.deployment.state) / "logs"  # Dagster empties one of this name in its home
    servers = Servers(logs)
    with open_instance(home) as instance:
        prepare_pools(project, instance)
    with stopped_by_signals(servers), pages(folder, reports_port):
        given = {"DAGSTER_HOME": str(home), **(environment or {})}
        for name, command in dagster_commands(workspace(project), port).items():
            servers.start(name, command, cwd=project.place.root, environment=given)
        with screen.status("Starting the UI"):
            servers.wait_ready(port)
        screen.print(
            f"\nDagster UI  [bold]http://{HOST}:{port}[/bold]\nReports     {project.house.reports_url}"
        )
        screen.print(f"Logs        {logs}\n[dim]Ctrl-C ends everything.")
        servers.wait()
        screen.print("Ending")


def workspace(project: "Project") -> list[str]:
    """Options that name the code location to Dagster's processes."""
    place = project.place
    file = place.root / "workspace.yaml"
    return ["-w", str(file)] if file.exists() else ["-m", place.module, "-d", str(place.root)]


def require_ports(project: "Project", port: int) -> None:
    """Raise `PortTakenError` where a server of the UI could not listen."""
    from lakeline.cli.serve import require_port

    require_port(port, "the Dagster UI", "give another --port")
    require_reports_port(project)


def require_reports_port(project: "Project") -> tuple[Path, int]:
    """Folder and port of the report pages.

    Raises:
        PortTakenError: Another process listens there.
    """
    from lakeline.cli.serve import require_port

    port = urlparse(project.house.reports_url).port or 80
    require_port(port, "the reports", "set another port for reports in the deployment's settings")
    return Path(project.house.reports), port
