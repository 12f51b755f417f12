"""dbt's view of the lake, kept in step: the sources that contracts declare, and the manifest made from them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.project import Place, Project, forget, load

if TYPE_CHECKING:
    from lakeline.contract import Contract
    from lakeline.domain.node import Node

SOURCES = "sources.yml"


def parse_all(place: Place) -> list[Path]:
    """Write every project's sources and make its manifest; the manifests' paths. The definitions are loaded anew after."""
    from lakeline.dbt.invoke import parse
    from lakeline.dbt.manifest import unparsed

    before = set(sys.modules)
    with unparsed():
        load(place)
        folders = dbt_projects()
        write_sources()
    forget(place, before)
    return [parse(folder) for folder in folders]


def load_parsed(place: Place) -> Project:
    """The project with manifests that are as new as its files and contracts; makes them where they are not.

    Raises:
        ProjectError: A project does not parse.
    """
    from lakeline.dbt.manifest import ManifestMissingError

    before = set(sys.modules)
    try:
        project = load(place)
    except ManifestMissingError:
        forget(place, before)
        parse_all(place)
        return load(place)
    if not stale_sources():
        return project
    forget(place, before)
    parse_all(place)
    return load(place)


def dbt_projects() -> list[Path]:
    """Folders of the dbt projects that loaded assets come from."""
    return sorted({node.extras["project"] for node in _models()})


def stale_sources() -> list[Path]:
    """Sources files that are missing or not what the contracts say."""
    return [path for path, text in _texts() if not _holds(path, text)]


def write_sources() -> list[Path]:
    """Write ``models/<domain>/sources.yml`` of each project from the contracts; the files that changed."""
    changed = [(path, text) for path, text in _texts() if not _holds(path, text)]
    for path, text in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [path for path, _ in changed]


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _texts() -> Iterator[tuple[Path, str]]:
    """Each sources file and what is to stand in it: the tables of one domain that models of one project read."""
    from lakeline.contract.dbt import source_yaml

    tables: dict[tuple[Path, str], dict[str, type[Contract]]] = {}
    for node in _models():
        project = node.extras["project"]
        for read in node.reads:
            if read.node.extras.get("project") != project:
                tables.setdefault((project, read.node.domain), {})[read.node.name] = (
                    read.node.columns
                )
    for (project, domain), contracts in tables.items():
        yield project / "models" / domain / SOURCES, source_yaml(domain, contracts)


def _models() -> "list[Node]":
    from lakeline.domain.node import nodes

    return [node for node in nodes().values() if "project" in node.extras]
