"""The parts of dbt's manifest that assets are declared from: a model's parents, its tests and its text.

Read as JSON, because loading the code location must not import dbt, which costs more than Dagster itself.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lakeline.errors import DomainError
from lakeline.kept import keep, kept, key_of


class ManifestMissingError(DomainError):
    """dbt's manifest was not made, or not since the project's files changed."""

    def __init__(self, project: Path, why: str) -> None:
        super().__init__(
            f"dbt's manifest of {project.name}/ {why}. Make it with: lakeline dbt parse"
        )


class UnknownModelError(DomainError):
    """A dbt project has no such model."""

    def __init__(self, project: Path, name: str, known: list[str]) -> None:
        super().__init__(
            f"The dbt project {project.name}/ has no model '{name}'. It has {', '.join(known) or 'none'}."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DbtTest:
    """One data test of a model.

    Attributes:
        check: Name of the asset check.
        name: dbt's name of the test, by which it is selected.
        unique_id: dbt's name of the node.
        is_blocking: Whether its severity is ``error``.
    """

    check: str
    name: str
    unique_id: str
    description: str
    is_blocking: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DbtModel:
    """One model, as its asset needs it.

    Attributes:
        parents: ``schema.name`` of every source and model that it or its tests read.
        checksum: Changes with the SQL and settings of the model and its tests, the macros that they call, and the
            variables of the project that any of these asks for.
        path: File of its SQL.
    """

    name: str
    unique_id: str
    description: str
    parents: frozenset[str]
    tests: tuple[DbtTest, ...]
    checksum: str
    path: Path
    is_unparsed: bool = False


_VARIABLE = re.compile(r"""\bvar\(\s*\\?['"](\w+)""")
"""Where SQL or an argument of a test asks for a variable; ``env_var`` is another thing."""

KEPT = "lakeline.json"
"""File beside the manifest with the parts that are asked of it: a manifest is megabytes, and every process reads it."""
NODE_FIELDS = (
    "alias",
    "attached_node",
    "column_name",
    "config",
    "depends_on",
    "description",
    "identifier",
    "name",
    "original_file_path",
    "package_name",
    "raw_code",
    "resource_type",
    "schema",
    "test_metadata",
    "unique_id",
    "unrendered_config",
)
SOURCE_FIELDS = ("alias", "identifier", "schema")
MACRO_FIELDS = ("depends_on", "macro_sql", "package_name")

_lenient: ContextVar[bool] = ContextVar("lenient", default=False)


@contextmanager
def unparsed() -> Iterator[None]:
    """Inside, models need no manifest: definitions load so that their contracts can be written for dbt to parse."""
    token = _lenient.set(True)
    try:
        yield
    finally:
        _lenient.reset(token)


def read_model(project: Path, name: str) -> DbtModel:
    """A model of the project at ``project``.

    Raises:
        ManifestMissingError: There is no manifest, or it is older than the project's files.
        UnknownModelError: There is no such model.
    """
    if _lenient.get():
        nothing: frozenset[str] = frozenset()
        return DbtModel(
            name=name,
            unique_id="",
            description="",
            parents=nothing,
            tests=(),
            checksum="",
            path=project,
            is_unparsed=True,
        )
    content = read_manifest(project)
    models = {
        node["name"]: node for node in content["nodes"].values() if node["resource_type"] == "model"
    }
    if name not in models:
        raise UnknownModelError(project, name, sorted(models))
    node = models[name]
    tests = [one for one in content["nodes"].values() if _tests(one, node["unique_id"])]
    parents = {parent for one in (node, *tests) for parent in one["depends_on"]["nodes"]} - {
        node["unique_id"]
    }
    return DbtModel(
        name=name,
        unique_id=node["unique_id"],
        description=node["description"],
        parents=frozenset(_relation(content, parent) for parent in parents),
        tests=tuple(_test(one) for one in sorted(tests, key=lambda one: one["name"])),
        checksum=_checksum(project, content, [node, *tests]),
        path=project / node["original_file_path"],
    )


def read_manifest(project: Path) -> dict[str, Any]:
    """What is asked of the manifest of a project, read once for each state of its file.

    Raises:
        ManifestMissingError: It is not there or older than the project's files.
    """
    path = manifest_path(project)
    if not path.exists():
        raise ManifestMissingError(project, "is missing")
    made = path.stat().st_mtime_ns
    if newer := [file for file in project_files(project) if file.stat().st_mtime_ns > made]:
        raise ManifestMissingError(project, f"is older than {newer[0].relative_to(project)}")
    content = _parsed(path, made)
    files = {node["original_file_path"] for node in content["nodes"].values()}
    if gone := sorted(file for file in files if not (project / file).exists()):
        raise ManifestMissingError(project, f"knows {gone[0]}, which is gone")
    return content


def manifest_path(project: Path) -> Path:
    """Where dbt writes the manifest."""
    return project / "target" / "manifest.json"


def project_files(project: Path) -> list[Path]:
    """Files that the manifest is made from."""
    folders = ("models", "macros", "tests", "seeds")
    found = [file for folder in folders for file in (project / folder).rglob("*") if file.is_file()]
    return [project / "dbt_project.yml", *sorted(found)]


@lru_cache(maxsize=4)
def _parsed(path: Path, _made: int) -> dict[str, Any]:
    written = path.read_bytes()
    place, key = path.with_name(KEPT), key_of(written, Path(__file__))
    content: dict[str, Any] | None = kept(place, key)
    if content is None:
        content = _extract(json.loads(written))
        keep(place, key, content)
    return content


def _extract(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What this module asks of a manifest, most of which is macros of dbt's own."""
    nodes = {name: _picked(one, NODE_FIELDS) for name, one in manifest["nodes"].items()}
    packages = {one["package_name"] for one in nodes.values()}
    return {
        "nodes": nodes,
        "sources": {name: _picked(one, SOURCE_FIELDS) for name, one in manifest["sources"].items()},
        "macros": {
            name: _picked(one, MACRO_FIELDS)
            for name, one in manifest["macros"].items()
            if one["package_name"] in packages
        },
    }


def _picked(node: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {field: node[field] for field in fields if field in node}


def _tests(node: Mapping[str, Any], model: str) -> bool:
    """Whether a node is a test of the model: declared beside it, or a query of its own that reads no other model."""
    if node["resource_type"] != "test":
        return False
    if node.get("attached_node"):
        return bool(node["attached_node"] == model)
    return [one for one in node["depends_on"]["nodes"] if one.startswith("model.")] == [model]


def _test(node: Mapping[str, Any]) -> DbtTest:
    given = node.get("test_metadata") or {}
    column = node.get("column_name")
    check = (
        "_".join(filter(None, [column, given.get("name")])) if given.get("name") else node["name"]
    )
    return DbtTest(
        check=node["config"].get("meta", {}).get("check") or check,
        name=node["name"],
        unique_id=node["unique_id"],
        description=node["description"],
        is_blocking=str(node["config"].get("severity", "error")).lower() == "error",
    )


def _relation(content: Mapping[str, Any], unique_id: str) -> str:
    node = content["sources"].get(unique_id) or content["nodes"][unique_id]
    return f"{node['schema']}.{node.get('identifier') or node['alias']}"


def _checksum(project: Path, content: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    waiting = [macro for node in nodes for macro in node["depends_on"]["macros"]]
    said = {f"{node['raw_code']} {_settings(node)}" for node in nodes}
    seen: set[str] = set()
    while waiting:
        macro = content["macros"].get(name := waiting.pop())
        # Macros of dbt itself come with its version, which stands in the lock file.
        if macro is None or name in seen or macro["package_name"] != nodes[0]["package_name"]:
            continue
        seen.add(name)
        said.add(macro["macro_sql"])
        waiting += macro["depends_on"]["macros"]
    asked = {name for text in said for name in _VARIABLE.findall(text)}
    said |= {f"{name}={value!r}" for name, value in _variables(project, asked).items()}
    return hashlib.sha256("\0".join(sorted(said)).encode()).hexdigest()[:12]


def _variables(project: Path, asked: Collection[str]) -> dict[str, Any]:
    """Values of those variables that the project declares; its own win over those of everybody."""
    if not asked:
        return {}
    import yaml

    declared = yaml.safe_load((project / "dbt_project.yml").read_text())
    everybody: dict[str, Any] = declared.get("vars") or {}
    held = {**everybody, **(everybody.get(declared["name"]) or {})}
    return {name: held[name] for name in sorted(asked) if name in held}


def _settings(node: Mapping[str, Any]) -> str:
    """What beside its SQL decides what a node does."""
    arguments = (node.get("test_metadata") or {}).get("kwargs")
    return json.dumps([node["unrendered_config"], arguments], sort_keys=True)
