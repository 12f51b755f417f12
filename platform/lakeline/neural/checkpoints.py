"""Checkpoints: a training's state in a folder or a bucket, found again by what is trained, and never half written.

One file a checkpoint below ``<place>/<name>-<fingerprint>/``. The fingerprint is that of plan, rows, code and torch: only
the same training resumes from it. A file is written beside its name, forced to the disk and renamed; a bucket gets it by
one PUT, which is as whole. Its first line has the SHA-256 of the rest, so that what a disk did to it is noticed.
"""

import hashlib
import logging
import os
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.errors import ModelError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)

KEPT = 2
HEADER = b"lakeline checkpoint 1 "
HEX = 64
NAME = re.compile(r"step-(\d+)\.ckpt")


class CheckpointPlaceError(ModelError):
    """Checkpoints are to go where nothing can be written."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(
            f"Checkpoints cannot be kept at {place}: {why}. Name a folder or an s3:// address that can be written, "
            "or none, to train without."
        )


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training.

    Attributes:
        place: Folder or ``s3://`` address below which they lie.
        key: Name of the training's own folder there.
        properties: How a bucket is reached, as Iceberg names it; left out, by the environment.
    """

    place: str
    key: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    def write(self, step: int, state: bytes) -> str:
        """Keep a state, and the one before it; gives its name.

        Raises:
            CheckpointPlaceError: It cannot be written.
        """
        name = f"step-{step:010}.ckpt"
        digest = hashlib.sha256(state).hexdigest().encode()
        try:
            self._put(name, b"".join([HEADER, digest, b"\n", state]))
        except OSError as error:
            raise CheckpointPlaceError(self.place, str(error)) from error
        for old in self.names()[:-KEPT]:
            with suppress(OSError):  # the next write tries again
                self._files.delete_file(self._path(old))
        return name

    def newest(self, is_good: Callable[[bytes], bool] = lambda _: True) -> tuple[str, bytes] | None:
        """Name and state of the newest checkpoint that is whole; a broken one is passed over with a warning."""
        for name in reversed(self.names()):
            state = self._read(name)
            if state is not None and is_good(state):
                return name, state
            logger.warning("Checkpoint %s/%s is broken and passed over.", self.key, name)
        return None

    def names(self) -> list[str]:
        """Of the checkpoints that there are, oldest first."""
        from pyarrow.fs import FileSelector

        try:
            found = self._files.get_file_info(FileSelector(self._path(), allow_not_found=True))
        except OSError as error:
            raise CheckpointPlaceError(self.place, str(error)) from error
        return sorted(one.base_name for one in found if NAME.fullmatch(one.base_name))

    def clear(self) -> None:
        """Remove them all, after a training that needs them no more; what cannot be removed stays."""
        with suppress(OSError):
            self._files.delete_dir(self._path())

    def put_beside(self, name: str, content: bytes) -> str:
        """Write a file next to the training's own folder, where clearing leaves it; gives its path.

        Raises:
            CheckpointPlaceError: It cannot be written.
        """
        try:
            self._put(f"../{name}", content)
        except OSError as error:
            raise CheckpointPlaceError(self.place, str(error)) from error
        return f"{self.place.rstrip('/')}/{name}"

    @cached_property
    def _opened(self) -> "tuple[FileSystem, str]":
        from pyarrow.fs import LocalFileSystem

        if "://" not in self.place:
            return LocalFileSystem(), str(Path(self.place).absolute())
        from pyiceberg.io.pyarrow import PyArrowFileIO

        scheme, bucket, path = PyArrowFileIO.parse_location(self.place)
        try:
            files = PyArrowFileIO(dict(self.properties)).fs_by_scheme(scheme, bucket)
        except (OSError, ValueError) as error:
            raise CheckpointPlaceError(self.place, str(error)) from error
        return files, path

    @property
    def _files(self) -> "FileSystem":
        return self._opened[0]

    def _path(self, name: str = "") -> str:
        root = self._opened[1].rstrip("/")
        if name.startswith("../"):
            return f"{root}/{name.removeprefix('../')}"
        return f"{root}/{self.key}/{name}".rstrip("/")

    def _put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        from pyarrow.fs import LocalFileSystem

        if isinstance(self._files, LocalFileSystem):
            write_whole(Path(path), content)
            return
        with self._files.open_output_stream(path) as stream:
            stream.write(content)

    def _read(self, name: str) -> bytes | None:
        try:
            with self._files.open_input_file(self._path(name)) as file:
                content: bytes = file.read()
        except OSError:
            return None
        start = len(HEADER) + HEX + 1
        head, state = content[:start], content[start:]
        told = HEADER + hashlib.sha256(state).hexdigest().encode() + b"\n"
        return state if head == told else None


def write_whole(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all, whatever happens; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
