"""One process of a training that several share: ``python -m lakeline.neural.worker FOLDER``, started by torchrun."""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed
from filelock import FileLock, Timeout

from lakeline.errors import LakelineError
from lakeline.models.surroundings import Surroundings
from lakeline.neural.fit import fit
from lakeline.neural.model import NetworkModel
from lakeline.neural.place import find_place
from lakeline.neural.plan import Plan
from lakeline.neural.processes import (
    DESCRIPTION,
    ERROR,
    HISTORY,
    LOCK,
    MARK,
    PAYLOAD,
    read_job,
)

LOOK_S = 0.5


def main(folder: Path) -> None:
    """Train, and let the first process write the model."""
    end_with_starter(folder / LOCK)
    try:
        _train(folder)
    except Exception as error:
        told = (
            str(error) if isinstance(error, LakelineError) else f"{type(error).__name__}: {error}"
        )
        write_new(folder / ERROR, told)
        raise


def _train(folder: Path) -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    rows, job = read_job(folder)
    plan = Plan(**job["plan"])
    around = Surroundings(
        checkpoints=job["checkpoints"],
        properties=job["properties"],
        device=job["device"],
        report=tell,
    )
    place = find_place(around.device, plan, rank=rank, world=world)
    torch.distributed.init_process_group("nccl" if place.is_gpu else "gloo")
    model = fit(rows, plan, name=job["name"], around=around, rank=rank, world=world)
    if place.is_first:
        write(model, folder)
    torch.distributed.destroy_process_group()


def tell(figures: Mapping[str, Any]) -> None:
    """Say how far the training is, to whoever reads what this process says."""
    print(MARK + json.dumps(figures), flush=True)  # noqa: T201 - read by lakeline.neural.processes


def write(model: NetworkModel, folder: Path) -> None:
    """Write a model for the process that waits for it; its description last, which says that the rest is there."""
    (folder / PAYLOAD).write_bytes(model.payload)
    (folder / HISTORY).write_text(json.dumps(model.history), encoding="utf-8")
    draft = folder / f"{DESCRIPTION}.draft"
    draft.write_text(json.dumps(model.description), encoding="utf-8")
    draft.replace(folder / DESCRIPTION)


def write_new(path: Path, text: str) -> None:
    """Write a file unless another process was first."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return


def end_with_starter(lock: Path) -> None:
    """End this process when nobody holds the lock any more: then whoever started the training is gone.

    The folder of the lock goes too: it holds rows, and may hold the keys of a bucket.
    """

    def look() -> None:
        while True:
            try:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(lock.parent, ignore_errors=True)
                    os._exit(1)
            except Timeout:
                time.sleep(LOOK_S)

    threading.Thread(target=look, name="starter", daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
