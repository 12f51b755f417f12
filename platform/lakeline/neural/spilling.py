"""Encoded rows of a table in a file of this machine, so that only the first epoch reads, decodes and encodes the table.

Reading and encoding the table takes a quarter of the processor time of training on it, reading what was encoded a tenth. The
file has no name: it is gone with the process, however that ends. Where the disk has no room, every epoch reads the table.
"""

import logging
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import torch

from lakeline.neural.blocks import Block

logger = logging.getLogger(__name__)


@dataclass
class Spill:
    """What was encoded, by shard.

    Attributes:
        is_wanted: Whether anything is kept.
    """

    is_wanted: bool = True
    _file: IO[bytes] | None = field(default=None, repr=False)
    _places: dict[str, list[tuple[int, tuple[int, ...]]]] = field(default_factory=dict, repr=False)

    def blocks(self, shard: str, read: Callable[[], Iterator[Block]]) -> Iterator[Block]:
        """The blocks of a shard: as they were kept, or read and kept now.

        Args:
            shard: Its name.
            read: Gives its blocks where they are not kept yet.
        """
        if shard in self._places:
            for place, shape in self._places[shard]:
                yield self._load(place, shape)
            return
        kept: list[tuple[int, tuple[int, ...]]] = []
        for block in read():
            self._keep(block, kept)
            yield block
        if self.is_wanted:  # a shard that was read to its end, none of which failed to be written
            self._places[shard] = kept

    def _keep(self, block: Block, kept: list[tuple[int, tuple[int, ...]]]) -> None:
        if not self.is_wanted:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="lakeline-rows-")  # noqa: SIM115 - lives as long as this
                weakref.finalize(self, self._file.close)
            place = self._file.seek(0, 2)
            for one in (block.codes_NC, block.numbers_NK, block.labels_N):
                one.numpy().tofile(self._file)
        except OSError as error:
            logger.warning("Encoded rows are not kept (%s): every epoch reads the table.", error)
            self.is_wanted = False
            return
        shape = len(block), block.codes_NC.shape[1], block.numbers_NK.shape[1]
        kept.append((place, shape))

    def _load(self, place: int, shape: tuple[int, ...]) -> Block:
        assert self._file is not None
        rows, names, numbers = shape
        self._file.seek(place)
        codes_NC = self._array(np.int32, (rows, names))
        numbers_NK = self._array(np.float32, (rows, numbers))
        return Block(codes_NC, numbers_NK, self._array(np.float32, (rows,)))

    def _array(self, dtype: Any, shape: tuple[int, ...]) -> torch.Tensor:
        assert self._file is not None
        found = np.empty(shape, dtype)
        # Not np.fromfile, which asks for the file's place and so empties the reader's buffer each time.
        if self._file.readinto(found.data.cast("B") if found.size else bytearray()) != found.nbytes:  # type: ignore[attr-defined]
            raise OSError("The file of encoded rows is shorter than what was written to it.")
        return torch.from_numpy(found)
