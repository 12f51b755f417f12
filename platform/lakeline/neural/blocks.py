"""Encoded rows as tensors, in shuffled blocks from which batches are cut without a copy.

A block is what is shuffled together, moved to the device together and made ready ahead together: per batch there is
nothing left to do but a slice. Equal rows, seed and epoch give an equal order, in memory and from a table, whatever was
trained before; every process of a training sees the same order and takes its part of each batch.

Shapes: N rows, C categorical features, K numbers, B batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from lakeline.models.training import feature_matrix

if TYPE_CHECKING:
    import polars as pl

    from lakeline.models.rows import Rows
    from lakeline.neural.encoding import Encoding


_GOLDEN, _MASK = 0x9E3779B97F4A7C15, 2**64 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows as a network reads them.

    Attributes:
        codes_NC: int32, shape ``(N, C)``.
        numbers_NK: float32, shape ``(N, K)``.
        labels_N: float32, 0 or 1, shape ``(N,)``.
    """

    codes_NC: Tensor  # noqa: N815 - arrays carry their shape
    numbers_NK: Tensor  # noqa: N815
    labels_N: Tensor  # noqa: N815

    def __len__(self) -> int:
        return len(self.labels_N)

    def cut(self, start: int, end: int) -> "Block":
        """Rows from ``start`` up to ``end``, without a copy."""
        return Block(self.codes_NC[start:end], self.numbers_NK[start:end], self.labels_N[start:end])

    def copied(self) -> "Block":
        """The same rows in memory of their own."""
        return Block(self.codes_NC.clone(), self.numbers_NK.clone(), self.labels_N.clone())

    def picked(self, rows_N: Tensor) -> "Block":
        """The rows of these numbers, in their order."""
        return Block(self.codes_NC[rows_N], self.numbers_NK[rows_N], self.labels_N[rows_N])

    def on(self, device: torch.device) -> "Block":
        """On a device; to a GPU from pinned memory, while it computes."""
        if device.type == "cpu":
            return self
        parts = (one.pin_memory() for one in (self.codes_NC, self.numbers_NK, self.labels_N))
        return Block(*(one.to(device, non_blocking=True) for one in parts))


class Blocks(Protocol):
    """Encoded rows in an order that depends on seed and epoch alone."""

    def epoch(self, seed: int, epoch: int) -> Iterator[Block]:
        """Every row once; each block but the last holds whole batches."""
        ...


@dataclass(frozen=True, kw_only=True)
class MemoryBlocks:
    """Rows that lie in memory, encoded once."""

    block: Block
    batch_rows: int
    buffer_rows: int

    def epoch(self, seed: int, epoch: int) -> Iterator[Block]:
        """Every row once, shuffled over all of them."""
        order_N = torch.randperm(len(self.block), generator=generator(seed, epoch))
        step = whole_batches(self.buffer_rows, self.batch_rows)
        for start in range(0, len(order_N), step):
            yield self.block.picked(order_N[start : start + step])


@dataclass(frozen=True, kw_only=True)
class StreamedBlocks:
    """Rows that are read as they are needed: shards in a drawn order, rows shuffled in a buffer.

    Attributes:
        shard: Gives the encoded rows of a shard, see :func:`encoder`; `lakeline.neural.spilling` keeps them for later epochs.
    """

    shards: Sequence[str]
    shard: Callable[[str], Iterator[Block]]
    batch_rows: int
    buffer_rows: int

    def epoch(self, seed: int, epoch: int) -> Iterator[Block]:
        """Every row once."""
        chance = generator(seed, epoch)
        held: list[Block] = []
        order: list[int] = torch.randperm(len(self.shards), generator=chance).tolist()
        for place in order:
            for block in self.shard(self.shards[place]):
                held.append(block)
                if sum(map(len, held)) >= max(self.buffer_rows, self.batch_rows):
                    mixed = _mixed(held, chance)
                    end = whole_batches(len(mixed), self.batch_rows)
                    # Before the block is waited for: what it was made of goes, and the rest is no view that keeps it.
                    held = [mixed.cut(end, len(mixed)).copied()]
                    yield mixed.cut(0, end)
                    del mixed
        if sum(map(len, held)):
            yield _mixed(held, chance)


def encoder(rows: "Rows", encoding: "Encoding") -> Callable[[str], Iterator[Block]]:
    """A function that reads and encodes a shard."""

    def shard(name: str) -> Iterator[Block]:
        return (encode(frame, rows.label, encoding) for frame in rows.read(name))

    return shard


def encode(frame: "pl.DataFrame", label: str, encoding: "Encoding") -> Block:
    """The rows of a frame as tensors."""
    import polars as pl

    matrix_ND = feature_matrix(frame, encoding.features, encoding.categories)
    codes_NC, numbers_NK = encoding.encode(matrix_ND)
    labels_N = frame[label].cast(pl.Float32).to_numpy(writable=True)
    return Block(*map(torch.from_numpy, (codes_NC, numbers_NK, labels_N)))


def encode_all(rows: "Rows", encoding: "Encoding") -> Block | None:
    """All rows of some shards, in order; None where there are none."""
    parts = [
        encode(frame, rows.label, encoding) for shard in rows.shards() for frame in rows.read(shard)
    ]
    return joined(parts) if parts else None


def joined(parts: Sequence[Block]) -> Block:
    """The rows of several blocks, one after another; there is at least one."""
    if len(parts) == 1:
        return parts[0]
    return Block(
        torch.cat([one.codes_NC for one in parts]),
        torch.cat([one.numbers_NK for one in parts]),
        torch.cat([one.labels_N for one in parts]),
    )


def generator(seed: int, epoch: int) -> torch.Generator:
    """Chance that depends on seed and epoch alone."""
    return torch.Generator().manual_seed(mixed_seed(seed, epoch))


def mixed_seed(*parts: int) -> int:
    """One seed of several numbers, so that neighbours have nothing in common; 63 bits.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators") over each
    number in turn: 2 us, where NumPy's SeedSequence takes 16 in every step.
    """
    state = 0
    for part in parts:
        state = (state + part + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def whole_batches(rows: int, batch_rows: int) -> int:
    """The most rows up to ``rows`` that are whole batches, and one batch at least.

    >>> whole_batches(1000, 300), whole_batches(100, 300)
    (900, 300)
    """
    return max(1, rows // batch_rows) * batch_rows


def _mixed(parts: Sequence[Block], chance: torch.Generator) -> Block:
    whole = joined(parts)
    return whole.picked(torch.randperm(len(whole), generator=chance))
