"""What a file says is read once, and again as soon as the file says something else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "platform"
MODULE = """
LIMIT = 1


def build():
    return LIMIT, __file__
"""
SAY = """
import sys
from module import build
from lakeline.domain.code_version import code_version

print(code_version(build), "lakeline.domain.syntax" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "module.py").write_text(MODULE)
    return tmp_path


def say(folder: Path, **settings: str) -> tuple[str, bool]:
    """The version of `build` in a process of its own, and whether that read the file's syntax."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        cwd=folder,
        env={**env, "PYTHONPATH": f"{folder}:{LIBRARY}", **settings},
        check=True,
        capture_output=True,
        text=True,
    )
    version, has_read = done.stdout.split()
    return version, has_read == "True"


def kept(folder: Path) -> list[Path]:
    return list(folder.rglob("*.outline"))


def test_a_file_is_read_once_for_all_processes(folder: Path) -> None:
    version, has_read = say(folder)
    assert has_read
    assert [file.parent.name for file in kept(folder)] == ["__pycache__"]
    assert say(folder) == (version, False)


def test_other_bytes_are_read_even_if_the_file_has_its_old_size_and_time(folder: Path) -> None:
    module = folder / "module.py"
    version, _ = say(folder)
    before = module.stat()
    module.write_text(MODULE.replace("LIMIT, ", "LIMIT+ "))
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert module.stat().st_size == before.st_size
    other, has_read = say(folder)
    assert has_read
    assert other != version


@pytest.mark.parametrize("text", ["", "no outline", "{key}\n", "{key}\n[1]"])
def test_what_cannot_be_understood_is_read_anew(folder: Path, text: str) -> None:
    version, _ = say(folder)
    (file,) = kept(folder)
    file.write_text(text.replace("{key}", file.read_text().partition("\n")[0]))
    assert say(folder) == (version, True)
    assert say(folder) == (version, False)


def test_nothing_is_kept_where_python_may_not_keep_bytecode(folder: Path) -> None:
    assert say(folder, PYTHONDONTWRITEBYTECODE="1") == say(folder, PYTHONDONTWRITEBYTECODE="1")
    assert not kept(folder)


def test_it_is_kept_where_bytecode_is(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    version, _ = say(folder, PYTHONPYCACHEPREFIX=str(elsewhere))
    assert kept(elsewhere)
    assert not kept(folder)
    assert say(folder, PYTHONPYCACHEPREFIX=str(elsewhere)) == (version, False)


def test_where_the_code_lies_does_not_count(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "module.py").write_text(MODULE)
    assert say(other)[0] == say(folder)[0]
