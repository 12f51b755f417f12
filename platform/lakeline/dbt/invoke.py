"""dbt in this process: the manifest is loaded once, then a model and its tests take a third of a second.

A `dbt build` of its own process spends 8 CPU seconds on importing and parsing for the same work.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.dbt.manifest import DbtModel, manifest_path, read_manifest
from lakeline.errors import DomainError, names
from lakeline.window import Window

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

START, END = "LAKELINE_START", "LAKELINE_END"
"""Environment of a dbt run: the window. Not dbt's variables: when those change, dbt parses everything again."""
PARSED = "partial_parse.msgpack"
"""The project as dbt keeps it for its own next run."""


class DbtFailedError(DomainError):
    """dbt could not run a model."""

    def __init__(self, model: str, messages: list[str]) -> None:
        super().__init__(
            f"dbt model '{model}' failed: {names(messages, limit=3)}. Nothing was published."
        )


class ProjectError(DomainError):
    """A dbt project does not parse."""

    def __init__(self, project: Path, message: str) -> None:
        said = " ".join(message.split())
        super().__init__(
            f"The dbt project {project.name}/ does not parse: {said}. The manifest stays as it was."
        )


def parse(project: Path) -> Path:
    """Make the project's manifest, and give its path; whoever reads it meanwhile finds a whole one, the old or the new.

    Raises:
        ProjectError: It does not parse.
    """
    path = manifest_path(project)
    parsed = path.with_name(PARSED)
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".parse-", dir=path.parent) as folder:
        # From both dbt tells what has changed; where that is nothing, it writes neither.
        for file in (parsed, path):
            with suppress(FileNotFoundError):
                shutil.copy(file, folder)
        result = _runner(None).invoke(["--quiet", "parse", *_places(project, Path(folder))])
        if not result.success:
            raise ProjectError(project, str(result.exception))
        made = Path(folder, path.name)
        made.touch()
        Path(folder, PARSED).replace(parsed)
        made.replace(path)
    return path


def build(project: Path, model: DbtModel, window: Window | None) -> list[Any]:
    """Run a model and its tests; the results of every node, dbt's ``RunResult``.

    Raises:
        DbtFailedError: A node could not run; a test that found rows is a result, not an error.
    """
    with _environment(window), tempfile.TemporaryDirectory(prefix="lakeline-dbt-") as folder:
        runner = _runner(_manifest(project, manifest_path(project).stat().st_mtime_ns))
        try:
            result = runner.invoke(
                ["--quiet", "build", *_selection(model), *_places(project, Path(folder))]
            )
        finally:
            _forget_session()
    results = list(getattr(result.result, "results", None) or [])
    broken = [
        str(one.message)
        for one in results
        if str(one.status) in {"error", "runtime error", "skipped"}
    ]
    if result.exception is not None or not any(
        one.node.unique_id == model.unique_id for one in results
    ):
        broken.append(str(result.exception or "dbt did not run it"))
    if broken:
        raise DbtFailedError(model.name, broken)
    return results


def _selection(model: DbtModel) -> list[str]:
    """The model and its own tests; a test of another model that reads this one is the other's."""
    tests = [test.name for test in model.tests]
    return ["--indirect-selection", "empty", "--select", model.name, *tests]


def _places(project: Path, target: Path) -> list[str]:
    where = ["--project-dir", str(project), "--profiles-dir", str(project)]
    return [
        *where,
        "--target-path",
        str(target),
        "--log-path",
        str(target / "logs"),
        "--no-send-anonymous-usage-stats",
    ]


def _runner(manifest: "Manifest | None") -> Any:
    from dbt.cli.main import dbtRunner

    return dbtRunner(manifest=manifest)


def _forget_session() -> None:
    """Drop the DuckDB session, which dbt-duckdb keeps for the process, with its views and tables."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=2)
def _manifest(project: Path, _made: int) -> "Manifest":
    """The parsed project; manifest.json lacks the arguments of tests."""
    from dbt.contracts.graph.manifest import Manifest

    read_manifest(project)  # refuses an old one
    manifest = Manifest.from_msgpack(manifest_path(project).with_name(PARSED).read_bytes())
    manifest.build_parent_and_child_maps()  # type: ignore[no-untyped-call]
    return manifest


@contextmanager
def _environment(window: Window | None) -> Iterator[None]:
    values = (
        {START: window.start.isoformat(), END: window.end.isoformat()} if window is not None else {}
    )
    before = {name: os.environ.get(name) for name in (START, END)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
