"""What a model was trained with beside its data: the state of the code and of the lock file, packages, threads, hardware."""

import hashlib
import inspect
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LOCK = "requirements/base.lock"
"""The lock file of a project, below the folder of its pyproject.toml."""

PACKAGES = ("lakeline", "lightgbm", "numpy", "polars", "pyarrow", "torch")
GIT_PATIENCE_S = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where and with what a model was trained.

    Attributes:
        commit: Commit of the project; None outside a repository, or without git.
        is_dirty: Whether its files differed from the commit.
        lock_sha256: Of the project's lock file; None where it has none.
        python: Version of the interpreter, with its name.
        packages: Version of each package that may change a result, as far as it is installed.
        architecture: Of the processor, and its operating system.
        processor: Name of the processor, as far as the system tells it.
        cores: Processors that the process may use.
        threads: Variables that limit threads, as far as they were set.
        accelerator: Name of the GPU that torch computed with; empty where there was none.
    """

    commit: str | None
    is_dirty: bool
    lock_sha256: str | None
    python: str
    architecture: str
    processor: str
    cores: int
    packages: Mapping[str, str] = field(default_factory=dict)
    threads: Mapping[str, str] = field(default_factory=dict)
    accelerator: str = ""

    @property
    def code(self) -> str:
        """The state of the project's files, in words."""
        if self.commit is None:
            return "no git repository"
        return f"{self.commit[:12]}{' with uncommitted changes' if self.is_dirty else ''}"

    def facts(self) -> dict[str, str]:
        """Each fact by its name, in words, for showing two side by side."""
        return {
            "git commit": self.code,
            LOCK: (self.lock_sha256 or "none")[:12],
            "python": self.python,
            **self.packages,
            "architecture": self.architecture,
            "processor": self.processor,
            "cores": str(self.cores),
            **({"accelerator": self.accelerator} if self.accelerator else {}),
            **self.threads,
        }


THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


def present_environment(function: Callable[..., object]) -> Environment:
    """The environment of this process.

    Args:
        function: What trains; its file tells where the project is.
    """
    root = project_root(function)
    commit, is_dirty = _git_state(root)
    return Environment(
        commit=commit,
        is_dirty=is_dirty,
        lock_sha256=lock_sha256(root),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=dict(_versions()),
        architecture=f"{platform.machine()} {sys.platform}",
        processor=_processor(),
        cores=_cores(),
        threads={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        accelerator=_accelerator(),
    )


def project_root(function: Callable[..., object]) -> Path | None:
    """The nearest folder above a function's file that has a pyproject.toml; None for one that stands in no file."""
    try:
        file = Path(inspect.getfile(inspect.unwrap(function))).absolute()
    except TypeError:
        return None
    return next((one for one in file.parents if (one / "pyproject.toml").is_file()), None)


def lock_sha256(root: Path | None) -> str | None:
    """SHA-256 of a project's lock file, in hexadecimal; None where it has none."""
    lock = root / LOCK if root else None
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock and lock.is_file() else None


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _git_state(root: Path | None) -> tuple[str | None, bool]:
    """Commit of a folder, and whether its files differ from it."""
    if root is None:
        return None, False
    commit = _git(root, "rev-parse", "HEAD")
    return commit, commit is not None and bool(_git(root, "status", "--porcelain"))


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where there is no git or no repository."""
    # Nothing here may write to the repository: status would refresh its index.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, check=False, timeout=GIT_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def _accelerator() -> str:
    """Of a process that used torch: others are spared the import, which takes seconds."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    return str(torch.cuda.get_device_name())


def _cores() -> int:
    is_linux = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if is_linux else (os.cpu_count() or 1)
