"""GPUs of this machine given out one build at a time: a lock file a GPU, freed by the system when its holder dies."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from lakeline.compute.declaration import Compute
from lakeline.compute.errors import NoGpuError
from lakeline.compute.machine import gpu_names

POLL_S = 1.0


@contextlib.contextmanager
def claimed(
    compute: Compute,
    asset: str,
    folder: Path,
    *,
    note: Callable[[str], None],
    found: Sequence[str] | None = None,
) -> Iterator[tuple[str, ...]]:
    """The UUIDs of the GPUs that a build may use while the block lasts; waits until they are free.

    Args:
        compute: What the asset declares.
        asset: For words.
        folder: Of the lock files; every process on the machine names the same.
        note: Is told what is worth knowing: that there is none, that it waits.
        found: GPUs of the machine; left out, those that the driver shows.

    Raises:
        NoGpuError: The asset requires one and there is none.
    """
    names = list(gpu_names() if found is None else found)
    wanted = min(compute.gpus, len(names))
    if compute.needs_gpu and not names:
        raise NoGpuError(asset)
    if compute.gpus > len(names):
        has = f"{len(names)} of {compute.gpus} GPUs" if names else "the CPU, as there is no GPU"
        note(f"{asset} runs on {has}")
    if not wanted or compute.share_gpu:
        yield tuple(names[:wanted])
        return
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        yield _take(wanted, names, folder, held, note=lambda said: note(f"{asset} {said}"))


def _take(
    wanted: int,
    names: Sequence[str],
    folder: Path,
    held: contextlib.ExitStack,
    *,
    note: Callable[[str], None],
) -> tuple[str, ...]:
    """Take GPUs all together or none, so that two builds that want two each cannot wait for one another."""
    has_told = False
    while True:
        with contextlib.ExitStack() as mine:
            taken: list[str] = []
            for name in names:
                if len(taken) < wanted and _try(folder / f"{name}.lock", mine):
                    taken.append(name)
            if len(taken) == wanted:
                held.push(mine.pop_all())
                return tuple(taken)
        if not has_told:
            note(f"waits for {wanted} of {len(names)} GPUs, which other builds use")
            has_told = True
        time.sleep(POLL_S)


def _try(path: Path, mine: contextlib.ExitStack) -> bool:
    lock = FileLock(path)
    try:
        mine.enter_context(lock.acquire(timeout=0))
    except Timeout:
        return False
    return True
