"""The wheel ships the library whole and nothing else, and a project elsewhere runs on it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from resources.settings import PREFIX
from tests.projects import ROOT, a_project

BUILDER = ROOT / ".uv"
"""Where `make setup` puts what builds the wheel."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with the wheel in it."""
    if not (BUILDER / "hatchling").exists():
        pytest.skip("what builds the wheel is not installed: make setup")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]  # fmt: skip
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(BUILDER)}, check=True)
    (wheel,) = folder.glob("lakeline-*.whl")
    packages = folder / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return packages


def test_the_wheel_holds_every_module_and_nothing_of_the_project(installed: Path) -> None:
    (about,) = installed.glob("lakeline-*.dist-info")
    assert {one.name for one in installed.iterdir()} == {"lakeline", about.name}
    assert "lakeline = lakeline.cli:main" in (about / "entry_points.txt").read_text()
    assert (about / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    kept = ("*.py", "py.typed")
    shipped, here = (
        {one.relative_to(folder).as_posix() for kind in kept for one in folder.rglob(kind)}
        for folder in (installed / "lakeline", ROOT / "platform" / "lakeline")
    )
    assert shipped == here


def test_a_project_elsewhere_is_built_with_the_installed_library(
    installed: Path, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "project")
    env = {**os.environ, "PYTHONPATH": str(installed), f"{PREFIX}STATE": str(tmp_path / "state")}
    say = "import lakeline; print(lakeline.__file__)"
    where = subprocess.run([sys.executable, "-c", say], cwd=project, env=env, check=True, capture_output=True, text=True)  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(installed)
    day = ["--from", "2013-01-01", "--to", "2013-01-01"]
    for arguments in (["backfill", *day, "--select", "departures,departures_clean"], ["ls"]):
        done = subprocess.run(
            [sys.executable, "-m", "lakeline.cli", *arguments], cwd=project, env=env, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert "flights/departures_clean" in done.stdout
