"""Projects of their own for tests, which use the library as a project elsewhere does."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def a_project(folder: Path) -> Path:
    """A copy of this project without its library, which is then the one that is installed."""
    for name in ("definitions.py", "pyproject.toml", "workspace.yaml"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder)
    for name in ("assets", "resources", "sensors", "dbt"):
        skipped = shutil.ignore_patterns("__pycache__", "target", "logs")
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    return folder
