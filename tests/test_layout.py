"""What the folders and imports of the repository promise."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = {
    "dagster_dbt",
    "dagster_k8s",
    "dbt",
    "evidently",
    "feast",
    "lightgbm",
    "mlflow",
    "numpy",
    "onnxmltools",
    "onnxruntime",
    "optuna",
    "pandas",
    "pandera",
    "polars",
    "pyarrow",
    "pyiceberg",
    "pyspark",
    "sklearn",
    "torch",
}
TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "assets",
    "benchmarks",
    "dbt",
    "definitions.py",
    "deploy",
    "docs",
    "platform",
    "pyproject.toml",
    "requirements",
    "resources",
    "sensors",
    "tests",
    "workspace.yaml",
}


def modules_after(statement: str) -> set[str]:
    """Names in ``sys.modules`` of a fresh interpreter, started in the root, after ``statement``."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def imported_by(file: Path) -> set[str]:
    """Top-level packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def tracked() -> list[str]:
    """Paths in git's index, or nothing outside a checkout."""
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.split("\n")[:-1]


def test_platform_and_dbt_are_not_packages() -> None:
    assert not [p for name in ("platform", "dbt") if (p := ROOT / name / "__init__.py").exists()]


def test_import_platform_is_the_standard_library() -> None:
    assert "lakeline" not in modules_after("import platform; platform.system()")


def test_importing_a_contract_imports_only_the_standard_library() -> None:
    before = modules_after("pass")
    foreign = {name.split(".")[0] for name in modules_after("import lakeline.contract") - before}
    assert foreign - set(sys.stdlib_module_names) == {"lakeline"}


def test_loading_definitions_imports_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import definitions; definitions.defs()")


def test_loading_definitions_imports_nothing_that_only_a_run_needs() -> None:
    only_runs = {
        f"lakeline.{name}"
        for name in (
            "domain.build",
            "domain.placing",
            "domain.serving",
            "domain.training",
            "freshness.reconciler",
            "ledger",
            "models.registry",
        )
    }
    assert not only_runs & modules_after("import definitions; definitions.defs()")


def test_the_library_knows_no_deployment() -> None:
    ours = {"assets", "definitions", "resources", "sensors"}
    for file in (ROOT / "platform").rglob("*.py"):
        assert not imported_by(file) & ours, file


def test_nothing_in_the_library_stands_on_its_command_line() -> None:
    library = ROOT / "platform" / "lakeline"
    for file in library.rglob("*.py"):
        if library / "cli" not in file.parents:
            assert "lakeline.cli" not in file.read_text(), file


def test_the_top_level_holds_what_the_readme_says() -> None:
    assert {name.split("/")[0] for name in tracked() if not name.startswith(".")} <= TOP_LEVEL


def test_locks_carry_hashes_and_no_addresses() -> None:
    locks = sorted((ROOT / "requirements").glob("*.lock"))
    assert {lock.stem for lock in locks} >= {"base", "dev", "torch", "spark", "serving", "tool"}
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock
        assert text.count("--hash=sha256:") >= text.count("=="), lock


def test_no_lock_of_another_kind_is_kept() -> None:
    assert not [name for name in tracked() if Path(name).name in ("uv.lock", "poetry.lock")]
