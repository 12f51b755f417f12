"""A model version built again in a process of its own, which imports the project anew and shares nothing with this one.

The capsule goes in and the result comes out as JSON files, so that whatever the project prints does no harm. The child opens
the registry only for a version that a GPU trained, whose probabilities are compared.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lakeline.domain.rebuilding import Rebuilt, is_of_gpu, rebuild
from lakeline.errors import DomainError, LakelineError
from lakeline.models.capsule import Capsule, parse_capsule
from lakeline.models.environment import THREAD_VARIABLES, Environment

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.models.training import TrainedModel
    from lakeline.project import Project

LAST_LINES = 5


class RebuildFailedError(DomainError):
    """The process that builds a version again died."""

    def __init__(self, asset: str, said: str) -> None:
        super().__init__(f"'{asset}' could not be built again: {said}")


def rebuild_apart(root: Path, capsule: Capsule, *, is_judged: bool = False) -> Rebuilt:
    """Build a version again in a fresh process.

    Args:
        root: Folder of the project.
        capsule: Of the version.
        is_judged: Whether to build and measure the model of its metrics too.

    Raises:
        RebuildFailedError: With the last words of the process.
    """
    with TemporaryDirectory() as scratch:
        given, answer = Path(scratch) / "capsule.json", Path(scratch) / "answer.json"
        given.write_text(capsule.to_json(), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "lakeline.cli.rebuilding",
            str(root),
            str(given),
            str(answer),
        ]
        done = subprocess.run(  # noqa: S603 - our own words
            [*command, *(["judged"] if is_judged else [])],
            env=_environment(capsule),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if not answer.is_file():
            raise RebuildFailedError(capsule.asset, _last_words(done))
        told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in told:
        raise RebuildFailedError(capsule.asset, told["error"])
    told["environment"] = Environment(**told["environment"])
    return Rebuilt(**told)


def main(arguments: Sequence[str]) -> None:
    """What the fresh process does."""
    root, given, answer, *more = arguments
    capsule = parse_capsule(Path(given).read_text(encoding="utf-8"))
    try:
        told = asdict(_rebuilt(Path(root), capsule, is_judged="judged" in more))
    except LakelineError as error:
        told = {"error": str(error)}
    Path(answer).write_text(json.dumps(told), encoding="utf-8")


def _rebuilt(root: Path, capsule: Capsule, *, is_judged: bool) -> Rebuilt:
    from lakeline.cli.keys import find_asset
    from lakeline.project import load_project

    project = load_project(root)
    known = project.nodes
    node = known[find_asset(capsule.asset, known)]
    begun_s = time.perf_counter()
    found = rebuild(
        project.house.lake,
        node,
        capsule,
        is_judged=is_judged,
        registered=_registered(project, node, capsule) if is_of_gpu(capsule) else None,
    )
    return replace(found, wall_s=time.perf_counter() - begun_s)


def _registered(project: "Project", node: "Node", capsule: Capsule) -> "TrainedModel":
    """The version of a capsule."""
    versions = project.house.registry.versions(node.table)
    number = next(one.version for one in versions if one.digest == capsule.digest)
    return project.house.registry.load(node.table, number)


def _environment(capsule: Capsule) -> dict[str, str]:
    """This process's, with the threads of the training."""
    kept = {name: one for name, one in os.environ.items() if name not in THREAD_VARIABLES}
    return {**kept, **capsule.environment.threads}


def _last_words(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.strip().splitlines()[-LAST_LINES:]
    return " ".join(lines) or f"its process ended with code {done.returncode}"


if __name__ == "__main__":
    main(sys.argv[1:])
