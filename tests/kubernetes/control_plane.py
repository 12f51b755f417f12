"""The Kubernetes programs that the tests run: where they are cached, and how they are built from Go modules.

``python -m tests.kubernetes.control_plane`` builds them unless they are there. The first time takes 8 minutes
on two cores, 5 GB of disk while it lasts, and 230 MB that stay.
"""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).parent / "control-plane"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
JOBS = 2  # compilations at once; each takes up to 2 GB
HOW = "make kubernetes-control-plane"

log = logging.getLogger(__name__)


def folder() -> Path:
    """Where the programs are or will be: one folder for each set of sources."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    sources = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:12]
    return cache / "lakeline" / f"kubernetes-{sources}"


def missing() -> list[str]:
    """Programs that are not in the folder."""
    return [name for name in PROGRAMS if not (folder() / name).exists()]


def build() -> None:
    """Compile what is missing; nothing happens where all is there, and two at once do it once.

    Modules come from Go's module cache, and from its proxy what is not there. A build that was cut off
    goes on where it ended.

    Raises:
        SystemExit: Go is missing, too old, or fails; the message says what to do.
    """
    with _alone():
        if not missing():
            return
        _require_go()
        unfinished = folder().with_suffix(".building")
        unfinished.mkdir(exist_ok=True)
        # A cache of its own: 4 GB that nothing else needs would stay in the usual one.
        env = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(unfinished / "cache")}
        flags = ["-p", str(JOBS), "-trimpath", "-buildvcs=false", "-ldflags", _linking(env)]
        log.info("Building Kubernetes into %s", folder())
        _go("build", *flags, "-o", f"{unfinished}{os.sep}", "tool", env=env)
        shutil.rmtree(unfinished / "cache")
        unfinished.rename(folder())


@contextmanager
def _alone() -> Iterator[None]:
    folder().parent.mkdir(parents=True, exist_ok=True)
    with folder().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_go() -> None:
    line = re.search(r"^go ([\d.]+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert line, "go.mod has a go line"
    wanted = line[1]
    how = f"Install Go {wanted} or newer as https://go.dev/doc/install says; a distribution's may be older."
    if shutil.which("go") is None:
        sys.exit(f"Kubernetes for the tests is built with Go, which is not on PATH. {how}")
    # Outside the module: an old Go cannot read its go.mod. Go 1.21 and newer fetch what they lack.
    has = _go("env", "GOVERSION", where=MODULE.parent).removeprefix("go").split()[0]
    fetches = os.environ.get("GOTOOLCHAIN") != "local" and _numbers(has) >= (1, 21)
    if _numbers(has) < _numbers(wanted) and not fetches:
        sys.exit(f"Kubernetes for the tests needs Go {wanted}, this is {has}. {how}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _linking(env: dict[str, str]) -> str:
    """The linker's flags: no symbols for debuggers, and the version that the API server tells."""
    version = _go("list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes", env=env)
    major, minor = version.removeprefix("v").split(".")[:2]
    told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in told.items())


def _go(*words: str, env: dict[str, str] | None = None, where: Path = MODULE) -> str:
    """What a go command prints."""
    done = subprocess.run(
        ["nice", "go", *words], cwd=where, env=env, check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(f"go {words[0]} failed with {done.returncode}; its words are above.")
    return done.stdout.strip()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    build()
